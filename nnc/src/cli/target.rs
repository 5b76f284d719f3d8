//! `--target`: the CPU that code is made for.

use codegen::Target;

/// The argument that every command has that makes machine code.
#[derive(clap::Args)]
pub struct TargetArg {
    /// The CPU to make code for: x86-64-v2, x86-64-v3, x86-64-v4 (or v2, v3, v4) or native; see `nnc list targets`
    #[arg(long, value_name = "TARGET", default_value = "native", value_parser = Target::named)]
    target: Target,
}

impl TargetArg {
    /// The target.
    pub fn get(&self) -> &Target {
        &self.target
    }
}
