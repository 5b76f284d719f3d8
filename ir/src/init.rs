//! How a state starts. The numbers depend on the seed of the run and on the init alone.

use std::ops::Range;

use crate::{DType, Error, Scalar, Tensor, Type, scalar};

/// What a state holds before the first run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// The same value everywhere (converted to the state's dtype): `constant(0)`.
    Constant(f64),
    /// Uniform on `[low, high)`: `uniform(low, high, stream)`. States of different streams are independent.
    Uniform {
        /// The least value.
        low: f64,
        /// The bound above.
        high: f64,
        /// The stream of random numbers.
        stream: u32,
    },
    /// Normal: `normal(mean, deviation, stream)`.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        deviation: f64,
        /// The stream of random numbers.
        stream: u32,
    },
    /// The seed of the run itself, for a state that keys `random`: `seed`. The state is an `i64[]`.
    Seed,
}

impl Init {
    /// Checks that a state of this type can start so.
    ///
    /// # Errors
    /// Random numbers for a state that holds no floats; the seed for a state that is not an `i64[]`.
    pub fn check(&self, ty: &Type) -> Result<(), Error> {
        let is_random = matches!(self, Init::Uniform { .. } | Init::Normal { .. });
        if is_random && !ty.dtype.is_float() {
            let problem = format!("random numbers cannot start a state of type {ty}");
            return Err(Error::new("state", problem, "make it a float state, or start from a constant"));
        }
        if *self == Init::Seed && *ty != Type::new(DType::I64, []) {
            return Err(Error::new(
                "state",
                format!("the seed cannot start a state of type {ty}"),
                "make it an i64[]",
            ));
        }
        Ok(())
    }

    /// What a state of this type holds before the first run.
    ///
    /// ```
    /// use ir::{DType, Init, Type};
    /// let init = Init::Uniform { low: -1.0, high: 1.0, stream: 3 };
    /// let tensor = init.materialize(&Type::new(DType::F32, [2]), 42);
    /// assert!(tensor.as_slice::<f32>().unwrap().iter().all(|x| (-1.0..1.0).contains(x)));
    /// ```
    pub fn materialize(&self, ty: &Type, seed: u64) -> Tensor {
        self.elements_from(0, ty, seed)
    }

    /// The elements of these numbers, counted in row-major order, of what a state of this dtype holds before the first run:
    /// a tensor of rank 1.
    ///
    /// ```
    /// use ir::{DType, Init, Type};
    /// let init = Init::Normal { mean: 0.0, deviation: 1.0, stream: 3 };
    /// let all = init.materialize(&Type::new(DType::F32, [2, 3]), 42);
    /// let part = init.part(DType::F32, 4..6, 42);
    /// assert_eq!(part.as_slice::<f32>().unwrap(), &all.as_slice::<f32>().unwrap()[4..6]);
    /// ```
    pub fn part(&self, dtype: DType, elements: Range<usize>, seed: u64) -> Tensor {
        self.elements_from(elements.start, &Type::new(dtype, [elements.len()]), seed)
    }

    fn elements_from(&self, first: usize, ty: &Type, seed: u64) -> Tensor {
        let draw = |element: f64| Scalar::from_f64(ty.dtype, element);
        match *self {
            Init::Constant(value) => Tensor::splat(ty.shape.clone(), draw(value)),
            Init::Uniform { low, high, stream } => Tensor::from_fn(ty, |i| {
                draw(low + (high - low) * scalar::uniform(seed, stream, (first + i) as u32, ty.dtype))
            }),
            Init::Normal { mean, deviation, stream } => Tensor::from_fn(ty, |i| {
                draw(mean + deviation * scalar::normal(seed, stream, (first + i) as u32, ty.dtype))
            }),
            Init::Seed => Tensor::splat(ty.shape.clone(), Scalar::from_i64(ty.dtype, seed as i64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_seed_and_stream_alone() {
        let draw = |stream, seed, shape: [usize; 2]| {
            let init = Init::Normal { mean: 1.0, deviation: 2.0, stream };
            init.materialize(&Type::new(DType::F32, shape), seed).as_slice::<f32>().expect("f32").to_vec()
        };
        assert_eq!(draw(0, 1, [2, 3]), draw(0, 1, [3, 2]));
        assert_eq!(draw(0, 1, [2, 3])[..], draw(0, 1, [4, 3])[..6]);
        assert_ne!(draw(0, 1, [2, 3]), draw(1, 1, [2, 3]));
        assert_ne!(draw(0, 1, [2, 3]), draw(0, 2, [2, 3]));
    }

    #[test]
    fn constants_and_the_seed_fill_the_tensor() {
        let ones = Init::Constant(1.0).materialize(&Type::new(DType::I32, [2]), 9);
        assert_eq!(ones.as_slice::<i32>(), Some(&[1, 1][..]));
        let seed = Init::Seed.materialize(&Type::new(DType::I64, []), u64::MAX);
        assert_eq!(seed.as_slice::<i64>(), Some(&[-1][..]));
        assert_eq!(Init::Constant(1.0).materialize(&Type::new(DType::F64, [0, 3]), 9).shape().elements(), 0);
    }

    #[test]
    fn random_integers_are_refused() {
        let init = Init::Uniform { low: 0.0, high: 1.0, stream: 0 };
        let error = init.check(&Type::new(DType::I32, [2])).expect_err("no floats");
        assert!(error.to_string().contains("random numbers cannot start a state of type i32[2]"), "{error}");
        assert_eq!(init.check(&Type::new(DType::F64, [2])), Ok(()));
    }

    #[test]
    fn the_seed_starts_an_i64_scalar_alone() {
        let error = Init::Seed.check(&Type::new(DType::I64, [1])).expect_err("no scalar");
        assert!(error.to_string().contains("make it an i64[]"), "{error}");
        assert_eq!(Init::Seed.check(&Type::new(DType::I64, [])), Ok(()));
    }
}
