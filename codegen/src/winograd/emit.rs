//! The steps of Winograd's convolution, as calls of wide code.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use ir::winograd::{self, OUTPUTS, POINTS, PRODUCTS};

use super::filters::{Made, made_bytes, waiting_bytes};
use super::products::{Depth, Products, sums_at};
use super::redo::{choose, clear};
use super::steps::{
    at, buffer, call, each_block, each_row, finish, lines, number, register_tile, store_matrix,
    transform_at_points, zero,
};
use super::{Chunk, Filters, WinogradPlan};
use crate::Target;
use crate::contraction::parts::{emit_panel_at_lines, scratch_bytes};
use crate::emit::Emitter;
use crate::emit::function::{Call, Emitted, emit_function};
use crate::emit::loops::each;
use crate::emit::strips::StripBuilder;
use crate::nest::Nest;
use crate::wide::tile::LINE;
use crate::wide::tile::depth::{Count, Level, UNROLL};
use crate::wide::transform::{Matrix, TransformSpec, emit_transform};

/// Sizes of what lies between the steps, in bytes.
pub struct Sizes {
    /// A place of the image: its channels.
    pub place: i64,
    /// The sums of a place.
    pub sums: i64,
    /// The places of an image's line that tiles read.
    places: usize,
    /// The places that tiles read in a line, zeros included.
    padded: usize,
    /// Rows and columns of a register tile of products.
    pub tile: (usize, usize),
    /// The factors of a block at one point: tiles by channels.
    pub factors: i64,
    /// The sums of a block at one point: tiles by output channels.
    pub products: i64,
    /// The transformed filters of a panel.
    panel: i64,
}

impl Sizes {
    fn new(plan: &WinogradPlan<'_>) -> Sizes {
        let horizontal = &plan.horizontal;
        let padded = horizontal.tiles() * OUTPUTS + POINTS - OUTPUTS;
        let (most_rows, columns) = register_tile(plan.isa, plan.panel);
        let tiles = plan.block * horizontal.tiles();
        let tile = (rows_for(tiles, most_rows, columns / plan.isa.lanes()), columns);
        let tiles = tiles.next_multiple_of(tile.0);
        // A line of the cache in between keeps the points from sharing the sets of caches.
        let plane = |channels: usize| (tiles * channels * 4).next_multiple_of(64) as i64 + 64;
        Sizes {
            place: 4 * plan.channels as i64,
            sums: 4 * plan.columns as i64,
            places: horizontal.inputs.min(padded - horizontal.pad),
            padded,
            tile,
            factors: plane(plan.channels),
            products: plane(plan.columns),
            panel: 4 * (plan.channels * plan.panel) as i64,
        }
    }

    /// From a transformed line to the next.
    fn line(&self) -> i64 {
        self.padded as i64 * self.place
    }
}

/// The rows of register tiles of so many vectors that multiply a block of tiles in the least time: the last one may have rows that
/// are no tiles.
fn rows_for(tiles: usize, most_rows: usize, vectors: usize) -> usize {
    /// Multiply-adds in the time that a step of the depth takes beside them.
    const PER_STEP: usize = 2;
    /// Fewer sums wait for each other.
    const FEWEST_SUMS: usize = 12;
    let fewest = FEWEST_SUMS.div_ceil(vectors).min(most_rows);
    let time = |rows: &usize| tiles.div_ceil(*rows) * (rows * vectors + PER_STEP);
    (fewest..=most_rows).rev().min_by_key(time).unwrap_or(most_rows)
}

/// Memory of this thread.
pub struct Scratch {
    /// A line of zeros.
    zeros: Value,
    /// The lines of a row of tiles, transformed along the columns: `[6, places, channels]`.
    lines: Value,
    /// The factors of a block: `[36, tiles, channels]`.
    pub factors: Value,
    /// The sums of a block: `[36, tiles, columns]`.
    pub products: Value,
    /// The sums of a row of tiles, transformed along the rows: `[places, 6, columns]`.
    sums: Value,
    /// The matrix of the last transform.
    matrix: Value,
    /// The greatest magnitudes of sums.
    greatest: Value,
    /// A panel of filters that are not transformed.
    packed: Value,
    /// Filters that are transformed here, see [`filters`](super::filters).
    pub made: Value,
    /// Sums that wait for the next block of channels.
    pub waiting: Value,
}

/// The part of a result that is computed.
#[derive(Clone, Copy)]
struct Part {
    /// The first row of tiles and the end.
    rows: (Value, Value),
    /// The first panel of output channels and the end.
    panels: (Value, Value),
}

/// Emits the function of a convolution.
pub fn emit(plan: &WinogradPlan<'_>, nest: &Nest, target: &Target) -> Emitted {
    emit_function(nest, target, |emitter, call| {
        let sizes = Sizes::new(plan);
        let scratch = take_scratch(emitter, call, plan, &sizes);
        emitter.nodes(plan.contraction.prelude);
        start(emitter, plan, &sizes, &scratch);
        let (rows, panels) = (plan.rows_of_tiles(nest), plan.columns / plan.panel);
        let [none, all_rows, all_panels] = [0, rows, panels].map(|at| number(emitter, at));
        let (part, chunks) = match plan.chunk {
            Chunk::Rows(size) => {
                let [from, to] =
                    [call.begin, call.end].map(|chunk| emitter.b.ins().imul_imm_s(chunk, size as i64));
                let to = emitter.b.ins().smin(to, all_rows);
                (Part { rows: (from, to), panels: (none, all_panels) }, rows.div_ceil(size))
            }
            Chunk::Panel => (Part { rows: (none, all_rows), panels: (call.begin, call.end) }, panels),
        };
        each_block(emitter, part.rows, plan.block, &mut |emitter, from, to| {
            emit_block(emitter, plan, &sizes, &scratch, Part { rows: (from, to), ..part });
        });
        chunks
    })
}

fn take_scratch(
    emitter: &mut Emitter<'_, '_>,
    call: &mut Call,
    plan: &WinogradPlan<'_>,
    sizes: &Sizes,
) -> Scratch {
    let outputs = plan.horizontal.tiles() * OUTPUTS;
    let mut take = |bytes: i64| call.take_scratch(emitter, bytes as usize);
    Scratch {
        zeros: take(sizes.places as i64 * sizes.place),
        lines: take(POINTS as i64 * sizes.line()),
        factors: take(PRODUCTS as i64 * sizes.factors),
        products: take(PRODUCTS as i64 * sizes.products),
        sums: take((outputs * POINTS) as i64 * sizes.sums),
        matrix: take((OUTPUTS * POINTS * 4) as i64),
        greatest: take(plan.isa.vector_bytes() as i64),
        packed: take(scratch_bytes(&plan.direct) as i64),
        made: take(made_bytes(plan)),
        waiting: take(waiting_bytes(plan, sizes)),
    }
}

/// Writes what stays the same: zeros around images, and the matrix of the last transform.
fn start(emitter: &mut Emitter<'_, '_>, plan: &WinogradPlan<'_>, sizes: &Sizes, scratch: &Scratch) {
    zero(emitter, scratch.zeros, 0, sizes.places as i64 * sizes.place);
    for point in 0..POINTS as i64 {
        let line = point * sizes.line();
        let first = line + plan.horizontal.pad as i64 * sizes.place;
        zero(emitter, scratch.lines, line, first - line);
        let end = first + sizes.places as i64 * sizes.place;
        zero(emitter, scratch.lines, end, line + sizes.line() - end);
    }
    store_matrix(emitter, scratch.matrix, winograd::OUTPUT.iter().flatten());
}

/// A part with no more rows of tiles than a block has.
fn emit_block(
    emitter: &mut Emitter<'_, '_>,
    plan: &WinogradPlan<'_>,
    sizes: &Sizes,
    scratch: &Scratch,
    part: Part,
) {
    let sizes_of_rows = (plan.vertical.tiles(), plan.horizontal.tiles());
    each_row(emitter, &plan.images, sizes_of_rows, part.rows, &mut |emitter, line, first_tile| {
        transform_lines(emitter, plan, sizes, scratch, line);
        transform_places(emitter, plan, sizes, scratch, first_tile);
    });
    let rows = emitter.b.ins().isub(part.rows.1, part.rows.0);
    let tiles = emitter.b.ins().imul_imm_s(rows, sizes_of_rows.1 as i64);
    multiply(emitter, plan, sizes, scratch, (tiles, part.panels));
    each_row(emitter, &plan.images, sizes_of_rows, part.rows, &mut |emitter, line, first_tile| {
        clear(emitter, plan.isa, scratch.greatest);
        each(emitter, part.panels.0, part.panels.1, &mut |emitter, panel| {
            transform_sums(emitter, plan, sizes, scratch, (first_tile, panel));
        });
        choose(
            emitter,
            plan.isa,
            scratch.greatest,
            &mut |emitter| finish_lines(emitter, plan, sizes, scratch, (line, part.panels)),
            &mut |emitter| compute_lines(emitter, plan, sizes, scratch, (line, part.panels)),
        );
    });
}

/// Computes the lines of a row of tiles, from line `line` on, as sums of products.
fn compute_lines(
    emitter: &mut Emitter<'_, '_>,
    plan: &WinogradPlan<'_>,
    sizes: &Sizes,
    scratch: &Scratch,
    (line, panels): (Value, (Value, Value)),
) {
    let (vertical, horizontal) = (&plan.vertical, &plan.horizontal);
    let [none, places, all_lines] = [0, horizontal.outputs, vertical.outputs].map(|at| number(emitter, at));
    let end = emitter.b.ins().iadd_imm_s(line, OUTPUTS as i64);
    let end = emitter.b.ins().smin(end, all_lines);
    let [first_part, last_part] = parts(emitter, plan, sizes, panels);
    each(emitter, first_part, last_part, &mut |emitter, part| {
        let panel = (scratch.packed, part);
        emit_panel_at_lines(emitter, &plan.direct, panel, (none, places), &|emitter, body| {
            each(emitter, line, end, &mut |emitter, line| emitter.at_point(&[vertical.axis], line, body));
        });
    });
}

/// The columns of register tiles that panels are made of: the first and the end.
fn parts(
    emitter: &mut Emitter<'_, '_>,
    plan: &WinogradPlan<'_>,
    sizes: &Sizes,
    panels: (Value, Value),
) -> [Value; 2] {
    let (_, columns) = sizes.tile;
    [panels.0, panels.1].map(|panel| emitter.b.ins().imul_imm_s(panel, (plan.panel / columns) as i64))
}

/// Transforms the six lines that the tiles of a row read, whose first output is on line `line` of the image that is open, along
/// the columns.
fn transform_lines(
    emitter: &mut Emitter<'_, '_>,
    plan: &WinogradPlan<'_>,
    sizes: &Sizes,
    scratch: &Scratch,
    line: Value,
) {
    let (vertical, horizontal) = (&plan.vertical, &plan.horizontal);
    let origin = emitter.base_address(plan.contraction.left);
    let back = 4 * (vertical.first * vertical.step + horizontal.first * horizontal.step);
    let origin = emitter.b.ins().iadd_imm_s(origin, -back);
    let first = emitter.b.ins().iadd_imm_s(line, -(vertical.pad as i64));
    let mut words = lines(emitter, (vertical.inputs, vertical.step), (origin, scratch.zeros), first, POINTS);
    words.push(emitter.b.ins().iadd_imm_s(scratch.lines, horizontal.pad as i64 * sizes.place));
    let spec = TransformSpec {
        matrix: Matrix::Input,
        input_step: None,
        output_step: sizes.line(),
        vectors: sizes.places * plan.channels / plan.isa.lanes(),
        runs: 1,
        run_steps: (0, 0),
    };
    call(emitter, emit_transform(plan.isa, &spec), &words);
}

/// Transforms the lines along the rows, to the factors of tiles from `first_tile` on.
fn transform_places(
    emitter: &mut Emitter<'_, '_>,
    plan: &WinogradPlan<'_>,
    sizes: &Sizes,
    scratch: &Scratch,
    first_tile: Value,
) {
    let spec = TransformSpec {
        matrix: Matrix::Input,
        input_step: Some(sizes.place),
        output_step: sizes.factors,
        vectors: plan.channels / plan.isa.lanes(),
        runs: plan.horizontal.tiles(),
        run_steps: (OUTPUTS as i64 * sizes.place, sizes.place),
    };
    let first = at(emitter, scratch.factors, first_tile, sizes.place);
    let (from, to) = ((scratch.lines, sizes.line()), (first, POINTS as i64 * sizes.factors));
    transform_at_points(emitter, plan.isa, &spec, from, to, None);
}

/// Multiplies the factors of so many tiles with the filters, at each of the 36 points.
fn multiply(
    emitter: &mut Emitter<'_, '_>,
    plan: &WinogradPlan<'_>,
    sizes: &Sizes,
    scratch: &Scratch,
    (tiles, (first_panel, end)): (Value, (Value, Value)),
) {
    let filters = match plan.filters {
        Filters::Transformed(filters) => buffer(emitter, filters),
        Filters::Taps { .. } => {
            let made = Made { plan, sizes, scratch };
            return each(emitter, first_panel, end, &mut |emitter, panel| {
                made.multiply(emitter, tiles, panel)
            });
        }
    };
    let lines_ahead = lines_ahead(plan, sizes);
    let depth = Depth { channels: plan.channels, lines_ahead, is_blocked: false };
    let products = Products::new(emitter, plan, sizes, &depth, tiles);
    let panels = plan.columns / plan.panel;
    let [none, points] = [0, PRODUCTS].map(|at| number(emitter, at));
    // The panel that follows lies behind this one; that after the last is the first at the next point.
    let last = emitter.b.ins().iadd_imm_s(end, -1);
    let back = emitter.b.ins().isub(first_panel, last);
    let to_first = emitter.b.ins().iadd_imm_s(back, panels as i64);
    let to_first = emitter.b.ins().imul_imm_s(to_first, sizes.panel);
    let to_next = number(emitter, sizes.panel as usize);
    each(emitter, none, points, &mut |emitter, point| {
        let right = at(emitter, filters, point, panels as i64 * sizes.panel);
        each(emitter, first_panel, end, &mut |emitter, panel| {
            let is_last = emitter.b.ins().icmp(IntCC::Equal, panel, last);
            let ahead = emitter.b.ins().select(is_last, to_first, to_next);
            let ahead = (lines_ahead > 0).then_some(ahead);
            let right = at(emitter, right, panel, sizes.panel);
            let left = at(emitter, scratch.factors, point, sizes.factors);
            let sums = sums_at(emitter, plan, sizes, scratch, (point, panel));
            products.of_panel(emitter, (left, right), &|_, _| ahead.into_iter().collect(), sums);
        });
    });
}

/// How many lines of the panel that follows each round of a register tile fetches, so that it is near when it is needed.
fn lines_ahead(plan: &WinogradPlan<'_>, sizes: &Sizes) -> usize {
    let (rows, columns) = sizes.tile;
    if columns != plan.panel || matches!(plan.filters, Filters::Taps { .. }) {
        return 0;
    }
    let round_lines = UNROLL * columns * 4 / LINE;
    let tiles = (plan.block * plan.horizontal.tiles()).div_ceil(rows);
    round_lines.div_ceil(tiles)
}

/// Transforms the sums of a row of tiles, from `first_tile` on, in a panel along the rows.
fn transform_sums(
    emitter: &mut Emitter<'_, '_>,
    plan: &WinogradPlan<'_>,
    sizes: &Sizes,
    scratch: &Scratch,
    (first_tile, panel): (Value, Value),
) {
    let place = POINTS as i64 * sizes.sums;
    let spec = TransformSpec {
        matrix: Matrix::Output,
        input_step: Some(sizes.products),
        output_step: place,
        vectors: plan.panel / plan.isa.lanes(),
        runs: plan.horizontal.tiles(),
        run_steps: (sizes.sums, OUTPUTS as i64 * place),
    };
    let first = at(emitter, scratch.products, first_tile, sizes.sums);
    let first = at(emitter, first, panel, 4 * plan.panel as i64);
    let sums = at(emitter, scratch.sums, panel, 4 * plan.panel as i64);
    let (from, to) = ((first, POINTS as i64 * sizes.products), (sums, sizes.sums));
    transform_at_points(emitter, plan.isa, &spec, from, to, Some(scratch.greatest));
}

/// Transforms the sums of a row of tiles along the columns, and runs the epilogue, from line `line` on.
fn finish_lines(
    emitter: &mut Emitter<'_, '_>,
    plan: &WinogradPlan<'_>,
    sizes: &Sizes,
    scratch: &Scratch,
    (line, panels): (Value, (Value, Value)),
) {
    let rest = plan.vertical.outputs % OUTPUTS;
    if plan.vertical.tiles() == 1 || rest == 0 {
        let lines = if rest == 0 { OUTPUTS } else { rest };
        return finish_some(emitter, plan, sizes, scratch, (line, lines), panels);
    }
    let first_of_last = (plan.vertical.outputs - rest) as i64;
    let is_last = emitter.b.ins().icmp_imm_s(IntCC::Equal, line, first_of_last);
    let [last, whole, after] = [(); 3].map(|()| emitter.b.create_block());
    emitter.b.ins().brif(is_last, last, &[], whole, &[]);
    for (block, lines) in [(last, rest), (whole, OUTPUTS)] {
        emitter.b.switch_to_block(block);
        finish_some(emitter, plan, sizes, scratch, (line, lines), panels);
        emitter.b.ins().jump(after, &[]);
    }
    emitter.b.switch_to_block(after);
}

/// The same for so many lines.
fn finish_some(
    emitter: &mut Emitter<'_, '_>,
    plan: &WinogradPlan<'_>,
    sizes: &Sizes,
    scratch: &Scratch,
    (line, lines): (Value, usize),
    panels: (Value, Value),
) {
    let contraction = &plan.contraction;
    let (_, columns) = sizes.tile;
    let [none, places] = [0, plan.horizontal.outputs].map(|at| number(emitter, at));
    let [first_part, end] = parts(emitter, plan, sizes, panels);
    each(emitter, none, places, &mut |emitter, place| {
        let right = at(emitter, scratch.sums, place, POINTS as i64 * sizes.sums);
        each(emitter, first_part, end, &mut |emitter, part| {
            let right = at(emitter, right, part, 4 * columns as i64);
            let column = emitter.b.ins().imul_imm_s(part, columns as i64);
            let row = plan.vertical.axis;
            let builder =
                StripBuilder::of_epilogue(emitter.nest(), contraction.column, Some(row), contraction.sum);
            let open = [(row, line), (plan.horizontal.axis, place), (contraction.column, column)];
            let epilogue = emitter.epilogue_strip(builder, &open, &contraction.epilogue);
            let depth = Level { count: Count::Static(POINTS), left_step: 4, right_step: sizes.sums };
            finish(emitter, plan.isa, (lines, columns), &depth, (scratch.matrix, right), &epilogue);
        });
    });
}
