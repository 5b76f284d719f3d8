//! Loads and stores of lanes.

use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use cranelift_frontend::FunctionBuilder;
use ir::DType;
use smallvec::smallvec;

use super::primitive::{Regs, bitcast, lanes_per_register, register_constant, scalar_type, vector_type};

/// Accesses that cannot trap: the plan has checked that every one is inside of its buffer.
pub fn flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// Loads `lanes` elements that follow each other from `address + offset` bytes.
pub fn load(b: &mut FunctionBuilder<'_>, dtype: DType, lanes: usize, address: Value, offset: i32) -> Regs {
    if lanes == 1 {
        return smallvec![b.ins().load(scalar_type(dtype), flags(), address, offset)];
    }
    let registers = 0..(lanes / lanes_per_register(dtype)) as i32;
    if dtype == DType::Bool {
        return registers.map(|index| load_masks(b, address, offset + 4 * index)).collect();
    }
    registers.map(|index| b.ins().load(vector_type(dtype), flags(), address, offset + 16 * index)).collect()
}

/// Stores lanes as elements that follow each other.
pub fn store(
    b: &mut FunctionBuilder<'_>,
    dtype: DType,
    lanes: usize,
    value: &Regs,
    address: Value,
    offset: i32,
) {
    for (index, &register) in value.iter().enumerate() {
        let index = index as i32;
        if lanes > 1 && dtype == DType::Bool {
            let bytes = pack_masks(b, register);
            b.ins().store(flags(), bytes, address, offset + 4 * index);
        } else {
            b.ins().store(flags(), register, address, offset + 16 * index);
        }
    }
}

/// Four bytes, 0 or 1, as a mask of four lanes.
fn load_masks(b: &mut FunctionBuilder<'_>, address: Value, offset: i32) -> Value {
    let word = b.ins().load(types::I32, flags(), address, offset);
    let bytes = b.ins().scalar_to_vector(types::I32X4, word);
    let bytes = bitcast(b, types::I8X16, bytes);
    let halves = b.ins().uwiden_low(bytes);
    let words = b.ins().uwiden_low(halves);
    b.ins().ineg(words)
}

/// A mask of four lanes as four bytes, 0 or 1.
fn pack_masks(b: &mut FunctionBuilder<'_>, mask: Value) -> Value {
    let one = register_constant(b, types::I32X4, [1, 0, 0, 0].repeat(4));
    let bits = b.ins().band(mask, one);
    let halves = b.ins().snarrow(bits, bits);
    let bytes = b.ins().snarrow(halves, halves);
    let words = bitcast(b, types::I32X4, bytes);
    b.ins().extractlane(words, 0)
}
