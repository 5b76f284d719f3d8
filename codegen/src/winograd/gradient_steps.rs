//! The steps of the gradient of filters, as calls of wide code.

use cranelift_codegen::ir::{InstBuilder, Value};
use ir::winograd::{self, OUTPUTS, POINTS, PRODUCTS, TAPS};

use super::gradient::GradientPlan;
use super::redo::{choose, clear};
use super::steps::{
    at, call, each_block, each_row, finish, lines, number, register_tile, store_matrix, store_of_sum,
    tile_spec, transform_at_points, zero,
};
use crate::Target;
use crate::contraction::parts::{emit_panel_at_lines, scratch_bytes};
use crate::contraction::tree::{self, MOST_PRODUCTS, Tree, Waiting};
use crate::emit::Emitter;
use crate::emit::function::{Call, Emitted, emit_function};
use crate::emit::loops::each;
use crate::emit::strips::StripBuilder;
use crate::nest::Nest;
use crate::wide::tile::depth::{Count, Level};
use crate::wide::tile::sums::SUMS_WAIT_AGAIN;
use crate::wide::tile::{TileSpec, emit_tile};
use crate::wide::transform::{Matrix, TransformSpec, emit_transform};

/// One of the two operands: an image, or the gradient of a result.
struct Operand {
    /// Channels of a block.
    channels: usize,
    /// The places of a line that are read.
    places: usize,
    /// The places of a transformed line, zeros included, and the zeros before it.
    padded: usize,
    pad: usize,
    /// From a place to the next in memory, in bytes; more than 0.
    step: i64,
    /// Transformed lines: `[6, padded, channels]`.
    lines: Value,
    /// Factors of a block: `[36, tiles, channels]`.
    factors: Value,
    /// A line of zeros.
    zeros: Value,
}

impl Operand {
    /// A place of transformed lines, in bytes.
    fn place(&self) -> i64 {
        4 * self.channels as i64
    }

    /// A transformed line, in bytes.
    fn line(&self) -> i64 {
        self.padded as i64 * self.place()
    }

    /// A line of zeros, in bytes: whole lines of the cache.
    fn zeros_bytes(&self) -> usize {
        (((self.places as i64 - 1) * self.step + self.place()) as usize).next_multiple_of(64)
    }

    /// The factors at a point, in bytes, of so many tiles. A line of the cache in between keeps the points from sharing the
    /// sets of caches.
    fn plane(&self, tiles: usize) -> i64 {
        tiles as i64 * self.place() + 64
    }
}

/// Memory of this thread, and what is in it.
struct Scratch {
    image: Operand,
    gradient: Operand,
    /// The tiles that a block has room for.
    tiles: usize,
    /// Rows and columns of the register tiles of products, and how many of them are below each other.
    tile: (usize, usize),
    tiles_below: usize,
    /// The sums: `[36, parts of a panel, rows of tiles, columns of a tile]`, and behind them the levels of their tree.
    sums: Value,
    /// The sums transformed along the rows: `[3, channels, 6, columns]`.
    taps: Value,
    /// The matrix of the last transform.
    matrix: Value,
    /// The greatest magnitudes of sums.
    greatest: Value,
    /// A panel of the gradient.
    packed: Value,
}

impl Scratch {
    fn take(emitter: &mut Emitter<'_, '_>, call: &mut Call, plan: &GradientPlan<'_>) -> Scratch {
        let horizontal = &plan.horizontal;
        let tiles = plan.block * horizontal.tiles();
        let mut operand = |channels: usize, (places, padded, pad): (usize, usize, usize), step: i64| {
            let mut operand = Operand {
                channels,
                places,
                padded,
                pad,
                step,
                lines: call.begin,
                factors: call.begin,
                zeros: call.begin,
            };
            operand.lines = call.take_scratch(emitter, POINTS * operand.line() as usize);
            // Register tiles read a few channels behind the last.
            operand.factors = call.take_scratch(emitter, PRODUCTS * operand.plane(tiles) as usize + 128);
            operand.zeros = call.take_scratch(emitter, operand.zeros_bytes());
            operand
        };
        let padded = horizontal.tiles() * OUTPUTS + POINTS - OUTPUTS;
        let places = horizontal.inputs.min(padded - horizontal.pad);
        let image = operand(plan.channels.1, (places, padded, horizontal.pad), 4 * horizontal.step);
        let right = plan.contraction.right.offset.coefficient(horizontal.axis);
        let gradient =
            operand(plan.columns.1, (horizontal.outputs, horizontal.tiles() * OUTPUTS, 0), 4 * right);
        let (most_rows, columns) = register_tile(plan.isa, plan.columns.1);
        let tiles_below = image.channels.div_ceil(most_rows);
        let tile = (image.channels.div_ceil(tiles_below), columns);
        let rows = tile.0 * tiles_below;
        let pieces = tree::pieces(Blocks::of(plan, emitter.nest()).tree);
        let sums = call.take_scratch(emitter, pieces * PRODUCTS * rows * gradient.channels * 4);
        let taps = call.take_scratch(emitter, TAPS * POINTS * image.channels * gradient.channels * 4);
        let matrix = call.take_scratch(emitter, TAPS * POINTS * 4);
        let greatest = call.take_scratch(emitter, plan.isa.vector_bytes());
        let packed = call.take_scratch(emitter, scratch_bytes(&plan.direct));
        Scratch { image, gradient, tiles, tile, tiles_below, sums, taps, matrix, greatest, packed }
    }

    /// The sums of a part of a panel at a point, in bytes.
    fn sums_bytes(&self) -> i64 {
        4 * (self.tile.0 * self.tiles_below * self.tile.1) as i64
    }

    /// All sums, in bytes.
    fn piece_bytes(&self) -> usize {
        PRODUCTS * self.parts() * self.sums_bytes() as usize
    }

    /// The parts of a panel, which are the columns of a register tile.
    fn parts(&self) -> usize {
        self.gradient.channels / self.tile.1
    }
}

/// The blocks of tiles that are multiplied one after the other.
struct Blocks {
    /// Rows of tiles.
    rows: usize,
    /// Rows of a block, but for the last.
    size: usize,
    count: usize,
    /// How their sums are added, where there are many tiles.
    tree: Option<Tree>,
}

impl Blocks {
    /// The blocks that [`each_block`] goes through.
    fn of(plan: &GradientPlan<'_>, nest: &Nest) -> Blocks {
        let rows = plan.rows_of_tiles(nest);
        let count = rows.div_ceil(plan.block);
        let size = rows.div_ceil(count);
        let tiles = plan.horizontal.tiles();
        let tree = (rows * tiles > MOST_PRODUCTS).then(|| Tree::of(count, size * tiles)).flatten();
        Blocks { rows, size, count, tree }
    }
}

/// Emits the function of a gradient.
pub fn emit(plan: &GradientPlan<'_>, nest: &Nest, target: &Target) -> Emitted {
    emit_function(nest, target, |emitter, call| {
        let scratch = Scratch::take(emitter, call, plan);
        emitter.nodes(plan.contraction.prelude);
        for operand in [&scratch.image, &scratch.gradient] {
            zero(emitter, operand.zeros, 0, operand.zeros_bytes() as i64);
            zero(emitter, operand.lines, 0, POINTS as i64 * operand.line());
        }
        let transposed = (0..TAPS).flat_map(|tap| winograd::FILTER.iter().map(move |point| &point[tap]));
        store_matrix(emitter, scratch.matrix, transposed);
        let (parts, panels) = (plan.channels.0 / plan.channels.1, plan.columns.0 / plan.columns.1);
        each(emitter, call.begin, call.end, &mut |emitter, chunk| {
            let panel = emitter.b.ins().udiv_imm_u(chunk, parts as i64);
            let before = emitter.b.ins().imul_imm_s(panel, parts as i64);
            let part = emitter.b.ins().isub(chunk, before);
            let channel = emitter.b.ins().imul_imm_s(part, plan.channels.1 as i64);
            let column = emitter.b.ins().imul_imm_s(panel, plan.columns.1 as i64);
            emit_chunk(emitter, plan, &scratch, (channel, column));
        });
        parts * panels
    })
}

/// The filters between a block of channels and one of output channels.
fn emit_chunk(
    emitter: &mut Emitter<'_, '_>,
    plan: &GradientPlan<'_>,
    scratch: &Scratch,
    (channel, column): (Value, Value),
) {
    let blocks = Blocks::of(plan, emitter.nest());
    let [none, rows] = [0, blocks.rows].map(|at| number(emitter, at));
    let sizes_of_rows = (plan.vertical.tiles(), plan.horizontal.tiles());
    each_block(emitter, (none, rows), plan.block, &mut |emitter, from, to| {
        each_row(emitter, &plan.images, sizes_of_rows, (from, to), &mut |emitter, line, first_tile| {
            transform_image(emitter, plan, scratch, channel, line);
            to_factors(emitter, plan, scratch, (&scratch.image, Matrix::Input), first_tile);
            transform_gradient(emitter, plan, scratch, column, line);
            to_factors(emitter, plan, scratch, (&scratch.gradient, Matrix::OutputTransposed), first_tile);
        });
        let rows = emitter.b.ins().isub(to, from);
        let tiles = emitter.b.ins().imul_imm_s(rows, sizes_of_rows.1 as i64);
        let block = emitter.b.ins().udiv_imm_u(from, blocks.size as i64);
        let piece_bytes = scratch.piece_bytes();
        let mut waiting = tree::waiting(emitter, blocks.tree, (block, blocks.count), piece_bytes);
        // The transforms that follow read the sums from memory.
        waiting.becomes = emitter.b.ins().bor_imm_s(waiting.becomes, SUMS_WAIT_AGAIN);
        multiply(emitter, plan, scratch, tiles, waiting);
    });
    clear(emitter, plan.isa, scratch.greatest);
    to_taps(emitter, plan, scratch);
    choose(
        emitter,
        plan.isa,
        scratch.greatest,
        &mut |emitter| finish_taps(emitter, plan, scratch, (channel, column)),
        &mut |emitter| compute_taps(emitter, plan, scratch, (channel, column)),
    );
}

/// Computes the filters between a block of channels and one of output channels as sums of products.
fn compute_taps(
    emitter: &mut Emitter<'_, '_>,
    plan: &GradientPlan<'_>,
    scratch: &Scratch,
    (channel, column): (Value, Value),
) {
    let first = emitter.b.ins().udiv_imm_u(column, scratch.tile.1 as i64);
    let end = emitter.b.ins().iadd_imm_s(first, scratch.parts() as i64);
    let last_channel = emitter.b.ins().iadd_imm_s(channel, scratch.image.channels as i64);
    let taps = emitter.whole(&[plan.filter_row, plan.filter_column]);
    each(emitter, first, end, &mut |emitter, part| {
        let panel = (scratch.packed, part);
        emit_panel_at_lines(emitter, &plan.direct, panel, (channel, last_channel), &|emitter, body| {
            emitter.at_each_point(&taps, body);
        });
    });
}

/// Transforms the six lines of the image that is open which tiles read, whose first output is on line `line`, along the columns.
fn transform_image(
    emitter: &mut Emitter<'_, '_>,
    plan: &GradientPlan<'_>,
    scratch: &Scratch,
    channel: Value,
    line: Value,
) {
    let (vertical, horizontal) = (&plan.vertical, &plan.horizontal);
    let origin = emitter.base_address(plan.contraction.left);
    let back = 4 * (vertical.first * vertical.step + horizontal.first * horizontal.step);
    let origin = emitter.b.ins().iadd_imm_s(origin, -back);
    let origin = at(emitter, origin, channel, 4);
    let first = emitter.b.ins().iadd_imm_s(line, -(vertical.pad as i64));
    let step = vertical.step;
    let from = lines(emitter, (vertical.inputs, step), (origin, scratch.image.zeros), first, POINTS);
    transform_lines(emitter, plan, (&scratch.image, Matrix::Input), &from);
}

/// Transforms the four lines of the gradient from line `line` on along the columns.
fn transform_gradient(
    emitter: &mut Emitter<'_, '_>,
    plan: &GradientPlan<'_>,
    scratch: &Scratch,
    column: Value,
    line: Value,
) {
    let right = plan.contraction.right;
    let origin = emitter.base_address(right);
    let origin = at(emitter, origin, column, 4);
    let step = right.offset.coefficient(plan.vertical.axis);
    let from = lines(emitter, (plan.vertical.outputs, step), (origin, scratch.gradient.zeros), line, OUTPUTS);
    transform_lines(emitter, plan, (&scratch.gradient, Matrix::OutputTransposed), &from);
}

/// Transforms lines at these addresses along the columns.
fn transform_lines(
    emitter: &mut Emitter<'_, '_>,
    plan: &GradientPlan<'_>,
    (operand, matrix): (&Operand, Matrix),
    from: &[Value],
) {
    let spec = TransformSpec {
        matrix,
        input_step: None,
        output_step: operand.line(),
        vectors: operand.channels / plan.isa.lanes(),
        runs: operand.places,
        run_steps: (operand.step, operand.place()),
    };
    let to = emitter.b.ins().iadd_imm_s(operand.lines, operand.pad as i64 * operand.place());
    let words = [from, &[to]].concat();
    call(emitter, emit_transform(plan.isa, &spec), &words);
}

/// Transforms lines along the rows, to the factors of tiles from `first_tile` on.
fn to_factors(
    emitter: &mut Emitter<'_, '_>,
    plan: &GradientPlan<'_>,
    scratch: &Scratch,
    (operand, matrix): (&Operand, Matrix),
    first_tile: Value,
) {
    let plane = operand.plane(scratch.tiles);
    let spec = TransformSpec {
        matrix,
        input_step: Some(operand.place()),
        output_step: plane,
        vectors: operand.channels / plan.isa.lanes(),
        runs: plan.horizontal.tiles(),
        run_steps: (OUTPUTS as i64 * operand.place(), operand.place()),
    };
    let first = at(emitter, operand.factors, first_tile, operand.place());
    let (from, to) = ((operand.lines, operand.line()), (first, POINTS as i64 * plane));
    transform_at_points(emitter, plan.isa, &spec, from, to, None);
}

/// Adds the products of so many tiles to the sums, at each of the 36 points.
fn multiply(
    emitter: &mut Emitter<'_, '_>,
    plan: &GradientPlan<'_>,
    scratch: &Scratch,
    tiles: Value,
    waiting: Waiting,
) {
    let (image, gradient) = (&scratch.image, &scratch.gradient);
    let strip = store_of_sum();
    let depth = [Level { count: Count::Word(0), left_step: image.place(), right_step: gradient.place() }];
    // The sums stay in memory, so the epilogue never runs.
    let spec = TileSpec {
        count_words: 1,
        is_blocked: true,
        has_tree: waiting.tree.is_some(),
        ..tile_spec(scratch.tile, &depth, 4, &strip, &[0])
    };
    let function = emit_tile(plan.isa, &spec);
    let [none, products, parts, below] =
        [0, PRODUCTS, scratch.parts(), scratch.tiles_below].map(|at| number(emitter, at));
    let part_sums = scratch.sums_bytes();
    each(emitter, none, products, &mut |emitter, point| {
        let left = at(emitter, image.factors, point, image.plane(scratch.tiles));
        let right = at(emitter, gradient.factors, point, gradient.plane(scratch.tiles));
        let sums = at(emitter, scratch.sums, point, part_sums * scratch.parts() as i64);
        each(emitter, none, parts, &mut |emitter, part| {
            let right = at(emitter, right, part, 4 * scratch.tile.1 as i64);
            let sums = at(emitter, sums, part, part_sums);
            let words: Vec<Value> =
                [left, right, below, tiles, sums].into_iter().chain(waiting.words()).chain([sums]).collect();
            call(emitter, function.clone(), &words);
        });
    });
}

/// Transforms the sums along the rows.
fn to_taps(emitter: &mut Emitter<'_, '_>, plan: &GradientPlan<'_>, scratch: &Scratch) {
    let (channels, columns) = (scratch.image.channels, scratch.gradient.channels);
    let row = 4 * columns as i64;
    let (part_sums, part) = (scratch.sums_bytes(), 4 * scratch.tile.1 as i64);
    let spec = TransformSpec {
        matrix: Matrix::FilterTransposed,
        input_step: Some(part_sums * scratch.parts() as i64),
        output_step: (channels * POINTS) as i64 * row,
        vectors: scratch.tile.1 / plan.isa.lanes(),
        runs: channels,
        run_steps: (part, POINTS as i64 * row),
    };
    let function = emit_transform(plan.isa, &spec);
    let [none, points, parts] = [0, POINTS, scratch.parts()].map(|at| number(emitter, at));
    each(emitter, none, points, &mut |emitter, point| {
        let from = at(emitter, scratch.sums, point, POINTS as i64 * part_sums * scratch.parts() as i64);
        let to = at(emitter, scratch.taps, point, row);
        each(emitter, none, parts, &mut |emitter, number| {
            let from = at(emitter, from, number, part_sums);
            let to = at(emitter, to, number, part);
            call(emitter, function.clone(), &[from, to, scratch.greatest]);
        });
    });
}

/// Transforms what has become of the sums along the columns, and runs the epilogue.
fn finish_taps(
    emitter: &mut Emitter<'_, '_>,
    plan: &GradientPlan<'_>,
    scratch: &Scratch,
    (first_channel, first_column): (Value, Value),
) {
    let contraction = &plan.contraction;
    let (channels, columns) = (scratch.image.channels, scratch.gradient.channels);
    let row = 4 * columns as i64;
    let [none, taps, channel_count, parts] =
        [0, TAPS, channels, scratch.parts()].map(|at| number(emitter, at));
    each(emitter, none, taps, &mut |emitter, tap| {
        let right = at(emitter, scratch.taps, tap, (channels * POINTS) as i64 * row);
        each(emitter, none, channel_count, &mut |emitter, channel| {
            let right = at(emitter, right, channel, POINTS as i64 * row);
            let channel = emitter.b.ins().iadd(first_channel, channel);
            each(emitter, none, parts, &mut |emitter, part| {
                let right = at(emitter, right, part, 4 * scratch.tile.1 as i64);
                let column = emitter.b.ins().imul_imm_s(part, scratch.tile.1 as i64);
                let column = emitter.b.ins().iadd(first_column, column);
                let rows = plan.filter_row;
                let builder = StripBuilder::of_epilogue(
                    emitter.nest(),
                    contraction.column,
                    Some(rows),
                    contraction.sum,
                );
                let channel_axis = contraction.row.expect("the plan has checked that there are channels");
                let open = [
                    (rows, none),
                    (plan.filter_column, tap),
                    (channel_axis, channel),
                    (contraction.column, column),
                ];
                let epilogue = emitter.epilogue_strip(builder, &open, &contraction.epilogue);
                let depth = Level { count: Count::Static(POINTS), left_step: 4, right_step: row };
                let tile = (TAPS, scratch.tile.1);
                finish(emitter, plan.isa, tile, &depth, (scratch.matrix, right), &epilogue);
            });
        });
    });
}
