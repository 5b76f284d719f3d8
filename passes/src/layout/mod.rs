//! Pass `layout`: the axes of images and filters lie in memory in the order in which convolutions read them.
//!
//! In and out: a plan of stage `kernels`. Users see images as `[batch, channels, height, width]`. A convolution that reads
//! all channels of a place side by side walks through memory in one direction, whichever way it goes: forward, to the
//! gradient of its input, to that of its filter. So images have their channels last, and filters are
//! `[height, width, input channels, output channels]`.
//!
//! Each slot has one order of axes: the kernels that write it write it so, and those that read it read it so. What the user
//! sees keeps its order: inputs, outputs, constants; states are known to the user in their own order, and say in which they
//! lie. So nothing is converted but inputs and outputs, where convolutions have enough work on them. A reshape that moves
//! nothing binds the axes that it merges: they stay side by side, and images of convolutions are converted for it, too. What a loop of the plan touches stays as it is, parts of slots
//! and what they are of included.
//!
//! 1. `bundles`: the axes of each slot that all kernels agree on.
//! 2. `classes`: which bundles are the same axis of the model (one loop runs along both), and what it is: places of images,
//!    taps of filters, channels, or none of these.
//! 3. `convert`: copies of inputs and outputs into another order, where they pay.
//! 4. `rewrite`: buffers with their axes in order, indices and loops that follow.
//! 5. `batch_last`: another order for the operand and the result of single convolutions, where it pays.

mod batch_last;
mod bundles;
mod classes;
mod convert;
pub mod rewrite;

use std::collections::BTreeSet;

use ir::plan::flat_steps;
use ir::{AxisOrder, KernelId, Place, Plan, Slot, SlotId, Step};

use batch_last::put_batches_last;
use bundles::{Bundles, bundles};
use classes::{Kind, kinds};
use convert::insert_conversions;

/// Puts the axes of images and filters in order. A plan that was given to `winograd` or `prepack` has been put in order before,
/// and what they made of it depends on that.
pub fn layout(mut plan: Plan) -> Plan {
    let is_packed = |slot: &Slot| matches!(&slot.place, Place::State { order, .. } if order.is_blocked());
    let has_winograd = plan.kernels.iter().any(|kernel| kernel.winograd.is_some());
    if !plan.prepare.is_empty() || has_winograd || plan.slots.iter().any(is_packed) {
        return plan;
    }
    let (bundles, wanted) = wanted_orders(&plan);
    let channels = wanted.iter().zip(&bundles).map(|(order, bundles)| match order.last() {
        Some(&last) if !is_identity(order) => bundles.extent(last),
        _ => 0,
    });
    insert_conversions(&mut plan, &bundles, &channels.collect::<Vec<usize>>());
    let (bundles, mut orders) = wanted_orders(&plan);
    for (slot, order) in orders.iter_mut().enumerate() {
        if !is_free(&plan.slots[slot].place) {
            *order = (0..order.len()).collect();
        }
    }
    keep_copies_alike(&plan, &bundles, &mut orders);
    let calls: Vec<Step> = plan.steps.clone();
    let mut rewritten: BTreeSet<KernelId> = BTreeSet::new();
    for step in &calls {
        let &Step::Call { kernel: id, ref slots } = step else { continue };
        let parameters: Vec<_> = plan.kernel(id).parameters().map(|(id, _)| id).collect();
        for (&slot, buffer) in slots.iter().zip(parameters) {
            let (bundles, order) = (&bundles[slot.0 as usize], &orders[slot.0 as usize]);
            if !is_identity(order) {
                let kernel = &mut plan.kernels[id.0 as usize];
                let axes = bundles.axes_in_order(&kernel.buffers[buffer.0 as usize].ty.shape, order);
                rewrite::permute(kernel, buffer, &axes);
                rewritten.insert(id);
            }
        }
    }
    for (index, order) in orders.iter().enumerate().filter(|(_, order)| !is_identity(order)) {
        let slot = &mut plan.slots[index];
        let axes = bundles[index].axes_in_order(&slot.ty.shape, order);
        slot.ty.shape = AxisOrder::new(&axes).in_memory(&slot.ty.shape);
        if let Place::State { order, .. } = &mut slot.place {
            *order = order.then(&axes);
        }
    }
    for id in rewritten {
        rewrite::order_loops(&mut plan.kernels[id.0 as usize]);
    }
    put_batches_last(&mut plan);
    plan
}

/// The bundles of each slot, and the order in which convolutions want them, whether the user sees the slot or not.
fn wanted_orders(plan: &Plan) -> (Vec<Bundles>, Vec<Vec<usize>>) {
    let bundles = bundles(plan);
    let kinds = kinds(plan, &bundles);
    let mut orders: Vec<Vec<usize>> =
        bundles.iter().zip(&kinds).map(|(bundles, kinds)| order(bundles, kinds)).collect();
    for slot in slots_of_loops(plan) {
        orders[slot.0 as usize].sort_unstable();
    }
    (bundles, orders)
}

/// The slots that loops touch, those of other calls of the kernels that they call, and all parts with their roots.
fn slots_of_loops(plan: &Plan) -> BTreeSet<SlotId> {
    let loops = || plan.steps.iter().filter(|step| matches!(step, Step::Loop { .. }));
    let in_loops = loops().flat_map(|step| flat_steps(std::slice::from_ref(step)));
    let called: BTreeSet<KernelId> = in_loops.filter_map(called_kernel).collect();
    let is_bound = |step: &&Step| {
        matches!(step, Step::Loop { .. })
            || called_kernel(step).is_some_and(|kernel| called.contains(&kernel))
    };
    let bound = plan.steps.iter().filter(is_bound);
    let parts = plan.slots_where(|place| matches!(place, Place::Part { .. })).map(|(id, _)| id);
    let slots = bound.flat_map(|step| plan.reads(step).into_iter().chain(plan.writes(step))).chain(parts);
    slots.flat_map(|slot| [slot, plan.root(slot)]).collect()
}

fn called_kernel(step: &Step) -> Option<KernelId> {
    if let Step::Call { kernel, .. } = step { Some(*kernel) } else { None }
}

/// Whether the order of a slot's axes is the compiler's to choose.
fn is_free(place: &Place) -> bool {
    matches!(place, Place::Unplaced | Place::State { .. })
}

fn is_identity(order: &[usize]) -> bool {
    order.iter().enumerate().all(|(at, &bundle)| at == bundle)
}

/// The order of a slot's bundles. Of a filter: groups, taps, input channels, output channels. Of an image: what is none of
/// these, places, channels.
fn order(bundles: &Bundles, kinds: &[Kind]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..bundles.len()).collect();
    let has = |kind: Kind| kinds.contains(&kind);
    if has(Kind::Tap) {
        order.sort_by_key(|&bundle| match kinds[bundle] {
            Kind::Tap => (1, bundle as i64),
            Kind::Channel => (2, -(bundle as i64)),
            _ => (0, bundle as i64),
        });
    } else if has(Kind::Place) {
        order.sort_by_key(|&bundle| match kinds[bundle] {
            Kind::Place => (1, bundle),
            Kind::Channel => (2, bundle),
            _ => (0, bundle),
        });
    }
    order
}

/// Slots that are copied to each other, and states with what they become, lie in one order: where the orders differ, both
/// are row-major.
fn keep_copies_alike(plan: &Plan, bundles: &[Bundles], orders: &mut [Vec<usize>]) {
    let copies = plan.steps.iter().filter_map(|step| match step {
        Step::Copy { from, to } => Some((*from, *to)),
        Step::Call { .. } | Step::Loop { .. } => None,
    });
    let pairs: Vec<(SlotId, SlotId)> = copies.chain(plan.updates.iter().copied()).collect();
    // A slot may be in several pairs.
    loop {
        let mut has_changed = false;
        for &(a, b) in &pairs {
            let axes = |slot: SlotId| {
                let index = slot.0 as usize;
                bundles[index].axes_in_order(&plan.slots[index].ty.shape, &orders[index])
            };
            let are_row_major = [a, b].iter().all(|slot| is_identity(&orders[slot.0 as usize]));
            if !are_row_major && (plan.slot(a).ty != plan.slot(b).ty || axes(a) != axes(b)) {
                for slot in [a, b] {
                    orders[slot.0 as usize].sort_unstable();
                }
                has_changed = true;
            }
        }
        if !has_changed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two convolutions, one after the other, and these steps.
    fn plan(steps: &str) -> Plan {
        let kernel = |name: &str| {
            format!(
                "kernel @{name}(%x: f32[2, 32, 9, 9], %w: f32[32, 32, 3, 3]) -> (%r: f32[2, 32, 9, 9]) {{
                   for n in 2, o in 32, i in 9, j in 9 {{
                     %0 = reduce add c in 32, k in 3, l in 3 {{
                       %1 = load %x[n, c, i + k - 1, j + l - 1] fill 0.0
                       %2 = load %w[o, c, k, l]
                       %3 = mul %1, %2
                       yield %3
                     }}
                     store %0, %r[n, o, i, j]
                   }}
                 }}"
            )
        };
        let source = format!(
            "plan @p {{
               slot %x : f32[2, 32, 9, 9] = input
               slot %u : f32[32, 32, 3, 3] = state uniform(-0.1, 0.1, 1)
               slot %v : f32[32, 32, 3, 3] = state uniform(-0.1, 0.1, 2)
               slot %h : f32[2, 32, 9, 9] = unplaced
               slot %y : f32[2, 32, 9, 9] = output
               {} {}
               steps {{ {steps} }}
             }}",
            kernel("first"),
            kernel("second")
        );
        ir::text::parse_plan(&source).unwrap_or_else(|error| panic!("{}", error.render(&source, "test")))
    }

    /// The slots of which the axes lie in another order afterwards.
    fn reordered(steps: &str) -> Vec<String> {
        let before = plan(steps);
        let after = layout(before.clone());
        let pairs = before.slots.iter().zip(&after.slots);
        pairs.filter(|(before, after)| before != after).map(|(slot, _)| slot.name.clone()).collect()
    }

    #[test]
    fn what_loops_touch_keeps_its_order() {
        let (first, second) = ("call @first(%x, %u, %h)", "call @second(%h, %v, %y)");
        assert_eq!(reordered(&format!("{first} {second}")), ["u", "v", "h"]);
        assert_eq!(reordered(&format!("{first} loop 2 {{ {second} }}")), ["u"], "the loop reads %h and %v");
        assert_eq!(reordered(&format!("loop 2 {{ {first} }} {second}")), ["v"]);
        let again = format!("{first} {second} loop 2 {{ call @second(%x, %v, %y) }}");
        assert_eq!(reordered(&again), ["u"], "the kernel of a loop stays as it is");
    }

    #[test]
    fn parts_and_what_they_are_of_keep_their_order() {
        let steps = "call @first(%x, %u, %h) call @second(%h, %v, %y)";
        let mut parts = plan(steps);
        let ty = ir::Type::new(ir::DType::F32, [32, 9, 9]);
        let place = Place::Part { of: SlotId(3), row: ir::Row::At(1) };
        parts.slots.push(Slot { name: "h.part".to_owned(), ty, place });
        let after = layout(parts.clone());
        assert_eq!(after.slots[3], parts.slots[3]);
        assert_ne!(after.slots[1], parts.slots[1]);
    }
}
