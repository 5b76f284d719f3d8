//! The rows of a reduction of columns, in blocks where there are many: the sums of a block of rows are put into a tree of rows
//! beside them, as [`super::cascade`] has it, and start again from zero.

use cranelift_codegen::ir::{InstBuilder, Value};
use ir::{ReduceOp, Scalar};
use smallvec::{SmallVec, smallvec};

use super::cascade::{Cut, full_levels, is_rounded, levels};
use super::columns::{Columns, RowLoop, Rows, SomeRows, row_bytes};
use super::loops::Limits;
use super::runs::rounds;
use super::strips::StripBuilder;
use super::{Emitter, Limit};

/// A loop over rows of some columns.
#[derive(Clone, Copy)]
pub struct RowRun<'a, 'n> {
    /// The columns.
    pub columns: &'a Columns<'n>,
    /// How its rows are gone through.
    pub all: &'a Rows<'a>,
    /// What it does.
    pub rows: RowLoop<'a>,
    /// The number of columns, those of widened rows.
    pub count: Value,
}

/// Rows of partial sums of blocks.
struct RowTree {
    /// The address of the number of blocks so far.
    counter: Value,
    /// The address of the lowest level.
    lowest: Value,
    level_bytes: usize,
    /// The blocks in all.
    blocks: usize,
    /// The accumulators that are sums.
    sums: Vec<usize>,
}

impl Emitter<'_, '_> {
    /// Runs a loop over rows.
    pub(super) fn rows_in_blocks(&mut self, run: &RowRun<'_, '_>) {
        let Rows { extent, widened, at_once, .. } = *run.all;
        let axes = run.all.outer;
        let outer = self.whole(axes);
        let extents: SmallVec<[usize; 4]> =
            axes.iter().map(|&axis| self.nest.extent(axis)).chain([extent]).collect();
        let cut = Cut::of(&extents, rounds(self.nest, run.all.inner), at_once);
        let has_sums = run.rows.accumulators.iter().any(|accumulator| is_rounded(self.nest, accumulator));
        let Some(cut) = cut.filter(|_| has_sums) else {
            return self.at_each_point(&outer, &mut |emitter| emitter.all_rows(run));
        };
        if let Some(&axis) = axes.get(cut.at) {
            let tree = self.start_rows(run, cut.blocks(&extents));
            self.at_each_point(&outer[..cut.at], &mut |emitter| {
                emitter.each_block(extents[cut.at], cut.steps, &[], &mut |emitter, limits, _| {
                    emitter.range(axis, limits, 1, smallvec![], &mut |emitter, _| {
                        emitter.at_each_point(&outer[cut.at + 1..], &mut |emitter| emitter.all_rows(run));
                        smallvec![]
                    });
                    emitter.end_rows(run, &tree);
                    smallvec![]
                });
            });
            return self.finish_rows(run, &tree);
        }
        let rest = extent % at_once;
        let whole = extent - rest;
        let blocks = whole.div_ceil(cut.steps) + usize::from(rest > 0);
        let tree = self.start_rows(run, rounds(self.nest, axes) * blocks);
        self.at_each_point(&outer, &mut |emitter| {
            emitter.each_block(whole * widened, cut.steps * widened, &[], &mut |emitter, limits, _| {
                emitter.some_rows(run, limits, at_once);
                emitter.end_rows(run, &tree);
                smallvec![]
            });
            if rest > 0 {
                let limits = [whole, extent].map(|at| Limit::Static((at * widened) as i64));
                emitter.some_rows(run, limits.into(), rest);
                emitter.end_rows(run, &tree);
            }
        });
        self.finish_rows(run, &tree);
    }

    /// Runs all rows along the axis of which strips take some.
    fn all_rows(&mut self, run: &RowRun<'_, '_>) {
        let Rows { extent, widened, at_once, .. } = *run.all;
        let end = Limit::Static((extent * widened) as i64);
        let from = self.some_rows(run, (Limit::Static(0), end), at_once);
        if !extent.is_multiple_of(at_once) {
            self.some_rows(run, (from, end), extent % at_once);
        }
    }

    /// Runs rows between limits, `number` at once as long as there are so many; the first that is left.
    fn some_rows(&mut self, run: &RowRun<'_, '_>, limits: Limits, number: usize) -> Limit {
        let Rows { axis, widened, inner, .. } = *run.all;
        let some = SomeRows { axis, number, widened, inner };
        let step = number * widened;
        let (left, _) = self.range(axis, limits, step, smallvec![], &mut |emitter, _| {
            emitter.run_rows_at_once(run.columns, &some, run.rows, run.count);
            smallvec![]
        });
        left
    }

    /// An empty tree for so many blocks.
    fn start_rows(&mut self, run: &RowRun<'_, '_>, blocks: usize) -> RowTree {
        let accumulators = run.rows.accumulators.iter().enumerate();
        let sums: Vec<usize> =
            accumulators.filter(|sum| is_rounded(self.nest, sum.1)).map(|sum| sum.0).collect();
        let row_bytes = row_bytes(run.columns.block);
        let level_bytes = sums.len() * row_bytes;
        let (address, at) = run.columns.row(run.columns.most_rows);
        let size_bytes = at as usize + levels(blocks) * level_bytes;
        self.rows.size_bytes = self.rows.size_bytes.max(size_bytes);
        let lowest = self.b.ins().iadd_imm_s(address, i64::from(at));
        RowTree { counter: self.counter(), lowest, level_bytes, blocks, sums }
    }

    /// Puts the sums of a block into the tree, and starts them again.
    fn end_rows(&mut self, run: &RowRun<'_, '_>, tree: &RowTree) {
        let levels = (tree.lowest, tree.level_bytes);
        let (place, _) = self.each_full_level(tree.counter, levels, smallvec![], &mut |emitter, level, _| {
            emitter.add_rows(run, tree, &[(level, 0)]);
            smallvec![]
        });
        let mut builder = StripBuilder::new(self.nest, run.columns.axis);
        for (number, &sum) in tree.sums.iter().enumerate() {
            let (var, dtype, row) = self.row_of(run, sum);
            let value = builder.load_row(var, dtype, row);
            builder.store_row(value, (place, (number * row_bytes(run.columns.block)) as i32));
            let zero = builder.constant(Scalar::from_f64(dtype, 0.0));
            builder.store_row(zero, row);
        }
        self.finish_strip(run.columns.isa, builder, run.count);
    }

    /// Adds up what waits in the tree after the last block.
    fn finish_rows(&mut self, run: &RowRun<'_, '_>, tree: &RowTree) {
        let level = |level: usize| (tree.lowest, (level * tree.level_bytes) as i32);
        let full: Vec<(Value, i32)> = full_levels(tree.blocks).map(level).collect();
        self.add_rows(run, tree, &full);
    }

    /// Adds the rows at some levels, each at an address and a displacement, to the sums.
    fn add_rows(&mut self, run: &RowRun<'_, '_>, tree: &RowTree, levels: &[(Value, i32)]) {
        let mut builder = StripBuilder::new(self.nest, run.columns.axis);
        for (number, &sum) in tree.sums.iter().enumerate() {
            let (var, dtype, row) = self.row_of(run, sum);
            let mut total = builder.load_row(var, dtype, row);
            for &(address, at) in levels {
                let at = at + (number * row_bytes(run.columns.block)) as i32;
                let waiting = builder.load_row(var, dtype, (address, at));
                total = builder.combine(ReduceOp::Add, waiting, total);
            }
            builder.store_row(total, row);
        }
        self.finish_strip(run.columns.isa, builder, run.count);
    }

    /// The result of an accumulator, its dtype, and where its row is.
    fn row_of(&self, run: &RowRun<'_, '_>, accumulator: usize) -> (ir::Var, ir::DType, (Value, i32)) {
        let var = run.rows.accumulators[accumulator].result;
        (var, self.nest.dtype(var), run.columns.row(run.columns.rows.len() + accumulator))
    }
}
