//! Copies that transpose: what lies side by side in the source is far apart in the copy, and the other way round.
//!
//! In: a nest that copies elements of four bytes, along one axis of which the source is contiguous, the *depth*, and along
//! another the copy, the *columns*. Out: a function that does it in blocks, each on registers ([`crate::wide::pack`]). A
//! block is as deep as some cache lines of the source, so each line is read once; its columns are those of a vector, so
//! each line of the copy is written at once. Blocks of one depth follow each other over all columns, by which the copy is
//! written from its beginning to its end.
//!
//! The last block of a depth ends where the depth does, and does some of what the one before it has done once more. Chunks
//! are groups of blocks of all columns.

use cranelift_codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, Value, types};
use ir::{AxisId, StoreMode};

use crate::Target;
use crate::emit::Emitter;
use crate::emit::function::{Emitted, emit_function};
use crate::emit::loops::each;
use crate::nest::{Compute, Nest, Node, Place};
use crate::schedule::{chunk_iterations, total_work};
use crate::wide::Isa;
use crate::wide::pack::{PackSpec, emit_pack};

/// How a copy that transposes runs.
#[derive(Clone, Debug)]
pub struct TransposePlan<'a> {
    isa: Isa,
    from: &'a Place,
    to: &'a Place,
    /// The axes of neither, outermost first.
    outer: Vec<AxisId>,
    /// The axis along which the source is contiguous, and how much of it is a block.
    depth: AxisId,
    block: usize,
    /// The axis along which the copy is contiguous.
    column: AxisId,
}

/// All that is copied has four bytes per element.
const ELEMENT: i64 = 4;
/// The depth of a block, about: four cache lines of the source.
const BLOCK: usize = 64;
/// What transposing in registers works on: quarters of 128 bits.
const QUARTER: usize = 4;

/// Plans a copy that transposes; `None` where the nest is none, or the target has no wide code.
pub fn plan<'a>(nest: &'a Nest, target: &Target) -> Option<TransposePlan<'a>> {
    let isa = target.wide()?;
    let [Node::For { axes, sequential: false, body }] = nest.body.as_slice() else { return None };
    let [
        Node::Let { var, value: Compute::Load { place: from, .. } },
        Node::Store { value, place: to, mode: StoreMode::Set },
    ] = body.as_slice()
    else {
        return None;
    };
    let is_plain = |place: &Place| place.picks.is_empty() && place.bounds.is_empty();
    if value != var || nest.dtype(*var).size_bytes() != ELEMENT as usize || !is_plain(from) || !is_plain(to) {
        return None;
    }
    let along = |place: &Place| axes.iter().copied().find(|&axis| place.offset.coefficient(axis) == 1);
    let (depth, column) = (along(from)?, along(to)?);
    let is_far = |place: &Place, axis: AxisId| place.offset.coefficient(axis).unsigned_abs() > 1;
    let extent = nest.extent(depth);
    if !is_far(from, column) || !is_far(to, depth) || extent < QUARTER {
        return None;
    }
    let block = extent.div_ceil(extent.div_ceil(BLOCK)).next_multiple_of(QUARTER).min(extent);
    let outer = axes.iter().copied().filter(|&axis| axis != depth && axis != column).collect();
    let plan = TransposePlan { isa, from, to, outer, depth, block, column };
    plan.spec(isa.lanes()).is_packable().then_some(plan)
}

impl TransposePlan<'_> {
    /// A block of so many columns.
    fn spec(&self, columns: usize) -> PackSpec {
        PackSpec {
            columns,
            depth: self.block,
            column_step: self.from.offset.coefficient(self.column).saturating_mul(ELEMENT),
            depth_step: self.from.offset.coefficient(self.depth).saturating_mul(ELEMENT),
            panel_step: Some(self.to.offset.coefficient(self.depth).saturating_mul(ELEMENT)),
        }
    }
}

/// Emits the function of a copy that transposes.
pub fn emit(plan: &TransposePlan<'_>, nest: &Nest, target: &Target) -> Emitted {
    let blocks = nest.extent(plan.depth).div_ceil(plan.block);
    let outer: usize = plan.outer.iter().map(|&axis| nest.extent(axis)).product();
    let items = outer * blocks;
    let size = chunk_iterations(items, total_work(nest, &nest.body), 1);
    emit_function(nest, target, |emitter, call| {
        let from = emitter.b.ins().imul_imm_s(call.begin, size as i64);
        let to = emitter.b.ins().imul_imm_s(call.end, size as i64);
        let count = emitter.b.ins().iconst(types::I64, items as i64);
        let to = emitter.b.ins().smin(to, count);
        each(emitter, from, to, &mut |emitter, item| {
            let count = emitter.b.ins().iconst(types::I64, blocks as i64);
            let outer = emitter.b.ins().udiv(item, count);
            let block = emitter.b.ins().urem(item, count);
            emitter.at_point(&plan.outer, outer, &mut |emitter| emit_blocks(emitter, plan, block));
        });
        items.div_ceil(size)
    })
}

/// The blocks of this number along the depth: all columns.
fn emit_blocks(emitter: &mut Emitter<'_, '_>, plan: &TransposePlan<'_>, block: Value) {
    let (depth, columns) = (emitter.nest().extent(plan.depth), emitter.nest().extent(plan.column));
    let lanes = plan.isa.lanes();
    let start = emitter.b.ins().imul_imm_s(block, plan.block as i64);
    let last = emitter.b.ins().iconst(types::I64, (depth - plan.block) as i64);
    let start = emitter.b.ins().smin(start, last);
    let whole = plan.spec(lanes);
    let addresses = [(plan.from, whole.depth_step), (plan.to, whole.panel_step.expect("it has one"))];
    let [from, to] = addresses.map(|(place, step)| {
        let address = emitter.base_address(place);
        let offset = emitter.b.ins().imul_imm_s(start, step);
        emitter.b.ins().iadd(address, offset)
    });
    let call = |emitter: &mut Emitter<'_, '_>, group: Value, columns: usize| {
        let steps = [(from, whole.column_step * lanes as i64), (to, ELEMENT * lanes as i64)];
        let frame = emitter.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 16, 3));
        for (word, (address, step)) in steps.into_iter().enumerate() {
            let offset = emitter.b.ins().imul_imm_s(group, step);
            let address = emitter.b.ins().iadd(address, offset);
            emitter.b.ins().stack_store(types::I64, address, frame, 8 * word as i32);
        }
        let frame = emitter.b.ins().stack_addr(types::I64, frame, 0);
        emitter.call_wide(emit_pack(plan.isa, &plan.spec(columns)), frame);
    };
    let [first, groups] = [0, columns / lanes].map(|at| emitter.b.ins().iconst(types::I64, at as i64));
    if columns >= lanes {
        each(emitter, first, groups, &mut |emitter, group| call(emitter, group, lanes));
    }
    if !columns.is_multiple_of(lanes) {
        call(emitter, groups, columns % lanes);
    }
}
