//! Reductions, along lanes and otherwise.
//!
//! One along the lanes is computed per vector element; the registers of a wide vector are combined pairwise, then their
//! lanes in order, and the parts are added in the order wide, four, one.

use cranelift_codegen::ir::{InstBuilder, Value, types};
use ir::{Accumulator, AxisId, DType, ReduceOp};
use smallvec::{SmallVec, smallvec};

use super::primitive::{self, Regs};
use super::{Emitter, Limit, Val};
use crate::nest::Node;

impl Emitter<'_, '_> {
    /// Emits a reduction; its results are values from then on.
    pub(super) fn emit_reduce(&mut self, axes: &[AxisId], accumulators: &[Accumulator], body: &[Node]) {
        if self.goes_on_lanes(axes, body) {
            return self.reduce_along_lanes(axes, accumulators, body);
        }
        let lanes = self.vector.map_or(1, |(_, lanes)| lanes);
        let start = self.identities(accumulators, lanes);
        let counts: Vec<usize> = start.iter().map(SmallVec::len).collect();
        let loops = self.whole(axes);
        let totals = self.nested(&loops, start.into_iter().flatten().collect(), &mut |emitter, carried| {
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
        let (outer, last) = (self.whole(&axes[..axes.len() - 1]), axes[axes.len() - 1]);
        let extent = self.nest.extent(last) as i64;
        let start = self.identities(accumulators, 1).into_iter().flatten().collect();
        let totals = self.nested(&outer, start, &mut |emitter, carried| {
            let mut totals: Regs = SmallVec::from_slice(carried);
            let whole = [0, extent].map(|at| emitter.b.ins().iconst(types::I64, at));
            if let Some(parts) = emitter.call_strip(last, whole.into(), body, accumulators) {
                for ((accumulator, part), total) in accumulators.iter().zip(parts).zip(totals.iter_mut()) {
                    let dtype = emitter.nest.dtype(accumulator.value);
                    *total = emitter.combine_two(accumulator.op, dtype, *total, part);
                }
                return totals;
            }
            let mut at = 0;
            for width in emitter.widths() {
                let until = extent - (extent - at) % width as i64;
                if until == at {
                    continue;
                }
                let start = emitter.identities(accumulators, width);
                let counts: Vec<usize> = start.iter().map(SmallVec::len).collect();
                let limits = (Limit::Static(at), Limit::Static(until));
                let flat = start.into_iter().flatten().collect();
                let parts = emitter.range(last, limits, width, flat, &mut |emitter, carried| {
                    emitter.vector = (width > 1).then_some((last, width));
                    emitter.nodes(body);
                    let current = regroup(carried, &counts);
                    let next = emitter.combine_all(accumulators, &current, width);
                    emitter.vector = None;
                    next.into_iter().flatten().collect()
                });
                for ((accumulator, part), total) in
                    accumulators.iter().zip(regroup(&parts.1, &counts)).zip(totals.iter_mut())
                {
                    let dtype = emitter.nest.dtype(accumulator.value);
                    let part = emitter.across_lanes(accumulator.op, dtype, &part, width);
                    *total = emitter.combine_two(accumulator.op, dtype, *total, part);
                }
                at = until;
            }
            totals
        });
        for (accumulator, &total) in accumulators.iter().zip(&totals) {
            self.vals[accumulator.result.0 as usize] = Some(Val::Uniform(total));
        }
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
