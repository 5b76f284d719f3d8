//! Random numbers of a step.

use ir::ops::Distribution;
use ir::{DType, Error, Init, Scalar, Shape, Value};

use super::Context;

/// Draws come from the upper half of all streams, so that they share none with initial values, and a model starts the
/// same with and without layers that draw.
const FIRST_DRAW: u32 = 1 << 31;
/// What the key moves by from step to step: 2^64 over the golden ratio, odd, so that no two steps share a key and those of
/// neighbouring seeds are far apart (the increment of G. L. Steele et al., "Fast splittable pseudorandom number
/// generators", 2014).
const KEY_INCREMENT: u64 = 0x9E37_79B9_7F4A_7C15;

impl Context {
    /// Random numbers that differ from draw to draw and from step to step: they depend on the seed of the run, the number
    /// of the step, the draw and the element alone. The states `random.seed` and `random.step` hold the first two, so that
    /// a run that is resumed goes on with the same numbers.
    ///
    /// # Errors
    /// Where the model has states of these names, or 2^31 elements or more are asked for.
    pub fn draw(&mut self, distribution: Distribution, shape: impl Into<Shape>) -> Result<Value, Error> {
        let key = match self.key {
            Some(key) => key,
            None => self.random_key()?,
        };
        self.key = Some(key);
        self.draws += 1;
        let (stream, dtype) = (FIRST_DRAW + self.draws - 1, self.dtype);
        self.builder.random(key, distribution, dtype, shape, stream)
    }

    /// `seed + step * KEY_INCREMENT`, and the counting of steps.
    fn random_key(&mut self) -> Result<Value, Error> {
        let seed = self.builder.state("random.seed", DType::I64, [], Init::Seed)?;
        let step = self.builder.state("random.step", DType::I64, [], Init::Constant(0.0))?;
        self.builder.update(step, step + 1)?;
        let increment = self.scalar(Scalar::I64(KEY_INCREMENT as i64));
        self.eval(seed + step * increment)
    }
}
