//! Pass `prepack`: what follows from constants and from states that never change is computed once, not in each run, and
//! the right operand of a matrix product or a convolution is kept in the order in which its tiles read it.
//!
//! In and out: a plan of stage `kernels`. What is *fixed* is said in `fixed`.
//!
//! 1. A step that reads fixed values alone moves to `prepare`.
//! 2. `product`: a sum of products with a fixed right operand, such as `sum over k of x[i, k] * w[j, k]`, or the filter
//!    `w[kh, kw, c, j]` of a convolution.
//! 3. `panels`: it reads `packed[p, k, l]`, or `packed[p, kh, kw, c, l]`, instead, for `j = 32*p + l`: 32 columns (64
//!    where the sum is short) of all depths lie side by side, so a tile walks through memory in one direction, and nothing is
//!    left to pack in a run. With few rows, and where columns are no multiple of 32, it reads `packed[j, k]`, each element
//!    after the one before. A step of `prepare` fills `packed`, once for all products that read `w` so.
//!
//! The order of each sum on tiles stays the same, and so do all bits of the results. A product of few rows that is made of dot
//! products otherwise is one on tiles then, and differs by rounding.

mod panels;
mod product;

use ir::plan::flat_steps;
use ir::{Kernel, KernelId, Place, Plan, Slot, SlotId, Step};
use smallvec::smallvec;

use crate::fixed::Fixed;
use panels::{pack_kernel, with_packed_operand};
use product::packable;

/// Moves what is fixed to `prepare`, and packs fixed operands of matrix products.
pub fn prepack(mut plan: Plan) -> Plan {
    let fixed = Fixed::of(&plan);
    move_fixed_steps(&mut plan, &fixed.steps);
    pack_operands(&mut plan, &fixed.slots);
    plan
}

/// Moves the steps that are fixed.
fn move_fixed_steps(plan: &mut Plan, is_fixed: &[bool]) {
    for (step, &is_fixed) in std::mem::take(&mut plan.steps).into_iter().zip(is_fixed) {
        if is_fixed { plan.prepare.push(step) } else { plan.steps.push(step) }
    }
}

/// Packs the right operands of products: those that are fixed in `prepare`, and those that a loop reads and never writes before
/// the loop.
fn pack_operands(plan: &mut Plan, is_fixed: &[bool]) {
    let mut calls = vec![0; plan.kernels.len()];
    for step in flat_steps(&plan.prepare).chain(flat_steps(&plan.steps)) {
        if let Step::Call { kernel, .. } = step {
            calls[kernel.0 as usize] += 1;
        }
    }
    let mut prepared = Packing::default();
    for mut step in std::mem::take(&mut plan.steps) {
        let mut before = Packing::default();
        let is_long = matches!(step, Step::Loop { count, .. } if count >= MIN_ITERATIONS);
        let written = plan.roots_written(&step);
        visit_calls(&mut step, &mut |id, slots| {
            // The kernel of several calls stays, for the operand may be fixed in one of them and not in the other.
            let Some(product) = packable(plan.kernel(id)).filter(|_| calls[id.0 as usize] == 1) else {
                return;
            };
            let operand = &mut slots[product.right.0 as usize];
            let is_part = matches!(plan.slot(*operand).place, Place::Part { .. });
            let packing = if is_fixed[operand.0 as usize] && !is_part {
                &mut prepared
            } else if is_long && !is_part && !written.contains(operand) {
                &mut before
            } else {
                return;
            };
            let pack = pack_kernel(plan.kernel(id), &product);
            *operand = packing.packed_slot(plan, *operand, pack);
            let kernel = &mut plan.kernels[id.0 as usize];
            *kernel = with_packed_operand(std::mem::replace(kernel, Kernel::new("")), &product);
        });
        plan.steps.extend(before.steps);
        plan.steps.push(step);
    }
    plan.prepare.extend(prepared.steps);
}

/// A loop of fewer iterations reads its operands as they are.
const MIN_ITERATIONS: usize = 4;

/// Calls `visit` with each call of a step, those in loops included.
fn visit_calls(step: &mut Step, visit: &mut dyn FnMut(KernelId, &mut [SlotId])) {
    match step {
        Step::Call { kernel, slots } => visit(*kernel, slots),
        Step::Copy { .. } => {}
        Step::Loop { body, .. } => body.iter_mut().for_each(|step| visit_calls(step, visit)),
    }
}

/// Steps that pack, and what they have packed.
#[derive(Default)]
struct Packing {
    packs: Vec<Pack>,
    steps: Vec<Step>,
}

/// What has been packed already.
struct Pack {
    operand: SlotId,
    kernel: KernelId,
    packed: SlotId,
}

impl Packing {
    /// The slot that holds `operand` as kernel `pack` packs it: one for all that want the same.
    fn packed_slot(&mut self, plan: &mut Plan, operand: SlotId, pack: Kernel) -> SlotId {
        let is_same = |known: &&Pack| *plan.kernel(known.kernel) == pack;
        let known = self.packs.iter().filter(is_same).find(|known| known.operand == operand);
        if let Some(known) = known {
            return known.packed;
        }
        let packed = SlotId(plan.slots.len() as u32);
        let name = format!("{}.packed", plan.slot(operand).name);
        let ty = pack.buffers[1].ty.clone();
        let kernel = match self.packs.iter().find(is_same) {
            Some(known) => known.kernel,
            None => {
                plan.kernels.push(pack);
                KernelId(plan.kernels.len() as u32 - 1)
            }
        };
        plan.slots.push(Slot { name, ty, place: Place::Unplaced });
        self.steps.push(Step::Call { kernel, slots: smallvec![operand, packed] });
        self.packs.push(Pack { operand, kernel, packed });
        packed
    }
}
