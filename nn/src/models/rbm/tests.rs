//! What machines refuse, and what use of them depends on.

use super::*;
use crate::network::{inference_graph, training_graph};
use crate::{Adam, network};

fn message<T>(result: Result<T, Error>) -> String {
    result.err().map_or(String::new(), |error| error.to_string())
}

#[test]
fn a_layer_without_units_and_chains_without_steps_are_errors() {
    let step = |machine: Rbm| message(training_graph("m", &machine, 4, &Adam::default()));
    let empty = "weight: it has 4 visible and 0 hidden units; give each layer at least one";
    assert_eq!(step(Rbm::new(4, 0)), empty);
    assert_eq!(
        step(Rbm::new(4, 3).contrastive(0)),
        "rbm: it has 1 chains of 0 steps; give at least one of each"
    );
    assert_eq!(
        step(Rbm::new(4, 3).persistent(0, 1)),
        "rbm: it has 0 chains of 1 steps; give at least one of each"
    );
}

#[test]
fn a_layer_that_is_too_large_is_not_enumerated() {
    let log_partition = |machine: Rbm| {
        let mut cx = Context::new("g");
        let weights = machine.weights(&mut cx).unwrap();
        message(weights.log_partition(&mut cx))
    };
    let help = "enumerate a layer of at most 20, or estimate by annealed importance sampling";
    assert_eq!(
        log_partition(Rbm::new(30, 21)),
        format!("the partition function: it has 30 visible and 21 hidden units; {help}")
    );
    assert_eq!(log_partition(Rbm::new(5, 30)), "");
    assert!(
        !log_partition(Rbm::new(5, 30).gaussian()).is_empty(),
        "Gaussian units have no states to go through"
    );
}

#[test]
fn use_and_evaluation_draw_nothing() {
    for machine in [Rbm::new(6, 3).persistent(5, 2), Rbm::new(6, 3).gaussian()] {
        let names = |graph: ir::Graph| {
            let names = graph.states().filter_map(|(_, node)| node.name.clone());
            names.collect::<Vec<String>>()
        };
        let weights = ["weight", "hidden_bias", "visible_bias"];
        assert_eq!(names(inference_graph("m", &machine, 2).unwrap()), weights);
        let evaluated = network::evaluation_graph("m", &machine, 2).unwrap();
        assert!(evaluated.updates.is_empty());
        assert_eq!(names(evaluated), weights);
    }
}
