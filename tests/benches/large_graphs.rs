//! Compile times of graphs that grow: chains, ladders, wide sums, unrolled cells of 1,000, 10,000 and 100,000 nodes. Ten
//! times as many nodes should take about ten times as long.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use nnc::Options;
use tests::large_graphs::FAMILIES;

const NODES: [usize; 3] = [1_000, 10_000, 100_000];

fn compiling(criterion: &mut Criterion) {
    for family in &FAMILIES {
        let mut group = criterion.benchmark_group(format!("compile_{}", family.name));
        group.sample_size(10);
        for nodes in NODES {
            let graph = (family.build)(nodes).expect("the family is well-formed");
            group.throughput(Throughput::Elements(nodes as u64));
            group.bench_function(BenchmarkId::from_parameter(nodes), |bencher| {
                bencher.iter(|| {
                    codegen::forget_compiled();
                    nnc::compile(black_box(&graph), &Options::default()).expect("it compiles")
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, compiling);
criterion_main!(benches);
