//! Noise on what goes into a network, from which denoising autoencoders learn.

use std::fmt;
use std::str::FromStr;

use ir::names::choices;
use ir::ops::Distribution;
use ir::{Error, Value};

use crate::{Context, Layer};

/// In training, noise on each element, drawn anew in each step; in use, the identity (P. Vincent et al., "Stacked denoising autoencoders",
/// 2010, section 3.3).
///
/// ```
/// use nn::{Context, Corruption, Layer};
/// let mut cx = Context::training("noisy");
/// let x = cx.input("x", ir::DType::F32, [8, 16])?;
/// let y = Corruption::Masking { rate: 0.3 }.forward(&mut cx, x)?;
/// assert_eq!(cx.shape(y), cx.shape(x));
/// let mut used = Context::new("used");
/// let x = used.input("x", ir::DType::F32, [8, 16])?;
/// assert_eq!(Corruption::Masking { rate: 0.3 }.forward(&mut used, x)?, x);
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Corruption {
    /// None at all: of a plain autoencoder.
    None,
    /// A normal number of mean 0 and this deviation is added.
    Gaussian {
        /// At least 0.
        deviation: f64,
    },
    /// 0 in the place of the element, with this probability. Unlike [dropout](crate::Dropout) it leaves the others as they are.
    Masking {
        /// From 0 to 1.
        rate: f64,
    },
    /// With this probability 0 or 1, each as often as the other, in the place of the element.
    SaltAndPepper {
        /// From 0 to 1.
        rate: f64,
    },
}

impl Corruption {
    fn check(self, cx: &Context) -> Result<(), Error> {
        let (what, value, is_sound, help) = match self {
            Corruption::None => return Ok(()),
            Corruption::Gaussian { deviation } => {
                let is_sound = deviation.is_finite() && deviation >= 0.0;
                ("deviation", deviation, is_sound, "give a finite number of at least 0")
            }
            Corruption::Masking { rate } | Corruption::SaltAndPepper { rate } => {
                ("rate", rate, (0.0..=1.0).contains(&rate), "give a number from 0 to 1")
            }
        };
        if is_sound {
            return Ok(());
        }
        Err(Error::new(cx.scoped("corruption"), format!("its {what} is {value}"), help))
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Corruption::None => f.write_str("none"),
            Corruption::Gaussian { deviation } => write!(f, "gaussian:{deviation}"),
            Corruption::Masking { rate } => write!(f, "masking:{rate}"),
            Corruption::SaltAndPepper { rate } => write!(f, "salt-and-pepper:{rate}"),
        }
    }
}

impl FromStr for Corruption {
    type Err = Error;

    /// `none`, `gaussian:DEVIATION`, `masking:RATE` or `salt-and-pepper:RATE`.
    fn from_str(text: &str) -> Result<Corruption, Error> {
        const KINDS: [&str; 4] = ["none", "gaussian:DEVIATION", "masking:RATE", "salt-and-pepper:RATE"];
        let (name, amount) = text.split_once(':').unwrap_or((text, ""));
        let number = || {
            let most = if name == "gaussian" { f64::MAX } else { 1.0 };
            amount.parse::<f64>().ok().filter(|amount| (0.0..=most).contains(amount)).ok_or_else(|| {
                let problem = format!("{amount:?} is no amount of noise");
                Error::new(text, problem, "give a deviation of at least 0, or a rate from 0 to 1")
            })
        };
        Ok(match name {
            "none" if amount.is_empty() => Corruption::None,
            "gaussian" => Corruption::Gaussian { deviation: number()? },
            "masking" => Corruption::Masking { rate: number()? },
            "salt-and-pepper" => Corruption::SaltAndPepper { rate: number()? },
            _ => {
                let help = choices(text, "the kinds are", KINDS);
                return Err(Error::new(text, "there is no noise of this kind", help));
            }
        })
    }
}

impl Layer for Corruption {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        self.check(cx)?;
        if !cx.is_training() || *self == Corruption::None {
            return Ok(x);
        }
        let shape = cx.shape(x).clone();
        match *self {
            Corruption::None => Ok(x),
            Corruption::Gaussian { deviation } => {
                let noise = cx.draw(Distribution::Normal, shape)?;
                cx.eval(x + noise * deviation)
            }
            Corruption::Masking { rate } => {
                let uniform = cx.draw(Distribution::Uniform, shape)?;
                cx.eval(uniform.lt(rate).select(0.0, x))
            }
            Corruption::SaltAndPepper { rate } => {
                // Below half the rate pepper, up to the rate salt.
                let uniform = cx.draw(Distribution::Uniform, shape)?;
                let dtype = cx.dtype(x);
                let salt = uniform.ge(rate / 2.0).cast(dtype);
                cx.eval(uniform.lt(rate).select(salt, x))
            }
        }
    }

    fn description(&self) -> String {
        format!("{self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::eval::evaluate;
    use ir::{DType, Tensor};

    #[test]
    fn noise_out_of_range_is_an_error() {
        let message = |corruption: Corruption| {
            let mut cx = Context::new("g");
            let x = cx.input("x", DType::F32, [2, 3]).unwrap();
            corruption.forward(&mut cx, x).unwrap_err().to_string()
        };
        let expected = "corruption: its rate is 1.5; give a number from 0 to 1";
        assert_eq!(message(Corruption::Masking { rate: 1.5 }), expected);
        assert_eq!(message(Corruption::SaltAndPepper { rate: 1.5 }), expected);
        let error = message(Corruption::Gaussian { deviation: -1.0 });
        assert_eq!(error, "corruption: its deviation is -1; give a finite number of at least 0");
    }

    /// 40,000 elements of 0.5; a part of them has a standard error of 0.25 %, and 1 % is four of them.
    #[test]
    fn each_kind_changes_as_many_elements_as_it_says() {
        let noisy = |corruption: Corruption| {
            let mut cx = Context::training("g");
            let x = cx.constant(Tensor::new([200, 200], vec![0.5f32; 40_000]).unwrap());
            let y = corruption.forward(&mut cx, x).unwrap();
            cx.output("y", y).unwrap();
            let outputs = evaluate(&cx.finish(), &Default::default()).unwrap().outputs;
            outputs["y"].as_slice::<f32>().unwrap().to_vec()
        };
        let part = |values: &[f32], of: f32| values.iter().filter(|&&x| x == of).count() as f64 / 4e4;
        let masked = noisy(Corruption::Masking { rate: 0.3 });
        assert!((part(&masked, 0.0) - 0.3).abs() < 0.01 && (part(&masked, 0.5) - 0.7).abs() < 0.01);
        let specks = noisy(Corruption::SaltAndPepper { rate: 0.4 });
        for (value, expected) in [(0.0, 0.2), (1.0, 0.2), (0.5, 0.6)] {
            assert!((part(&specks, value) - expected).abs() < 0.01, "{value}: {}", part(&specks, value));
        }
        let blurred = noisy(Corruption::Gaussian { deviation: 2.0 });
        let variance = blurred.iter().map(|&x| (f64::from(x) - 0.5).powi(2)).sum::<f64>() / 4e4;
        assert!((variance - 4.0).abs() < 0.12, "{variance}");
        assert_eq!(part(&noisy(Corruption::None), 0.5), 1.0);
    }
}
