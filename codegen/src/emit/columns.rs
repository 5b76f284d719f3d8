//! Reductions of columns: `for j { reduce i { .. } .. for i { .. } }` with `j` on lanes, as strips.
//!
//! The columns are done in blocks, so that the sums of a block stay in the first level of cache. A strip reads a few rows
//! of the block at once and adds them to the sums in order: each element meets the additions of the plain loop, in the
//! same order. What follows from the sums, and is used by a loop over rows, waits in memory beside them; the rest is one
//! more strip.

use std::collections::BTreeSet;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value, types};
use ir::{Accumulator, Affine, AxisId, Var, VectorValue};
use smallvec::{SmallVec, smallvec};

use super::runs::{MOST_UNROLLED, Run, rounds};
use super::strips::StripBuilder;
use super::{Emitter, Limit};
use crate::nest::{Nest, Node, moved};
use crate::schedule::primitives;
use crate::wide::Isa;
use crate::wide::function::MAX_POINTERS;

/// The columns of a block: a row of them is a page.
const BLOCK: usize = 1024;
/// The rows that a strip reads at once, where the body of the loop is short.
const ROWS: usize = 8;
/// As [`ROWS`] where the rows are short and calls of strips would take long next to them.
const SHORT_ROWS: usize = 32;
/// Rows of at most this many columns are short.
const SHORT: usize = 64;

/// What runs on columns.
struct Columns<'a> {
    isa: Isa,
    axis: AxisId,
    /// The columns of a block.
    block: usize,
    /// Where rows of one value per column are.
    address: Value,
    /// The variables that are such rows, in their order.
    rows: Vec<Var>,
    /// The statements since then whose values differ along the columns.
    pending: Vec<&'a Node>,
}

/// A loop over rows.
#[derive(Clone, Copy)]
struct RowLoop<'a> {
    axes: &'a [AxisId],
    accumulators: &'a [Accumulator],
    body: &'a [Node],
}

impl<'a> Emitter<'a, '_> {
    /// Runs statements with loops over rows in them for the columns in `limits`; false where they are none that strips can
    /// do.
    pub fn reduce_columns(&mut self, axis: AxisId, limits: (Limit, Limit), body: &[Node]) -> bool {
        let (Some(isa), Some(address)) = (self.wide, self.rows.address) else { return false };
        let Some(run) = run_of_columns(self.nest, axis, body) else { return false };
        let block = self.nest.extent(axis).min(BLOCK);
        let most_rows = body.iter().map(|node| node.defines().len()).sum::<usize>();
        self.rows.size_bytes = self.rows.size_bytes.max(most_rows * row_bytes(block));
        self.blocks(limits, block, &mut |emitter, start, count| {
            let mut columns = Columns { isa, axis, block, address, rows: Vec::new(), pending: Vec::new() };
            emitter.open(axis, start);
            emitter.columns(&mut columns, &run, body, count);
            emitter.close(axis);
        });
        true
    }

    /// Runs statements for the columns of a block.
    fn columns<'n>(&mut self, columns: &mut Columns<'n>, run: &Run<'_>, body: &'n [Node], count: Value) {
        for (at, node) in body.iter().enumerate() {
            match (node, row_loop(self.nest, node)) {
                (Node::Let { var, value }, _) if !run.varies(*var) => {
                    let value = self.compute(*var, value);
                    self.vals[var.0 as usize] = Some(value);
                }
                (_, Some(rows)) => {
                    self.keep_rows(columns, &body[at..], count);
                    self.run_rows(columns, rows, count);
                }
                _ => columns.pending.push(node),
            }
        }
        let pending = std::mem::take(&mut columns.pending);
        let builder = self.strip_of_columns(columns, &pending);
        self.finish_strip(columns.isa, builder, count);
    }

    /// A strip of some statements, with the rows that they use.
    fn strip_of_columns(&mut self, columns: &Columns<'_>, nodes: &[&Node]) -> StripBuilder {
        let mut builder = StripBuilder::new(self.nest, columns.axis);
        let nodes: Vec<Node> = nodes.iter().map(|&node| node.clone()).collect();
        self.load_used_rows(&mut builder, columns, &nodes);
        self.add_to_strip(&mut builder, &nodes);
        builder
    }

    /// Loads the rows that statements use.
    fn load_used_rows(&mut self, builder: &mut StripBuilder, columns: &Columns<'_>, nodes: &[Node]) {
        let used = used(nodes);
        for (row, &var) in columns.rows.iter().enumerate().filter(|(_, var)| used.contains(var)) {
            builder.load_row(var, self.nest.dtype(var), columns.row(row));
        }
    }

    /// Makes rows of what the statements so far define and later ones use.
    fn keep_rows(&mut self, columns: &mut Columns<'_>, later: &[Node], count: Value) {
        let wanted = used(later);
        let pending = std::mem::take(&mut columns.pending);
        let kept: Vec<Var> =
            pending.iter().flat_map(|node| node.defines()).filter(|var| wanted.contains(var)).collect();
        if kept.is_empty() {
            return;
        }
        let mut builder = self.strip_of_columns(columns, &pending);
        for var in kept {
            let value = self.strip_value(&mut builder, var);
            builder.store_row(value, columns.row(columns.rows.len()));
            columns.rows.push(var);
        }
        self.finish_strip(columns.isa, builder, count);
    }

    /// Runs a loop over rows; its sums become rows.
    fn run_rows(&mut self, columns: &mut Columns<'_>, rows: RowLoop<'_>, count: Value) {
        let first = columns.rows.len();
        if !rows.accumulators.is_empty() {
            let mut start = StripBuilder::new(self.nest, columns.axis);
            for (row, accumulator) in rows.accumulators.iter().enumerate() {
                let identity = start.constant(accumulator.op.identity(self.nest.dtype(accumulator.result)));
                start.store_row(identity, columns.row(first + row));
            }
            self.finish_strip(columns.isa, start, count);
        }
        let (&last, outer) = rows.axes.split_last().expect("loops of many rounds have axes");
        let extent = self.nest.extent(last);
        let at_once = rows_at_once(self.nest, columns.block, rows.body).min(extent);
        let outer = self.whole(outer);
        self.nested(&outer, smallvec![], &mut |emitter, _| {
            let mut at = Limit::Static(0);
            for number in [at_once, extent % at_once] {
                if number > 0 {
                    let limits = (at, Limit::Static(extent as i64));
                    (at, _) = emitter.range(last, limits, number, smallvec![], &mut |emitter, _| {
                        emitter.run_rows_at_once(columns, (last, number), rows, count);
                        smallvec![]
                    });
                }
            }
            smallvec![]
        });
        columns.rows.extend(rows.accumulators.iter().map(|accumulator| accumulator.result));
    }

    /// Runs the rows from the current index of an axis on.
    fn run_rows_at_once(
        &mut self,
        columns: &Columns<'_>,
        (axis, number): (AxisId, usize),
        rows: RowLoop<'_>,
        count: Value,
    ) {
        let first = columns.rows.len();
        let bodies: Vec<Vec<Node>> = (0..number)
            .map(|row| {
                moved(rows.body, &|index| match index == axis {
                    true => Affine::axis(axis).shifted(row as i64),
                    false => Affine::axis(index),
                })
            })
            .collect();
        let mut builder = StripBuilder::new(self.nest, columns.axis);
        self.load_used_rows(&mut builder, columns, rows.body);
        let mut sums: SmallVec<[VectorValue; 2]> = SmallVec::new();
        for (row, accumulator) in rows.accumulators.iter().enumerate() {
            let dtype = self.nest.dtype(accumulator.result);
            sums.push(builder.load_row(accumulator.result, dtype, columns.row(first + row)));
        }
        for body in &bodies {
            self.add_round(&mut builder, rows.accumulators, &mut sums, body);
        }
        for (row, &sum) in sums.iter().enumerate() {
            builder.store_row(sum, columns.row(first + row));
        }
        self.finish_strip(columns.isa, builder, count);
    }

    /// Runs `body` for blocks of columns, which it gets the start and the number of.
    fn blocks(
        &mut self,
        (from, to): (Limit, Limit),
        block: usize,
        body: &mut dyn FnMut(&mut Self, Value, Value),
    ) {
        let [start, end] = [from, to].map(|limit| self.limit(limit));
        if let (Limit::Static(from), Limit::Static(to)) = (from, to)
            && to - from <= block as i64
        {
            let count = self.b.ins().iconst(types::I64, to - from);
            return body(self, start, count);
        }
        let [header, inside, after] = [(); 3].map(|()| self.b.create_block());
        let index = self.b.append_block_param(header, types::I64);
        self.b.ins().jump(header, &[BlockArg::Value(start)]);
        self.b.switch_to_block(header);
        let is_inside = self.b.ins().icmp(IntCC::SignedLessThan, index, end);
        self.b.ins().brif(is_inside, inside, &[], after, &[]);
        self.b.switch_to_block(inside);
        let left = self.b.ins().isub(end, index);
        let whole = self.b.ins().iconst(types::I64, block as i64);
        let count = self.b.ins().smin(left, whole);
        body(self, index, count);
        let next = self.b.ins().iadd(index, count);
        self.b.ins().jump(header, &[BlockArg::Value(next)]);
        self.b.switch_to_block(after);
    }
}

impl Columns<'_> {
    /// Where a row of sums is: an address and a displacement.
    fn row(&self, row: usize) -> (Value, i32) {
        (self.address, (row * row_bytes(self.block)) as i32)
    }
}

/// The size of a row of sums.
fn row_bytes(block: usize) -> usize {
    (block * 4).next_multiple_of(64)
}

/// The variables that statements use.
fn used(nodes: &[Node]) -> BTreeSet<Var> {
    let mut used = BTreeSet::new();
    Nest::uses(nodes, &mut |var| {
        used.insert(var);
    });
    used
}

/// The loop over rows that a statement is; loops of few rounds are part of strips.
fn row_loop<'a>(nest: &Nest, node: &'a Node) -> Option<RowLoop<'a>> {
    match node {
        Node::Reduce { axes, accumulators, body } if rounds(nest, axes) > MOST_UNROLLED => {
            Some(RowLoop { axes, accumulators, body })
        }
        Node::For { axes, sequential: false, body } if !axes.is_empty() => {
            Some(RowLoop { axes, accumulators: &[], body })
        }
        _ => None,
    }
}

/// The statements as a run along the columns, where they can be one: loops over rows, and stores of single rows after the
/// last of them.
fn run_of_columns<'n>(nest: &'n Nest, axis: AxisId, body: &[Node]) -> Option<Run<'n>> {
    let last_loop = body.iter().rposition(|node| row_loop(nest, node).is_some())?;
    let mut run = Run::new(nest, axis, body);
    for (at, node) in body.iter().enumerate() {
        let fits = match (node, row_loop(nest, node)) {
            (_, Some(rows)) => {
                // What is pending becomes rows in a strip of its own; one more pointer is that of the rows.
                let is_short = run.pointers() < MAX_POINTERS;
                run.forget_pointers();
                let fits = run.admits_rows(rows.accumulators, rows.body) && run.pointers() < MAX_POINTERS;
                run.forget_pointers();
                is_short && fits
            }
            (Node::Store { .. }, _) if at < last_loop => false,
            _ => run.admits(node),
        };
        if !fits {
            return None;
        }
    }
    (run.pointers() < MAX_POINTERS).then_some(run)
}

/// The rows that a strip reads at once: one where each element has bounds, and so a pointer, of its own.
fn rows_at_once(nest: &Nest, columns: usize, body: &[Node]) -> usize {
    const INSTRUCTIONS: usize = 4;
    let mut has_bounds = false;
    Nest::accesses(body, &mut |place, _| has_bounds |= !place.bounds.is_empty());
    if has_bounds {
        return 1;
    }
    let rows = if columns <= SHORT { SHORT_ROWS } else { ROWS };
    (rows * INSTRUCTIONS / (primitives(nest, body) as usize + 1).max(INSTRUCTIONS)).max(1)
}
