//! Speed of the compiler and of what it makes: compile time, training steps, elementwise chains, softmax, reductions and
//! products, on the workloads of `nnc bench`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ir::{DType, Graph, Scalar, Tensor};
use nnc::bench::Workload;
use nnc::{Options, State};
use tests::compare::seeded_tensor;

const KERNELS: [&str; 6] = [
    "ew_chain_1m",
    "softmax_4096x1024",
    "sum_axis0_4096x4096",
    "sum_axis1_4096x4096",
    "sgemm_256",
    "sgemm_1024",
];
const TRAINING: [&str; 2] = ["mlp_small_train_b32", "mlp_train_b128"];

fn graph_of(name: &str) -> Graph {
    let workload = Workload::find(name).expect("the workload exists");
    workload.model().expect("the workload builds").graph
}

/// Seeded inputs; class indices are all 0.
fn inputs_of(graph: &Graph) -> Vec<Tensor> {
    let types = graph.inputs().map(|(_, node)| node.results[0].clone());
    let input = |(index, ty): (usize, ir::Type)| match ty.dtype {
        DType::I64 => Tensor::splat(ty.shape, Scalar::I64(0)),
        _ => seeded_tensor(&ty, 3, index as u32),
    };
    types.enumerate().map(input).collect()
}

/// The time of one step of each workload.
fn steps(criterion: &mut Criterion, group: &str, names: &[&str]) {
    let mut group = criterion.benchmark_group(group);
    group.sample_size(20);
    for name in names {
        let graph = graph_of(name);
        let inputs = inputs_of(&graph);
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        for threads in [1, 2] {
            let options = Options { threads, ..Options::default() };
            let mut executable = nnc::compile(&graph, &options).expect("it compiles");
            let mut state = State::new(executable.plan(), 0).expect("there is memory");
            group.bench_function(BenchmarkId::new(*name, threads), |bencher| {
                bencher.iter(|| executable.run(&mut state, black_box(&inputs)).expect("the inputs fit"));
            });
        }
    }
    group.finish();
}

fn kernels(criterion: &mut Criterion) {
    steps(criterion, "kernel", &KERNELS);
}

fn training(criterion: &mut Criterion) {
    steps(criterion, "step", &TRAINING);
}

fn compiling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(10);
    for name in TRAINING {
        let graph = graph_of(name);
        let compile = || nnc::compile(black_box(&graph), &Options::default()).expect("it compiles");
        group.bench_function(BenchmarkId::new(name, "first"), |bencher| {
            bencher.iter(|| {
                codegen::forget_compiled();
                compile()
            });
        });
        group.bench_function(BenchmarkId::new(name, "again"), |bencher| bencher.iter(compile));
    }
    group.finish();
}

criterion_group!(benches, compiling, training, kernels);
criterion_main!(benches);
