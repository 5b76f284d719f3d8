//! Samples of the layers of a restricted Boltzmann machine, drawn within the program.

use ir::ops::Distribution;
use ir::{Error, Scalar, Value};

use super::{RbmWeights, VisibleUnits};
use crate::Context;

/// What the key of draws moves by from one step of a chain to the next. It is odd, so that no two steps share a key, and another
/// number than the one by which keys move between steps of training (the first 64 bits of the fraction of sqrt(2), made odd).
const KEY_INCREMENT: u64 = 0x6A09_E667_F3BC_C909;

/// 1 with these probabilities, 0 otherwise, independently of each other.
///
/// # Errors
/// Where `probabilities` are not of the context's dtype.
pub fn bernoulli(cx: &mut Context, probabilities: Value) -> Result<Value, Error> {
    let shape = cx.shape(probabilities).clone();
    let uniform = cx.draw(Distribution::Uniform, shape)?;
    let dtype = cx.dtype(probabilities);
    cx.eval(uniform.lt(probabilities).cast(dtype))
}

impl RbmWeights {
    /// Hidden units drawn given each row of `v`, `[rows, visible]`: `[rows, hidden]` of 0 and 1.
    ///
    /// # Errors
    /// Where the type does not fit.
    pub fn sample_hidden(&self, cx: &mut Context, v: Value) -> Result<Value, Error> {
        let means = self.hidden_means(cx, v)?;
        bernoulli(cx, means)
    }

    /// Visible units drawn given each row of `h`, `[rows, hidden]`: `[rows, visible]`.
    ///
    /// # Errors
    /// Where the type does not fit.
    pub fn sample_visible(&self, cx: &mut Context, h: Value) -> Result<Value, Error> {
        let means = self.visible_means(cx, h)?;
        match self.units {
            VisibleUnits::Binary => bernoulli(cx, means),
            VisibleUnits::Gaussian => {
                let shape = cx.shape(means).clone();
                let noise = cx.draw(Distribution::Normal, shape)?;
                cx.add(means, noise)
            }
        }
    }

    /// The visible units after so many steps of Gibbs sampling from those of each row of `v`, `[rows, visible]`: a loop in the program,
    /// each step of which draws all hidden units given the visible ones, and then these given those.
    ///
    /// # Errors
    /// Where the type does not fit.
    pub fn gibbs(&self, cx: &mut Context, v: Value, steps: usize) -> Result<Value, Error> {
        let key = cx.key()?;
        let chain = cx.scan(steps, &[v, key], &[], |cx, carries, _| {
            let v = cx.with_key(carries[1], |cx| {
                let h = self.sample_hidden(cx, carries[0])?;
                self.sample_visible(cx, h)
            })?;
            Ok((vec![v, next_key(cx, carries[1])?], vec![]))
        })?;
        Ok(chain.carries[0])
    }

    /// `E(v | h)`, `[chains, visible]`, at the end of each of so many chains of so many steps of Gibbs sampling. They start at binary units
    /// that are 1 with probability 1/2, or at standard normal ones.
    ///
    /// # Errors
    /// Where parameters are of another dtype than the context's.
    pub fn draw_means(&self, cx: &mut Context, chains: usize, steps: usize) -> Result<Value, Error> {
        let shape = [chains, cx.shape(self.visible_bias)[0]];
        let start = match self.units {
            VisibleUnits::Binary => {
                let half = cx.float_like(self.visible_bias, 0.5);
                let half = cx.broadcast(half, shape)?;
                bernoulli(cx, half)?
            }
            VisibleUnits::Gaussian => cx.draw(Distribution::Normal, shape)?,
        };
        let v = self.gibbs(cx, start, steps)?;
        let h = self.sample_hidden(cx, v)?;
        self.visible_means(cx, h)
    }
}

/// The key of the next step of a loop that draws: see [`Context::with_key`].
///
/// # Errors
/// Where `key` is no `i64[]`.
pub fn next_key(cx: &mut Context, key: Value) -> Result<Value, Error> {
    let increment = cx.scalar(Scalar::I64(KEY_INCREMENT as i64));
    cx.add(key, increment)
}
