//! An epoch of training steps with batches gathered on the caller's thread and on another one, from batches of 8 KiB to 3
//! MiB: what `nnc::data::batches::MIN_BYTES_AHEAD` rests on.

use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use nn::network::training_graph;
use nn::{Adam, Loss, Relu, Supervised, models::Mlp};
use nnc::data::{Batches, Dataset, Targets};
use nnc::trainer::shuffle::permutation;
use nnc::{Executable, Options, State};

/// Features of a row, rows of a batch.
const SIZES: [(usize, usize); 6] = [(64, 32), (784, 32), (784, 64), (784, 128), (784, 256), (784, 1024)];
const CLASSES: usize = 10;
/// As many as MNIST has, less than a batch of which fits a cache.
const ROW_COUNT: usize = 60_000;
const BATCHES: usize = 40;

fn dataset(features: usize) -> Dataset {
    let row_count = if features == 64 { 1437 } else { ROW_COUNT };
    let rows = (0..row_count * features).map(|index| (index % 255) as f32 / 255.0).collect();
    let labels = (0..row_count).map(|row| (row % CLASSES) as i64).collect();
    Dataset::new("numbers", [features], rows, Targets::classes(labels, CLASSES)).expect("the rows are whole")
}

/// Runs a step on each batch.
fn epoch(mut batches: Batches, program: &mut Executable, state: &mut State) {
    while let Some(batch) = batches.next_batch() {
        program.run(state, &batch.tensors()).expect("the batch fits");
    }
}

fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batches");
    group.sample_size(20).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    for (features, batch) in SIZES {
        let data = dataset(features);
        for threads in [1, 2] {
            let options = Options { threads, ..Options::default() };
            let model = Mlp::new(&[features, 128, 64, CLASSES], Relu);
            let network = Supervised::new([features], model, Loss::cross_entropy());
            let graph = training_graph("mlp", &network, batch, &Adam::new(1e-3));
            let mut program = nnc::compile(&graph.expect("it builds"), &options).expect("it compiles");
            let mut state = State::new(program.plan(), 0).expect("there is memory");
            group.throughput(Throughput::Elements((BATCHES * batch) as u64));
            for (way, new) in [("here", Batches::here as fn(&_, _, _) -> _), ("ahead", Batches::ahead)] {
                let name = format!("{}_kib/{way}", batch * features * size_of::<f32>() / 1024);
                let mut number = 0;
                group.bench_function(BenchmarkId::new(name, threads), |bencher| {
                    let order = || {
                        number += 1;
                        let rows = permutation(data.len(), 0, number).into_iter().cycle();
                        rows.take(BATCHES * batch).collect()
                    };
                    let run = |order| {
                        epoch(
                            new(&data, order, batch).expect("the rows are there"),
                            &mut program,
                            &mut state,
                        );
                    };
                    bencher.iter_batched(order, run, BatchSize::PerIteration);
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, batches);
criterion_main!(benches);
