//! Layers that are alike are compiled once, and what they compute is what each of them should.

use std::sync::{Mutex, PoisonError};

use ir::{DType, Graph};
use nn::models::Mlp;
use nn::{Activation, Adam, Context, Layer, Loss, Optimizer};
use tests::compare::{difference, execute, interpret, seeded_inputs};
use tests::targets::{for_each_target, options_for};

/// What initial states depend on.
const SEED: u64 = 7;

/// The width of each layer.
const WIDTH: usize = 37;

/// Held while a test compiles: what one compiles, the other would find in the cache of the process.
static CACHE: Mutex<()> = Mutex::new(());

/// A network of equal layers, or its training step.
fn network(layers: usize, is_training: bool) -> Graph {
    let build = || -> Result<Graph, ir::Error> {
        let mut cx = Context::new("equal_layers");
        let x = cx.input("x", DType::F32, [5, WIDTH])?;
        let y = Mlp::new(&vec![WIDTH; layers + 1], Activation::Relu).forward(&mut cx, x)?;
        if is_training {
            let target = cx.input("target", DType::F32, [5, WIDTH])?;
            let loss = Loss::SquaredError.mean(&mut cx, y, target)?;
            Adam::new(1e-3).step(&mut cx, loss)?;
            cx.output("loss", loss)?;
        } else {
            cx.output("y", y)?;
        }
        Ok(cx.finish())
    };
    build().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn equal_layers_are_compiled_once() {
    let _alone = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let target = codegen::Target::host().expect("tests run where code can be made");
    for (is_training, most) in [(false, 2), (true, 12)] {
        let count = |layers| {
            codegen::forget_compiled();
            let program = nnc::compile(&network(layers, is_training), &options_for(&target));
            let program = program.unwrap_or_else(|error| panic!("{error}"));
            let code = program.code().expect("it was made with code");
            (code.entries().len(), code.compiled_kernels())
        };
        let ((_, few), (kernels, many)) = (count(5), count(20));
        println!("training {is_training}: {kernels} kernels, {many} compiled");
        assert!(kernels >= 20 && few == many && many <= most, "{kernels} kernels, {few} and {many} compiled");
    }
}

#[test]
fn equal_layers_compute_what_the_interpreter_does() {
    let _alone = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let graph = network(4, true);
    let inputs = seeded_inputs(&graph, SEED);
    let reference = interpret(&graph, &inputs, SEED).unwrap_or_else(|error| panic!("{error}"));
    for_each_target(|target| {
        let found = execute(&graph, &inputs, SEED, &options_for(target));
        let found = found.unwrap_or_else(|error| panic!("{error}"));
        // Four layers of sums of 37 terms below 2, and a step of Adam.
        assert_eq!(difference(&found, &reference, |_| 2e-5), None, "{}", target.name);
    });
}
