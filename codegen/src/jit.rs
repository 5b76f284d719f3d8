//! Executable memory: machine code that is never writable and executable at once, freed with its owner.
#![allow(
    unsafe_code,
    reason = "freeing the memory of compiled code, which only its owner can know to be unused"
)]

use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{AbiParam, Function, UserFuncName, types};
use cranelift_codegen::{Context, ir as clif};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, ModuleReloc, ModuleRelocTarget, default_libcall_names};

use crate::emulate_fma::emulate_fma;
use crate::load_before_compare::load_before_compare;
use crate::wide::{WIDE_NAMESPACE, WideFunction};
use crate::{Error, KernelFn, Target};

/// Machine code in executable memory.
pub struct ExecutableMemory {
    module: Option<JITModule>,
    functions: Vec<*const u8>,
}

// SAFETY: the code is not written after `finalize_definitions`, and the module is only used again to free it.
unsafe impl Send for ExecutableMemory {}
// SAFETY: as above; shared references only read function addresses.
unsafe impl Sync for ExecutableMemory {}

/// One function before it is in memory.
#[derive(Clone)]
pub struct Compiled {
    /// The machine code.
    pub bytes: Vec<u8>,
    /// The functions of wide code that it calls, by their number.
    pub wide: Vec<WideFunction>,
    /// The addresses to fill in.
    pub relocations: Vec<ModuleReloc>,
    alignment: u64,
}

#[cfg(test)]
impl Compiled {
    /// A function of wide code on its own.
    pub fn of_bytes(bytes: Vec<u8>) -> Compiled {
        Compiled { bytes, wide: Vec::new(), relocations: Vec::new(), alignment: 64 }
    }
}

/// The signature of a kernel: `(args, scratch, begin, end)`.
pub fn kernel_signature(target: &Target) -> clif::Signature {
    let mut signature = clif::Signature::new(target.isa.default_call_conv());
    signature.params = vec![AbiParam::new(types::I64); 4];
    signature
}

/// An empty function for a kernel.
pub fn kernel_function(target: &Target) -> Function {
    Function::with_name_signature(UserFuncName::user(0, 0), kernel_signature(target))
}

/// Turns a function into machine code, beside the wide code that it calls.
pub fn compile_function(
    target: &Target,
    name: &str,
    mut function: Function,
    wide: Vec<WideFunction>,
) -> Result<Compiled, Error> {
    if !target.has_fma {
        emulate_fma(&mut function);
    }
    if target.lacks_avx() {
        load_before_compare(&mut function);
    }
    let mut context = Context::for_function(function);
    let fail = |reason: String| Error::Kernel { kernel: name.to_owned(), reason };
    context
        .compile(&*target.isa, &mut ControlPlane::default())
        .map_err(|error| fail(format!("{:?}", error.inner)))?;
    let code = context.compiled_code().expect("the function was just compiled");
    let relocations = code.buffer.relocs().iter();
    let relocations = relocations
        .map(|reloc| ModuleReloc::from_mach_reloc(reloc, &context.func, FuncId::from_u32(0)))
        .collect();
    Ok(Compiled {
        bytes: code.code_buffer().to_vec(),
        wide,
        relocations,
        alignment: u64::from(code.buffer.alignment),
    })
}

impl ExecutableMemory {
    /// Puts functions into executable memory; function `i` is `compiled[i]`.
    pub fn new(target: &Target, compiled: &[&Compiled]) -> Result<ExecutableMemory, Error> {
        let fail = |error: cranelift_module::ModuleError| Error::Memory(error.to_string());
        let mut builder = JITBuilder::with_isa(target.isa.clone(), default_libcall_names());
        // The one call that code contains: `fma` of f64 where there is no instruction for it.
        builder.symbol("fma", fma as *const u8);
        let mut module = JITModule::new(builder);
        let signature = kernel_signature(target);
        let mut define =
            |name: String, bytes: &[u8], alignment: u64, relocations: &[ModuleReloc], wide: &[FuncId]| {
                let id = module.declare_function(&name, Linkage::Local, &signature).map_err(fail)?;
                let relocations: Vec<ModuleReloc> =
                    relocations.iter().map(|reloc| in_module(reloc, id, wide)).collect();
                module.define_function_bytes(id, alignment.max(64), bytes, &relocations).map_err(fail)?;
                Ok::<FuncId, Error>(id)
            };
        let mut ids = Vec::with_capacity(compiled.len());
        for (index, function) in compiled.iter().enumerate() {
            let wide = function
                .wide
                .iter()
                .enumerate()
                .map(|(number, wide)| define(format!("k{index}.{number}"), &wide.bytes, 64, &[], &[]));
            let wide: Vec<FuncId> = wide.collect::<Result<_, Error>>()?;
            let name = format!("k{index}");
            ids.push(define(name, &function.bytes, function.alignment, &function.relocations, &wide)?);
        }
        module.finalize_definitions().map_err(fail)?;
        let functions = ids.iter().map(|&id| module.get_finalized_function(id)).collect();
        Ok(ExecutableMemory { module: Some(module), functions })
    }

    /// Function number `index`.
    pub fn function(&self, index: usize) -> KernelFn {
        // SAFETY: the address is that of a finalized function that was compiled with the signature of `KernelFn`.
        unsafe { std::mem::transmute::<*const u8, KernelFn>(self.functions[index]) }
    }
}

/// A relocation of function `own` that names functions as the module does.
fn in_module(reloc: &ModuleReloc, own: FuncId, wide: &[FuncId]) -> ModuleReloc {
    let mut reloc = reloc.clone();
    reloc.name = match reloc.name {
        ModuleRelocTarget::User { namespace: WIDE_NAMESPACE, index } => {
            ModuleRelocTarget::user(0, wide[index as usize].as_u32())
        }
        ModuleRelocTarget::FunctionOffset(_, offset) => ModuleRelocTarget::FunctionOffset(own, offset),
        other => other,
    };
    reloc
}

/// `x * y + z`, rounded once.
extern "C" fn fma(x: f64, y: f64, z: f64) -> f64 {
    x.mul_add(y, z)
}

impl Drop for ExecutableMemory {
    fn drop(&mut self) {
        if let Some(module) = self.module.take() {
            // SAFETY: `Code` owns this memory and hands out its functions only to callers who keep the `Code`.
            unsafe { module.free_memory() };
        }
    }
}
