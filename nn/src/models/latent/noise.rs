//! Noise that a row is to be cleaned of.

use std::fmt;
use std::str::FromStr;

use ir::names::choices;
use ir::ops::Distribution::{Normal, Uniform};
use ir::{Error, Value};

use crate::Context;

/// What a denoising autoencoder does to its rows in training (P. Vincent et al., "Stacked denoising autoencoders", 2010, section
/// 3.3). It is drawn inside of the step; elsewhere rows stay as they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Noise {
    /// None.
    None,
    /// Normal noise of this standard deviation is added.
    Gaussian(f64),
    /// This part of the values becomes 0.
    Masking(f64),
    /// This part of the values becomes 0 or 1, each in half of the cases.
    SaltAndPepper(f64),
}

impl Noise {
    const NAMES: [&str; 4] = ["none", "gaussian:DEVIATION", "masking:PART", "salt-and-pepper:PART"];

    /// `x` with the noise in training, and as it is elsewhere.
    ///
    /// # Errors
    /// As [`Context::draw`].
    pub fn apply(self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        if !cx.is_training() || self == Noise::None {
            return Ok(x);
        }
        let shape = cx.shape(x).clone();
        let drawn = cx.draw(if matches!(self, Noise::Gaussian(_)) { Normal } else { Uniform }, shape)?;
        match self {
            Noise::None => Ok(x),
            Noise::Gaussian(deviation) => cx.eval(x + drawn * deviation),
            Noise::Masking(part) => cx.eval(drawn.ge(part).select(x, 0.0)),
            Noise::SaltAndPepper(part) => {
                let pepper = cx.eval(drawn.ge(part / 2.0).select(x, 0.0))?;
                cx.eval(drawn.ge(1.0 - part / 2.0).select(1.0, pepper))
            }
        }
    }
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Noise::None => f.write_str("none"),
            Noise::Gaussian(deviation) => write!(f, "gaussian:{deviation}"),
            Noise::Masking(part) => write!(f, "masking:{part}"),
            Noise::SaltAndPepper(part) => write!(f, "salt-and-pepper:{part}"),
        }
    }
}

impl FromStr for Noise {
    type Err = Error;

    fn from_str(text: &str) -> Result<Noise, Error> {
        let (name, amount) = text.split_once(':').unwrap_or((text, ""));
        let number = || {
            let most = if name == "gaussian" { f64::MAX } else { 1.0 };
            amount.parse::<f64>().ok().filter(|amount| (0.0..=most).contains(amount)).ok_or_else(|| {
                let problem = format!("{amount:?} is no amount of noise");
                Error::new(text, problem, "give a deviation of at least 0, or a part from 0 to 1")
            })
        };
        Ok(match name {
            "none" if amount.is_empty() => Noise::None,
            "gaussian" => Noise::Gaussian(number()?),
            "masking" => Noise::Masking(number()?),
            "salt-and-pepper" => Noise::SaltAndPepper(number()?),
            _ => {
                let help = choices(text, "the kinds are", Noise::NAMES);
                return Err(Error::new(text, "there is no noise of this kind", help));
            }
        })
    }
}
