//! The CPU that code is generated for: one row per kind.

use std::fmt;

use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};

use crate::Error;

/// What code generation knows of a CPU.
#[derive(Clone)]
pub struct Target {
    /// Its name in reports.
    pub name: &'static str,
    /// The width of the vectors that kernels use, in bytes.
    pub vector_bytes: usize,
    /// The number of vector registers of that width.
    pub vector_registers: usize,
    /// Whether it multiplies and adds in one instruction.
    pub has_fma: bool,
    /// The size of the first-level data cache, in bytes.
    pub l1_bytes: usize,
    /// The size of the second-level cache, in bytes.
    pub l2_bytes: usize,
    /// Cranelift's view of it.
    pub(crate) isa: OwnedTargetIsa,
}

impl Target {
    /// The machine that this runs on.
    ///
    /// # Errors
    /// A CPU that Cranelift does not know.
    pub fn host() -> Result<Target, Error> {
        Target::with_verifier(cfg!(debug_assertions))
    }

    /// The machine that this runs on, with Cranelift's verifier on or off.
    ///
    /// # Errors
    /// A CPU that Cranelift does not know.
    pub fn with_verifier(verify: bool) -> Result<Target, Error> {
        let mut flags = settings::builder();
        let mut set = |name: &str, value: &str| flags.set(name, value).expect("the flag exists");
        set("opt_level", "speed");
        set("enable_verifier", if verify { "true" } else { "false" });
        set("is_pic", "false");
        set("unwind_info", "false");
        let builder = cranelift_native::builder().map_err(|reason| Error::Target(reason.to_owned()))?;
        let isa =
            builder.finish(settings::Flags::new(flags)).map_err(|error| Error::Target(error.to_string()))?;
        let has_fma =
            isa.isa_flags().iter().any(|flag| flag.name == "has_fma" && flag.as_bool() == Some(true));
        let (l1_bytes, l2_bytes) = cache_sizes();
        Ok(Target {
            name: "native-128",
            vector_bytes: 16,
            vector_registers: 16,
            has_fma,
            l1_bytes,
            l2_bytes,
            isa,
        })
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("name", &self.name)
            .field("vector_bytes", &self.vector_bytes)
            .finish_non_exhaustive()
    }
}

/// The sizes of the first and second level of data cache; usual ones where the CPU does not tell.
fn cache_sizes() -> (usize, usize) {
    let usual = (32 << 10, 512 << 10);
    #[cfg(target_arch = "x86_64")]
    {
        use raw_cpuid::{CacheType, CpuId};
        let id = CpuId::new();
        let size = |level: u8| -> Option<usize> {
            let caches = id.get_cache_parameters()?;
            let mut caches =
                caches.filter(|cache| cache.level() == level && cache.cache_type() != CacheType::Instruction);
            let cache = caches.next()?;
            let line = cache.coherency_line_size() * cache.physical_line_partitions();
            Some(line * cache.associativity() * cache.sets())
        };
        (size(1).unwrap_or(usual.0), size(2).unwrap_or(usual.1))
    }
    #[cfg(not(target_arch = "x86_64"))]
    usual
}
