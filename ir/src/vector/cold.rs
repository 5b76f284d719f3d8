//! Cold functions: what a vector program computes for few operands only.
//!
//! A program has no branches, so what is right for all operands is paid for by all. A cold function is a program of its own
//! that an emitter branches around where no lane wants it: [`Primitive::Cold`](super::Primitive::Cold).

use std::sync::OnceLock;

use super::{VectorProgram, VectorValue};
use crate::scalar::sine_of_large;
use crate::{DType, Scalar};

/// A function of one float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColdFn {
    /// The sine of an angle that is too large for a reduction by a few parts of pi/2.
    SineOfLarge,
    /// The cosine of such an angle.
    CosineOfLarge,
}

impl ColdFn {
    /// Its program, whose argument 0 is the operand, and the result. All lanes in it are of the size of `dtype`, which is
    /// `f32` or `f64`, or truth values; there is no cold function in it.
    pub fn program(self, dtype: DType) -> &'static (VectorProgram, VectorValue) {
        static PROGRAMS: [[OnceLock<(VectorProgram, VectorValue)>; 2]; 2] =
            [const { [const { OnceLock::new() }; 2] }; 2];
        PROGRAMS[self as usize][usize::from(dtype == DType::F64)].get_or_init(|| {
            let mut program = VectorProgram::new();
            let x = program.argument(0, dtype);
            let result = match self {
                ColdFn::SineOfLarge => sine_of_large(&mut program, x, 0),
                ColdFn::CosineOfLarge => sine_of_large(&mut program, x, 1),
            };
            (program, result)
        })
    }

    /// Its value.
    pub fn run(self, x: Scalar) -> Scalar {
        let (program, result) = self.program(x.dtype());
        program.run(&[x])[result.0 as usize]
    }
}
