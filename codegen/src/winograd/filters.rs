//! Filters that are transformed in the kernel that multiplies with them.
//!
//! For a panel of output channels and a block of channels, at the six points `6*row + h` of a row:
//! `made[h, c, l] = sum over t of weights[6*row + h, t] * w[t, c, panel*p + l]`, which is multiplied with right away, while it is
//! in the second level of cache; so are the filters, for the next row. Sums wait in memory for the next block of channels.
//! What is made has the bits of filters that a step of the plan transforms, and what is summed those of a sum over all channels.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use ir::winograd::{POINTS, PRODUCTS};
use smallvec::smallvec;

use super::emit::{Scratch, Sizes};
use super::products::{Depth, Products, sums_at};
use super::steps::{at, buffer, call, number};
use super::{Filters, WinogradPlan};
use crate::emit::Emitter;
use crate::emit::loops::each;
use crate::wide::filters::{FilterSpec, emit_filters};
use crate::wide::tile::sums::{SUMS_ARE_WAITING, SUMS_WAIT_AGAIN};

/// A convolution that transforms its filters.
pub struct Made<'a> {
    pub plan: &'a WinogradPlan<'a>,
    pub sizes: &'a Sizes,
    pub scratch: &'a Scratch,
}

/// The channels of a block, all blocks being as large.
fn channels_of_block(plan: &WinogradPlan<'_>) -> usize {
    /// What filters and what is made of them at six points take of the cache beside factors and sums.
    const BYTES: usize = 256 << 10;
    let per_channel = 4 * plan.panel * (9 + POINTS);
    let fewest = (plan.channels * per_channel).div_ceil(BYTES);
    let blocks = (fewest..=plan.channels).find(|&blocks| plan.channels.is_multiple_of(blocks));
    plan.channels / blocks.unwrap_or(1)
}

/// From a point to the next in what is made, in bytes. A line of the cache in between keeps the points from sharing the sets of
/// caches.
fn point_bytes(plan: &WinogradPlan<'_>) -> i64 {
    4 * (channels_of_block(plan) * plan.panel) as i64 + 64
}

/// The size of what is made, in bytes.
pub fn made_bytes(plan: &WinogradPlan<'_>) -> i64 {
    match plan.filters {
        Filters::Transformed(_) => 0,
        Filters::Taps { .. } => POINTS as i64 * point_bytes(plan),
    }
}

/// The size of the sums of a panel that wait, in bytes: `[36, parts of a panel, register tiles]`.
pub fn waiting_bytes(plan: &WinogradPlan<'_>, sizes: &Sizes) -> i64 {
    match plan.filters {
        Filters::Taps { .. } if channels_of_block(plan) < plan.channels => {
            PRODUCTS as i64 * point_waiting_bytes(plan, sizes)
        }
        _ => 0,
    }
}

/// The sums of a panel at a point.
fn point_waiting_bytes(plan: &WinogradPlan<'_>, sizes: &Sizes) -> i64 {
    (plan.panel / sizes.tile.1) as i64 * part_waiting_bytes(plan, sizes)
}

/// The sums of the columns of a register tile at a point.
fn part_waiting_bytes(plan: &WinogradPlan<'_>, sizes: &Sizes) -> i64 {
    let (rows, columns) = sizes.tile;
    let tiles = (plan.block * plan.horizontal.tiles()).next_multiple_of(rows);
    4 * (tiles * columns) as i64
}

impl Made<'_> {
    /// Multiplies the factors of so many tiles with a panel of filters.
    pub fn multiply(&self, emitter: &mut Emitter<'_, '_>, tiles: Value, panel: Value) {
        let plan = self.plan;
        let channels = channels_of_block(plan);
        let blocks = plan.channels / channels;
        let depth = Depth { channels, lines_ahead: 0, is_blocked: blocks > 1 };
        let products = Products::new(emitter, plan, self.sizes, &depth, tiles);
        let [none, count] = [0, blocks].map(|at| number(emitter, at));
        each(emitter, none, count, &mut |emitter, block| {
            let channel = emitter.b.ins().imul_imm_s(block, channels as i64);
            let becomes = (blocks > 1).then(|| becomes(emitter, block, blocks));
            let ahead = self.ahead(emitter, block, blocks);
            for row in 0..POINTS {
                self.transform(emitter, (panel, channel, ahead), row);
                self.multiply_row(emitter, &products, (panel, channel, row), becomes);
            }
        });
    }

    /// How far it is from the filters of a block, of so many, to those that are wanted next, in bytes: the next block's, and in the
    /// end those of the next panel.
    fn ahead(&self, emitter: &mut Emitter<'_, '_>, block: Value, blocks: usize) -> Value {
        let Filters::Taps { channel, .. } = self.plan.filters else { return block };
        let next = channels_of_block(self.plan) as i64 * channel;
        let next_panel = 4 * self.plan.panel as i64 - (blocks as i64 - 1) * next;
        let [next, next_panel] = [next, next_panel].map(|bytes| emitter.b.ins().iconst(types::I64, bytes));
        let is_last = emitter.b.ins().icmp_imm_s(IntCC::Equal, block, blocks as i64 - 1);
        emitter.b.ins().select(is_last, next_panel, next)
    }

    /// Transforms a block of channels of a panel at a row of points.
    fn transform(
        &self,
        emitter: &mut Emitter<'_, '_>,
        (panel, first_channel, ahead): (Value, Value, Value),
        row: usize,
    ) {
        let plan = self.plan;
        let Filters::Taps { tap, channel } = plan.filters else { return };
        let spec = FilterSpec {
            row,
            is_backwards: plan.vertical.is_backwards,
            tap_step: tap,
            output_step: point_bytes(plan),
            vectors: plan.panel / plan.isa.lanes(),
            channels: channels_of_block(plan),
            channel_steps: (channel, 4 * plan.panel as i64),
        };
        let filters = buffer(emitter, plan.contraction.right.buffer);
        let filters = at(emitter, filters, panel, 4 * plan.panel as i64);
        let filters = at(emitter, filters, first_channel, channel);
        call(emitter, emit_filters(plan.isa, &spec), &[filters, self.scratch.made, ahead]);
    }

    /// Multiplies with them.
    fn multiply_row(
        &self,
        emitter: &mut Emitter<'_, '_>,
        products: &Products<'_>,
        (panel, first_channel, row): (Value, Value, usize),
        becomes: Option<Value>,
    ) {
        let Made { plan, sizes, scratch } = *self;
        let [none, points] = [0, POINTS].map(|at| number(emitter, at));
        each(emitter, none, points, &mut |emitter, column| {
            let point = emitter.b.ins().iadd_imm_s(column, (row * POINTS) as i64);
            let factors = at(emitter, scratch.factors, point, sizes.factors);
            let factors = at(emitter, factors, first_channel, 4);
            let filters = at(emitter, scratch.made, column, point_bytes(plan));
            let sums = sums_at(emitter, plan, sizes, scratch, (point, panel));
            let waiting = at(emitter, scratch.waiting, point, point_waiting_bytes(plan, sizes));
            let words = |emitter: &mut Emitter<'_, '_>, part: Value| match becomes {
                None => smallvec![],
                Some(becomes) => {
                    smallvec![at(emitter, waiting, part, part_waiting_bytes(plan, sizes)), becomes]
                }
            };
            products.of_panel(emitter, (factors, filters), &words, sums);
        });
    }
}

/// What becomes of sums before and after a block of channels, of so many.
fn becomes(emitter: &mut Emitter<'_, '_>, block: Value, blocks: usize) -> Value {
    let ins = &mut emitter.b;
    let [none, first, again] =
        [0, SUMS_ARE_WAITING, SUMS_WAIT_AGAIN].map(|bits| ins.ins().iconst(types::I64, bits));
    let is_first = ins.ins().icmp_imm_s(IntCC::Equal, block, 0);
    let before = ins.ins().select(is_first, none, first);
    let is_last = ins.ins().icmp_imm_s(IntCC::Equal, block, blocks as i64 - 1);
    let after = ins.ins().select(is_last, none, again);
    ins.ins().bor(before, after)
}
