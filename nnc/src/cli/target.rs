//! `--target` and `--convolution`: the CPU that code is made for, and how it computes convolutions.

use clap::ValueEnum;
use codegen::Target;

use nnc::{Convolution, Options};

/// The arguments that every command has that makes machine code, but for those that have a `--checkpoint-every` of their own.
#[derive(clap::Args)]
pub struct TargetArg {
    #[command(flatten)]
    code: CodeArg,
    /// Of loops over time, keep the carries of every K-th step for the gradient, and compute the steps between again
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    checkpoint_every: Option<u32>,
}

/// The arguments that every command has that makes machine code.
#[derive(clap::Args)]
pub struct CodeArg {
    /// The CPU to make code for: x86-64-v2, x86-64-v3, x86-64-v4 (or v2, v3, v4) or native; see `nnc list targets`
    #[arg(long, value_name = "TARGET", default_value = "native", value_parser = Target::named)]
    target: Target,
    /// How convolutions are computed
    #[arg(long, default_value = "auto")]
    convolution: Algorithm,
    /// Compute what the program says, operation by operation: no reassociation, no Winograd
    #[arg(long)]
    strict: bool,
}

/// See [`Convolution`].
#[derive(Clone, Copy, ValueEnum)]
enum Algorithm {
    /// By Winograd's algorithm where that is faster: filters of three by three with a stride of one
    Auto,
    /// As the sums of products that they are: slower, and a little more exact
    Direct,
}

impl TargetArg {
    /// The target.
    pub fn get(&self) -> &Target {
        self.code.get()
    }

    /// Options with what these arguments say.
    pub fn options(&self) -> Options {
        self.code.options(self.checkpoint_every)
    }
}

impl CodeArg {
    /// The target.
    pub fn get(&self) -> &Target {
        &self.target
    }

    /// Options with what these arguments say, and with loops in segments of so many steps.
    pub fn options(&self, checkpoint_every: Option<u32>) -> Options {
        let convolution = match self.convolution {
            Algorithm::Auto => Convolution::Auto,
            Algorithm::Direct => Convolution::Direct,
        };
        Options {
            target: Some(self.target.clone()),
            convolution,
            strict: self.strict,
            checkpoint_every: checkpoint_every.map(|steps| steps as usize),
            ..Options::default()
        }
    }
}
