//! A register tile: the sum over the depth for a few rows and vectors of columns, then the epilogue.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value, types};
use smallvec::SmallVec;

use super::LANES;
use super::recognise::Contraction;
use super::tree::MOST_PRODUCTS;
use crate::emit::loops::each;
use crate::emit::primitive::Regs;
use crate::emit::{Emitter, Val, memory};

/// A tile.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    /// The rows.
    pub rows: usize,
    /// The vectors in a row.
    pub vectors: usize,
    /// The columns that belong to the result; those beyond are zeros.
    pub columns: usize,
    /// The length of the sum.
    pub depth: usize,
    /// From a row of the left operand to the next, in bytes.
    pub left_row_step: i64,
    /// From a depth of the left operand to the next, in bytes.
    pub left_depth_step: i64,
    /// From a depth of the panel to the next, in bytes.
    pub right_depth_step: i64,
    /// Whether a product is added in one instruction, rounded once; otherwise it is rounded before, too.
    pub has_fma: bool,
    /// Whether the sums go through memory to the epilogue.
    pub spills: bool,
}

/// The operands of a narrow tile.
#[derive(Clone, Copy)]
pub struct Operands {
    /// The address of `left[0, 0]`.
    pub left: Value,
    /// The address of the panel.
    pub right: Value,
    /// The address of the sums of a tile, where they are spilled.
    pub sums: Value,
}

/// Steps of the sum in one round of the loop.
const UNROLL: usize = 4;

/// Emits a tile whose first element is at `(row, column)`.
pub fn emit_tile(
    emitter: &mut Emitter<'_, '_>,
    contraction: &Contraction<'_>,
    tile: &Tile,
    operands: Operands,
    row: Value,
    column: Value,
) {
    let offset = emitter.b.ins().imul_imm_s(row, tile.left_row_step);
    let left = emitter.b.ins().iadd(operands.left, offset);
    let sums = sum_over_depth(emitter, tile, left, operands.right);
    if tile.spills {
        return from_memory(emitter, contraction, tile, operands.sums, &sums, row, column);
    }
    for (index, sums) in sums.chunks(tile.vectors).enumerate() {
        let row = emitter.b.ins().iadd_imm_s(row, index as i64);
        let sum = Val::Vector(Regs::from_slice(sums));
        emitter.epilogue(
            contraction.row.map(|axis| (axis, row)),
            (contraction.column, column),
            tile.columns,
            |_, _| (contraction.sum, sum.clone()),
            &contraction.epilogue,
        );
    }
}

/// The sums, row by row: in runs where the depth is long.
fn sum_over_depth(emitter: &mut Emitter<'_, '_>, tile: &Tile, left: Value, right: Value) -> Vec<Value> {
    if tile.depth <= MOST_PRODUCTS {
        return sum_of_run(emitter, tile, tile.depth, left, right);
    }
    let sums = zeros(emitter, tile);
    let all: Vec<usize> = (0..sums.len()).collect();
    let cascade = emitter.start_cascade(tile.depth.div_ceil(MOST_PRODUCTS), &all, &sums);
    let steps = [tile.left_depth_step, tile.right_depth_step].map(|step| step * MOST_PRODUCTS as i64);
    let [first, whole] =
        [0, tile.depth / MOST_PRODUCTS].map(|at| emitter.b.ins().iconst(types::I64, at as i64));
    let run = |emitter: &mut Emitter<'_, '_>, number: Value, depth: usize| {
        let [left, right] = [(left, steps[0]), (right, steps[1])].map(|(operand, step)| {
            let offset = emitter.b.ins().imul_imm_s(number, step);
            emitter.b.ins().iadd(operand, offset)
        });
        let sums = sum_of_run(emitter, tile, depth, left, right);
        emitter.end_block(&cascade, &sums);
    };
    each(emitter, first, whole, &mut |emitter, number| run(emitter, number, MOST_PRODUCTS));
    if !tile.depth.is_multiple_of(MOST_PRODUCTS) {
        run(emitter, whole, tile.depth % MOST_PRODUCTS);
    }
    emitter.finish_cascade(&cascade, Regs::from_slice(&sums)).to_vec()
}

/// Zeros for the sums.
fn zeros(emitter: &mut Emitter<'_, '_>, tile: &Tile) -> Vec<Value> {
    let zero = crate::emit::primitive::constant(emitter.b, ir::Scalar::F32(0.0), LANES)[0];
    vec![zero; tile.rows * tile.vectors]
}

/// The sums over so many depths.
fn sum_of_run(
    emitter: &mut Emitter<'_, '_>,
    tile: &Tile,
    depth: usize,
    left: Value,
    right: Value,
) -> Vec<Value> {
    let mut sums = zeros(emitter, tile);
    let (rounds, rest) = (depth / UNROLL, depth % UNROLL);
    let (mut left, mut right) = (left, right);
    if rounds > 0 {
        let b = &mut *emitter.b;
        let [header, after] = [(); 2].map(|()| b.create_block());
        let count = b.append_block_param(header, types::I64);
        let [left_at, right_at] = [(); 2].map(|()| b.append_block_param(header, types::I64));
        let carried: Vec<Value> = sums.iter().map(|_| b.append_block_param(header, types::F32X4)).collect();
        let rounds = b.ins().iconst(types::I64, rounds as i64);
        let enter = arguments(&[rounds, left, right], &sums);
        b.ins().jump(header, &enter);
        b.switch_to_block(header);
        let mut next = carried;
        for step in 0..UNROLL {
            multiply_add(emitter, tile, left_at, right_at, step, &mut next);
        }
        let b = &mut *emitter.b;
        let left_next = b.ins().iadd_imm_s(left_at, tile.left_depth_step * UNROLL as i64);
        let right_next = b.ins().iadd_imm_s(right_at, tile.right_depth_step * UNROLL as i64);
        let count_next = b.ins().iadd_imm_s(count, -1);
        let [left_after, right_after] = [(); 2].map(|()| b.append_block_param(after, types::I64));
        let finished: Vec<Value> = next.iter().map(|_| b.append_block_param(after, types::F32X4)).collect();
        let is_more = b.ins().icmp_imm_s(IntCC::NotEqual, count_next, 0);
        let again = arguments(&[count_next, left_next, right_next], &next);
        let leave = arguments(&[left_next, right_next], &next);
        b.ins().brif(is_more, header, &again, after, &leave);
        b.switch_to_block(after);
        (left, right, sums) = (left_after, right_after, finished);
    }
    for step in 0..rest {
        multiply_add(emitter, tile, left, right, step, &mut sums);
    }
    sums
}

fn arguments(first: &[Value], others: &[Value]) -> Vec<BlockArg> {
    first.iter().chain(others).copied().map(BlockArg::Value).collect()
}

/// One step of the sum: `sums[r, v] += left[r] * right[v]`.
fn multiply_add(
    emitter: &mut Emitter<'_, '_>,
    tile: &Tile,
    left: Value,
    right: Value,
    step: usize,
    sums: &mut [Value],
) {
    let vectors: SmallVec<[Value; 8]> = (0..tile.vectors)
        .map(|vector| {
            let offset = step as i64 * tile.right_depth_step + (vector * LANES * 4) as i64;
            load_at(emitter, types::F32X4, right, offset)
        })
        .collect();
    for row in 0..tile.rows {
        let offset = step as i64 * tile.left_depth_step + row as i64 * tile.left_row_step;
        let scalar = load_at(emitter, types::F32, left, offset);
        let factor = emitter.b.ins().splat(types::F32X4, scalar);
        for (vector, &right) in vectors.iter().enumerate() {
            let at = row * tile.vectors + vector;
            sums[at] = match tile.has_fma {
                true => emitter.b.ins().fma(factor, right, sums[at]),
                false => {
                    let product = emitter.b.ins().fmul(factor, right);
                    emitter.b.ins().fadd(sums[at], product)
                }
            };
        }
    }
}

fn load_at(
    emitter: &mut Emitter<'_, '_>,
    ty: cranelift_codegen::ir::Type,
    address: Value,
    offset: i64,
) -> Value {
    match i32::try_from(offset) {
        Ok(offset) => emitter.b.ins().load(ty, memory::flags(), address, offset),
        Err(_) => {
            let address = emitter.b.ins().iadd_imm_s(address, offset);
            emitter.b.ins().load(ty, memory::flags(), address, 0)
        }
    }
}

/// Writes the sums to memory and runs the epilogue from there, a row at a time.
fn from_memory(
    emitter: &mut Emitter<'_, '_>,
    contraction: &Contraction<'_>,
    tile: &Tile,
    memory: Value,
    sums: &[Value],
    row: Value,
    column: Value,
) {
    let row_bytes = tile.vectors * LANES * 4;
    for (index, &sum) in sums.iter().enumerate() {
        emitter.b.ins().store(memory::flags(), sum, memory, (index * LANES * 4) as i32);
    }
    let [zero, rows] = [0, tile.rows as i64].map(|at| emitter.b.ins().iconst(types::I64, at));
    each(emitter, zero, rows, &mut |emitter, index| {
        let offset = emitter.b.ins().imul_imm_s(index, row_bytes as i64);
        let from = emitter.b.ins().iadd(memory, offset);
        let row = emitter.b.ins().iadd(row, index);
        emitter.epilogue(
            contraction.row.map(|axis| (axis, row)),
            (contraction.column, column),
            tile.columns,
            |emitter, (first, lanes)| {
                let registers = memory::load(emitter.b, ir::DType::F32, lanes, from, first as i32 * 4);
                let sum = if lanes == 1 { Val::Uniform(registers[0]) } else { Val::Vector(registers) };
                (contraction.sum, sum)
            },
            &contraction.epilogue,
        );
    });
}
