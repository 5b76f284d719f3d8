//! Cold functions in Cranelift's code: a branch around a block that is moved out of the way.
//!
//! The block does one lane after the other, so that the function's code is there once and is short: few operands ever reach
//! it.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, StackSlotData, StackSlotKind, Value, types};
use cranelift_frontend::FunctionBuilder;
use ir::{ColdFn, DType, Primitive};

use super::primitive::{self, Regs, lanes_per_register, scalar_type, vector_type};
use super::{memory, values_of_program};

/// The cold function of `x` in the lanes where the condition holds, `usual` in the others: `[condition, usual, x]`.
pub fn apply(
    b: &mut FunctionBuilder<'_>,
    function: ColdFn,
    dtype: DType,
    lanes: usize,
    operands: &[Regs],
) -> Regs {
    let [condition, usual, x] = operands else { panic!("a cold function has three operands") };
    let [cold, done] = [(); 2].map(|()| b.create_block());
    let ty = if lanes == 1 { scalar_type(dtype) } else { vector_type(dtype) };
    let results: Regs = usual.iter().map(|_| b.append_block_param(done, ty)).collect();
    let is_any = is_any(b, condition, lanes);
    b.ins().brif(is_any, cold, &[], done, &arguments(usual));
    b.set_cold_block(cold);
    b.switch_to_block(cold);
    if lanes == 1 {
        let result = value(b, function, dtype, x[0]);
        b.ins().jump(done, &[BlockArg::Value(result)]);
    } else {
        let found = lane_by_lane(b, function, dtype, x);
        let chosen = primitive::apply(
            b,
            Primitive::Select,
            dtype,
            dtype,
            lanes,
            &[condition.clone(), found, usual.clone()],
        );
        b.ins().jump(done, &arguments(&chosen));
    }
    b.switch_to_block(done);
    results
}

fn arguments(values: &Regs) -> Vec<BlockArg> {
    values.iter().copied().map(BlockArg::Value).collect()
}

/// Whether a truth value holds in any lane.
fn is_any(b: &mut FunctionBuilder<'_>, condition: &Regs, lanes: usize) -> Value {
    let any = condition.iter().copied().reduce(|x, y| b.ins().bor(x, y)).expect("there are lanes");
    if lanes == 1 { any } else { b.ins().vany_true(any) }
}

/// The function of one lane.
fn value(b: &mut FunctionBuilder<'_>, function: ColdFn, dtype: DType, x: Value) -> Value {
    let (program, result) = function.program(dtype);
    values_of_program(b, program, &[Regs::from_slice(&[x])], 1)[result.0 as usize][0]
}

/// The function of each lane, in a loop through memory.
fn lane_by_lane(b: &mut FunctionBuilder<'_>, function: ColdFn, dtype: DType, x: &Regs) -> Regs {
    const REGISTER: i32 = 16;
    let size_bytes = x.len() as i64 * i64::from(REGISTER);
    let lane_bytes = size_bytes / (x.len() * lanes_per_register(dtype)) as i64;
    let slot =
        b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, size_bytes as u32, 4));
    let start = b.ins().stack_addr(types::I64, slot, 0);
    for (register, &x) in x.iter().enumerate() {
        b.ins().store(memory::flags(), x, start, register as i32 * REGISTER);
    }
    let [lane, after] = [(); 2].map(|()| b.create_block());
    let offset = b.append_block_param(lane, types::I64);
    let first = b.ins().iconst(types::I64, 0);
    b.ins().jump(lane, &[BlockArg::Value(first)]);
    b.set_cold_block(lane);
    b.switch_to_block(lane);
    let address = b.ins().iadd(start, offset);
    let x_lane = b.ins().load(scalar_type(dtype), memory::flags(), address, 0);
    let result = value(b, function, dtype, x_lane);
    b.ins().store(memory::flags(), result, address, 0);
    let next = b.ins().iadd_imm_s(offset, lane_bytes);
    let is_left = b.ins().icmp_imm_s(IntCC::SignedLessThan, next, size_bytes);
    b.ins().brif(is_left, lane, &[BlockArg::Value(next)], after, &[]);
    b.set_cold_block(after);
    b.switch_to_block(after);
    (0..x.len() as i32)
        .map(|register| b.ins().load(vector_type(dtype), memory::flags(), start, register * REGISTER))
        .collect()
}
