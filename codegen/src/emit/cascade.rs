//! Long sums: pairwise summation over blocks.
//!
//! A plain loop adds one term after the other, and its rounding error grows with their number. So sums of floats are cut, by
//! their shape alone, into blocks of at most [`TERMS`] terms, and the partial sums of blocks are added as a binary tree. The error
//! of a sum of `n` terms is at most `(TERMS + log2(n / TERMS) + 2) u` times the sum of their magnitudes, where `u` is half of
//! the distance from 1 to the next number (N. J. Higham, "The accuracy of floating point summation", SIAM J. Sci. Comput. 14,
//! 1993, equation 3.5 for each path of the tree).
//!
//! The tree needs a partial sum per level: after block `n`, counted from 0, the sums that wait at the lowest levels are added to
//! that of the block, as many as `n` has ones behind its last zero in binary; then it waits at the level above these. In the end
//! the levels that hold a sum are those of the ones in the number of blocks.

use cranelift_codegen::ir::{BlockArg, InstBuilder, StackSlotData, StackSlotKind, Type, Value, types};
use ir::{Accumulator, AxisId, ReduceOp};
use smallvec::SmallVec;

use super::loops::Limits;
use super::primitive::Regs;
use super::{Emitter, Limit, memory};
use crate::nest::Nest;

/// The most terms that are added one after the other.
pub const TERMS: usize = 1024;

/// How loops inside each other are cut into blocks: the loop at `at` in pieces of so many steps, each with all of the loops inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The loop, counted from the outermost.
    pub at: usize,
    /// Its steps in a block.
    pub steps: usize,
}

impl Cut {
    /// The cut of loops of these extents, outermost first, whose innermost step adds up to `inside` terms to a sum: the loop that
    /// is cut has pieces of a multiple of `multiple` steps where it is the innermost. `None` where one block has all terms.
    pub fn of(extents: &[usize], inside: usize, multiple: usize) -> Option<Cut> {
        let mut terms = inside;
        for (at, &extent) in extents.iter().enumerate().rev() {
            if terms * extent > TERMS {
                let multiple = if at + 1 == extents.len() { multiple } else { 1 };
                let steps = (TERMS / terms / multiple * multiple).max(multiple);
                return (at > 0 || steps < extent).then_some(Cut { at, steps });
            }
            terms *= extent;
        }
        None
    }

    /// The number of blocks.
    pub fn blocks(&self, extents: &[usize]) -> usize {
        extents[..self.at].iter().product::<usize>() * extents[self.at].div_ceil(self.steps)
    }
}

/// The levels of the tree of so many blocks.
pub fn levels(blocks: usize) -> usize {
    (usize::BITS - blocks.leading_zeros()) as usize
}

/// The levels at which a partial sum waits after so many blocks, lowest first.
pub fn full_levels(blocks: usize) -> impl Iterator<Item = usize> {
    (0..levels(blocks)).filter(move |level| blocks >> level & 1 == 1)
}

/// Whether an accumulator is a sum whose rounding depends on the order.
pub fn is_rounded(nest: &Nest, accumulator: &Accumulator) -> bool {
    accumulator.op == ReduceOp::Add && nest.dtype(accumulator.result).is_float()
}

/// Partial sums of blocks on the stack.
pub struct Cascade {
    /// The address of the number of blocks so far.
    counter: Value,
    /// The address of the lowest level.
    levels: Value,
    level_bytes: usize,
    /// The blocks in all.
    blocks: usize,
    /// Which of the values that loops carry are sums, the type of each, and where it is in a level, in bytes.
    sums: Vec<(usize, Type, i32)>,
}

impl Emitter<'_, '_> {
    /// Loops inside each other around `body`, which adds up to `inside` terms to each of the carried values; those at `sums` are
    /// summed in blocks.
    pub fn sum_over(
        &mut self,
        axes: &[AxisId],
        inside: usize,
        sums: &[usize],
        carried: Regs,
        body: &mut dyn FnMut(&mut Self, &[Value]) -> Regs,
    ) -> Regs {
        let extents: SmallVec<[usize; 4]> = axes.iter().map(|&axis| self.nest.extent(axis)).collect();
        let loops = self.whole(axes);
        let Some(cut) = Cut::of(&extents, inside, 1).filter(|_| !sums.is_empty()) else {
            return self.nested(&loops, carried, body);
        };
        let cascade = self.start_cascade(cut.blocks(&extents), sums, &carried);
        let (outer, inner) = (&loops[..cut.at], &loops[cut.at + 1..]);
        let axis = axes[cut.at];
        let last = self.nested(outer, carried, &mut |emitter, carried| {
            emitter.each_block(extents[cut.at], cut.steps, carried, &mut |emitter, limits, carried| {
                let carried = SmallVec::from_slice(carried);
                let (_, block) = emitter.range(axis, limits, 1, carried, &mut |emitter, carried| {
                    emitter.nested(inner, SmallVec::from_slice(carried), body)
                });
                emitter.end_block(&cascade, &block)
            })
        });
        self.finish_cascade(&cascade, last)
    }

    /// Runs `body` for blocks of a loop of so many steps, with the limits of each.
    pub fn each_block(
        &mut self,
        extent: usize,
        steps: usize,
        carried: &[Value],
        body: &mut dyn FnMut(&mut Self, Limits, &[Value]) -> Regs,
    ) -> Regs {
        let [from, to] =
            [0, extent.next_multiple_of(steps)].map(|at| self.b.ins().iconst(types::I64, at as i64));
        let end = self.b.ins().iconst(types::I64, extent as i64);
        let carried = SmallVec::from_slice(carried);
        let (_, carried) = self.looped((from, to), steps as i64, carried, &mut |emitter, from, carried| {
            let to = emitter.b.ins().iadd_imm_s(from, steps as i64);
            let to = emitter.b.ins().smin(to, end);
            body(emitter, (Limit::Dynamic(from), Limit::Dynamic(to)), carried)
        });
        carried
    }

    /// An empty tree for so many blocks of sums that start as the values at `sums` of `carried`, which are zeros.
    pub fn start_cascade(&mut self, blocks: usize, sums: &[usize], carried: &[Value]) -> Cascade {
        let mut level_bytes = 0;
        let sums = (sums.iter())
            .map(|&sum| {
                let ty = self.b.func.dfg.value_type(carried[sum]);
                let at = level_bytes as i32;
                level_bytes += (ty.bytes() as usize).next_multiple_of(8);
                (sum, ty, at)
            })
            .collect();
        let counter = self.counter();
        let levels = self.stack_memory(levels(blocks) * level_bytes);
        Cascade { counter, levels, level_bytes, blocks, sums }
    }

    /// Puts the sums of a block among the values that loops carry into the tree; what the next block starts with.
    pub fn end_block(&mut self, cascade: &Cascade, carried: &[Value]) -> Regs {
        let place = cascade.levels;
        let sums: Regs = cascade.sums.iter().map(|&(sum, ..)| carried[sum]).collect();
        let (place, sums) = self.each_full_level(
            cascade.counter,
            (place, cascade.level_bytes),
            sums,
            &mut |emitter, place, sums| {
                let levels = cascade.sums.iter().zip(sums);
                let add = |(&(_, ty, at), &sum): (&(usize, Type, i32), &Value)| {
                    let waiting = emitter.b.ins().load(ty, memory::flags(), place, at);
                    emitter.b.ins().fadd(waiting, sum)
                };
                levels.map(add).collect()
            },
        );
        let mut next = Regs::from_slice(carried);
        for (&(number, ty, at), &sum) in cascade.sums.iter().zip(&sums) {
            self.b.ins().store(memory::flags(), sum, place, at);
            next[number] = self.zero(ty);
        }
        next
    }

    /// Counts a block, and runs `body` at the address of each of the lowest levels that hold partial sums; the address of the
    /// level above them, and what has been carried. The levels are this far from each other, in bytes.
    pub fn each_full_level(
        &mut self,
        counter: Value,
        (lowest, level_bytes): (Value, usize),
        carried: Regs,
        body: &mut dyn FnMut(&mut Self, Value, &[Value]) -> Regs,
    ) -> (Value, Regs) {
        let number = self.b.ins().load(types::I64, memory::flags(), counter, 0);
        let next = self.b.ins().iadd_imm_s(number, 1);
        self.b.ins().store(memory::flags(), next, counter, 0);
        let [header, inside, after] = [(); 3].map(|()| self.b.create_block());
        let [bits, place] = [(); 2].map(|()| self.b.append_block_param(header, types::I64));
        let parameters: Regs = (carried.iter())
            .map(|&value| {
                let ty = self.b.func.dfg.value_type(value);
                self.b.append_block_param(header, ty)
            })
            .collect();
        let arguments = |first: [Value; 2], carried: &[Value]| -> Vec<BlockArg> {
            first.into_iter().chain(carried.iter().copied()).map(BlockArg::Value).collect()
        };
        self.b.ins().jump(header, &arguments([number, lowest], &carried));
        self.b.switch_to_block(header);
        let is_full = self.b.ins().band_imm_u(bits, 1);
        self.b.ins().brif(is_full, inside, &[], after, &[]);
        self.b.switch_to_block(inside);
        let result = body(self, place, &parameters);
        let bits = self.b.ins().ushr_imm_u(bits, 1);
        let above = self.b.ins().iadd_imm_s(place, level_bytes as i64);
        self.b.ins().jump(header, &arguments([bits, above], &result));
        self.b.switch_to_block(after);
        (place, parameters)
    }

    /// The sums of all blocks in the place of those that the last one has left.
    pub fn finish_cascade(&mut self, cascade: &Cascade, carried: Regs) -> Regs {
        let mut totals = carried;
        for &(number, ty, at) in &cascade.sums {
            let waiting = full_levels(cascade.blocks).map(|level| {
                let at = (level * cascade.level_bytes) as i32 + at;
                self.b.ins().load(ty, memory::flags(), cascade.levels, at)
            });
            let waiting: Vec<Value> = waiting.collect();
            let total = waiting.into_iter().reduce(|total, next| self.b.ins().fadd(next, total));
            totals[number] = total.expect("there is a block");
        }
        totals
    }

    /// The address of a number of blocks, which is 0.
    pub fn counter(&mut self) -> Value {
        let counter = self.stack_memory(8);
        let zero = self.b.ins().iconst(types::I64, 0);
        self.b.ins().store(memory::flags(), zero, counter, 0);
        counter
    }

    /// The address of memory on the stack.
    fn stack_memory(&mut self, size_bytes: usize) -> Value {
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, size_bytes as u32, 4);
        let slot = self.b.create_sized_stack_slot(data);
        self.b.ins().stack_addr(types::I64, slot, 0)
    }

    fn zero(&mut self, ty: Type) -> Value {
        let zero = match ty.lane_type() {
            types::F64 => self.b.ins().f64const(0.0),
            _ => self.b.ins().f32const(0.0),
        };
        if ty.is_vector() { self.b.ins().splat(ty, zero) } else { zero }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_sums_are_one_block() {
        assert_eq!(Cut::of(&[], 1, 1), None);
        assert_eq!(Cut::of(&[TERMS], 1, 1), None);
        assert_eq!(Cut::of(&[32, 16], 2, 8), None);
    }

    #[test]
    fn blocks_have_as_many_terms_as_may_be() {
        let cut = |extents: &[usize], inside, multiple| {
            let cut = Cut::of(extents, inside, multiple).expect("it is long");
            (cut.at, cut.steps, cut.blocks(extents))
        };
        assert_eq!(cut(&[TERMS + 1], 1, 1), (0, TERMS, 2));
        assert_eq!(cut(&[7, 3000], 1, 1), (1, TERMS, 21));
        assert_eq!(cut(&[3000, 7], 1, 1), (0, 146, 21));
        assert_eq!(cut(&[3000, 7, 1000], 1, 1), (1, 1, 21_000));
        assert_eq!(cut(&[10, 2000], 3, 8), (1, 336, 60));
    }

    #[test]
    fn the_levels_that_are_full_are_the_ones_of_the_number() {
        assert_eq!(full_levels(11).collect::<Vec<_>>(), [0, 1, 3]);
        assert_eq!((levels(1), levels(8), levels(9)), (1, 4, 4));
    }
}
