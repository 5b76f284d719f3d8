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
    /// a run that is resumed goes on with the same numbers. In use, where no state changes, there is neither a seed nor a step:
    /// each run has the same numbers.
    ///
    /// In the body of a [loop](Context::scan) a draw gives the same numbers in each step, unless its key is carried:
    /// [`Context::with_key`].
    ///
    /// # Errors
    /// Where the model has states of these names, or 2^31 elements or more are asked for.
    pub fn draw(&mut self, distribution: Distribution, shape: impl Into<Shape>) -> Result<Value, Error> {
        let key = self.key()?;
        self.draws += 1;
        let (stream, dtype) = (FIRST_DRAW + self.draws - 1, self.dtype);
        self.builder.random(key, distribution, dtype, shape, stream)
    }

    /// The key of draws, an `i64[]`: that of this step, or the one of [`Context::with_key`].
    ///
    /// # Errors
    /// Where the model has states `random.seed` and `random.step` that are not the context's own.
    pub fn key(&mut self) -> Result<Value, Error> {
        let key = match self.key {
            Some(key) => key,
            None => self.random_key()?,
        };
        self.key = Some(key);
        Ok(key)
    }

    /// What `build` builds, with draws from this key. A loop that carries a key, and changes it, draws other numbers in each
    /// step:
    ///
    /// ```
    /// use ir::DType;
    /// use nn::{Context, Dropout, Layer};
    /// let mut cx = Context::training("noise");
    /// let x = cx.input("x", DType::F32, [8])?;
    /// let key = cx.key()?;
    /// let walk = cx.scan(10, &[x, key], &[], |cx, carries, _| {
    ///     let next = cx.with_key(carries[1], |cx| Dropout::new(0.5).forward(cx, carries[0]))?;
    ///     Ok((vec![next, cx.eval(carries[1] + 1)?], vec![]))
    /// })?;
    /// assert_eq!(cx.ty(walk.carries[0]).to_string(), "f32[8]");
    /// # Ok::<(), ir::Error>(())
    /// ```
    pub fn with_key<T>(&mut self, key: Value, build: impl FnOnce(&mut Context) -> T) -> T {
        let before = self.key.replace(key);
        let built = build(self);
        self.key = before;
        built
    }

    /// `seed + step * KEY_INCREMENT`, and the counting of steps; both outside of all loops. In use a constant.
    fn random_key(&mut self) -> Result<Value, Error> {
        let is_training = self.is_training();
        let b = self.builder.root_mut();
        if !is_training {
            return Ok(b.scalar(Scalar::I64(KEY_INCREMENT as i64)));
        }
        let seed = b.state("random.seed", DType::I64, [], Init::Seed)?;
        let step = b.state("random.step", DType::I64, [], Init::Constant(0.0))?;
        b.update(step, step + 1)?;
        let increment = b.scalar(Scalar::I64(KEY_INCREMENT as i64));
        b.eval(seed + step * increment)
    }
}
