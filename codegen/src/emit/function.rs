//! What all functions of kernels begin and end with: the signature, the addresses of the buffers, the return.

use cranelift_codegen::ir::{Function, InstBuilder, Value, types};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

use super::{Emitter, memory};
use crate::Target;
use crate::jit::kernel_function;
use crate::nest::{Nest, is_local};
use crate::wide::WideFunction;

/// A function, and how it is called.
pub struct Emitted {
    /// The function.
    pub function: Function,
    /// The functions of wide code that it calls, by their number.
    pub wide: Vec<WideFunction>,
    /// The number of chunks.
    pub chunks: u64,
    /// The scratch memory that a thread needs, in bytes.
    pub scratch_bytes: usize,
}

/// What the caller of a function says: which chunks to run, and where there is memory.
pub struct Call {
    /// The first chunk.
    pub begin: Value,
    /// The end of the chunks.
    pub end: Value,
    scratch: Value,
    /// How much of the scratch memory is taken, in bytes: at first by the local buffers.
    pub scratch_bytes: usize,
}

impl Call {
    /// The address of `bytes` more bytes of scratch memory.
    pub fn take_scratch(&mut self, emitter: &mut Emitter<'_, '_>, bytes: usize) -> Value {
        let address = emitter.b.ins().iadd_imm_s(self.scratch, self.scratch_bytes as i64);
        self.scratch_bytes += bytes.next_multiple_of(64);
        address
    }
}

/// Emits the function of a nest, whose body `body` emits; that returns the number of chunks.
pub fn emit_function(
    nest: &Nest,
    target: &Target,
    body: impl FnOnce(&mut Emitter<'_, '_>, &mut Call) -> usize,
) -> Emitted {
    let mut function = kernel_function(target);
    let mut context = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut function, &mut context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let [args, scratch, begin, end] = [0, 1, 2, 3].map(|i| b.block_params(entry)[i]);
    let (bases, scratch_bytes) = buffer_addresses(&mut b, nest, args, scratch);
    let mut call = Call { begin, end, scratch, scratch_bytes };
    let mut emitter = Emitter::new(&mut b, nest, &bases, target.wide());
    let chunks = body(&mut emitter, &mut call);
    let wide = std::mem::take(&mut emitter.functions);
    b.ins().return_(&[]);
    b.seal_all_blocks();
    b.finalize(target.isa.frontend_config());
    Emitted { function, wide, chunks: chunks as u64, scratch_bytes: call.scratch_bytes }
}

/// The address of each buffer: parameters from `args`, local memory in `scratch`.
fn buffer_addresses(
    b: &mut FunctionBuilder<'_>,
    nest: &Nest,
    args: Value,
    scratch: Value,
) -> (Vec<Value>, usize) {
    let (mut parameter, mut scratch_bytes) = (0, 0);
    let mut bases = Vec::with_capacity(nest.buffers.len());
    for buffer in &nest.buffers {
        if is_local(buffer) {
            bases.push(b.ins().iadd_imm_s(scratch, scratch_bytes as i64));
            scratch_bytes += buffer.ty.size_bytes().next_multiple_of(64);
        } else {
            bases.push(b.ins().load(
                types::I64,
                memory::flags().with_readonly().with_can_move(),
                args,
                8 * parameter,
            ));
            parameter += 1;
        }
    }
    (bases, scratch_bytes)
}
