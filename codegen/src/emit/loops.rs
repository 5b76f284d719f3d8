//! Loops: over the axes of the nest, inside each other, in steps, carrying values from round to round; and plain ones over
//! numbers.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value, types};
use ir::AxisId;
use smallvec::{SmallVec, smallvec};

use super::Emitter;
use super::primitive::Regs;

/// Where a loop ends or begins.
#[derive(Clone, Copy)]
pub enum Limit {
    /// Known now.
    Static(i64),
    /// Known when the kernel runs.
    Dynamic(Value),
}

/// Where a loop begins and where it ends.
pub type Limits = (Limit, Limit);

impl Emitter<'_, '_> {
    /// Emits loops inside each other around `body`.
    pub fn at_each_point(&mut self, loops: &[(AxisId, Limit, Limit)], body: &mut dyn FnMut(&mut Self)) {
        self.nested(loops, smallvec![], &mut |emitter, _| {
            body(emitter);
            smallvec![]
        });
    }

    /// Emits `body` at point `number` of the loops over some axes, counted with the last axis innermost.
    pub fn at_point(&mut self, axes: &[AxisId], number: Value, body: &mut dyn FnMut(&mut Self)) {
        let mut rest = number;
        let mut indices: SmallVec<[Value; 4]> = smallvec![];
        for (position, &axis) in axes.iter().enumerate().rev() {
            let extent = self.nest.extent(axis) as i64;
            indices.push(if position == 0 {
                rest
            } else {
                let extent = self.b.ins().iconst(types::I64, extent);
                let index = self.b.ins().urem(rest, extent);
                rest = self.b.ins().udiv(rest, extent);
                index
            });
        }
        for (&axis, &index) in axes.iter().zip(indices.iter().rev()) {
            self.open(axis, index);
        }
        body(self);
        for &axis in axes.iter().rev() {
            self.close(axis);
        }
    }

    /// Loops inside each other that carry values.
    pub(super) fn nested(
        &mut self,
        loops: &[(AxisId, Limit, Limit)],
        carried: Regs,
        body: &mut dyn FnMut(&mut Self, &[Value]) -> Regs,
    ) -> Regs {
        match loops {
            [] => body(self, &carried),
            [(axis, from, to), inner @ ..] => {
                let limits = (*from, *to);
                self.range(*axis, limits, 1, carried, &mut |emitter, carried| {
                    emitter.nested(inner, SmallVec::from_slice(carried), body)
                })
                .1
            }
        }
    }

    /// The loops over all of these axes.
    pub fn whole(&self, axes: &[AxisId]) -> Vec<(AxisId, Limit, Limit)> {
        axes.iter()
            .map(|&axis| (axis, Limit::Static(0), Limit::Static(self.nest.extent(axis) as i64)))
            .collect()
    }

    /// A loop in steps of `step` as long as a whole step fits; gives the first index that is left and what it carried.
    pub(super) fn range(
        &mut self,
        axis: AxisId,
        (from, to): (Limit, Limit),
        step: usize,
        carried: Regs,
        body: &mut dyn FnMut(&mut Self, &[Value]) -> Regs,
    ) -> (Limit, Regs) {
        let step = step as i64;
        if let (Limit::Static(from), Limit::Static(to)) = (from, to) {
            let trips = (to - from) / step;
            let end = Limit::Static(from + trips * step);
            if trips <= 1 {
                let index = self.b.ins().iconst(types::I64, from);
                return (end, if trips == 1 { self.at(axis, index, &carried, body) } else { carried });
            }
            let from = self.b.ins().iconst(types::I64, from);
            let to = self.b.ins().iconst(types::I64, to);
            let (_, carried) = self.looped((from, to), step, carried, &mut |emitter, index, carried| {
                emitter.at(axis, index, carried, body)
            });
            return (end, carried);
        }
        let [from, to] = [from, to].map(|limit| self.limit(limit));
        let (end, carried) = self.looped((from, to), step, carried, &mut |emitter, index, carried| {
            emitter.at(axis, index, carried, body)
        });
        (Limit::Dynamic(end), carried)
    }

    /// A limit as a value.
    pub(super) fn limit(&mut self, limit: Limit) -> Value {
        match limit {
            Limit::Static(at) => self.b.ins().iconst(types::I64, at),
            Limit::Dynamic(value) => value,
        }
    }

    /// Runs `body` with `axis` at `index`.
    pub(super) fn at(
        &mut self,
        axis: AxisId,
        index: Value,
        carried: &[Value],
        body: &mut dyn FnMut(&mut Self, &[Value]) -> Regs,
    ) -> Regs {
        self.open(axis, index);
        let next = body(self, carried);
        self.close(axis);
        next
    }

    /// Enters the loop over `axis`, which is at `index`.
    pub(super) fn open(&mut self, axis: AxisId, index: Value) {
        self.indices[axis.0 as usize] = Some(index);
        self.order.push(axis);
    }

    /// Leaves the loop over `axis`, the innermost.
    pub(super) fn close(&mut self, axis: AxisId) {
        self.order.pop();
        self.indices[axis.0 as usize] = None;
    }

    /// A loop as [`range`](Self::range) has it, over numbers, with limits that may be known only when the kernel runs.
    pub(super) fn looped(
        &mut self,
        (from, to): (Value, Value),
        step: i64,
        carried: Regs,
        body: &mut dyn FnMut(&mut Self, Value, &[Value]) -> Regs,
    ) -> (Value, Regs) {
        let [header, inside, after] = [(); 3].map(|()| self.b.create_block());
        let index = self.b.append_block_param(header, types::I64);
        let parameters: Regs = (carried.iter())
            .map(|&value| {
                let ty = self.b.func.dfg.value_type(value);
                self.b.append_block_param(header, ty)
            })
            .collect();
        let arguments = |index: Value, carried: &[Value]| -> Vec<BlockArg> {
            std::iter::once(index).chain(carried.iter().copied()).map(BlockArg::Value).collect()
        };
        let enter = arguments(from, &carried);
        self.b.ins().jump(header, &enter);
        self.b.switch_to_block(header);
        let next = self.b.ins().iadd_imm_s(index, step);
        let fits = self.b.ins().icmp(IntCC::SignedLessThanOrEqual, next, to);
        self.b.ins().brif(fits, inside, &[], after, &[]);
        self.b.switch_to_block(inside);
        let result = body(self, index, &parameters);
        let again = arguments(next, &result);
        self.b.ins().jump(header, &again);
        self.b.switch_to_block(after);
        (index, parameters)
    }
}

/// A loop over `from .. to`.
pub fn each(
    emitter: &mut Emitter<'_, '_>,
    from: Value,
    to: Value,
    body: &mut dyn FnMut(&mut Emitter<'_, '_>, Value),
) {
    steps(emitter, from, to, 1, body);
}

/// A loop over `from .. to` in steps of `step` as long as a whole step fits; gives the first index that is left.
pub fn steps(
    emitter: &mut Emitter<'_, '_>,
    from: Value,
    to: Value,
    step: i64,
    body: &mut dyn FnMut(&mut Emitter<'_, '_>, Value),
) -> Value {
    let [header, inside, after] = [(); 3].map(|()| emitter.b.create_block());
    let index = emitter.b.append_block_param(header, types::I64);
    emitter.b.ins().jump(header, &[BlockArg::Value(from)]);
    emitter.b.switch_to_block(header);
    let next = emitter.b.ins().iadd_imm_s(index, step);
    let fits = emitter.b.ins().icmp(IntCC::SignedLessThanOrEqual, next, to);
    emitter.b.ins().brif(fits, inside, &[], after, &[]);
    emitter.b.switch_to_block(inside);
    body(emitter, index);
    emitter.b.ins().jump(header, &[BlockArg::Value(next)]);
    emitter.b.switch_to_block(after);
    index
}
