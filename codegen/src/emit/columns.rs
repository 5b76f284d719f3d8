//! Reductions of columns: `for j { reduce i { .. } .. }` with `j` on lanes, as strips.
//!
//! The columns are done in blocks, so that the sums of a block stay in the first level of cache. A strip reads a few rows
//! of the block at once and adds them to the sums in order: each element meets the additions of the plain loop, in the
//! same order. What follows from the sums is one more strip.

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
/// The rows that a strip reads at once, where the body of the reduction is short.
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
    /// The variables that are sums of rows, in the order of their rows in memory.
    sums: Vec<Var>,
    /// The address of the sums.
    address: Value,
    /// How many of them are complete.
    complete: usize,
    /// The statements so far whose values differ along the columns.
    before: Vec<&'a Node>,
}

impl<'a> Emitter<'a, '_> {
    /// Runs statements with reductions in them for the columns in `limits`; false where they are none that strips can do.
    pub fn reduce_columns(&mut self, axis: AxisId, limits: (Limit, Limit), body: &[Node]) -> bool {
        let (Some(isa), Some(address)) = (self.wide, self.rows.address) else { return false };
        let Some(run) = run_of_columns(self.nest, axis, body) else { return false };
        let sums: Vec<Var> = body.iter().flat_map(|node| sums_of(self.nest, node)).collect();
        let block = self.nest.extent(axis).min(BLOCK);
        let used = sums.len() * row_bytes(block);
        self.rows.size_bytes = self.rows.size_bytes.max(used);
        self.blocks(limits, block, &mut |emitter, start, count| {
            let mut columns =
                Columns { isa, axis, block, sums: sums.clone(), address, complete: 0, before: Vec::new() };
            emitter.open(axis, start);
            emitter.columns(&mut columns, &run, body, count);
            emitter.close(axis);
        });
        true
    }

    /// Runs statements for the columns of a block.
    fn columns<'n>(&mut self, columns: &mut Columns<'n>, run: &Run<'_>, body: &'n [Node], count: Value) {
        for node in body {
            match node {
                Node::Let { var, value } if !run.varies(*var) => {
                    let value = self.compute(*var, value);
                    self.vals[var.0 as usize] = Some(value);
                }
                Node::Reduce { axes, accumulators, body } if rounds(self.nest, axes) > MOST_UNROLLED => {
                    self.add_rows(columns, axes, accumulators, body, count);
                }
                other => columns.before.push(other),
            }
        }
        let builder = self.strip_of_columns(columns);
        self.finish_strip(columns.isa, builder, count);
    }

    /// A strip with the sums that are complete and the statements so far.
    fn strip_of_columns(&mut self, columns: &Columns<'_>) -> StripBuilder {
        let mut builder = StripBuilder::new(self.nest, columns.axis);
        for (row, &sum) in columns.sums[..columns.complete].iter().enumerate() {
            builder.load_row(sum, self.nest.dtype(sum), columns.row(row));
        }
        for node in &columns.before {
            self.add_to_strip(&mut builder, std::slice::from_ref(node));
        }
        builder
    }

    /// Adds up rows.
    fn add_rows(
        &mut self,
        columns: &mut Columns<'_>,
        axes: &[AxisId],
        accumulators: &[Accumulator],
        body: &[Node],
        count: Value,
    ) {
        let mut start = StripBuilder::new(self.nest, columns.axis);
        for (row, accumulator) in accumulators.iter().enumerate() {
            let identity = start.constant(accumulator.op.identity(self.nest.dtype(accumulator.result)));
            start.store_row(identity, columns.row(columns.complete + row));
        }
        self.finish_strip(columns.isa, start, count);
        let (&last, outer) = axes.split_last().expect("loops of many rounds have axes");
        let extent = self.nest.extent(last);
        let at_once = rows_at_once(self.nest, columns.block, body).min(extent);
        let outer = self.whole(outer);
        self.nested(&outer, smallvec![], &mut |emitter, _| {
            let mut at = Limit::Static(0);
            for rows in [at_once, extent % at_once] {
                if rows > 0 {
                    let limits = (at, Limit::Static(extent as i64));
                    (at, _) = emitter.range(last, limits, rows, smallvec![], &mut |emitter, _| {
                        emitter.add_rows_at_once(columns, (last, rows), accumulators, body, count);
                        smallvec![]
                    });
                }
            }
            smallvec![]
        });
        columns.complete += accumulators.len();
    }

    /// Adds the rows from the current index of an axis on to the sums.
    fn add_rows_at_once(
        &mut self,
        columns: &Columns<'_>,
        (axis, rows): (AxisId, usize),
        accumulators: &[Accumulator],
        body: &[Node],
        count: Value,
    ) {
        let mut builder = self.strip_of_columns(columns);
        let mut sums: SmallVec<[VectorValue; 2]> = SmallVec::new();
        for (row, accumulator) in accumulators.iter().enumerate() {
            let dtype = self.nest.dtype(accumulator.result);
            sums.push(builder.load_row(accumulator.result, dtype, columns.row(columns.complete + row)));
        }
        for row in 0..rows {
            let body = moved(body, &|index| match index == axis {
                true => Affine::axis(axis).shifted(row as i64),
                false => Affine::axis(index),
            });
            self.add_round(&mut builder, accumulators, &mut sums, &body);
        }
        for (row, &sum) in sums.iter().enumerate() {
            builder.store_row(sum, columns.row(columns.complete + row));
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

/// The sums of rows that a statement gives.
fn sums_of(nest: &Nest, node: &Node) -> SmallVec<[Var; 1]> {
    match node {
        Node::Reduce { axes, accumulators, .. } if rounds(nest, axes) > MOST_UNROLLED => {
            accumulators.iter().map(|accumulator| accumulator.result).collect()
        }
        _ => SmallVec::new(),
    }
}

/// The statements as a run along the columns, where they can be one: sums of rows, and stores after the last of them.
fn run_of_columns<'n>(nest: &'n Nest, axis: AxisId, body: &[Node]) -> Option<Run<'n>> {
    let last_sum = body.iter().rposition(|node| !sums_of(nest, node).is_empty())?;
    let mut run = Run::new(nest, axis, body);
    for (at, node) in body.iter().enumerate() {
        let fits = match node {
            Node::Reduce { axes, accumulators, body } => run.admits_reduction(axes, accumulators, body),
            Node::Store { .. } if at < last_sum => false,
            other => run.admits(other),
        };
        if !fits {
            return None;
        }
    }
    // One more pointer is that of the sums.
    (run.pointers() < MAX_POINTERS).then_some(run)
}

/// The rows that a strip reads at once.
fn rows_at_once(nest: &Nest, columns: usize, body: &[Node]) -> usize {
    const INSTRUCTIONS: usize = 4;
    let rows = if columns <= SHORT { SHORT_ROWS } else { ROWS };
    (rows * INSTRUCTIONS / (primitives(nest, body) as usize + 1).max(INSTRUCTIONS)).max(1)
}
