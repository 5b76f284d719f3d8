//! Carries of loops, without the copies that they come with.
//!
//! A loop that hands a value on copies it at the end of each iteration: `copy %h.next -> %h`. Where it is safe, the value is
//! written where the next iteration reads it, in the first of these ways that there is:
//!
//! - *Stacked* (`stacks`). The loop also copies the value, before or after the step, to rows of a slot: `copy %h.next -> %y.t`.
//!   That slot gets one more row, for the value before the first iteration, and each iteration reads one row and writes the
//!   next: there is no copy at all.
//! - *In place.* The call that writes the next value may write it over the old one ([`ir::in_place`]), which nothing reads
//!   afterwards.
//! - *Ping-pong* (`stacks`). The two values take turns in two rows.
//!
//! Then `rows`: a value that is copied to a row is written there to begin with.
//!
//! In and out: a plan of stage `kernels`. What is safe follows from where else slots are touched (`touches`). Each slot is part
//! of one change at most, so changes are found one by one and made together.

mod changes;
mod rows;
mod stacks;
mod touches;

use std::collections::BTreeSet;

use ir::in_place::Call;
use ir::{Place, Plan, SlotId, Step};

use changes::Changes;
use touches::{Repeated, Touches};

/// Takes the copies of carries out of the loops of a plan.
pub fn carry_without_copies(plan: Plan) -> Plan {
    let touches = Touches::of(&plan);
    if touches.loops.is_empty() {
        return plan;
    }
    let mut changes = Changes::new(&plan);
    for carry in carries(&plan, &touches) {
        if !changes.are_free(&[carry.old, carry.next]) {
            continue;
        }
        let is_changed = stacks::stack(&plan, &touches, &mut changes, &carry)
            || write_over(&plan, &touches, &mut changes, &carry);
        if !is_changed {
            stacks::take_turns(&plan, &mut changes, &carry);
        }
    }
    rows::write_rows_directly(&plan, &touches, &mut changes);
    drop(touches);
    changes.apply(plan)
}

/// The slots that loops hand from one iteration to the next.
pub fn carried_slots(plan: &Plan) -> BTreeSet<SlotId> {
    carries(plan, &Touches::of(plan)).into_iter().map(|carry| carry.old).collect()
}

/// A copy that ends what an iteration does with a value, and hands the next value on.
struct Carry {
    within: Repeated,
    /// How many loops are around that loop.
    depth: usize,
    /// The copy.
    site: usize,
    /// What an iteration reads, the value of the iteration before.
    old: SlotId,
    /// What it computes.
    next: SlotId,
}

fn carries(plan: &Plan, touches: &Touches<'_>) -> Vec<Carry> {
    (0..touches.sites.len()).filter_map(|site| carry(plan, touches, site)).collect()
}

/// The carry that a copy is.
fn carry(plan: &Plan, touches: &Touches<'_>, site: usize) -> Option<Carry> {
    let copy = &touches.sites[site];
    let &Step::Copy { from: next, to: old } = copy.step else { return None };
    let within = &touches.loops[*copy.loops.last()?];
    let depth = copy.loops.len() - 1;
    let (a, b) = (plan.slot(old), plan.slot(next));
    let is_fit = !copy.is_prepare
        && a.place == Place::Unplaced
        && b.place == Place::Unplaced
        && a.ty.dtype == b.ty.dtype
        && a.ty.shape.elements() == b.ty.shape.elements()
        && a.ty.size_bytes() > 0;
    let is_carried = is_read_then_copied(touches, within, old, site);
    // Around the loop the old value is written before, in each iteration of what is around, and only read behind.
    let is_kept = touches.homes[old.0 as usize] == depth
        && touches.of_root(old).iter().all(|touch| {
            let is_inside = within.sites.contains(&touch.site);
            let is_before = touch.site < within.sites.end;
            is_inside || touch.slot == old && (is_before || !touch.is_write)
        });
    let is_computed = touches.is_local_until(within, next, site);
    let carry = Carry { within: within.clone(), depth, site, old, next };
    (is_fit && is_carried && is_kept && is_computed).then_some(carry)
}

/// Whether all that a loop does with a slot is to read it, and then to copy something to it, here.
fn is_read_then_copied(touches: &Touches<'_>, within: &Repeated, slot: SlotId, copy: usize) -> bool {
    let inside = touches.within(within, slot);
    inside.len() > 1
        && inside.iter().all(|touch| match touch.is_write {
            true => touch.site == copy && touch.slot == slot,
            false => touch.site < copy,
        })
}

/// Lets the call that writes the next value write it over the old one, where that may be.
fn write_over(plan: &Plan, touches: &Touches<'_>, changes: &mut Changes, carry: &Carry) -> bool {
    let &Carry { ref within, site, old, next, .. } = carry;
    let of_next = touches.within(within, next);
    let mut writes = of_next.iter().filter(|touch| touch.is_write);
    let (Some(write), None) = (writes.next(), writes.next()) else { return false };
    let of_old = touches.within(within, old);
    let are_whole =
        of_next.iter().all(|touch| touch.slot == next) && of_old.iter().all(|touch| touch.slot == old);
    let is_read_before = of_old.iter().all(|touch| touch.is_write || touch.site <= write.site);
    let writer = &touches.sites[write.site];
    let is_once = writer.loops == touches.sites[site].loops;
    let may_be = are_whole
        && is_read_before
        && is_once
        && Call::of(plan, writer.step).is_some_and(|call| call.may_write_over(old, next));
    if may_be {
        changes.rename(next, old);
        changes.remove(site);
    }
    may_be
}
