//! The CPU that code is generated for: one row per level of x86-64, and whatever Cranelift detects on other CPUs.
//!
//! A level is named as in the x86-64 psABI. It asks of a CPU only those features of the psABI's level that generated
//! code uses, and code for a level contains no instruction beyond them.

use std::fmt;
use std::sync::LazyLock;

use cranelift_codegen::isa::{Builder, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};

use crate::Error;
use crate::wide::Isa;

/// What code generation knows of a CPU.
#[derive(Clone)]
pub struct Target {
    /// Its name in reports: that of its row, or `native` where it has none.
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
    /// The size of the third-level cache, in bytes; 0 where it is unknown or there is none.
    pub l3_bytes: usize,
    /// Cranelift's view of it.
    pub(crate) isa: OwnedTargetIsa,
}

/// A row: a level of x86-64, which has the features of the rows before it, too.
#[derive(Debug)]
pub struct Level {
    /// Its name.
    pub name: &'static str,
    /// A shorter name that users may write.
    pub short_name: &'static str,
    /// The width of its vectors, in bytes.
    pub vector_bytes: usize,
    /// The number of its vector registers.
    pub vector_registers: usize,
    /// Whether it multiplies and adds in one instruction.
    pub has_fma: bool,
    /// The features that it has beyond the row before.
    features: &'static [Feature],
}

/// A feature of x86-64.
#[derive(Debug)]
struct Feature {
    name: &'static str,
    /// Cranelift's flag for it, where Cranelift makes use of it.
    flag: Option<&'static str>,
    /// Whether this CPU has it, and the operating system saves its registers.
    is_detected: fn() -> bool,
}

/// A feature by the name that the standard library detects it by.
macro_rules! feature {
    ($name:tt, $flag:expr) => {
        Feature {
            name: $name,
            flag: $flag,
            #[cfg(target_arch = "x86_64")]
            is_detected: || std::is_x86_feature_detected!($name),
            #[cfg(not(target_arch = "x86_64"))]
            is_detected: || false,
        }
    };
}

/// The rows, narrowest first.
static LEVELS: [Level; 3] = [
    Level {
        name: "x86-64-v2",
        short_name: "v2",
        vector_bytes: 16,
        vector_registers: 16,
        has_fma: false,
        features: &[
            feature!("sse3", Some("has_sse3")),
            feature!("ssse3", Some("has_ssse3")),
            feature!("sse4.1", Some("has_sse41")),
            feature!("sse4.2", Some("has_sse42")),
            feature!("popcnt", Some("has_popcnt")),
        ],
    },
    Level {
        name: "x86-64-v3",
        short_name: "v3",
        vector_bytes: 32,
        vector_registers: 16,
        has_fma: true,
        features: &[
            feature!("avx", Some("has_avx")),
            feature!("avx2", Some("has_avx2")),
            feature!("fma", Some("has_fma")),
            feature!("bmi1", Some("has_bmi1")),
            feature!("bmi2", Some("has_bmi2")),
            feature!("lzcnt", Some("has_lzcnt")),
        ],
    },
    Level {
        name: "x86-64-v4",
        short_name: "v4",
        vector_bytes: 64,
        vector_registers: 32,
        has_fma: true,
        features: &[
            feature!("avx512f", Some("has_avx512f")),
            feature!("avx512bw", None),
            feature!("avx512dq", Some("has_avx512dq")),
            feature!("avx512vl", Some("has_avx512vl")),
        ],
    },
];

/// The name of the best target that this machine has.
const NATIVE: &str = "native";

impl Target {
    /// The best row that this machine has.
    ///
    /// # Errors
    /// A CPU that Cranelift does not know.
    pub fn host() -> Result<Target, Error> {
        Target::with_verifier(cfg!(debug_assertions))
    }

    /// As [`Target::host`], with Cranelift's verifier on or off.
    ///
    /// # Errors
    /// A CPU that Cranelift does not know.
    pub fn with_verifier(verify: bool) -> Result<Target, Error> {
        match LEVELS.iter().rfind(|level| level.is_available()) {
            Some(level) => level.target(verify),
            None => detected(verify),
        }
    }

    /// The target of this name: a row by its name or short name, or `native`.
    ///
    /// ```
    /// assert_eq!(codegen::Target::named("native")?.name, codegen::Target::host()?.name);
    /// let error = codegen::Target::named("x86-64-v9").unwrap_err().to_string();
    /// assert!(error.contains("the targets are x86-64-v2, x86-64-v3, x86-64-v4, native"), "{error}");
    /// # Ok::<(), codegen::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where there is none of this name, or this machine lacks a feature of it.
    pub fn named(name: &str) -> Result<Target, Error> {
        if name == NATIVE {
            return Target::host();
        }
        let level = LEVELS.iter().find(|level| level.name == name || level.short_name == name);
        let level = level.ok_or_else(|| Error::UnknownTarget(name.to_owned()))?;
        level.check()?;
        level.target(cfg!(debug_assertions))
    }

    /// The targets whose code this machine can run, narrowest first: each row that it has, or else what Cranelift
    /// detects. The last one is [`Target::host`]; there is none where that is an error.
    pub fn available() -> Vec<Target> {
        let levels = LEVELS.iter().filter(|level| level.is_available());
        let targets: Vec<Target> =
            levels.filter_map(|level| level.target(cfg!(debug_assertions)).ok()).collect();
        if targets.is_empty() { Target::host().into_iter().collect() } else { targets }
    }

    /// The names that [`Target::named`] knows, short names left out.
    pub fn names() -> impl Iterator<Item = &'static str> {
        LEVELS.iter().map(|level| level.name).chain([NATIVE])
    }

    /// The rows, narrowest first, whether this machine has them or not.
    pub fn levels() -> &'static [Level] {
        &LEVELS
    }

    /// A target with these properties, and Cranelift's code for it.
    fn new(
        name: &'static str,
        level: Option<&Level>,
        builder: Builder,
        verify: bool,
    ) -> Result<Target, Error> {
        let mut flags = settings::builder();
        let mut set = |name: &str, value: &str| flags.set(name, value).expect("the flag exists");
        set("opt_level", "speed");
        set("enable_verifier", if verify { "true" } else { "false" });
        set("is_pic", "false");
        set("unwind_info", "false");
        let isa =
            builder.finish(settings::Flags::new(flags)).map_err(|error| Error::Target(error.to_string()))?;
        // Fused multiply-add is an extension on x86-64 alone.
        let has_fma = level.map_or(!cfg!(target_arch = "x86_64"), |level| level.has_fma);
        Ok(Target {
            name,
            vector_bytes: level.map_or(16, |level| level.vector_bytes),
            vector_registers: level.map_or(16, |level| level.vector_registers),
            has_fma,
            l1_bytes: cache_bytes(1).unwrap_or(32 << 10),
            l2_bytes: cache_bytes(2).unwrap_or(512 << 10),
            l3_bytes: cache_bytes(3).unwrap_or(0),
            isa,
        })
    }
}

impl Level {
    /// Whether this machine can run code for it.
    pub fn is_available(&self) -> bool {
        self.missing_features().next().is_none()
    }

    /// The features that this machine lacks for it.
    pub fn missing_features(&self) -> impl Iterator<Item = &'static str> {
        self.all_features().filter(|feature| !(feature.is_detected)()).map(|feature| feature.name)
    }

    /// Its features, those of narrower rows first.
    fn all_features(&self) -> impl Iterator<Item = &'static Feature> {
        let narrower = LEVELS.iter().take_while(|level| level.name != self.name);
        narrower.flat_map(|level| level.features).chain(self.features)
    }

    /// Checks that this machine has it.
    fn check(&self) -> Result<(), Error> {
        let features: Vec<&str> = self.missing_features().collect();
        if features.is_empty() {
            return Ok(());
        }
        Err(Error::MissingFeatures { target: self.name, features: features.join(", ") })
    }

    fn target(&self, verify: bool) -> Result<Target, Error> {
        let mut builder = isa_builder(false)?;
        for flag in self.all_features().filter_map(|feature| feature.flag) {
            builder.enable(flag).expect("Cranelift has a flag of this name on x86-64");
        }
        Target::new(self.name, Some(self), builder, verify)
    }
}

/// The target of a CPU that has no row.
fn detected(verify: bool) -> Result<Target, Error> {
    Target::new(NATIVE, None, isa_builder(true)?, verify)
}

/// Cranelift's generator for this machine, with or without the extensions that it detects.
fn isa_builder(detects: bool) -> Result<Builder, Error> {
    cranelift_native::builder_with_options(detects).map_err(|reason| Error::Target(reason.to_owned()))
}

impl Target {
    /// Whether it is an x86-64 CPU whose vectors are SSE's alone.
    pub(crate) fn lacks_avx(&self) -> bool {
        cfg!(target_arch = "x86_64") && self.vector_bytes == 16
    }

    /// Checks that its vectors are those of its row, and that the machine has them: the fields can be written to.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let level = LEVELS.iter().find(|level| level.name == self.name);
        level.map_or(Ok(()), Level::check)?;
        let has_fma = level.map_or(!cfg!(target_arch = "x86_64"), |level| level.has_fma);
        let (bytes, registers) = level.map_or((16, 16), |level| (level.vector_bytes, level.vector_registers));
        if (self.vector_bytes, self.vector_registers, self.has_fma) == (bytes, registers, has_fma) {
            return Ok(());
        }
        let problem = format!("`{}` does not have {}-byte vectors like these", self.name, self.vector_bytes);
        Err(Error::Target(problem))
    }

    /// All that code for it depends on.
    pub(crate) fn key(&self) -> String {
        let Target { name, vector_bytes, vector_registers, has_fma, l1_bytes, l2_bytes, l3_bytes, isa } =
            self;
        let fields = (name, vector_bytes, vector_registers, has_fma, l1_bytes, l2_bytes, l3_bytes);
        let isa_flags: Vec<String> = isa.isa_flags().iter().map(ToString::to_string).collect();
        format!("{fields:?} {} {} {isa_flags:?}", isa.triple(), isa.flags())
    }

    /// Whether vectors are wider than Cranelift's.
    pub fn has_wide_vectors(&self) -> bool {
        self.wide().is_some()
    }

    /// The instruction set of wide vectors, where the row has vectors that are wider than Cranelift's.
    pub(crate) fn wide(&self) -> Option<Isa> {
        [Isa::Avx2, Isa::Avx512].into_iter().find(|isa| isa.vector_bytes() == self.vector_bytes)
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

/// The size of the data cache of level 1, 2 or 3; `None` where the CPU does not tell.
fn cache_bytes(level: u8) -> Option<usize> {
    // Asking takes tens of microseconds on virtual machines.
    static CACHES: LazyLock<[Option<usize>; 3]> = LazyLock::new(|| [1, 2, 3].map(ask_cache_bytes));
    CACHES[usize::from(level) - 1]
}

#[cfg(target_arch = "x86_64")]
fn ask_cache_bytes(level: u8) -> Option<usize> {
    use raw_cpuid::{CacheType, CpuId};
    let mut caches = CpuId::new().get_cache_parameters()?;
    let cache =
        caches.find(|cache| cache.level() == level && cache.cache_type() != CacheType::Instruction)?;
    let line = cache.coherency_line_size() * cache.physical_line_partitions();
    Some(line * cache.associativity() * cache.sets())
}

#[cfg(not(target_arch = "x86_64"))]
fn ask_cache_bytes(_: u8) -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_get_wider() {
        let widths: Vec<usize> = LEVELS.iter().map(|level| level.vector_bytes).collect();
        assert!(widths.is_sorted());
    }

    #[test]
    fn the_widest_available_target_is_that_of_the_host() {
        let targets = Target::available();
        assert_eq!(targets.last().map(|target| target.name), Target::host().ok().map(|target| target.name));
    }

    #[test]
    fn a_target_whose_vectors_were_changed_makes_no_code() {
        let host = Target::host().expect("tests run where code can be made");
        assert!(host.check().is_ok());
        let wider = Target { vector_bytes: 128, ..host.clone() };
        let fused = Target { has_fma: !host.has_fma, ..host.clone() };
        let more = Target { vector_registers: 64, ..host };
        for changed in [wider, fused, more] {
            let error = changed.check().expect_err("it was changed").to_string();
            assert!(error.contains("does not have"), "{error}");
        }
    }

    #[test]
    fn every_available_target_is_found_by_its_name() {
        for target in Target::available() {
            assert_eq!(Target::named(target.name).expect("it is available").name, target.name);
        }
    }

    #[test]
    fn short_names_name_the_same_row_or_the_same_missing_features() {
        for level in Target::levels() {
            let [long, short] = [level.name, level.short_name]
                .map(|name| Target::named(name).map(|target| target.name).map_err(|error| error.to_string()));
            assert_eq!(long, short);
        }
    }

    #[test]
    fn cranelift_knows_a_row_by_its_features_alone() {
        for level in LEVELS.iter().filter(|level| level.is_available()) {
            let target = level.target(false).expect("Cranelift knows x86-64");
            let mut expected: Vec<&str> = level.all_features().filter_map(|feature| feature.flag).collect();
            let flags = target.isa.isa_flags();
            let mut enabled: Vec<&str> =
                flags.iter().filter(|flag| flag.as_bool() == Some(true)).map(|flag| flag.name).collect();
            enabled.retain(|flag| flag.starts_with("has_"));
            expected.sort_unstable();
            enabled.sort_unstable();
            assert_eq!(enabled, expected, "{}", level.name);
        }
    }

    #[test]
    fn a_level_that_the_cpu_lacks_is_refused_with_its_missing_features() {
        let features = &[
            Feature { name: "mmx9", flag: None, is_detected: || false },
            Feature { name: "avx4096", flag: None, is_detected: || false },
        ];
        let level = Level { name: LEVELS[0].name, features, ..LEVELS[0] };
        assert_eq!(
            level.check().expect_err("no CPU has these").to_string(),
            "this machine cannot run code for x86-64-v2: it lacks mmx9, avx4096; take the target `native`"
        );
    }
}
