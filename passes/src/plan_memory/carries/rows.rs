//! Rows that are written by what computes them.

use ir::{Alias, Place, Plan, Row, SlotId, Step};

use super::changes::Changes;
use super::touches::Touches;

/// Removes each copy of a value that an iteration computes to a row that its loop chooses: the value is computed in the row to
/// begin with.
pub fn write_rows_directly(plan: &Plan, touches: &Touches<'_>, changes: &mut Changes) {
    for site in 0..touches.sites.len() {
        if let Some((value, row)) = direct_row(plan, touches, changes, site) {
            changes.rename(value, row);
            changes.remove(site);
        }
    }
}

/// The value and the row of a copy that is not needed.
fn direct_row(
    plan: &Plan,
    touches: &Touches<'_>,
    changes: &Changes,
    site: usize,
) -> Option<(SlotId, SlotId)> {
    let copy = &touches.sites[site];
    let &Step::Copy { from: value, to: row } = copy.step else { return None };
    let within = &touches.loops[*copy.loops.last()?];
    let root = plan.root(row);
    let counts = |&part: &SlotId| matches!(plan.slot(part).place, Place::Part { row: Row::Step { .. }, .. });
    let chain = plan.chain(row);
    let (a, b) = (&plan.slot(value).ty, &plan.slot(row).ty);
    let is_fit = !copy.is_prepare
        && plan.slot(value).place == Place::Unplaced
        && chain.iter().any(counts)
        && a.dtype == b.dtype
        && a.shape.elements() == b.shape.elements()
        && (plan.rows(value) == plan.rows(row) || !changes.has_parts(value))
        && changes.may_be_renamed(value)
        && chain.iter().all(|&slot| changes.are_free(&[slot]));
    let is_apart = |slot: SlotId| plan.alias(slot, row) == Alias::No;
    let is_own_row =
        touches.within(within, root).iter().all(|touch| touch.site == site || is_apart(touch.slot));
    (is_fit && is_own_row && touches.is_local_until(within, value, site)).then_some((value, row))
}
