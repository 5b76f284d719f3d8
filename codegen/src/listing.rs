//! The functions that a kernel becomes, for dumps: its own, then those of wide code, each cut into instructions and
//! constants.

use cranelift_module::{ModuleReloc, ModuleRelocTarget};
use iced_x86::{Decoder, DecoderOptions, FlowControl};

use crate::jit::Compiled;
use crate::wide::{WIDE_NAMESPACE, WideFunction};

/// A function before it is in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineFunction<'a> {
    /// `kernel`, or the kind and the number of wide code: `tile 1`.
    pub name: String,
    /// The instructions.
    pub code: &'a [u8],
    /// What lies behind them: constants, and the gap before the first.
    pub constants: &'a [u8],
    /// Where addresses are filled in, as offsets into the code, ascending, and what they are the addresses of.
    pub addresses: Vec<(usize, String)>,
}

/// The functions of a kernel, its own first.
pub fn functions(compiled: &Compiled) -> Vec<MachineFunction<'_>> {
    let wide = &compiled.wide;
    let (code, constants) = compiled.bytes.split_at(code_bytes(&compiled.bytes));
    let mut addresses: Vec<(usize, String)> =
        compiled.relocations.iter().map(|reloc| (reloc.offset as usize, callee(reloc, wide))).collect();
    addresses.sort();
    let kernel = MachineFunction { name: "kernel".to_owned(), code, constants, addresses };
    let wide = wide.iter().enumerate().map(|(number, function)| {
        let (code, constants) = function.bytes.split_at(function.code_bytes);
        MachineFunction { name: name(function, number), code, constants, addresses: Vec::new() }
    });
    std::iter::once(kernel).chain(wide).collect()
}

fn name(function: &WideFunction, number: usize) -> String {
    format!("{} {number}", function.kind)
}

fn callee(reloc: &ModuleReloc, wide: &[WideFunction]) -> String {
    match reloc.name {
        ModuleRelocTarget::User { namespace: WIDE_NAMESPACE, index } => {
            name(&wide[index as usize], index as usize)
        }
        ref other => other.to_string(),
    }
}

/// Where the instructions of a function of Cranelift end: before the first constant that one of them reads, because
/// Cranelift puts all constants behind the code and does not say where, and before the zeros that fill up to there.
/// Everything on CPUs other than x86-64.
fn code_bytes(bytes: &[u8]) -> usize {
    if !cfg!(target_arch = "x86_64") {
        return bytes.len();
    }
    let mut end = bytes.len();
    for instruction in &mut Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE) {
        if instruction.ip() >= end as u64 {
            break;
        }
        if instruction.is_ip_rel_memory_operand() {
            end = end.min(instruction.ip_rel_memory_address() as usize);
        }
        let next = instruction.next_ip() as usize;
        let goes_on =
            !matches!(instruction.flow_control(), FlowControl::Return | FlowControl::UnconditionalBranch);
        if !goes_on && next <= end && bytes[next..end].iter().all(|&byte| byte == 0) {
            return next;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn code_ends_before_the_first_constant_that_it_reads() {
        // movss xmm0, [rip + 8]; ret; a gap; the constant.
        let read = [0xf3, 0x0f, 0x10, 0x05, 0x08, 0, 0, 0, 0xc3];
        let bytes = [&read[..], &[0; 7], &[0x06, 0x06, 0x06, 0x06]].concat();
        assert_eq!(code_bytes(&bytes), 9);
        // jmp to itself, filled up.
        assert_eq!(code_bytes(&[0xeb, 0xfe, 0, 0, 0]), 2);
        assert_eq!(code_bytes(&[0xc3]), 1);
    }
}
