//! What holds of graphs.

use std::collections::HashSet;

use smallvec::SmallVec;

use super::Stage;
use crate::builder::check_name;
use crate::{Error, Graph, Lowering, Node, NodeId, Op, Type, Value};

/// Checks that `graph` is valid at `stage` (of the stages of plans, those of fused graphs hold).
///
/// - Always: types are those that the ops infer; names are valid and unique, and inputs and states have one; outputs
///   have names of their own; at most one update per state, of its type. The same holds of bodies.
/// - From `differentiated` on there is no `grad`.
/// - From `canonical` on there is no op that stands for others, and every node but inputs and states is needed.
/// - Groups are in graphs from `fused` on; there, all that computes is in a group or has a kernel of its own.
///
/// # Errors
/// The first node, output or update of which something does not hold.
pub fn verify_graph(graph: &Graph, stage: Stage) -> Result<(), Error> {
    verify(graph, stage, Level::Top)
}

/// Whether a graph is the body of a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Top,
    Body,
}

fn verify(graph: &Graph, stage: Stage, level: Level) -> Result<(), Error> {
    let mut names = HashSet::new();
    for (id, node) in graph.nodes() {
        verify_name(graph, id, node, &mut names)?;
        verify_types(graph, id, node)?;
        verify_stage(graph, id, node, stage, level)?;
        if let Some(body) = &node.body {
            let level = if matches!(node.op, Op::Scan(_)) { level } else { Level::Body };
            verify(body, stage, level).map_err(|error| within(&subject(graph, id), error))?;
        }
    }
    verify_outputs(graph)?;
    verify_updates(graph)?;
    if stage >= Stage::Canonical { verify_needed(graph) } else { Ok(()) }
}

/// How errors call a node.
fn subject(graph: &Graph, id: NodeId) -> String {
    let node = graph.node(id);
    match &node.name {
        Some(name) => format!("`{}` %{name}", node.op.name()),
        None => format!("`{}` (node {})", node.op.name(), id.0),
    }
}

fn within(outer: &str, error: Error) -> Error {
    Error { subject: format!("{outer}, {}", error.subject), ..error }
}

fn verify_name<'a>(
    graph: &Graph,
    id: NodeId,
    node: &'a Node,
    names: &mut HashSet<&'a str>,
) -> Result<(), Error> {
    let Some(name) = &node.name else {
        if matches!(node.op, Op::Input(_) | Op::State(_)) {
            return Err(Error::new(
                subject(graph, id),
                "inputs and states need a name",
                "name it as in `%x = ..`",
            ));
        }
        return Ok(());
    };
    check_name(name)?;
    if !names.insert(name) {
        return Err(Error::new(subject(graph, id), "this name is taken", "give each node a name of its own"));
    }
    Ok(())
}

fn verify_types(graph: &Graph, id: NodeId, node: &Node) -> Result<(), Error> {
    for &operand in &node.operands {
        verify_value(graph, operand, || subject(graph, id))?;
    }
    let operands = operand_types(graph, node);
    let inferred =
        node.op.infer(&operands, node.body.as_deref()).map_err(|error| within(&subject(graph, id), error))?;
    if inferred != node.results {
        let list = |types: &[Type]| types.iter().map(Type::to_string).collect::<Vec<_>>().join(", ");
        let problem = format!("its type is given as {}, but it is {}", list(&node.results), list(&inferred));
        return Err(Error::new(
            subject(graph, id),
            problem,
            "build nodes with `Builder`, which infers types",
        ));
    }
    Ok(())
}

/// Checks that a value exists; `user` says who uses it.
fn verify_value(graph: &Graph, value: Value, user: impl Fn() -> String) -> Result<(), Error> {
    let exists = (value.node.0 as usize) < graph.len()
        && (value.result as usize) < graph.node(value.node).results.len();
    if exists {
        return Ok(());
    }
    let problem = format!("it uses result {} of node {}, which does not exist", value.result, value.node.0);
    Err(Error::new(user(), problem, "use a value of this graph"))
}

fn operand_types<'a>(graph: &'a Graph, node: &Node) -> SmallVec<[&'a Type; 3]> {
    node.operands.iter().map(|&operand| graph.ty(operand)).collect()
}

fn verify_stage(graph: &Graph, id: NodeId, node: &Node, stage: Stage, level: Level) -> Result<(), Error> {
    let fail = |problem: &str, help: &str| Err(Error::new(subject(graph, id), problem, help));
    if stage >= Stage::Differentiated && matches!(node.op, Op::Grad(_)) {
        return fail("it is still there after differentiation", "run pass `autodiff`");
    }
    if stage < Stage::Fused && matches!(node.op, Op::Fused(_)) {
        let problem = format!("a group is in a graph of stage {stage}");
        let help =
            format!("write `graph @{} stage fused {{`, or the ops of the group without it", graph.name);
        return fail(&problem, &help);
    }
    if stage < Stage::Canonical {
        return Ok(());
    }
    let lowering = node.op.lower(&operand_types(graph, node), &node.results);
    match (lowering, level) {
        (Lowering::Expand(_), _) => fail("it stands for other ops", "run pass `expand`"),
        (Lowering::Fused, Level::Body) => fail("a group is inside of a group", "fuse the ops into one group"),
        (Lowering::Kernel(_), Level::Body) => {
            fail("it has a kernel of its own", "leave it outside of groups")
        }
        (Lowering::Scan, Level::Body) => fail("a loop is inside of a group", "leave it outside of groups"),
        (Lowering::Leaf | Lowering::Alias | Lowering::Kernel(_) | Lowering::Fused | Lowering::Scan, _)
        | (_, Level::Body) => Ok(()),
        (_, Level::Top) if stage >= Stage::Fused => fail("it is outside of any group", "run pass `fuse`"),
        (_, Level::Top) => Ok(()),
    }
}

fn verify_outputs(graph: &Graph) -> Result<(), Error> {
    let mut names = HashSet::new();
    for output in &graph.outputs {
        check_name(&output.name)?;
        verify_value(graph, output.value, || format!("output `{}`", output.name))?;
        if !names.insert(&output.name) {
            let help = "give each output a name of its own";
            return Err(Error::new(format!("output `{}`", output.name), "there are two of this name", help));
        }
    }
    Ok(())
}

fn verify_updates(graph: &Graph) -> Result<(), Error> {
    let mut updated = HashSet::new();
    for update in &graph.updates {
        let state = Value::new(update.state, 0);
        verify_value(graph, state, || "an update".to_owned())?;
        let name = format!("the update of {}", subject(graph, update.state));
        verify_value(graph, update.value, || name.clone())?;
        if !matches!(graph.node(update.state).op, Op::State(_)) {
            return Err(Error::new(name, "only a state can be updated", "make it a state"));
        }
        if !updated.insert(update.state) {
            return Err(Error::new(name, "the state is updated twice", "update each state once"));
        }
        if graph.ty(state) != graph.ty(update.value) {
            let problem = format!("the state is {}, its update {}", graph.ty(state), graph.ty(update.value));
            return Err(Error::new(name, problem, "give an update of the state's own type"));
        }
    }
    Ok(())
}

/// Checks that outputs and updates need every node; inputs and states are the user's and may stay unused.
fn verify_needed(graph: &Graph) -> Result<(), Error> {
    let mut needed = vec![false; graph.len()];
    for root in graph.roots() {
        needed[root.node.0 as usize] = true;
    }
    for (id, node) in graph.nodes().rev() {
        if needed[id.0 as usize] {
            node.operands.iter().for_each(|operand| needed[operand.node.0 as usize] = true);
        } else if !matches!(node.op, Op::Input(_) | Op::State(_)) {
            return Err(Error::new(subject(graph, id), "nothing needs it", "run pass `dce`"));
        }
    }
    Ok(())
}
