//! What the convolution and the gradient of its filters share: calls of wide code, rows of tiles, zeros around images.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, Value, types};
use ir::winograd::{OUTPUTS, POINTS};
use ir::{Affine, AxisId, BufferId, DType};
use smallvec::{SmallVec, smallvec};

use crate::emit::loops::each;
use crate::emit::strips::Epilogue;
use crate::emit::{Emitter, memory};
use crate::nest::Place;
use crate::wide::strip::{Argument, Store, Stream, Strip};
use crate::wide::tile::depth::Level;
use crate::wide::tile::{TileSpec, emit_tile};
use crate::wide::transform::{TransformSpec, emit_transform};
use crate::wide::{Isa, WideFunction};

/// Calls a function of wide code with these words in its frame.
pub fn call(emitter: &mut Emitter<'_, '_>, function: WideFunction, words: &[Value]) {
    let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 8 * words.len() as u32, 3);
    let slot = emitter.b.create_sized_stack_slot(data);
    for (word, &value) in words.iter().enumerate() {
        emitter.b.ins().stack_store(types::I64, value, slot, 8 * word as i32);
    }
    let frame = emitter.b.ins().stack_addr(types::I64, slot, 0);
    emitter.call_wide(function, frame);
}

/// Calls a transform along the rows at each of the six points of the other axis, from the one to the next these steps apart.
/// `greatest` is where the greatest magnitudes are kept, if it is of sums.
pub fn transform_at_points(
    emitter: &mut Emitter<'_, '_>,
    isa: Isa,
    spec: &TransformSpec,
    (from, from_step): (Value, i64),
    (to, to_step): (Value, i64),
    greatest: Option<Value>,
) {
    let function = emit_transform(isa, spec);
    for point in 0..POINTS as i64 {
        let from = emitter.b.ins().iadd_imm_s(from, point * from_step);
        let to = emitter.b.ins().iadd_imm_s(to, point * to_step);
        let words: SmallVec<[Value; 3]> = [from, to].into_iter().chain(greatest).collect();
        call(emitter, function.clone(), &words);
    }
}

/// `address + index * bytes`
pub fn at(emitter: &mut Emitter<'_, '_>, address: Value, index: Value, bytes: i64) -> Value {
    let offset = emitter.b.ins().imul_imm_s(index, bytes);
    emitter.b.ins().iadd(address, offset)
}

/// The address of a buffer.
pub fn buffer(emitter: &mut Emitter<'_, '_>, buffer: BufferId) -> Value {
    emitter.base_address(&Place {
        buffer,
        offset: Affine::constant(0),
        picks: smallvec![],
        bounds: smallvec![],
    })
}

/// A number.
pub fn number(emitter: &mut Emitter<'_, '_>, value: usize) -> Value {
    emitter.b.ins().iconst(types::I64, value as i64)
}

/// Writes zeros to bytes from `offset` on, a multiple of 16.
pub fn zero(emitter: &mut Emitter<'_, '_>, address: Value, offset: i64, bytes: i64) {
    const STEP: i64 = 64;
    let nothing = emitter.b.ins().f32const(0.0);
    let nothing = emitter.b.ins().splat(types::F32X4, nothing);
    let write = |emitter: &mut Emitter<'_, '_>, at: Value, bytes: i64| {
        for part in 0..bytes / 16 {
            emitter.b.ins().store(memory::flags(), nothing, at, 16 * part as i32);
        }
    };
    let first = emitter.b.ins().iadd_imm_s(address, offset);
    let [none, rounds] = [0, bytes / STEP].map(|at| emitter.b.ins().iconst(types::I64, at));
    each(emitter, none, rounds, &mut |emitter, round| {
        let at = at(emitter, first, round, STEP);
        write(emitter, at, STEP);
    });
    let rest = emitter.b.ins().iadd_imm_s(first, bytes / STEP * STEP);
    write(emitter, rest, bytes % STEP);
}

/// Writes a matrix to memory, row by row.
pub fn store_matrix<'m>(
    emitter: &mut Emitter<'_, '_>,
    address: Value,
    elements: impl Iterator<Item = &'m f32>,
) {
    for (at, &element) in elements.enumerate() {
        let element = emitter.b.ins().f32const(element);
        emitter.b.ins().store(memory::flags(), element, address, 4 * at as i32);
    }
}

/// Blocks of at most `most` rows of tiles, all of about the same size.
pub fn each_block(
    emitter: &mut Emitter<'_, '_>,
    (from, to): (Value, Value),
    most: usize,
    body: &mut dyn FnMut(&mut Emitter<'_, '_>, Value, Value),
) {
    let count = emitter.b.ins().isub(to, from);
    let [none, one, most] = [0, 1, most].map(|at| number(emitter, at));
    let div_ceil = |emitter: &mut Emitter<'_, '_>, x: Value, by: Value| {
        let up = emitter.b.ins().iadd(x, by);
        let up = emitter.b.ins().isub(up, one);
        emitter.b.ins().udiv(up, by)
    };
    let blocks = div_ceil(emitter, count, most);
    let divisor = emitter.b.ins().smax(blocks, one);
    let size = div_ceil(emitter, count, divisor);
    each(emitter, none, blocks, &mut |emitter, block| {
        let first = emitter.b.ins().imul(block, size);
        let first = emitter.b.ins().iadd(from, first);
        let end = emitter.b.ins().iadd(first, size);
        let end = emitter.b.ins().smin(end, to);
        body(emitter, first, end);
    });
}

/// Rows of tiles `from .. to` of images with so many: `body` gets the first line of each, at its image, and the number of its
/// first tile, counted from `from`.
pub fn each_row(
    emitter: &mut Emitter<'_, '_>,
    images: &[AxisId],
    (rows_of_image, tiles_in_row): (usize, usize),
    (from, to): (Value, Value),
    body: &mut dyn FnMut(&mut Emitter<'_, '_>, Value, Value),
) {
    each(emitter, from, to, &mut |emitter, row| {
        let done = emitter.b.ins().isub(row, from);
        let first_tile = emitter.b.ins().imul_imm_s(done, tiles_in_row as i64);
        let image = emitter.b.ins().udiv_imm_u(row, rows_of_image as i64);
        let above = emitter.b.ins().imul_imm_s(image, rows_of_image as i64);
        let row = emitter.b.ins().isub(row, above);
        let line = emitter.b.ins().imul_imm_s(row, OUTPUTS as i64);
        emitter.at_point(images, image, &mut |emitter| body(emitter, line, first_tile));
    });
}

/// The addresses of `count` lines from `first` on, of `extent` that are `step` elements apart, line 0 at `origin`: `zeros` where
/// there is no such line.
pub fn lines(
    emitter: &mut Emitter<'_, '_>,
    (extent, step): (usize, i64),
    (origin, zeros): (Value, Value),
    first: Value,
    count: usize,
) -> SmallVec<[Value; 8]> {
    let extent = number(emitter, extent);
    (0..count as i64)
        .map(|line| {
            let line = emitter.b.ins().iadd_imm_s(first, line);
            let is_inside = emitter.b.ins().icmp(IntCC::UnsignedLessThan, line, extent);
            let address = at(emitter, origin, line, 4 * step);
            emitter.b.ins().select(is_inside, address, zeros)
        })
        .collect()
}

/// Rows and columns of the register tiles for so many columns in whole vectors, which they divide.
pub fn register_tile(isa: Isa, columns: usize) -> (usize, usize) {
    const MOST_ROWS: usize = 28;
    let lanes = isa.lanes();
    let (most_vectors, registers) = (isa.registers() / 8, isa.registers());
    let vectors = (1..=most_vectors).rev().find(|&vectors| columns.is_multiple_of(vectors * lanes));
    let vectors = vectors.expect("these are whole vectors");
    (((registers - 1 - vectors) / vectors).min(MOST_ROWS), vectors * lanes)
}

/// A register tile that reads all of its operands: so many rows and columns, one loop over the depth, and from a row of the left
/// operand to the next, in bytes.
pub fn tile_spec<'a>(
    (rows, columns): (usize, usize),
    depth: &'a [Level],
    left_row_step: i64,
    epilogue: &'a Strip,
    row_steps: &'a [i64],
) -> TileSpec<'a> {
    TileSpec {
        rows,
        columns,
        depth,
        count_words: 0,
        is_blocked: false,
        has_tree: false,
        lines_ahead: 0,
        left_row_step,
        right_column_step: None,
        row_ahead: None,
        is_padded: true,
        epilogue,
        row_steps,
    }
}

/// The epilogue that stores the sum.
pub fn store_of_sum() -> Strip {
    let mut strip = Strip { arguments: vec![Argument::Sum], pointers: 1, ..Strip::default() };
    let value = strip.program.argument(0, DType::F32);
    strip.streams.push(Stream { pointer: 0, displacement: 0, dtype: DType::F32 });
    strip.stores.push(Store { value, stream: 0, after: strip.program.insts().len() });
    strip
}

/// The last transform along the columns, and what follows from it: the product of a matrix, row by row in memory, with as many
/// rows of the right operand, on one register tile whose rows are those of the result.
pub fn finish(
    emitter: &mut Emitter<'_, '_>,
    isa: Isa,
    tile: (usize, usize),
    depth: &Level,
    (matrix, right): (Value, Value),
    epilogue: &Epilogue,
) {
    let depth = std::slice::from_ref(depth);
    let spec = tile_spec(tile, depth, 4 * POINTS as i64, &epilogue.strip, &epilogue.row_steps);
    let one = number(emitter, 1);
    let words: SmallVec<[Value; 12]> = [matrix, right, one]
        .into_iter()
        .chain(epilogue.pointers.iter().copied())
        .chain(epilogue.uniforms.iter().copied())
        .collect();
    call(emitter, emit_tile(isa, &spec), &words);
}
