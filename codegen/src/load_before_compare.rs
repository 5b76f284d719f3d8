//! Comparisons that do not read memory themselves, for x86-64 without AVX.
//!
//! In: a function. Out: the same function, in which no operand of a comparison of vectors of floats is a load that
//! Cranelift could make part of the comparison: `cmpps` and `cmppd` fault where their operand in memory is not aligned to
//! 16 bytes, and Cranelift 0.135 does not know that of these two (of the other instructions of SSE it does). A load as
//! bytes and a bit cast are a load of its own, and no instruction more.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{
    Endianness, Function, Inst, InstBuilder, InstructionData, MemFlagsData, Opcode, ValueDef, types,
};

/// Rewrites each load that a comparison of vectors of floats uses.
pub fn load_before_compare(function: &mut Function) {
    let blocks = function.layout.blocks();
    let insts = blocks.flat_map(|block| function.layout.block_insts(block));
    let compares = insts.filter(|&inst| function.dfg.insts[inst].opcode() == Opcode::Fcmp);
    let operands = compares.flat_map(|inst| function.dfg.inst_args(inst).iter().copied());
    let mut loads: Vec<Inst> = operands
        .filter(|&operand| function.dfg.value_type(operand).is_vector())
        .filter_map(|operand| match function.dfg.value_def(operand) {
            ValueDef::Result(inst, _) if function.dfg.insts[inst].opcode() == Opcode::Load => Some(inst),
            _ => None,
        })
        .collect();
    loads.sort_unstable();
    loads.dedup();
    let little_endian = MemFlagsData::new().with_endianness(Endianness::Little);
    for load in loads {
        let InstructionData::Load { arg, flags, offset, .. } = function.dfg.insts[load] else { continue };
        let ty = function.dfg.value_type(function.dfg.first_result(load));
        let flags = function.dfg.mem_flags[flags];
        let bytes = FuncCursor::new(function).at_inst(load).ins().load(types::I8X16, flags, arg, offset);
        function.replace(load).bitcast(ty, little_endian, bytes);
    }
}
