//! The order of filters that a convolution transforms itself: their channels come before their taps, so that it reads all that it
//! transforms at a time from one place.

use ir::plan::flat_steps;
use ir::{AxisOrder, BufferId, KernelId, Place, Plan, Shape, SlotId, Step, Winograd};

use crate::fixed::writes_states;
use crate::layout::rewrite::permute;

/// Puts the channels of such filters first, where they are states that nothing else reads and the plan writes none.
pub fn put_channels_first(plan: &mut Plan) {
    if writes_states(plan) {
        return;
    }
    let (mut calls, mut reads) = (vec![0; plan.kernels.len()], vec![0; plan.slots.len()]);
    for step in flat_steps(&plan.prepare).chain(flat_steps(&plan.steps)) {
        if let Step::Call { kernel, .. } = step {
            calls[kernel.0 as usize] += 1;
        }
        plan.reads(step).into_iter().for_each(|slot| reads[plan.root(slot).0 as usize] += 1);
    }
    for (kernel, filters, slot) in transformed_in_kernels(plan) {
        if calls[kernel.0 as usize] == 1 && reads[slot.0 as usize] == 1 {
            reorder(plan, kernel, filters, slot);
        }
    }
}

/// The kernels that transform filters, with the parameter and the slot of these.
fn transformed_in_kernels(plan: &Plan) -> Vec<(KernelId, BufferId, SlotId)> {
    let of = |step: &Step| match step {
        Step::Call { kernel, slots } => match plan.kernel(*kernel).winograd {
            Some(Winograd::Convolution { filters, transformed: None }) => {
                Some((*kernel, filters, slots[filters.0 as usize]))
            }
            _ => None,
        },
        _ => None,
    };
    plan.steps.iter().filter_map(of).collect()
}

fn reorder(plan: &mut Plan, kernel: KernelId, filters: BufferId, slot: SlotId) {
    let of_kernel = channels_first(&plan.kernel(kernel).buffers[filters.0 as usize].ty.shape);
    let slot = &mut plan.slots[slot.0 as usize];
    let Place::State { order, .. } = &mut slot.place else { return };
    let (Some(of_kernel), Some(of_slot)) = (of_kernel, channels_first(&slot.ty.shape)) else { return };
    slot.ty.shape = AxisOrder::new(&of_slot).in_memory(&slot.ty.shape);
    *order = order.then(&of_slot);
    permute(&mut plan.kernels[kernel.0 as usize], filters, &of_kernel);
}

/// The axes of `[taps, taps, channels, columns]`, axes of one place left out, with channels first.
fn channels_first(shape: &Shape) -> Option<Vec<usize>> {
    let (single, others): (Vec<usize>, Vec<usize>) = (0..shape.rank()).partition(|&axis| shape[axis] == 1);
    let [vertical, horizontal, channel, column] = others[..] else { return None };
    Some([single, vec![channel, vertical, horizontal, column]].concat())
}
