//! Products whose result is large and whose sums are short, as the gradients of dense layers' weights are: what takes time is
//! the memory of the result and of what the epilogue reads beside it, such as the weights and their moments.
//!
//! Each row of tiles is done for all panels before the next, so all of that is read and written in long runs. The right operand
//! is read in place from the second level of cache, once per row of tiles.

use cranelift_codegen::ir::InstBuilder;
use ir::AxisId;

use super::ContractionPlan;
use super::blocks::ELEMENT;
use super::emit::{Part, Scratch, emit_panels};
use super::recognise::Contraction;
use crate::Target;
use crate::emit::Emitter;
use crate::emit::loops::steps;

/// The longest sums: two vectors are multiplied and added per cycle, and memory brings, and takes, an element of a result with
/// an update in about two.
const MOST_DEPTH: usize = 64;
/// Rows of a result that are shorter, in bytes, follow each other closely enough in any order.
const LONG_ROW: usize = 4096;

/// Whether this order pays for a product of these rows, columns and depth.
pub fn has_rows_first(
    contraction: &Contraction<'_>,
    depth_axis: Option<AxisId>,
    (rows, columns, depth): (usize, usize, usize),
    target: &Target,
) -> bool {
    let step = |axis: AxisId| contraction.right.offset.coefficient(axis);
    let right_bytes =
        depth_axis.map_or(1, |axis| step(axis).unsigned_abs() as usize).max(columns) * depth * ELEMENT;
    step(contraction.column) == 1
        && depth <= MOST_DEPTH
        && columns * ELEMENT >= LONG_ROW
        && right_bytes <= target.l2_bytes / 2
        && rows * columns * ELEMENT > target.l2_bytes
}

/// The rows of tiles of a part, one after the other.
pub fn emit_rows_first(
    emitter: &mut Emitter<'_, '_>,
    plan: &ContractionPlan<'_>,
    scratch: Scratch,
    part: Part,
) {
    let height = plan.tile_rows as i64;
    let rest = steps(emitter, part.rows.0, part.rows.1, height, &mut |emitter, row| {
        let end = emitter.b.ins().iadd_imm_s(row, height);
        emit_panels(emitter, plan, scratch, Part { rows: (row, end), ..part });
    });
    if !plan.rows.is_multiple_of(plan.tile_rows) {
        emit_panels(emitter, plan, scratch, Part { rows: (rest, part.rows.1), ..part });
    }
}
