//! Reductions, along lanes and otherwise.
//!
//! One along the lanes is computed per vector element; the registers of a wide vector are combined pairwise, then their
//! lanes in order, and the parts are added in the order wide, four, one. Long sums are cut into blocks: see
//! [`super::cascade`].

use cranelift_codegen::ir::{InstBuilder, Value, types};
use ir::{Accumulator, AxisId, DType, ReduceOp};
use smallvec::{SmallVec, smallvec};

use super::cascade::is_rounded;
use super::primitive::{self, Regs};
use super::runs::rounds;
use super::{Emitter, Limit, Val};
use crate::nest::Node;

/// The most elements along the lanes that are reduced in one go: with the fewest lanes and accumulators, of four lanes and one,
/// as many additions one after the other as the longest sums of a contraction have.
const RUN: usize = 16 << 10;

/// A reduction along the lanes.
#[derive(Clone, Copy)]
struct LaneReduction<'a> {
    axis: AxisId,
    accumulators: &'a [Accumulator],
    body: &'a [Node],
}

impl Emitter<'_, '_> {
    /// Emits a reduction; its results are values from then on.
    pub(super) fn emit_reduce(&mut self, axes: &[AxisId], accumulators: &[Accumulator], body: &[Node]) {
        if self.goes_on_lanes(axes, body) {
            return self.reduce_along_lanes(axes, accumulators, body);
        }
        let lanes = self.vector.map_or(1, |(_, lanes)| lanes);
        let start = self.identities(accumulators, lanes);
        let counts: Vec<usize> = start.iter().map(SmallVec::len).collect();
        let sums = self.rounded_sums(accumulators, &counts);
        let start = start.into_iter().flatten().collect();
        let totals = self.sum_over(axes, 1, &sums, start, &mut |emitter, carried| {
            emitter.nodes(body);
            let current = regroup(carried, &counts);
            emitter.combine_all(accumulators, &current, lanes).into_iter().flatten().collect()
        });
        for (accumulator, total) in accumulators.iter().zip(regroup(&totals, &counts)) {
            let val = if lanes == 1 { Val::Uniform(total[0]) } else { Val::Vector(total) };
            self.vals[accumulator.result.0 as usize] = Some(val);
        }
    }

    /// Reduces along the last axis on lanes.
    fn reduce_along_lanes(&mut self, axes: &[AxisId], accumulators: &[Accumulator], body: &[Node]) {
        let (outer, last) = (&axes[..axes.len() - 1], axes[axes.len() - 1]);
        let extent = self.nest.extent(last);
        let start: Regs = self.identities(accumulators, 1).into_iter().flatten().collect();
        let sums = self.rounded_sums(accumulators, &vec![1; accumulators.len()]);
        let run = LaneReduction { axis: last, accumulators, body };
        let totals = if extent <= RUN || sums.is_empty() {
            self.sum_over(outer, 1, &sums, start, &mut |emitter, carried| {
                emitter.reduce_run(run, (Limit::Static(0), extent), carried)
            })
        } else {
            let blocks = rounds(self.nest, outer) * extent.div_ceil(RUN);
            let cascade = self.start_cascade(blocks, &sums, &start);
            let (outer, whole) = (self.whole(outer), extent / RUN * RUN);
            let last = self.nested(&outer, start, &mut |emitter, carried| {
                let carried = emitter.each_block(whole, RUN, carried, &mut |emitter, (from, _), carried| {
                    let carried = emitter.reduce_run(run, (from, RUN), carried);
                    emitter.end_block(&cascade, &carried)
                });
                if whole == extent {
                    return carried;
                }
                let rest = (Limit::Static(whole as i64), extent - whole);
                let carried = emitter.reduce_run(run, rest, &carried);
                emitter.end_block(&cascade, &carried)
            });
            self.finish_cascade(&cascade, last)
        };
        for (accumulator, &total) in accumulators.iter().zip(&totals) {
            self.vals[accumulator.result.0 as usize] = Some(Val::Uniform(total));
        }
    }

    /// Reduces so many elements along an axis from an index on, and combines the results with `totals`.
    fn reduce_run(
        &mut self,
        run: LaneReduction<'_>,
        (from, count): (Limit, usize),
        totals: &[Value],
    ) -> Regs {
        let LaneReduction { axis, accumulators, body } = run;
        let mut totals: Regs = SmallVec::from_slice(totals);
        let whole = (self.limit(from), self.b.ins().iconst(types::I64, count as i64));
        if let Some(parts) = self.call_strip(axis, whole, body, accumulators) {
            for ((accumulator, part), total) in accumulators.iter().zip(parts).zip(totals.iter_mut()) {
                let dtype = self.nest.dtype(accumulator.value);
                *total = self.combine_two(accumulator.op, dtype, *total, part);
            }
            return totals;
        }
        let mut done = 0;
        for width in self.widths() {
            let until = count - (count - done) % width;
            if until == done {
                continue;
            }
            let start = self.identities(accumulators, width);
            let counts: Vec<usize> = start.iter().map(SmallVec::len).collect();
            let limits = [done, until].map(|at| self.behind(from, at as i64));
            let flat = start.into_iter().flatten().collect();
            let parts = self.range(axis, limits.into(), width, flat, &mut |emitter, carried| {
                emitter.vector = (width > 1).then_some((axis, width));
                emitter.nodes(body);
                let current = regroup(carried, &counts);
                let next = emitter.combine_all(accumulators, &current, width);
                emitter.vector = None;
                next.into_iter().flatten().collect()
            });
            for ((accumulator, part), total) in
                accumulators.iter().zip(regroup(&parts.1, &counts)).zip(totals.iter_mut())
            {
                let dtype = self.nest.dtype(accumulator.value);
                let part = self.across_lanes(accumulator.op, dtype, &part, width);
                *total = self.combine_two(accumulator.op, dtype, *total, part);
            }
            done = until;
        }
        totals
    }

    /// The index so many steps behind another.
    fn behind(&mut self, from: Limit, steps: i64) -> Limit {
        match from {
            Limit::Static(at) => Limit::Static(at + steps),
            Limit::Dynamic(at) => Limit::Dynamic(self.b.ins().iadd_imm_s(at, steps)),
        }
    }

    /// Which of the values of accumulators, each of which has so many registers, are sums of floats.
    fn rounded_sums(&self, accumulators: &[Accumulator], counts: &[usize]) -> Vec<usize> {
        let registers = accumulators
            .iter()
            .zip(counts)
            .flat_map(|(accumulator, &count)| std::iter::repeat_n(is_rounded(self.nest, accumulator), count));
        registers.enumerate().filter(|register| register.1).map(|register| register.0).collect()
    }

    /// What reductions start with.
    fn identities(&mut self, accumulators: &[Accumulator], lanes: usize) -> Vec<Regs> {
        let identity = |accumulator: &Accumulator| {
            let dtype = self.nest.dtype(accumulator.result);
            primitive::constant(self.b, accumulator.op.identity(dtype), lanes)
        };
        accumulators.iter().map(identity).collect()
    }

    /// Each accumulator combined with what the body has yielded.
    fn combine_all(&mut self, accumulators: &[Accumulator], current: &[Regs], lanes: usize) -> Vec<Regs> {
        let mut next = Vec::with_capacity(current.len());
        for (accumulator, current) in accumulators.iter().zip(current) {
            let value = self.lanes_of(accumulator.value, lanes);
            next.push(self.combine(
                accumulator.op,
                self.nest.dtype(accumulator.value),
                current,
                &value,
                lanes,
            ));
        }
        next
    }

    /// One round of a reduction, lane by lane.
    fn combine(&mut self, op: ReduceOp, dtype: DType, x: &Regs, y: &Regs, lanes: usize) -> Regs {
        self.run_program(op.function(), &[dtype, dtype], &[None, None], &[x.clone(), y.clone()], lanes)
    }

    /// Two scalars combined.
    pub(super) fn combine_two(&mut self, op: ReduceOp, dtype: DType, x: Value, y: Value) -> Value {
        self.combine(op, dtype, &smallvec![x], &smallvec![y], 1)[0]
    }

    /// All lanes of a vector combined: registers pairwise, then lanes in order.
    fn across_lanes(&mut self, op: ReduceOp, dtype: DType, x: &Regs, lanes: usize) -> Value {
        if lanes == 1 {
            return x[0];
        }
        let per = primitive::lanes_per_register(dtype);
        let mut registers: SmallVec<[Value; 4]> = x.clone();
        while registers.len() > 1 {
            let half = registers.len() / 2;
            let (left, right) =
                (Regs::from_slice(&registers[..half]), Regs::from_slice(&registers[half..2 * half]));
            registers = self.combine(op, dtype, &left, &right, half * per);
        }
        let scalars: Vec<Value> =
            (0..per).map(|lane| primitive::extract(self.b, dtype, &registers, lane)).collect();
        scalars[1..].iter().fold(scalars[0], |sum, &x| self.combine_two(op, dtype, sum, x))
    }
}

/// A flat list of registers as one list per accumulator.
fn regroup(flat: &[Value], counts: &[usize]) -> Vec<Regs> {
    let mut rest = flat;
    let take = |&count: &usize| {
        let (first, others) = rest.split_at(count);
        rest = others;
        Regs::from_slice(first)
    };
    counts.iter().map(take).collect()
}
