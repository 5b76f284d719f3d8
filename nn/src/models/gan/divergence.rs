//! f-divergences `D(P || Q) = sum_x q(x) f(p(x) / q(x))` with the conjugates `f*(t) = sup_u (u t - f(u))` by which they are bounded
//! from below: `D >= E_P[T(x)] - E_Q[f*(T(x))]` for every function `T` (S. Nowozin et al., "f-GAN: training generative neural
//! samplers using variational divergence minimization", 2016, equation 4).

use std::fmt;
use std::str::FromStr;

use ir::names::choices;
use ir::{Error, Value};

use super::objective::softplus;
use crate::Context;

/// A divergence, with the activation `g` (table 2 of the paper: increasing, onto where `f*` is finite) and the conjugate `f*`:
///
/// | | `f(u)` | `g(v)` | `f*(t)` |
/// |---|---|---|---|
/// | [`KullbackLeibler`](Divergence::KullbackLeibler) | `u log u` | `v` | `exp(t - 1)` |
/// | [`ReverseKullbackLeibler`](Divergence::ReverseKullbackLeibler) | `-log u` | `-exp(-v)` | `-1 - log(-t)` |
/// | [`PearsonChiSquared`](Divergence::PearsonChiSquared) | `(u - 1)^2` | `v` | `t^2 / 4 + t` |
/// | [`SquaredHellinger`](Divergence::SquaredHellinger) | `(sqrt(u) - 1)^2` | `1 - exp(-v)` | `t / (1 - t)` |
/// | [`Gan`](Divergence::Gan) | `u log u - (u + 1) log(u + 1)` | `-log(1 + exp(-v))` | `-log(1 - exp(t))` |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// `sum p log(p / q)`.
    KullbackLeibler,
    /// `sum q log(q / p)`.
    ReverseKullbackLeibler,
    /// `sum (p - q)^2 / q`.
    PearsonChiSquared,
    /// `sum (sqrt(p) - sqrt(q))^2`.
    SquaredHellinger,
    /// Twice that of Jensen and Shannon, less log 4: the one of [`Objective::Minimax`](super::Objective::Minimax).
    Gan,
}

impl Divergence {
    /// All divergences.
    pub const ALL: [Divergence; 5] = [
        Divergence::KullbackLeibler,
        Divergence::ReverseKullbackLeibler,
        Divergence::PearsonChiSquared,
        Divergence::SquaredHellinger,
        Divergence::Gan,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Divergence::KullbackLeibler => "kl",
            Divergence::ReverseKullbackLeibler => "reverse-kl",
            Divergence::PearsonChiSquared => "pearson",
            Divergence::SquaredHellinger => "hellinger",
            Divergence::Gan => "gan",
        }
    }

    /// `g(v)` of each element.
    ///
    /// # Errors
    /// Where `v` is no float.
    pub fn activation(self, cx: &mut Context, v: Value) -> Result<Value, Error> {
        match self {
            Divergence::KullbackLeibler | Divergence::PearsonChiSquared => Ok(v),
            Divergence::ReverseKullbackLeibler => cx.eval(-(-v).exp()),
            Divergence::SquaredHellinger => cx.eval(1.0 - (-v).exp()),
            Divergence::Gan => {
                let negative = cx.eval(-v)?;
                let softplus = softplus(cx, negative)?;
                cx.neg(softplus)
            }
        }
    }

    /// `f*(t)` of each element, from where it is finite.
    ///
    /// # Errors
    /// Where `t` is no float.
    pub fn conjugate(self, cx: &mut Context, t: Value) -> Result<Value, Error> {
        match self {
            Divergence::KullbackLeibler => cx.eval((t - 1.0).exp()),
            Divergence::ReverseKullbackLeibler => cx.eval(-1.0 - (-t).log()),
            Divergence::PearsonChiSquared => cx.eval(t.square() * 0.25 + t),
            Divergence::SquaredHellinger => cx.eval(t / (1.0 - t)),
            Divergence::Gan => cx.eval(-(1.0 - t.exp()).log()),
        }
    }

    /// `f*(g(v))` of each element, simplified by hand, so that it is finite wherever the result is.
    ///
    /// # Errors
    /// Where `v` is no float.
    pub fn conjugate_of_score(self, cx: &mut Context, v: Value) -> Result<Value, Error> {
        match self {
            Divergence::KullbackLeibler | Divergence::PearsonChiSquared => self.conjugate(cx, v),
            Divergence::ReverseKullbackLeibler => cx.eval(v - 1.0),
            Divergence::SquaredHellinger => cx.eval(v.exp() - 1.0),
            Divergence::Gan => softplus(cx, v),
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Divergence {
    type Err = Error;

    fn from_str(text: &str) -> Result<Divergence, Error> {
        Divergence::ALL.into_iter().find(|divergence| divergence.name() == text).ok_or_else(|| {
            let help = choices(text, "the divergences are", Divergence::ALL.map(Divergence::name));
            Error::new(text, "there is no divergence of this name", help)
        })
    }
}

#[cfg(test)]
mod tests {
    use ir::{DType, Tensor};

    use super::*;

    const SCORES: [f64; 7] = [-2.0, -1.0, -0.3, 0.0, 0.4, 1.0, 2.0];

    fn f(divergence: Divergence, u: f64) -> f64 {
        match divergence {
            Divergence::KullbackLeibler => u * u.ln(),
            Divergence::ReverseKullbackLeibler => -u.ln(),
            Divergence::PearsonChiSquared => (u - 1.0).powi(2),
            Divergence::SquaredHellinger => (u.sqrt() - 1.0).powi(2),
            Divergence::Gan => u * u.ln() - (u + 1.0) * (u + 1.0).ln(),
        }
    }

    /// What a function makes of numbers.
    fn values(build: impl Fn(&mut Context, Value) -> Result<Value, Error>, at: &[f64]) -> Vec<f64> {
        let mut cx = Context::with("f", crate::Mode::Infer, DType::F64);
        let x = cx.input("x", DType::F64, [at.len()]).unwrap();
        let y = build(&mut cx, x).unwrap();
        let y = cx.eval(y + 0.0).unwrap();
        cx.output("y", y).unwrap();
        let x = Tensor::new([at.len()], at.to_vec()).unwrap();
        let inputs = ir::eval::Bindings { inputs: [("x".to_owned(), x)].into(), ..Default::default() };
        let outputs = ir::eval::evaluate(&cx.finish(), &inputs).unwrap().outputs;
        outputs["y"].as_slice::<f64>().unwrap().to_vec()
    }

    /// The greatest `u t - f(u)` over `u > 0`, a concave function of `u`, by ternary search over `log u`.
    fn greatest(divergence: Divergence, t: f64) -> f64 {
        let value = |log: f64| log.exp() * t - f(divergence, log.exp());
        let (mut low, mut high) = (-30.0, 30.0);
        for _ in 0..300 {
            let [a, b] = [1.0, 2.0].map(|thirds| low + (high - low) * thirds / 3.0);
            if value(a) < value(b) { low = a } else { high = b }
        }
        value(low)
    }

    #[test]
    fn divergences_are_found_by_their_names() {
        for divergence in Divergence::ALL {
            assert_eq!(divergence.to_string().parse::<Divergence>().unwrap(), divergence);
        }
        let error = "jensen".parse::<Divergence>().unwrap_err().to_string();
        assert!(error.contains("the divergences are kl, reverse-kl, pearson, hellinger, gan"), "{error}");
    }

    #[test]
    fn conjugates_are_the_greatest_values() {
        for divergence in Divergence::ALL {
            let t = values(|cx, v| divergence.activation(cx, v), &SCORES);
            // Below -2 the conjugate of Pearson's divergence over u > 0 is -1: the paper's formula is that over all u.
            let t: Vec<f64> =
                t.into_iter().filter(|&t| t > -2.0 || divergence != Divergence::PearsonChiSquared).collect();
            let conjugates = values(|cx, t| divergence.conjugate(cx, t), &t);
            for (&t, conjugate) in t.iter().zip(conjugates) {
                let expected = greatest(divergence, t);
                assert!(
                    (conjugate - expected).abs() < 1e-6 * (1.0 + expected.abs()),
                    "{divergence:?} at {t}: {conjugate}, {expected}"
                );
            }
        }
    }

    #[test]
    fn the_conjugate_of_a_score_is_that_of_its_activation() {
        for divergence in Divergence::ALL {
            let direct = values(|cx, v| divergence.conjugate_of_score(cx, v), &SCORES);
            let in_two = values(
                |cx, v| {
                    let t = divergence.activation(cx, v)?;
                    divergence.conjugate(cx, t)
                },
                &SCORES,
            );
            for (a, b) in direct.iter().zip(in_two) {
                assert!((a - b).abs() < 1e-9 * (1.0 + b.abs()), "{divergence:?}: {a}, {b}");
            }
        }
    }

    #[test]
    fn activations_increase() {
        for divergence in Divergence::ALL {
            let t = values(|cx, v| divergence.activation(cx, v), &SCORES);
            assert!(t.windows(2).all(|pair| pair[0] < pair[1]), "{divergence:?}: {t:?}");
        }
    }
}
