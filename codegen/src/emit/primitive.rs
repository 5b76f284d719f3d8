//! One primitive of a vector program as Cranelift instructions, for any number of lanes.
//!
//! A value of one lane is a scalar; a truth value of one lane is an `i8`, 0 or 1. A value of more lanes is a list of
//! 128-bit registers; its number of lanes is a multiple of 4. Truth values of more lanes are masks of 32 bits a lane,
//! all ones or all zeros, whatever is compared.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{ConstantData, Endianness, InstBuilder, MemFlagsData, Type, Value, types};
use cranelift_frontend::FunctionBuilder;
use ir::{Comparison, DType, Primitive, Scalar};
use smallvec::{SmallVec, smallvec};

use super::cold;

/// A value: one scalar, or the registers that hold its lanes in order.
pub type Regs = SmallVec<[Value; 4]>;

/// The Cranelift type of a scalar of this dtype.
pub fn scalar_type(dtype: DType) -> Type {
    match dtype {
        DType::F32 => types::F32,
        DType::F64 => types::F64,
        DType::I32 => types::I32,
        DType::I64 => types::I64,
        DType::Bool => types::I8,
    }
}

/// The Cranelift type of a register of this dtype; of truth values, that of a mask.
pub fn vector_type(dtype: DType) -> Type {
    match dtype {
        DType::F32 => types::F32X4,
        DType::F64 => types::F64X2,
        DType::I32 | DType::Bool => types::I32X4,
        DType::I64 => types::I64X2,
    }
}

/// The number of lanes in one register.
pub fn lanes_per_register(dtype: DType) -> usize {
    16 / dtype.size_bytes().max(4)
}

/// Bits as another type.
pub fn bitcast(b: &mut FunctionBuilder<'_>, to: Type, x: Value) -> Value {
    if b.func.dfg.value_type(x) == to {
        return x;
    }
    b.ins().bitcast(to, MemFlagsData::new().with_endianness(Endianness::Little), x)
}

/// The constant in each of `lanes` lanes.
pub fn constant(b: &mut FunctionBuilder<'_>, value: Scalar, lanes: usize) -> Regs {
    if lanes == 1 {
        return smallvec![match value {
            Scalar::F32(x) => b.ins().f32const(x),
            Scalar::F64(x) => b.ins().f64const(x),
            _ => b.ins().iconst(scalar_type(value.dtype()), value.bits() as i64),
        }];
    }
    let lane: Vec<u8> = match value {
        Scalar::F32(x) => x.to_le_bytes().to_vec(),
        Scalar::F64(x) => x.to_le_bytes().to_vec(),
        Scalar::I32(x) => x.to_le_bytes().to_vec(),
        Scalar::I64(x) => x.to_le_bytes().to_vec(),
        Scalar::Bool(x) => vec![if x { 0xff } else { 0 }; 4],
    };
    let bytes = lane.repeat(16 / lane.len());
    let register = register_constant(b, vector_type(value.dtype()), bytes);
    smallvec![register; lanes / lanes_per_register(value.dtype())]
}

/// A register of these 16 bytes.
pub fn register_constant(b: &mut FunctionBuilder<'_>, ty: Type, bytes: Vec<u8>) -> Value {
    let handle = b.func.dfg.constants.insert(ConstantData::from(bytes));
    b.ins().vconst(ty, handle)
}

/// The scalar in each of `lanes` lanes.
pub fn splat(b: &mut FunctionBuilder<'_>, dtype: DType, scalar: Value, lanes: usize) -> Regs {
    if lanes == 1 {
        return smallvec![scalar];
    }
    let scalar = if dtype == DType::Bool { b.ins().bmask(types::I32, scalar) } else { scalar };
    let register = b.ins().splat(vector_type(dtype), scalar);
    smallvec![register; lanes / lanes_per_register(dtype)]
}

/// One lane as a scalar.
pub fn extract(b: &mut FunctionBuilder<'_>, dtype: DType, x: &Regs, lane: usize) -> Value {
    let per = lanes_per_register(dtype);
    let scalar = b.ins().extractlane(x[lane / per], (lane % per) as u8);
    match dtype {
        DType::Bool => {
            let bit = b.ins().band_imm_u(scalar, 1);
            b.ins().ireduce(types::I8, bit)
        }
        _ => scalar,
    }
}

/// Scalars as lanes.
pub fn gather_lanes(b: &mut FunctionBuilder<'_>, dtype: DType, scalars: &[Value]) -> Regs {
    let per = lanes_per_register(dtype);
    let lane =
        |b: &mut FunctionBuilder<'_>, x| if dtype == DType::Bool { b.ins().bmask(types::I32, x) } else { x };
    let chunks = scalars.chunks(per);
    chunks
        .map(|chunk| {
            let first = lane(b, chunk[0]);
            let start = b.ins().splat(vector_type(dtype), first);
            chunk.iter().enumerate().skip(1).fold(start, |register, (index, &scalar)| {
                let scalar = lane(b, scalar);
                b.ins().insertlane(register, scalar, index as u8)
            })
        })
        .collect()
}

/// A byte shuffle of two registers, as a register of `ty`.
fn shuffle(b: &mut FunctionBuilder<'_>, ty: Type, x: Value, y: Value, bytes: [u8; 16]) -> Value {
    let mask = b.func.dfg.immediates.push(ConstantData::from(&bytes[..]));
    let (x, y) = (bitcast(b, types::I8X16, x), bitcast(b, types::I8X16, y));
    let shuffled = b.ins().shuffle(x, y, mask);
    bitcast(b, ty, shuffled)
}

/// The bytes of four 32-bit words, numbered over two registers.
fn word_bytes(words: [u8; 4]) -> [u8; 16] {
    std::array::from_fn(|i| words[i / 4] * 4 + (i % 4) as u8)
}

/// Applies a primitive to operands of dtype `from` (that of the last operand), giving `to`.
pub fn apply(
    b: &mut FunctionBuilder<'_>,
    primitive: Primitive,
    from: DType,
    to: DType,
    lanes: usize,
    operands: &[Regs],
) -> Regs {
    match primitive {
        Primitive::Argument(_) | Primitive::Constant(_) => panic!("{primitive:?} is not applied to operands"),
        Primitive::Convert(to) => convert(b, from, to, lanes, &operands[0]),
        Primitive::Bitcast(to) => operands[0]
            .iter()
            .map(|&x| bitcast(b, if lanes == 1 { scalar_type(to) } else { vector_type(to) }, x))
            .collect(),
        Primitive::Select => select(b, from, lanes, operands),
        Primitive::Cold(function) => cold::apply(b, function, from, lanes, operands),
        Primitive::Compare(how) => {
            let masks = zip(operands, |x| compare(b, how, from, x[0], x[1]));
            if lanes > 1 && from.size_bytes() == 8 { narrow_masks(b, &masks) } else { masks }
        }
        _ => zip(operands, |x| arithmetic(b, primitive, to, lanes, x)),
    }
}

/// Calls `f` with the registers of each position.
fn zip(operands: &[Regs], mut f: impl FnMut(&[Value]) -> Value) -> Regs {
    (0..operands[0].len())
        .map(|register| {
            let operands: SmallVec<[Value; 3]> = operands.iter().map(|operand| operand[register]).collect();
            f(&operands)
        })
        .collect()
}

/// `a * 2^n` by two powers of two, `2^floor(n/2)` and the rest, so that the first product is exact.
fn scale(b: &mut FunctionBuilder<'_>, dtype: DType, lanes: usize, a: Value, n: Value) -> Value {
    let (int, mantissa, bias) =
        if dtype == DType::F64 { (DType::I64, 52, 1023) } else { (DType::I32, 23, 127) };
    let ty = |dtype| if lanes == 1 { scalar_type(dtype) } else { vector_type(dtype) };
    // A small integer added to this number is in its low bits, with twice the bias.
    let magic = Scalar::from_f64(dtype, 1.5 * f64::from(mantissa).exp2() + f64::from(2 * bias));
    let magic = constant(b, magic, lanes)[0];
    let shifted = b.ins().fadd(n, magic);
    let biased = bitcast(b, ty(int), shifted);
    let halved = b.ins().ishl_imm_u(biased, i64::from(mantissa - 1));
    let mask = constant(b, Scalar::from_i64(int, -1 << mantissa), lanes)[0];
    let first = b.ins().band(halved, mask);
    let whole = b.ins().ishl_imm_u(biased, i64::from(mantissa));
    let second = b.ins().isub(whole, first);
    let [first, second] = [first, second].map(|bits| bitcast(b, ty(dtype), bits));
    let scaled = b.ins().fmul(a, first);
    b.ins().fmul(scaled, second)
}

fn arithmetic(
    b: &mut FunctionBuilder<'_>,
    primitive: Primitive,
    dtype: DType,
    lanes: usize,
    x: &[Value],
) -> Value {
    let is_float = dtype.is_float();
    match primitive {
        Primitive::Add if is_float => b.ins().fadd(x[0], x[1]),
        Primitive::Add => b.ins().iadd(x[0], x[1]),
        Primitive::Sub if is_float => b.ins().fsub(x[0], x[1]),
        Primitive::Sub => b.ins().isub(x[0], x[1]),
        Primitive::Mul if is_float => b.ins().fmul(x[0], x[1]),
        Primitive::Mul => b.ins().imul(x[0], x[1]),
        Primitive::MulHighUnsigned => multiply_high(b, lanes, x[0], x[1]),
        Primitive::Div => b.ins().fdiv(x[0], x[1]),
        Primitive::Fma => b.ins().fma(x[0], x[1], x[2]),
        Primitive::Min if is_float => b.ins().fmin(x[0], x[1]),
        Primitive::Max if is_float => b.ins().fmax(x[0], x[1]),
        Primitive::Min => int_extreme(b, IntCC::SignedLessThan, lanes, x[0], x[1]),
        Primitive::Max => int_extreme(b, IntCC::SignedGreaterThan, lanes, x[0], x[1]),
        Primitive::Scale => scale(b, dtype, lanes, x[0], x[1]),
        Primitive::Neg if is_float => b.ins().fneg(x[0]),
        Primitive::Neg => b.ins().ineg(x[0]),
        Primitive::Abs if is_float => b.ins().fabs(x[0]),
        Primitive::Abs => b.ins().iabs(x[0]),
        Primitive::Sqrt => b.ins().sqrt(x[0]),
        Primitive::Floor => b.ins().floor(x[0]),
        Primitive::Ceil => b.ins().ceil(x[0]),
        Primitive::Round => b.ins().nearest(x[0]),
        Primitive::And => b.ins().band(x[0], x[1]),
        Primitive::Or => b.ins().bor(x[0], x[1]),
        Primitive::Xor => b.ins().bxor(x[0], x[1]),
        Primitive::Not if dtype == DType::Bool && lanes == 1 => b.ins().bxor_imm_u(x[0], 1),
        Primitive::Not => b.ins().bnot(x[0]),
        Primitive::ShiftLeft(by) => {
            let by = b.ins().iconst(types::I32, i64::from(by));
            b.ins().ishl(x[0], by)
        }
        Primitive::ShiftRightLogical(by) => {
            let by = b.ins().iconst(types::I32, i64::from(by));
            b.ins().ushr(x[0], by)
        }
        Primitive::ShiftRightArithmetic(by) => {
            let by = b.ins().iconst(types::I32, i64::from(by));
            b.ins().sshr(x[0], by)
        }
        other => panic!("{other:?} is no arithmetic"),
    }
}

/// The lesser or greater of two integers.
fn int_extreme(b: &mut FunctionBuilder<'_>, wins: IntCC, lanes: usize, x: Value, y: Value) -> Value {
    let first = b.ins().icmp(wins, x, y);
    if lanes == 1 { b.ins().select(first, x, y) } else { b.ins().bitselect(first, x, y) }
}

/// The high halves of products of unsigned 32-bit lanes.
fn multiply_high(b: &mut FunctionBuilder<'_>, lanes: usize, x: Value, y: Value) -> Value {
    if lanes == 1 {
        let (x, y) = (b.ins().uextend(types::I64, x), b.ins().uextend(types::I64, y));
        let product = b.ins().imul(x, y);
        let high = b.ins().ushr_imm_u(product, 32);
        return b.ins().ireduce(types::I32, high);
    }
    let (x0, y0) = (b.ins().uwiden_low(x), b.ins().uwiden_low(y));
    let (x1, y1) = (b.ins().uwiden_high(x), b.ins().uwiden_high(y));
    let (low, high) = (b.ins().imul(x0, y0), b.ins().imul(x1, y1));
    shuffle(b, types::I32X4, low, high, word_bytes([1, 3, 5, 7]))
}

fn compare(b: &mut FunctionBuilder<'_>, how: Comparison, dtype: DType, x: Value, y: Value) -> Value {
    if dtype.is_float() {
        let condition = match how {
            Comparison::Eq => FloatCC::Equal,
            Comparison::Ne => FloatCC::NotEqual,
            Comparison::Lt => FloatCC::LessThan,
            Comparison::Le => FloatCC::LessThanOrEqual,
            Comparison::Gt => FloatCC::GreaterThan,
            Comparison::Ge => FloatCC::GreaterThanOrEqual,
        };
        return b.ins().fcmp(condition, x, y);
    }
    // Truth values are 0 and 1 as scalars and 0 and -1 in masks: only unsigned order is that of both.
    let is_bool = dtype == DType::Bool;
    let condition = match how {
        Comparison::Eq => IntCC::Equal,
        Comparison::Ne => IntCC::NotEqual,
        Comparison::Lt if is_bool => IntCC::UnsignedLessThan,
        Comparison::Le if is_bool => IntCC::UnsignedLessThanOrEqual,
        Comparison::Gt if is_bool => IntCC::UnsignedGreaterThan,
        Comparison::Ge if is_bool => IntCC::UnsignedGreaterThanOrEqual,
        Comparison::Lt => IntCC::SignedLessThan,
        Comparison::Le => IntCC::SignedLessThanOrEqual,
        Comparison::Gt => IntCC::SignedGreaterThan,
        Comparison::Ge => IntCC::SignedGreaterThanOrEqual,
    };
    b.ins().icmp(condition, x, y)
}

/// Masks of 64-bit lanes as masks of 32-bit lanes.
fn narrow_masks(b: &mut FunctionBuilder<'_>, masks: &Regs) -> Regs {
    masks.chunks(2).map(|pair| shuffle(b, types::I32X4, pair[0], pair[1], word_bytes([0, 2, 4, 6]))).collect()
}

/// Masks of 32-bit lanes as masks of 64-bit lanes.
fn widen_masks(b: &mut FunctionBuilder<'_>, masks: &Regs) -> Regs {
    masks.iter().flat_map(|&mask| [b.ins().swiden_low(mask), b.ins().swiden_high(mask)]).collect()
}

fn select(b: &mut FunctionBuilder<'_>, dtype: DType, lanes: usize, operands: &[Regs]) -> Regs {
    let [condition, x, y] = operands else { panic!("select has three operands") };
    if lanes == 1 {
        return smallvec![b.ins().select(condition[0], x[0], y[0])];
    }
    let masks = if dtype.size_bytes() == 8 { widen_masks(b, condition) } else { condition.clone() };
    let pairs = masks.iter().zip(x.iter().zip(y));
    pairs
        .map(|(&mask, (&x, &y))| {
            let mask = bitcast(b, vector_type(dtype), mask);
            b.ins().bitselect(mask, x, y)
        })
        .collect()
}

fn convert(b: &mut FunctionBuilder<'_>, from: DType, to: DType, lanes: usize, x: &Regs) -> Regs {
    if from == to {
        return x.clone();
    }
    if lanes == 1 {
        return smallvec![convert_scalar(b, from, to, x[0])];
    }
    match (from, to) {
        (DType::F32, DType::I32) => x.iter().map(|&x| b.ins().fcvt_to_sint_sat(types::I32X4, x)).collect(),
        (DType::I32, DType::F32) => x.iter().map(|&x| b.ins().fcvt_from_sint(types::F32X4, x)).collect(),
        (DType::F32 | DType::I32 | DType::F64 | DType::I64, DType::Bool) => {
            let zero = constant(b, Scalar::from_i64(from, 0), lanes);
            let masks = zip(&[x.clone(), zero], |x| compare(b, Comparison::Ne, from, x[0], x[1]));
            if from.size_bytes() == 8 { narrow_masks(b, &masks) } else { masks }
        }
        (DType::Bool, DType::F32 | DType::I32) => {
            let one = constant(b, Scalar::from_i64(to, 1), lanes);
            zip(&[x.clone(), one], |x| {
                let one = bitcast(b, types::I32X4, x[1]);
                let masked = b.ins().band(x[0], one);
                bitcast(b, vector_type(to), masked)
            })
        }
        (DType::F32, DType::F64) => {
            let halves = |b: &mut FunctionBuilder<'_>, x| {
                let upper = shuffle(b, types::F32X4, x, x, word_bytes([2, 3, 2, 3]));
                [b.ins().fvpromote_low(x), b.ins().fvpromote_low(upper)]
            };
            x.iter().flat_map(|&x| halves(b, x)).collect()
        }
        (DType::F64, DType::F32) => x
            .chunks(2)
            .map(|pair| {
                let (low, high) = (b.ins().fvdemote(pair[0]), b.ins().fvdemote(pair[1]));
                shuffle(b, types::F32X4, low, high, word_bytes([0, 1, 4, 5]))
            })
            .collect(),
        (DType::I32, DType::I64) => widen_masks(b, x),
        (DType::I64, DType::I32) => narrow_masks(b, x),
        _ => {
            let scalars: Vec<Value> = (0..lanes)
                .map(|lane| {
                    let scalar = extract(b, from, x, lane);
                    convert_scalar(b, from, to, scalar)
                })
                .collect();
            gather_lanes(b, to, &scalars)
        }
    }
}

fn convert_scalar(b: &mut FunctionBuilder<'_>, from: DType, to: DType, x: Value) -> Value {
    match (from, to) {
        (DType::F32, DType::F64) => b.ins().fpromote(types::F64, x),
        (DType::F64, DType::F32) => b.ins().fdemote(types::F32, x),
        (DType::F32 | DType::F64, DType::I32 | DType::I64) => b.ins().fcvt_to_sint_sat(scalar_type(to), x),
        (DType::I32 | DType::I64, DType::F32 | DType::F64) => b.ins().fcvt_from_sint(scalar_type(to), x),
        (DType::I32, DType::I64) => b.ins().sextend(types::I64, x),
        (DType::I64, DType::I32) => b.ins().ireduce(types::I32, x),
        (_, DType::Bool) => {
            let zero = constant(b, Scalar::from_i64(from, 0), 1)[0];
            compare(b, Comparison::Ne, from, x, zero)
        }
        (DType::Bool, DType::F32 | DType::F64) => {
            let int = b.ins().uextend(types::I32, x);
            b.ins().fcvt_from_sint(scalar_type(to), int)
        }
        (DType::Bool, _) => b.ins().uextend(scalar_type(to), x),
        _ => x,
    }
}
