//! Threads that share one set of weights: each has a program of its own, and all have the bits of one thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use ir::{Graph, Place, Plan, Slot, Tensor};
use nn::{
    Adam, BatchNorm, Conv2d, Flatten, Layer, Linear, Loss, MaxPool2d, Network, Optimizer, Relu, Sequential,
    Sgd, Supervised, network,
};
use nnc::{Executable, Options, Pool, State};
use tests::compare::{plan_without, seeded_inputs};

const SEED: u64 = 3;
const THREADS: usize = 8;

/// Models of rows and of images, with the numbers of rows of their batches.
fn models() -> [(&'static str, Arc<dyn Network>, usize); 3] {
    fn classifier(row: &[usize], layer: impl Layer + 'static) -> Arc<dyn Network> {
        Arc::new(Supervised::new(row, layer, Loss::cross_entropy()))
    }
    let convolutional = Sequential::new()
        .add(Conv2d::new(1, 32, 5))
        .add(BatchNorm::new(32))
        .add(Relu)
        .add(Conv2d::new(32, 64, 3))
        .add(MaxPool2d::new(22))
        .add(Flatten)
        .add(Linear::new(64, 10));
    let mlp = nn::models::Mlp::new(&[64, 320, 64], Relu);
    [
        ("mlp", classifier(&[64], mlp), 9),
        ("lenet", classifier(&[1, 28, 28], nn::models::LeNet::new(10)), 4),
        ("convolutional", classifier(&[1, 28, 28], convolutional), 4),
    ]
}

/// What uses the model, with and without weights that are packed once.
fn programs(graph: &Graph) -> [Executable; 2] {
    let options = Options::default();
    let packed = nnc::compile(graph, &options).expect("it compiles");
    let plan = plan_without("prepack", graph, &options.for_passes()).expect("it compiles");
    assert!(plan.prepare.is_empty());
    let plain = nnc::driver::compile_plan(plan, &options, packed.pool().clone()).expect("it compiles");
    [packed, plain]
}

/// Inputs that differ from thread to thread.
fn inputs_of(graph: &Graph, thread: usize) -> BTreeMap<String, Tensor> {
    seeded_inputs(graph, SEED + thread as u64)
}

/// Tensors by the names of inputs, as a run takes them.
fn by_name(inputs: &BTreeMap<String, Tensor>) -> Vec<(&str, &Tensor)> {
    inputs.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}

/// The bits of what some runs on shared states leave.
fn infer(program: &mut Executable, state: &State, inputs: &BTreeMap<String, Tensor>) -> Vec<u64> {
    for _ in 0..3 {
        program.infer_named(state, &by_name(inputs)).expect("it infers");
    }
    let bits = |tensor: &Tensor| -> Vec<u64> {
        (0..tensor.shape().elements()).map(|index| tensor.get(index).bits()).collect()
    };
    program.outputs().iter().flat_map(bits).collect()
}

/// What each of eight threads infers at the same time from one set of weights.
fn infer_on_threads(
    program: &Executable,
    pools: &[Arc<Pool>],
    state: &State,
    graph: &Graph,
) -> Vec<Vec<u64>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (pools.iter().enumerate())
            .map(|(thread, pool)| {
                scope.spawn(move || {
                    let mut fork = program.fork(Arc::clone(pool)).expect("there is memory");
                    infer(&mut fork, state, &inputs_of(graph, thread))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
    })
}

/// Whether weights are packed, be it by steps that prepare or in the states themselves.
fn is_packed(plan: &Plan) -> bool {
    let is_blocked = |slot: &Slot| matches!(&slot.place, Place::State { order, .. } if order.is_blocked());
    !plan.prepare.is_empty() || plan.slots.iter().any(is_blocked)
}

#[test]
fn eight_threads_on_one_state_have_the_bits_of_one() {
    let one = || Arc::new(Pool::new(1).expect("a thread"));
    let three = Arc::new(Pool::new(3).expect("three threads"));
    for (name, model, rows) in models() {
        let graph = network::inference_graph(name, &model, rows).expect("the shapes fit");
        let programs = programs(&graph);
        // LeNet has too few channels to be packed.
        assert_eq!(is_packed(programs[0].plan()), name != "lenet", "{name}");
        for mut program in programs {
            let state = State::new(program.plan(), SEED).expect("there is memory");
            let expected: Vec<Vec<u64>> =
                (0..THREADS).map(|thread| infer(&mut program, &state, &inputs_of(&graph, thread))).collect();
            let pools: [Vec<Arc<Pool>>; 2] =
                [(0..THREADS).map(|_| one()).collect(), vec![Arc::clone(&three); THREADS]];
            for pools in &pools {
                let seen = infer_on_threads(&program, pools, &state, &graph);
                assert!(seen == expected, "{name}");
            }
        }
    }
}

#[test]
fn a_clone_trains_on_another_thread_and_the_shared_weights_stay() {
    for (name, model, rows) in models() {
        let infers = network::inference_graph(name, &model, rows).expect("the shapes fit");
        let trains = network::training_graph(name, &model, rows, &Sgd::new(0.1));
        let trains = trains.expect("the shapes fit");
        let [mut program, _] = programs(&infers);
        let mut training = nnc::compile(&trains, &Options::default()).expect("it compiles");
        // Training may want weights in another order than inference.
        let state = State::new(training.plan(), SEED).expect("there is memory");
        let expected = infer(&mut program, &state, &inputs_of(&infers, 0));
        let weights: Vec<Tensor> =
            state.iter().map(|(name, _)| state.get(name).expect("it is there")).collect();
        let mut trained = state.clone();
        let examples = seeded_inputs(&trains, SEED);
        let examples = by_name(&examples);
        let refused = training.infer_named(&state, &examples).expect_err("it writes weights").to_string();
        assert!(refused.contains("so it cannot run on states that are shared"), "{refused}");
        let seen = std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..3).for_each(|_| training.run_named(&mut trained, &examples).expect("it trains"))
            });
            infer(&mut program, &state, &inputs_of(&infers, 0))
        });
        assert_eq!(seen, expected, "{name}");
        for ((weight, _), before) in state.iter().zip(&weights) {
            assert_eq!(state.get(weight).expect("it is there"), *before, "{name}: {weight}");
        }
        let after = infer(&mut program, &trained, &inputs_of(&infers, 0));
        assert_ne!(after, expected, "{name}: the clone has been trained");
    }
}

#[test]
fn models_optimizers_trainers_and_predictors_move_between_threads() {
    fn moves<T: Send>() {}
    fn is_shared<T: Send + Sync + ?Sized>() {}
    is_shared::<dyn Layer>();
    is_shared::<dyn Optimizer>();
    moves::<nnc::trainer::Trainer>();
    moves::<nnc::trainer::Predictor>();
}

/// A step of a model on two features, which belongs to program `name`.
fn step_of(name: &str, optimizer: &dyn Optimizer) -> Executable {
    let model = nn::models::Mlp::new(&[2, 3], Relu);
    let graph = network::training_graph(name, &Supervised::new([2], model, Loss::SquaredError), 4, optimizer);
    nnc::compile(&graph.expect("the shapes fit"), &Options::default()).expect("it compiles")
}

#[test]
fn programs_that_train_one_model_name_their_optimizers() {
    let adam = || Adam::new(0.1);
    let [first, mut second] = ["first", "second"].map(|name| step_of(name, &adam()));
    let mut state = State::new(first.plan(), SEED).expect("there is memory");
    let expected = "state `optimizer.learning_rate` belongs to program `first_train`, and program `second_train` would share it; \
        name the optimizers, as in `Adam::new(1e-3).named(\"second_train\")`, or give each program states of its own";
    let error = state.adopt(second.plan(), SEED).expect_err("it is of another program");
    assert_eq!(error.to_string(), expected);
    let inputs = [[4, 2], [4, 3]].map(|shape| Tensor::splat(shape, ir::Scalar::F32(1.0)));
    let error = second.run(&mut state, &[&inputs[0], &inputs[1]]).expect_err("it is of another program");
    assert_eq!(error.to_string(), expected);

    let named = |name: &str| step_of(name, &adam().named(name));
    let [mut first, mut second] = ["first", "second"].map(named);
    let mut state = State::new(first.plan(), SEED).expect("there is memory");
    state.adopt(second.plan(), SEED).expect("they share weights alone");
    for (program, steps) in [(&mut first, 1), (&mut second, 2)] {
        (0..steps).for_each(|_| program.run(&mut state, &[&inputs[0], &inputs[1]]).expect("it trains"));
    }
    let steps = ["first", "second"].map(|name| state.get(&format!("optimizer.{name}.step")));
    assert_eq!(steps.map(|step| step.expect("it counts").get(0).as_f64()), [1.0, 2.0]);
}
