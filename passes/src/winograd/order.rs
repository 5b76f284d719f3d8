//! Filters that one convolution alone reads, which transforms them itself: their channels come before their taps, so that it
//! reads all that it transforms at a time from one place.

use ir::plan::flat_steps;
use ir::{AxisOrder, Place, Plan, Shape, SlotId, Step, Winograd};

use crate::fixed::writes_states;
use crate::layout::rewrite::permute;

/// For each slot, whether it is a state that one step alone reads, in a plan that writes no states: its order is free.
pub fn free_states(plan: &Plan) -> Vec<bool> {
    let mut reads = vec![0; plan.slots.len()];
    for step in flat_steps(&plan.prepare).chain(flat_steps(&plan.steps)) {
        plan.reads(step).into_iter().for_each(|slot| reads[plan.root(slot).0 as usize] += 1);
    }
    let is_state = |slot: usize| matches!(plan.slots[slot].place, Place::State { .. });
    let writes_none = !writes_states(plan);
    (0..plan.slots.len()).map(|slot| writes_none && is_state(slot) && reads[slot] == 1).collect()
}

/// Puts the channels of the filters first that kernels transform, which are states of theirs alone.
pub fn put_channels_first(plan: &mut Plan) {
    for step in plan.steps.clone() {
        let Step::Call { kernel: id, slots } = step else { continue };
        let kernel = &mut plan.kernels[id.0 as usize];
        if let Some(Winograd::Convolution { filters, transformed: None }) = kernel.winograd {
            let axes = channels_first(&kernel.buffers[filters.0 as usize].ty.shape);
            permute(kernel, filters, &axes);
            put_first(plan, slots[filters.0 as usize]);
        }
    }
}

fn put_first(plan: &mut Plan, slot: SlotId) {
    let slot = &mut plan.slots[slot.0 as usize];
    let axes = channels_first(&slot.ty.shape);
    slot.ty.shape = AxisOrder::new(&axes).in_memory(&slot.ty.shape);
    if let Place::State { order, .. } = &mut slot.place {
        *order = order.then(&axes);
    }
}

/// The axes of `[.., taps, taps, channels, columns]` with channels before taps. There are many channels and columns; other axes
/// have one place.
fn channels_first(shape: &Shape) -> Vec<usize> {
    let (single, others): (Vec<usize>, Vec<usize>) = (0..shape.rank()).partition(|&axis| shape[axis] == 1);
    let [vertical, horizontal, channel, column] = others[..] else {
        unreachable!("filters {shape} of a convolution have two axes of taps, channels and columns")
    };
    [single, vec![channel, vertical, horizontal, column]].concat()
}
