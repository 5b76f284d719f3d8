//! Groups with reductions: a loop over the rows, and in it one loop along the row per stage.
//!
//! A stage ends where a reduction must be finished before the next value can be computed. What a later stage needs of
//! an earlier one is computed again, unless it is an output (then it is read back) or expensive (then it is kept in
//! memory of one row).

use std::collections::{BTreeMap, BTreeSet};

use ir::{AxisId, Lowering, ReduceOp, Type, Value};
use smallvec::SmallVec;

use super::body::{KernelWriter, Stored};
use crate::access::lowering;

/// What one loop along the row does.
#[derive(Default)]
struct Stage {
    /// The reductions that it finishes: the result, how it combines, and what is reduced.
    reductions: Vec<(Value, ReduceOp, Value)>,
    /// The outputs of the whole domain that it stores, by their position.
    outputs: Vec<usize>,
    /// The values of the whole domain that it computes.
    values: BTreeSet<Value>,
    /// The values of the row that those need.
    row_values: BTreeSet<Value>,
    /// The values that it keeps for later stages.
    kept: Vec<Value>,
}

/// Writes a group with reductions.
pub fn write_rows(writer: &mut KernelWriter<'_>) {
    let stages = plan_stages(writer);
    let reduced = writer.fused.reduced.clone();
    let rows: SmallVec<[AxisId; 4]> = (writer.domain_axes.iter().enumerate())
        .filter_map(|(axis, id)| id.filter(|_| !reduced.contains(&axis)))
        .collect();
    let keep_in: BTreeMap<Value, Stored> =
        stages.iter().flat_map(|stage| &stage.kept).map(|&value| (value, home_of(writer, value))).collect();
    writer.open();
    for (number, stage) in stages.iter().enumerate() {
        write_stage(writer, stage, number, &keep_in);
    }
    for index in 0..writer.outputs.len() {
        if !is_full(writer, writer.body.outputs[index].value) {
            writer.store_output(index);
        }
    }
    writer.close_for(rows);
}

fn write_stage(
    writer: &mut KernelWriter<'_>,
    stage: &Stage,
    number: usize,
    keep_in: &BTreeMap<Value, Stored>,
) {
    if number > 0 {
        for axis in writer.fused.reduced.clone() {
            let twin = writer.twin_axis(axis, number);
            writer.domain_axes[axis] = twin;
        }
    }
    for &value in &stage.row_values {
        let at = writer.domain_indices(value);
        writer.value(value, (at, None));
    }
    writer.open();
    let mut accumulators = SmallVec::new();
    for &(_, op, operand) in &stage.reductions {
        let at = writer.domain_indices(operand);
        let var = writer.value(operand, (at, None));
        accumulators.push(writer.accumulator(op, var));
    }
    for &index in &stage.outputs {
        writer.store_output(index);
    }
    for value in &stage.kept {
        let stored = &keep_in[value];
        if writer.outputs.contains(&stored.buffer) {
            continue;
        }
        let at = writer.domain_indices(*value);
        let var = writer.value(*value, (at.clone(), None));
        let home = stored.axes.iter().map(|&axis| at[axis].clone()).collect();
        writer.store(var, stored.buffer, home);
    }
    let axes = writer.fused.reduced.iter().filter_map(|&axis| writer.domain_axes[axis]).collect();
    if accumulators.is_empty() {
        writer.close_for(axes);
    } else {
        writer.close_reduce(axes, accumulators.clone());
    }
    for (&(result, _, _), accumulator) in stage.reductions.iter().zip(&accumulators) {
        let at = writer.domain_indices(result);
        writer.know(result, (at, None), accumulator.result);
    }
    for &value in &stage.kept {
        writer.stored.insert(value, keep_in[&value].clone());
    }
}

/// Which loops along the row there are, and what each does.
fn plan_stages(writer: &KernelWriter<'_>) -> Vec<Stage> {
    let body = writer.body;
    let mut ready: BTreeMap<Value, usize> = BTreeMap::new();
    let mut stages: Vec<Stage> = Vec::new();
    let stage_at = |stages: &mut Vec<Stage>, number: usize| {
        while stages.len() <= number {
            stages.push(Stage::default());
        }
    };
    for (id, node) in body.nodes() {
        let needed = node.operands.iter().map(|operand| ready[operand]).max().unwrap_or(0);
        let finished = match lowering(body, node) {
            Lowering::Reduce { op, .. } => {
                stage_at(&mut stages, needed);
                let result = Value::new(id, 0);
                stages[needed].reductions.push((result, op, node.operands[0]));
                needed + 1
            }
            _ => needed,
        };
        body.results(id).for_each(|value| {
            ready.insert(value, finished);
        });
    }
    for (index, output) in body.outputs.iter().enumerate() {
        if is_full(writer, output.value) {
            stage_at(&mut stages, ready[&output.value]);
            stages[ready[&output.value]].outputs.push(index);
        }
    }
    let mut first: BTreeMap<Value, usize> = BTreeMap::new();
    for (number, stage) in stages.iter_mut().enumerate() {
        (stage.values, stage.row_values) = needs(writer, stage, |_| false);
        for &value in &stage.values {
            first.entry(value).or_insert(number);
        }
    }
    keep_for_later(writer, &mut stages, &first);
    stages
}

/// Decides what a stage keeps because a later one needs it.
fn keep_for_later(writer: &KernelWriter<'_>, stages: &mut [Stage], first: &BTreeMap<Value, usize>) {
    let is_output = |value: &Value| writer.body.outputs.iter().any(|output| output.value == *value);
    let has_row_memory = is_trailing(writer);
    for number in 1..stages.len() {
        let can_keep = |value: Value| {
            first.get(&value).is_some_and(|&at| at < number)
                && (is_output(&value) || (has_row_memory && writer.is_expensive(value)))
        };
        let (values, row_values) = needs(writer, &stages[number], can_keep);
        for &value in values.iter().filter(|&&value| can_keep(value)) {
            let stage = &mut stages[first[&value]];
            if !stage.kept.contains(&value) {
                stage.kept.push(value);
            }
        }
        stages[number].values = values;
        stages[number].row_values = row_values;
    }
}

/// The values of the whole domain that a stage computes or reads back, and the values of the row that it uses.
/// `stop` says of which values the operands are not needed.
fn needs(
    writer: &KernelWriter<'_>,
    stage: &Stage,
    stop: impl Fn(Value) -> bool,
) -> (BTreeSet<Value>, BTreeSet<Value>) {
    let outputs = stage.outputs.iter().map(|&index| writer.body.outputs[index].value);
    let mut open: Vec<Value> =
        stage.reductions.iter().map(|&(_, _, operand)| operand).chain(outputs).collect();
    let (mut full, mut row) = (BTreeSet::new(), BTreeSet::new());
    while let Some(value) = open.pop() {
        let node = writer.body.node(value.node);
        if !is_computed(writer, value) {
            open.extend(&node.operands);
        } else if !is_full(writer, value) {
            row.insert(value);
        } else if full.insert(value) && !stop(value) {
            open.extend(&node.operands);
        }
    }
    (full, row)
}

/// Whether a value is computed in the group, rather than loaded or only viewed.
fn is_computed(writer: &KernelWriter<'_>, value: Value) -> bool {
    let node = writer.body.node(value.node);
    let computes = matches!(
        lowering(writer.body, node),
        Lowering::Apply(_) | Lowering::Reduce { .. } | Lowering::Gather { .. }
    );
    computes && writer.map_of(value).is_some()
}

/// Whether a value has an element per point of the domain, rather than one per row.
fn is_full(writer: &KernelWriter<'_>, value: Value) -> bool {
    let map = writer.map_of(value);
    map.is_some_and(|map| writer.fused.reduced.iter().all(|axis| map.contains(&Some(*axis))))
}

/// Whether the reduced axes come last, so that a row is contiguous.
fn is_trailing(writer: &KernelWriter<'_>) -> bool {
    let rank = writer.fused.domain.rank();
    let kept = rank - writer.fused.reduced.len();
    writer.fused.reduced.iter().all(|&axis| axis >= kept)
}

/// Where a kept value is stored: in its own output, or in memory of one row.
fn home_of(writer: &mut KernelWriter<'_>, value: Value) -> Stored {
    let body = writer.body;
    if let Some(index) = body.outputs.iter().position(|output| output.value == value) {
        let axes = (0..body.ty(value).shape.rank()).collect();
        return Stored { buffer: writer.outputs[index], axes };
    }
    let map = writer.map_of(value).expect("only values of the whole domain are kept");
    let reduced = &writer.fused.reduced;
    let axes: SmallVec<[usize; 4]> =
        (0..map.len()).filter(|&axis| map[axis].is_some_and(|axis| reduced.contains(&axis))).collect();
    let ty = body.ty(value);
    let row: ir::Shape = axes.iter().map(|&axis| ty.shape[axis]).collect();
    let buffer = writer.local(Type::new(ty.dtype, row));
    Stored { buffer, axes }
}
