//! Carries as rows of a slot: an iteration reads one row and writes the next.

use ir::{Place, Plan, Row, Shape, Slot, SlotId, Step, Type};

use super::Carry;
use super::changes::{Changes, Ends};
use super::touches::Touches;

/// Lets the loop read and write the rows to which it copies the value, where there are such rows. Whether there are.
///
/// Rows of next values alone are enough where there are two or more: the value before the first iteration waits in the row that
/// is written last. Where rows of old values are wanted, a slot of one row more has all of them.
pub fn stack(plan: &Plan, touches: &Touches<'_>, changes: &mut Changes, carry: &Carry) -> bool {
    let copies = stacked_copies(plan, touches, changes, carry);
    let (count, reversed) = (carry.within.count, carry.within.reversed);
    let has_next_alone = copies.iter().all(|copy| !copy.is_old) && count > 1;
    if let Some(copy) = copies.first().filter(|_| has_next_alone) {
        let rows = match reversed {
            false => Rows { old: -1, next: 0, ends: (count - 1, count - 1) },
            true => Rows { old: 1, next: 0, ends: (0, 0) },
        };
        rows.put(plan, changes, carry, copy.whole);
        changes.host(copy.whole);
        changes.remove(copy.site);
        return true;
    }
    let is_mergeable = |copy: &&StackedCopy| plan.slot(copy.whole).place == Place::Unplaced;
    let copies: Vec<&StackedCopy> = copies.iter().filter(is_mergeable).collect();
    let Some(first) = copies.first() else { return false };
    let mut extents = plan.slot(first.whole).ty.shape.to_vec();
    extents[0] += 1;
    let rows = match reversed {
        false => Rows { old: 0, next: 1, ends: (0, count) },
        true => Rows { old: 1, next: 0, ends: (count, 0) },
    };
    let Some(stack) = new_stack(plan, changes, carry, &extents) else { return false };
    rows.put(plan, changes, carry, stack);
    for copy in copies {
        let shift = if copy.is_old { rows.old } else { rows.next };
        changes.place(copy.whole, Place::Part { of: stack, row: Row::At(shift as usize) });
        changes.remove(copy.site);
    }
    true
}

/// Gives the old value and the next one two rows, which they take in turns.
pub fn take_turns(plan: &Plan, changes: &mut Changes, carry: &Carry) {
    let extents = [&[2], &plan.slot(carry.old).ty.shape[..]].concat();
    let odd = carry.within.count % 2;
    let rows = match carry.within.reversed {
        false => Rows { old: 0, next: 1, ends: (0, odd) },
        true => Rows { old: 1, next: 0, ends: (odd, 0) },
    };
    if let Some(stack) = new_stack(plan, changes, carry, &extents) {
        rows.put(plan, changes, carry, stack);
    }
}

/// A slot of these extents for the values of a carry, unless it would be too large.
fn new_stack(plan: &Plan, changes: &mut Changes, carry: &Carry, extents: &[usize]) -> Option<SlotId> {
    let Slot { name, ty, .. } = plan.slot(carry.old);
    let ty = Type { dtype: ty.dtype, shape: Shape::new(extents) };
    let name = format!("{name}.rows");
    ty.is_within_limit().then(|| changes.push(Slot { name, ty, place: Place::Unplaced }))
}

/// The rows of a carry: in iteration `t`, row `t + old` has the old value, and `t + next` gets the next one.
struct Rows {
    old: i64,
    next: i64,
    /// The row of the value before the first iteration, and of that after the last.
    ends: (usize, usize),
}

impl Rows {
    /// Makes the values of a carry rows of a slot, and takes out the copy that hands one on.
    fn put(&self, plan: &Plan, changes: &mut Changes, carry: &Carry, stack: SlotId) {
        let row = |shift: i64| {
            let row = Row::Step { depth: carry.depth as u32, shift };
            Place::Part { of: stack, row }
        };
        changes.place(carry.old, row(self.old));
        changes.place(carry.next, row(self.next));
        let Slot { name, ty, .. } = plan.slot(carry.old).clone();
        let mut end = |what: &str, at: usize| {
            let place = Place::Part { of: stack, row: Row::At(at) };
            changes.push(Slot { name: format!("{name}.{what}"), ty: ty.clone(), place })
        };
        let (first, last) = (end("first", self.ends.0), end("last", self.ends.1));
        changes.split(carry.old, Ends { within: carry.within.sites.clone(), first, last });
        changes.remove(carry.site);
    }
}

/// A copy of the old or of the next value of a carry to row `t` of a slot.
struct StackedCopy {
    site: usize,
    /// The slot that has the row.
    whole: SlotId,
    /// Whether it is the old value.
    is_old: bool,
}

/// The copies of the values of a carry to slots that can be rows of one stack: with a row per iteration, which nothing else
/// writes, and nothing touches but what comes after the loop.
fn stacked_copies(plan: &Plan, touches: &Touches<'_>, changes: &Changes, carry: &Carry) -> Vec<StackedCopy> {
    let &Carry { ref within, depth, site: last, old, next } = carry;
    let reads = |slot: SlotId| touches.within(within, slot).iter().filter(|touch| !touch.is_write);
    let is_own_row = |whole: SlotId, copy: usize| {
        touches.of_root(whole).iter().all(|touch| match within.sites.contains(&touch.site) {
            true => touch.site == copy,
            false => !touch.is_write && touch.site >= within.sites.end,
        })
    };
    let stacked = |site: usize, value: SlotId| -> Option<StackedCopy> {
        let Step::Copy { from, to } = *touches.sites[site].step else { return None };
        let Place::Part { of: whole, row: Row::Step { depth: of_row, shift } } = plan.slot(to).place else {
            return None;
        };
        let slot = plan.slot(whole);
        let is_row_of_loop = touches.sites[site].loops == touches.sites[last].loops
            && of_row as usize == depth
            && plan.rows(whole) == within.count
            && shift.rem_euclid(within.count as i64) == 0;
        let is_fit = from == value
            && matches!(slot.place, Place::Unplaced | Place::Output)
            && changes.are_free(&[whole]);
        let is_final = value == old || touches.is_local_until(within, next, site);
        (is_row_of_loop && is_fit && is_final && is_own_row(whole, site)).then_some(StackedCopy {
            site,
            whole,
            is_old: value == old,
        })
    };
    let of_next = reads(next).filter_map(|touch| stacked(touch.site, next));
    let of_old = reads(old).filter_map(|touch| stacked(touch.site, old));
    of_next.chain(of_old).collect()
}
