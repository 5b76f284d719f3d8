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

/// Packs the fixed right operands of the products in the steps.
fn pack_operands(plan: &mut Plan, is_fixed: &[bool]) {
    let mut calls = vec![0; plan.kernels.len()];
    for step in plan.prepare.iter().chain(&plan.steps) {
        if let Step::Call { kernel, .. } = step {
            calls[kernel.0 as usize] += 1;
        }
    }
    let mut packs: Vec<Pack> = Vec::new();
    for index in 0..plan.steps.len() {
        let Step::Call { kernel: id, slots } = &plan.steps[index] else { continue };
        let id = *id;
        // The kernel of several calls stays, for the operand may be fixed in one of them and not in the other.
        let Some(product) = packable(plan.kernel(id)).filter(|_| calls[id.0 as usize] == 1) else { continue };
        let at = product.right.0 as usize;
        let operand = slots[at];
        if !is_fixed[operand.0 as usize] {
            continue;
        }
        let pack = pack_kernel(plan.kernel(id), &product);
        let packed = packed_slot(plan, &mut packs, operand, pack);
        let Step::Call { slots, .. } = &mut plan.steps[index] else { continue };
        slots[at] = packed;
        let kernel = &mut plan.kernels[id.0 as usize];
        *kernel = with_packed_operand(std::mem::replace(kernel, Kernel::new("")), &product);
    }
}

/// What has been packed already.
struct Pack {
    operand: SlotId,
    kernel: KernelId,
    packed: SlotId,
}

/// The slot that holds `operand` as kernel `pack` packs it: one for all that want the same.
fn packed_slot(plan: &mut Plan, packs: &mut Vec<Pack>, operand: SlotId, pack: Kernel) -> SlotId {
    let known = packs.iter().find(|known| known.operand == operand && *plan.kernel(known.kernel) == pack);
    if let Some(known) = known {
        return known.packed;
    }
    let packed = SlotId(plan.slots.len() as u32);
    let name = format!("{}.packed", plan.slot(operand).name);
    plan.slots.push(Slot { name, ty: pack.buffers[1].ty.clone(), place: Place::Unplaced });
    let kernel = match packs.iter().find(|known| *plan.kernel(known.kernel) == pack) {
        Some(known) => known.kernel,
        None => {
            plan.kernels.push(pack);
            KernelId(plan.kernels.len() as u32 - 1)
        }
    };
    plan.prepare.push(Step::Call { kernel, slots: smallvec![operand, packed] });
    packs.push(Pack { operand, kernel, packed });
    packed
}
