//! A state dict of PyTorch's recurrent layers loads by its own names.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::collections::BTreeMap;
use std::path::Path;

use nnc::ir::VerifiedPlan;
use nnc::ir::eval::{Bindings, evaluate};
use nnc::prelude::*;
use nnc::weights::Weights;

/// What PyTorch makes of the sequence; printed by nnc/tests/data/torch_recurrent.py.
const EXPECTED: [f64; 3] = [0.2348998785018921, 0.22686107456684113, 0.21793878078460693];

#[test]
fn a_state_dict_of_recurrent_layers_loads_by_its_own_names() {
    let mut cx = Context::new("recurrent");
    let x = cx.input("x", DType::F32, [3, 1, 2]).unwrap();
    let y = cx.layer("encoder", &Lstm::new(2, 2).layers(2).bidirectional(), x).unwrap();
    let y = cx.layer("decoder", &Gru::new(4, 3), y).unwrap();
    let y = cx.layer("head", &Linear::new(3, 1), y).unwrap();
    cx.output("y", y).unwrap();
    let graph = cx.finish();
    let plan = passes::pipeline::run(graph.clone(), &Default::default()).unwrap();
    let mut state = State::new(&VerifiedPlan::new(plan).unwrap(), 7).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/torch_recurrent.safetensors");
    let report = Weights::read(&path).unwrap().load(&mut state).unwrap();
    assert_eq!(report.loaded.len(), 2 * 2 * 4 + 4 + 2);
    let states = state.iter().map(|(name, _)| (name.to_owned(), state.get(name).unwrap())).collect();
    let x = Tensor::new([3, 1, 2], vec![0.1f32, 0.2, 0.3, 0.4, 0.5, 0.6]).unwrap();
    let inputs = BTreeMap::from([("x".to_owned(), x)]);
    let outputs = evaluate(&graph, &Bindings { inputs, states, seed: 0 }).unwrap().outputs;
    for (found, expected) in outputs["y"].as_slice::<f32>().unwrap().iter().zip(EXPECTED) {
        assert!((f64::from(*found) - expected).abs() < 1e-6, "{found}, expected {expected}");
    }
}
