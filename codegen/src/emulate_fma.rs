//! Fused multiply-add of `f32` for CPUs without an instruction for it, in place of a call per lane.
//!
//! In: a function. Out: the same function, in which no `fma` of `f32` is left; the results have the same bits.
//!
//! The product of two `f32` is exact in `f64`. Their sum with the third operand is rounded to odd there: where it is
//! inexact and the last bit of the nearest number is even, the neighbour on the other side of the exact sum is taken. As 53
//! bits are at least two more than 24, rounding that to `f32` rounds the exact result once (Boldo and Melquiond,
//! "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008, theorem 3 and figure 5).
//! The error of the sum is Knuth's TwoSum. No step overflows or underflows: products and sums of `f32` are multiples of
//! 2^-298 below 2^257.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{
    ConstantData, Endianness, Function, Inst, InstBuilder, MemFlagsData, Opcode, Type, Value, types,
};

/// Replaces each `fma` of `f32`, scalar or vector. Those of `f64` stay, and become calls.
pub fn emulate_fma(function: &mut Function) {
    let blocks = function.layout.blocks();
    let insts = blocks.flat_map(|block| function.layout.block_insts(block));
    let fmas: Vec<Inst> = insts.filter(|&inst| function.dfg.insts[inst].opcode() == Opcode::Fma).collect();
    for inst in fmas {
        let &[x, y, z] = function.dfg.inst_args(inst) else { panic!("fma has three operands") };
        let mut pos = FuncCursor::new(function).at_inst(inst);
        match pos.func.dfg.value_type(x) {
            types::F32 => {
                let [x, y, z] = [x, y, z].map(|value| pos.ins().fpromote(types::F64, value));
                let sum = multiply_add_to_odd(&mut pos, types::F64, types::I64, [x, y, z]);
                pos.func.replace(inst).fdemote(types::F32, sum);
            }
            types::F32X4 => {
                let halves = [0, 8].map(|first| {
                    let operands = [x, y, z].map(|value| {
                        let half = shuffle_bytes(&mut pos, value, value, [first, first]);
                        let half = pos.ins().bitcast(types::F32X4, flags(), half);
                        pos.ins().fvpromote_low(half)
                    });
                    let sum = multiply_add_to_odd(&mut pos, types::F64X2, types::I64X2, operands);
                    pos.ins().fvdemote(sum)
                });
                let both = shuffle_bytes(&mut pos, halves[0], halves[1], [0, 16]);
                pos.func.replace(inst).bitcast(types::F32X4, flags(), both);
            }
            _ => {}
        }
    }
}

/// `x * y + z` of `f64` whose product is exact, rounded to odd; `bits` is the type of the same bits as integers.
fn multiply_add_to_odd(pos: &mut FuncCursor<'_>, ty: Type, bits: Type, [x, y, z]: [Value; 3]) -> Value {
    let product = pos.ins().fmul(x, y);
    let sum = pos.ins().fadd(product, z);
    // sum + error = product + z; the error is NaN where the sum is not finite.
    let z_rounded = pos.ins().fsub(sum, product);
    let product_rounded = pos.ins().fsub(sum, z_rounded);
    let product_error = pos.ins().fsub(product, product_rounded);
    let z_error = pos.ins().fsub(z, z_rounded);
    let error = pos.ins().fadd(product_error, z_error);

    let sum_bits = pos.ins().bitcast(bits, flags(), sum);
    let error_bits = pos.ins().bitcast(bits, flags(), error);
    let one = constant(pos, bits, 1);
    let two = constant(pos, bits, 2);
    // All ones where the sum is inexact, and where its last bit is even.
    let zero = pos.ins().bxor(sum_bits, sum_bits);
    let zero = pos.ins().bitcast(ty, flags(), zero);
    let magnitude = pos.ins().fabs(error);
    let is_inexact = pos.ins().fcmp(FloatCC::GreaterThan, magnitude, zero);
    let is_inexact = if ty.is_vector() { is_inexact } else { pos.ins().bmask(bits, is_inexact) };
    let last = pos.ins().band(sum_bits, one);
    let is_even = pos.ins().isub(last, one);
    // One up in magnitude where the error has the sign of the sum, one down where it has not.
    let signs = pos.ins().bxor(sum_bits, error_bits);
    let shift = pos.ins().iconst(types::I32, 62);
    let signs = pos.ins().ushr(signs, shift);
    let differs = pos.ins().band(signs, two);
    let step = pos.ins().isub(one, differs);

    let moves = pos.ins().band(is_inexact, is_even);
    let step = pos.ins().band(step, moves);
    let odd = pos.ins().iadd(sum_bits, step);
    pos.ins().bitcast(ty, flags(), odd)
}

/// An integer in each lane.
fn constant(pos: &mut FuncCursor<'_>, bits: Type, value: i64) -> Value {
    let scalar = pos.ins().iconst(types::I64, value);
    if bits.is_vector() { pos.ins().splat(bits, scalar) } else { scalar }
}

/// Eight bytes from each of two places in `x` and `y`, whose bytes are numbered from 0 and from 16.
fn shuffle_bytes(pos: &mut FuncCursor<'_>, x: Value, y: Value, first: [u8; 2]) -> Value {
    let bytes: [u8; 16] = std::array::from_fn(|i| first[i / 8] + (i % 8) as u8);
    let mask = pos.func.dfg.immediates.push(ConstantData::from(&bytes[..]));
    let [x, y] = [x, y].map(|value| pos.ins().bitcast(types::I8X16, flags(), value));
    pos.ins().shuffle(x, y, mask)
}

fn flags() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}
