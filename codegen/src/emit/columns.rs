//! Reductions of columns: `for j { reduce i { .. } .. for i { .. } }` with `j` on lanes, as strips.
//!
//! The columns are done in blocks, so that the sums of a block stay in the first level of cache. A strip reads a few rows
//! of the block at once and adds them to the sums in order: each element meets the additions of the plain loop, in the
//! same order, but that long sums are cut into [blocks of rows](super::row_blocks). Columns that are few, and whose rows follow each other in memory, are widened: some rows are one row of
//! more columns, and in the end the sums of those that are the same column are added. What follows from the sums, and is
//! used by a loop over rows, waits in memory beside them; the rest is one more strip.

use std::collections::BTreeSet;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value, types};
use ir::{Accumulator, Affine, AxisId, Var, VectorValue};
use smallvec::SmallVec;

use super::row_blocks::RowRun;
use super::runs::{FARTHEST, MOST_UNROLLED, Run, points, rounds};
use super::strips::StripBuilder;
use super::{Emitter, Limit};
use crate::nest::{Nest, Node, moved};
use crate::schedule::{has_loops, primitives};
use crate::wide::Isa;
use crate::wide::function::MAX_POINTERS;

/// The columns of a block: a row of them is a page.
const BLOCK: usize = 4096;
/// The rows that a strip reads at once, where the body of the loop is short.
const ROWS: usize = 8;
/// As [`ROWS`] where the rows are short and calls of strips would take long next to them.
const SHORT_ROWS: usize = 32;
/// Rows of at most this many columns are short.
pub const SHORT: usize = 64;
/// Short rows are widened to at most this many columns, and to whole vectors of this many where that can be. Neither depends
/// on the target, so the order of sums does not.
const WIDENED: usize = 256;
const WHOLE: usize = 16;
/// Sums of fewer terms are not worth widening.
const LEAST_WIDENED: usize = 64;

/// What runs on columns.
pub(super) struct Columns<'a> {
    pub(super) isa: Isa,
    pub(super) axis: AxisId,
    /// The columns of a block.
    pub(super) block: usize,
    /// Whether it has all columns.
    is_whole: bool,
    /// Where rows of one value per column are.
    pub(super) address: Value,
    /// The variables that are such rows, in their order.
    pub(super) rows: Vec<Var>,
    /// The most rows of variables; partial sums of blocks are in rows behind them.
    pub(super) most_rows: usize,
    /// The statements since then whose values differ along the columns.
    pending: Vec<&'a Node>,
}

/// A loop over rows.
#[derive(Clone, Copy)]
pub(super) struct RowLoop<'a> {
    pub(super) axes: &'a [AxisId],
    pub(super) accumulators: &'a [Accumulator],
    pub(super) body: &'a [Node],
}

/// How the rows of a loop are gone through.
pub(super) struct Rows<'a> {
    /// The loops around.
    pub(super) outer: &'a [AxisId],
    /// The axis along which a strip takes some rows.
    pub(super) axis: AxisId,
    /// Its rows, widened ones counted once.
    pub(super) extent: usize,
    /// How many of them a strip takes.
    pub(super) at_once: usize,
    /// The rows that are one.
    pub(super) widened: usize,
    /// The axes of which a strip takes all rows.
    pub(super) inner: &'a [AxisId],
}

impl RowLoop<'_> {
    /// The variables that it uses.
    fn used(&self) -> BTreeSet<Var> {
        let mut used = used(self.body);
        used.extend(self.accumulators.iter().map(|accumulator| accumulator.value));
        used
    }
}

/// Rows that a strip reads at once: at `number` places along an axis, and at every point of the axes inside of it.
pub(super) struct SomeRows<'a> {
    pub(super) axis: AxisId,
    pub(super) number: usize,
    /// The rows that are one.
    pub(super) widened: usize,
    pub(super) inner: &'a [AxisId],
}

impl<'a> Emitter<'a, '_> {
    /// Runs statements with loops over rows in them for the columns in `limits`; false where they are none that strips can
    /// do.
    pub fn reduce_columns(&mut self, axis: AxisId, limits: (Limit, Limit), body: &[Node]) -> bool {
        let (Some(isa), Some(address)) = (self.wide, self.rows.address) else { return false };
        let Some(run) = run_of_columns(self.nest, axis, body) else { return false };
        let extent = self.nest.extent(axis);
        let block = if extent < SHORT { WIDENED } else { extent.min(BLOCK) };
        let is_whole = matches!(limits, (Limit::Static(0), Limit::Static(to)) if to == extent as i64);
        let most_rows = body.iter().map(|node| node.defines().len()).sum::<usize>();
        self.rows.size_bytes = self.rows.size_bytes.max(most_rows * row_bytes(block));
        self.blocks(limits, block, &mut |emitter, start, count| {
            let mut columns = Columns {
                isa,
                axis,
                block,
                is_whole,
                address,
                rows: Vec::new(),
                most_rows,
                pending: Vec::new(),
            };
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
        self.load_used_rows(&mut builder, columns, &used(&nodes));
        self.add_to_strip(&mut builder, &nodes);
        builder
    }

    /// Loads the rows that are used.
    fn load_used_rows(&mut self, builder: &mut StripBuilder, columns: &Columns<'_>, used: &BTreeSet<Var>) {
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
        let widened = self.widened(columns, rows);
        let wide_count = match widened {
            1 => count,
            _ => self.b.ins().iconst(types::I64, (widened * self.nest.extent(columns.axis)) as i64),
        };
        if !rows.accumulators.is_empty() {
            let mut start = StripBuilder::new(self.nest, columns.axis);
            for (row, accumulator) in rows.accumulators.iter().enumerate() {
                let identity = start.constant(accumulator.op.identity(self.nest.dtype(accumulator.result)));
                start.store_row(identity, columns.row(first + row));
            }
            self.finish_strip(columns.isa, start, wide_count);
        }
        let at_once = rows_at_once(self.nest, widened * self.nest.extent(columns.axis), rows.body);
        let (outer, last, inner) = unrolled(self.nest, rows.axes, if widened > 1 { 1 } else { at_once });
        let extent = self.nest.extent(last) / widened;
        let at_once = (at_once / rounds(self.nest, inner)).min(extent);
        let all = Rows { outer, axis: last, extent, at_once, widened, inner };
        self.rows_in_blocks(&RowRun { columns, all: &all, rows, count: wide_count });
        if widened > 1 {
            self.fold_widened(columns, rows, widened, count);
        }
        columns.rows.extend(rows.accumulators.iter().map(|accumulator| accumulator.result));
    }

    /// How many rows of a loop are one, so that short rows fill vectors: 1 where the loop is none of sums, or where what it
    /// reads and writes along its last axis does not go on where a row ends.
    fn widened(&self, columns: &Columns<'_>, rows: RowLoop<'_>) -> usize {
        let (width, last) = (self.nest.extent(columns.axis), rows.axes[rows.axes.len() - 1]);
        let extent = self.nest.extent(last);
        let wants = width < SHORT && !width.is_multiple_of(WHOLE) && extent >= LEAST_WIDENED;
        let uses_rows = rows.used().iter().any(|var| columns.rows.contains(var));
        if rows.accumulators.is_empty() || !columns.is_whole || !wants || uses_rows || has_loops(rows.body) {
            return 1;
        }
        let mut fits = true;
        Nest::indices(rows.body, &mut |affine| {
            fits &= affine.coefficient(last) == 0 && affine.coefficient(columns.axis) == 0;
        });
        Nest::accesses(rows.body, &mut |place, is_store| {
            let steps = [columns.axis, last].map(|axis| place.offset.coefficient(axis));
            let goes_on = steps == [1, width as i64] || (steps == [0, 0] && !is_store);
            fits &= goes_on && place.picks.is_empty() && place.bounds.is_empty();
        });
        let candidates = (1..=WIDENED / width).filter(|&number| fits && extent.is_multiple_of(number));
        candidates.max_by_key(|number| ((number * width).is_multiple_of(WHOLE), *number)).unwrap_or(1)
    }

    /// Combines the sums of the columns of widened rows that are the same column.
    fn fold_widened(&mut self, columns: &Columns<'_>, rows: RowLoop<'_>, widened: usize, count: Value) {
        let first = columns.rows.len();
        let width_bytes = 4 * self.nest.extent(columns.axis);
        let mut builder = StripBuilder::new(self.nest, columns.axis);
        for (row, accumulator) in rows.accumulators.iter().enumerate() {
            let dtype = self.nest.dtype(accumulator.result);
            let (address, at) = columns.row(first + row);
            let mut total = builder.load_row(accumulator.result, dtype, (address, at));
            for part in 1..widened {
                let part = (address, at + (part * width_bytes) as i32);
                let part = builder.load_row(accumulator.result, dtype, part);
                total = builder.combine(accumulator.op, total, part);
            }
            builder.store_row(total, (address, at));
        }
        self.finish_strip(columns.isa, builder, count);
    }

    /// Runs the rows from the current index of an axis on.
    pub(super) fn run_rows_at_once(
        &mut self,
        columns: &Columns<'_>,
        some: &SomeRows<'_>,
        rows: RowLoop<'_>,
        count: Value,
    ) {
        let first = columns.rows.len();
        let bodies: Vec<Vec<Node>> = (0..some.number)
            .flat_map(|row| points(self.nest, some.inner).into_iter().map(move |point| (row, point)))
            .map(|(row, point)| {
                moved(rows.body, &|axis| match point.iter().find(|index| index.0 == axis) {
                    Some(index) => Affine::constant(index.1),
                    None if axis == some.axis => Affine::axis(axis).shifted((row * some.widened) as i64),
                    None => Affine::axis(axis),
                })
            })
            .collect();
        let mut builder = StripBuilder::new(self.nest, columns.axis);
        self.load_used_rows(&mut builder, columns, &rows.used());
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
    pub(super) fn row(&self, row: usize) -> (Value, i32) {
        (self.address, (row * row_bytes(self.block)) as i32)
    }
}

/// The size of a row of sums.
pub(super) fn row_bytes(block: usize) -> usize {
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

/// The axes of a loop over rows: those that stay loops, the one along which a strip takes some rows, and those of which it
/// takes all, as many as `at_once` rows allow.
fn unrolled<'n>(nest: &Nest, axes: &'n [AxisId], at_once: usize) -> (&'n [AxisId], AxisId, &'n [AxisId]) {
    let mut at = axes.len() - 1;
    while at > 0 && rounds(nest, &axes[at..]) <= at_once {
        at -= 1;
    }
    (&axes[..at], axes[at], &axes[at + 1..])
}

/// The loops around a loop on `axis` that strips can take rows of, the innermost of `axes`: where the rows are short, so that
/// a strip for each would take longer to be called than to run. The first axis is not among them.
pub fn rows_around<'n>(nest: &Nest, axes: &'n [AxisId], axis: AxisId, body: &[Node]) -> &'n [AxisId] {
    const NONE: &[AxisId] = &[];
    let at_once = rows_at_once(nest, nest.extent(axis), body);
    let mut at = axes.len();
    while at > 1 && rounds(nest, &axes[at..]) < at_once {
        at -= 1;
    }
    let around = &axes[at..];
    let is_row = |node: &Node| match node {
        Node::For { .. } => false,
        Node::Reduce { axes, .. } => rounds(nest, axes) <= MOST_UNROLLED,
        Node::Let { .. } | Node::Store { .. } => true,
    };
    let mut is_near = body.iter().all(is_row);
    Nest::accesses(body, &mut |place, _| {
        let reach =
            around.iter().map(|&axis| place.offset.coefficient(axis).abs() * nest.extent(axis) as i64);
        is_near &= reach.sum::<i64>() < FARTHEST / 8;
    });
    let rows = [Node::For { axes: around.into(), sequential: false, body: body.to_vec() }];
    let fits = nest.extent(axis) < SHORT
        && at_once > 1
        && !around.is_empty()
        && is_near
        && run_of_columns(nest, axis, &rows).is_some();
    if fits { around } else { NONE }
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
    (rows * INSTRUCTIONS / (unrolled_primitives(nest, body) + 1).max(INSTRUCTIONS)).max(1)
}

/// The primitives of a row, each round of a reduction counted.
fn unrolled_primitives(nest: &Nest, body: &[Node]) -> usize {
    let reductions = body.iter().map(|node| match node {
        Node::Reduce { axes, accumulators, body } => {
            let again = rounds(nest, axes) - 1;
            again * primitives(nest, body) as usize + (again + 1) * accumulators.len()
        }
        _ => 0,
    });
    primitives(nest, body) as usize + reductions.sum::<usize>()
}
