//! Errors of graphs.

use super::message;
use crate::text::parse_graph;
use crate::verify::{Stage, verify_graph};
use crate::{DType, Graph, Init, NodeId, Op, Output, Type, Update, Value};

fn graph(statements: &str) -> Graph {
    parse_graph(&format!("graph @g {{ %x = input : f32[2] {statements} }}"))
        .expect("the test is written correctly")
}

fn check(graph: &Graph, stage: Stage) -> String {
    message(verify_graph(graph, stage))
}

/// A graph whose node 1 is `%y = neg %x`.
fn negated() -> Graph {
    graph("%y = neg %x output out = %y")
}

/// `graph` with a node changed, which only code can do.
fn with_node(graph: &Graph, id: u32, change: impl Fn(&mut crate::Node)) -> Graph {
    let mut changed = Graph::new(graph.name.clone());
    for (at, node) in graph.nodes() {
        let mut node = node.clone();
        if at.0 == id {
            change(&mut node);
        }
        changed.push(node);
    }
    changed.outputs = graph.outputs.clone();
    changed.updates = graph.updates.clone();
    changed
}

#[test]
fn a_valid_graph_passes_the_stages_of_graphs_up_to_canonical() {
    for stage in [Stage::Source, Stage::Differentiated, Stage::Canonical] {
        assert_eq!(check(&negated(), stage), "valid");
    }
}

#[test]
fn an_input_needs_a_name() {
    let unnamed = with_node(&negated(), 0, |node| node.name = None);
    assert_eq!(
        check(&unnamed, Stage::Source),
        "`input` (node 0): inputs and states need a name; name it as in `%x = ..`"
    );
}

#[test]
fn a_name_is_of_letters_and_digits() {
    let odd = with_node(&negated(), 1, |node| node.name = Some("a b".into()));
    assert!(check(&odd, Stage::Source).starts_with("\"a b\": this is no name"));
}

#[test]
fn names_are_unique() {
    let twice = with_node(&negated(), 1, |node| node.name = Some("x".into()));
    assert_eq!(
        check(&twice, Stage::Source),
        "`neg` %x: this name is taken; give each node a name of its own"
    );
}

#[test]
fn types_are_the_inferred_ones() {
    let wrong = with_node(&negated(), 1, |node| node.results[0] = Type::new(DType::F32, [3]));
    assert_eq!(
        check(&wrong, Stage::Source),
        "`neg` %y: its type is given as f32[3], but it is f32[2]; build nodes with `Builder`, which infers types"
    );
}

#[test]
fn an_op_that_rejects_its_operands_is_named() {
    let wrong = with_node(&negated(), 1, |node| node.operands.push(Value::new(NodeId(0), 0)));
    assert!(check(&wrong, Stage::Source).starts_with("`neg` %y, neg: "));
}

#[test]
fn operands_exist() {
    let wrong = with_node(&negated(), 1, |node| node.operands[0].result = 1);
    assert_eq!(
        check(&wrong, Stage::Source),
        "`neg` %y: it uses result 1 of node 0, which does not exist; use a value of this graph"
    );
}

#[test]
fn outputs_have_names_of_their_own() {
    let mut twice = negated();
    twice.outputs.push(twice.outputs[0].clone());
    assert_eq!(
        check(&twice, Stage::Source),
        "output `out`: there are two of this name; give each output a name of its own"
    );
}

#[test]
fn outputs_exist() {
    let mut missing = negated();
    missing.outputs.push(Output { name: "z".into(), value: Value::new(NodeId(9), 0) });
    assert!(check(&missing, Stage::Source).starts_with("output `z`: it uses result 0 of node 9"));
}

#[test]
fn only_states_are_updated() {
    let mut wrong = negated();
    wrong.updates.push(Update { state: NodeId(0), value: wrong.outputs[0].value });
    assert_eq!(
        check(&wrong, Stage::Source),
        "the update of `input` %x: only a state can be updated; make it a state"
    );
}

#[test]
fn a_state_is_updated_once() {
    let mut twice = graph("%s = state init=constant(0.0) : f32[2] update %s = %x");
    twice.updates.push(twice.updates[0]);
    assert_eq!(
        check(&twice, Stage::Source),
        "the update of `state` %s: the state is updated twice; update each state once"
    );
}

#[test]
fn an_update_has_the_type_of_the_state() {
    let mut wrong = graph("%s = state init=constant(0.0) : f32[3] output out = %x");
    wrong.updates.push(Update { state: NodeId(1), value: wrong.outputs[0].value });
    assert_eq!(
        check(&wrong, Stage::Source),
        "the update of `state` %s: the state is f32[3], its update f32[2]; give an update of the state's own type"
    );
}

#[test]
fn after_differentiation_no_grad_is_left() {
    let source = graph("%l = reduce_sum %x axes=[0] %g = grad %l, %x output g = %g");
    assert_eq!(check(&source, Stage::Source), "valid");
    assert_eq!(
        check(&source, Stage::Differentiated),
        "`grad` %g: it is still there after differentiation; run pass `autodiff`"
    );
}

#[test]
fn a_canonical_graph_has_no_op_that_stands_for_others() {
    let source = graph("%y = stop_gradient %x output y = %y");
    assert_eq!(check(&source, Stage::Differentiated), "valid");
    assert_eq!(
        check(&source, Stage::Canonical),
        "`stop_gradient` %y: it stands for other ops; run pass `expand`"
    );
}

#[test]
fn a_canonical_graph_has_no_dead_node_but_inputs_and_states() {
    let source = graph("%s = state init=constant(0.0) : f32[] %y = neg %x %z = abs %x output z = %z");
    assert_eq!(check(&source, Stage::Differentiated), "valid");
    assert_eq!(check(&source, Stage::Canonical), "`neg` %y: nothing needs it; run pass `dce`");
}

#[test]
fn in_a_fused_graph_all_that_computes_is_in_groups() {
    assert_eq!(check(&negated(), Stage::Fused), "`neg` %y: it is outside of any group; run pass `fuse`");
}

const FUSED: &str = "%y = fused %x kind=map domain=[2] reduced=[] : f32[2] { %a = input : f32[2] BODY output b = %b } output y = %y";

fn fused(body: &str) -> Graph {
    graph(&FUSED.replace("BODY", body))
}

#[test]
fn a_group_passes_the_fused_stage() {
    assert_eq!(check(&fused("%b = neg %a"), Stage::Fused), "valid");
}

#[test]
fn groups_are_in_fused_graphs_alone() {
    for stage in [Stage::Source, Stage::Differentiated, Stage::Canonical] {
        let expected = format!(
            "`fused` %y: a group is in a graph of stage {stage}; \
             write `graph @g stage fused {{`, or the ops of the group without it"
        );
        assert_eq!(check(&fused("%b = neg %a"), stage), expected);
    }
}

#[test]
fn a_body_holds_no_group() {
    let inner = FUSED
        .replace("%x", "%a")
        .replace("%y", "%b")
        .replace("BODY", "%b = neg %a")
        .replace("output y = %b", "");
    assert_eq!(
        check(&fused(&inner), Stage::Fused),
        "`fused` %y, `fused` %b: a group is inside of a group; fuse the ops into one group"
    );
}

#[test]
fn what_the_op_says_of_its_body_is_said_again() {
    let with_update = with_node(&fused("%b = neg %a"), 1, |node| {
        let body = node.body.as_mut().expect("a group has a body");
        let value = body.outputs[0].value;
        body.updates.push(Update { state: NodeId(0), value });
    });
    assert_eq!(
        check(&with_update, Stage::Source),
        "`fused` %y, fused: its body has a state; pass the state as an operand"
    );
}

#[test]
fn a_body_holds_no_op_with_a_kernel_of_its_own() {
    let body = "%i = iota axis=0 : i64[2] %b = scatter_add %a, %i, %a axis=0";
    assert_eq!(
        check(&fused(body), Stage::Fused),
        "`fused` %y, `scatter_add` %b: it has a kernel of its own; leave it outside of groups"
    );
}

#[test]
fn a_state_needs_a_name_too() {
    let unnamed = with_node(&graph("%s = state init=seed : i64[] output s = %s"), 1, |node| {
        assert!(matches!(&node.op, Op::State(state) if state.init == Init::Seed));
        node.name = None;
    });
    assert!(check(&unnamed, Stage::Source).starts_with("`state` (node 1): inputs and states need a name"));
}
