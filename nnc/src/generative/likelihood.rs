//! How likely a restricted Boltzmann machine finds rows: `log p(v) = -F(v) - log Z`, with `log Z` by enumeration where a layer is small, and
//! by annealed importance sampling where it is not. All of it is computed in `f64`.

use std::f64::consts::{LN_2, TAU};
use std::ops::RangeInclusive;

use ir::ops::Distribution;
use ir::{DType, Graph, Tensor, Type, Value};
use nn::models::rbm::{bernoulli, next_key};
use nn::models::{Rbm, VisibleUnits};
use nn::{Activation, Context, Mode};
use runtime::{Executable, State};

use crate::{Error, Options, compile};

/// The scope of what the base of annealing is told by.
const BASE: &str = "base";
/// Rows of which the free energy is computed at once.
const ROWS_AT_ONCE: usize = 512;

/// A machine with the numbers that its weights have.
///
/// ```
/// use nn::models::Rbm;
/// use nnc::generative::likelihood::{Annealing, Machine};
/// use nnc::ir::Tensor;
/// let zeros = |shape: &[usize]| Tensor::zeros(&nnc::ir::Type::new(nnc::ir::DType::F32, shape));
/// let machine = Machine::new(Rbm::new(6, 4), [zeros(&[4, 6]), zeros(&[4]), zeros(&[6])])?;
/// // Of a machine without weights all 2^10 states are alike.
/// assert!((machine.exact_log_partition()? - 1024f64.ln()).abs() < 1e-12);
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Machine {
    rbm: Rbm,
    /// `weight`, `hidden_bias` and `visible_bias`, in `f64`.
    weights: [Tensor; 3],
}

/// The names of the weights of a machine, in order.
const WEIGHTS: [&str; 3] = ["weight", "hidden_bias", "visible_bias"];

/// How [`Machine::annealed_log_partition`] samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Annealing {
    /// The number of chains, each of which gives an estimate.
    pub chains: usize,
    /// The number of distributions from the base to the machine: inverse temperatures 0, .., 1 at equal distances.
    pub temperatures: usize,
    /// What is drawn depends on it.
    pub seed: u64,
    /// The number of threads, on which nothing depends.
    pub threads: usize,
}

impl Default for Annealing {
    /// 100 chains of 1,000 temperatures, as in the paper's quicker runs; seed 0, one thread.
    fn default() -> Annealing {
        Annealing { chains: 100, temperatures: 1000, seed: 0, threads: 1 }
    }
}

/// An estimate of `log Z`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogPartition {
    /// The logarithm of the mean of the chains' estimates of Z, which are not biased.
    pub value: f64,
    /// Its standard error, to the first order: the deviation of the chains' estimates over their mean and the root of their number.
    pub standard_error: f64,
}

impl Machine {
    /// A machine with these weights, floats: `weight`, `[hidden, visible]`, `hidden_bias` and `visible_bias`.
    ///
    /// # Errors
    /// Where one is of another shape or no float.
    pub fn new(rbm: Rbm, weights: [Tensor; 3]) -> Result<Machine, Error> {
        let shapes: [Vec<usize>; 3] = [vec![rbm.hidden, rbm.visible], vec![rbm.hidden], vec![rbm.visible]];
        for ((name, tensor), shape) in WEIGHTS.iter().zip(&weights).zip(&shapes) {
            if tensor.shape()[..] != shape[..] || !tensor.dtype().is_float() {
                let problem = format!("it is {}", tensor.ty());
                return Err(Error::invalid(*name, problem, format!("give floats {shape:?}")));
            }
        }
        Ok(Machine { rbm, weights: weights.map(|tensor| in_f64(&tensor)) })
    }

    /// A machine with the weights that training has left in `state`, under the names `weight`, `hidden_bias` and `visible_bias`.
    ///
    /// # Errors
    /// Where a state is missing or of another shape.
    pub fn of_state(rbm: Rbm, state: &State) -> Result<Machine, Error> {
        let [weight, hidden_bias, visible_bias] = WEIGHTS.map(|name| state.get(name));
        Machine::new(rbm, [weight?, hidden_bias?, visible_bias?])
    }

    /// `log Z`, by [enumeration](nn::models::RbmWeights::log_partition) of all states of a layer.
    ///
    /// # Errors
    /// Where that layer has more than [`MOST_ENUMERATED`](nn::models::rbm::MOST_ENUMERATED) units.
    pub fn exact_log_partition(&self) -> Result<f64, Error> {
        let mut cx = Context::with("partition", Mode::Infer, DType::F64);
        let weights = self.rbm.weights(&mut cx)?;
        let log_partition = weights.log_partition(&mut cx)?;
        cx.output("log_partition", log_partition)?;
        let (mut program, mut state) = self.program(&cx.finish(), 0, 1)?;
        program.run(&mut state, &[])?;
        Ok(program.outputs()[0].get(0).as_f64())
    }

    /// `log Z` by annealed importance sampling (R. M. Neal, 2001; R. Salakhutdinov and I. Murray, "On the quantitative analysis of deep belief
    /// networks", 2008). Chains start at samples of independent units with the means of `rows`, `[rows, visible]` (the base,
    /// whose partition function is known), and go through
    ///
    /// ```text
    /// log p_k(v) = (1 - b_k) log p_base(v) + b_k (b'v) + sum_j log(1 + exp(b_k (c + W v)_j))     0 = b_0 < .. < b_K = 1
    /// ```
    ///
    /// with a Gibbs step for each, which is one loop of a compiled program. Along the way a chain adds up
    /// `log p_k(v_k) - log p_(k-1)(v_k)`, the logarithm of its estimate of `Z / Z_base`.
    ///
    /// # Errors
    /// Where rows do not fit the machine, there are none, or there are no chains, or fewer than two temperatures.
    pub fn annealed_log_partition(
        &self,
        rows: &Tensor,
        annealing: &Annealing,
    ) -> Result<LogPartition, Error> {
        if annealing.chains == 0 || annealing.temperatures < 2 {
            let problem =
                format!("there are {} chains of {} temperatures", annealing.chains, annealing.temperatures);
            return Err(Error::invalid("annealing", problem, "give at least 1 of 2"));
        }
        let base = self.base(rows)?;
        let mut cx = Context::with("annealing", Mode::Infer, DType::F64);
        let log_weights = self.annealed(&mut cx, annealing)?;
        cx.output("log_weights", log_weights)?;
        let graph = cx.finish();
        let (mut program, mut state) = self.program(&graph, annealing.seed, annealing.threads)?;
        let base_tensor = Tensor::new([base.len()], base.clone()).expect("one for each unit");
        program.run(&mut state, &[&base_tensor])?;
        let log_weights = program.outputs()[0].as_slice::<f64>().expect("weights are f64").to_vec();
        let estimate = of_weights(&log_weights);
        Ok(LogPartition { value: estimate.value + self.base_log_partition(&base), ..estimate })
    }

    /// `log Z` of the base, times what the chains leave out because it is the same for all `v`.
    fn base_log_partition(&self, base: &[f64]) -> f64 {
        let of_hidden = self.rbm.hidden as f64 * LN_2;
        let of_visible: f64 = match self.rbm.units {
            VisibleUnits::Binary => base.iter().map(|bias| bias.exp().ln_1p()).sum(),
            // exp(m v - v^2 / 2), and exp(-b^2 / 2) of the machine.
            VisibleUnits::Gaussian => {
                let biases = self.weights[2].as_slice::<f64>().expect("weights are f64");
                base.iter().zip(biases).map(|(m, b)| 0.5 * (TAU.ln() + m * m - b * b)).sum()
            }
        };
        of_hidden + of_visible
    }

    /// The biases of units that are independent and have the means of these rows: logits of means with one more of each value (so that
    /// none is infinite), or the means.
    fn base(&self, rows: &Tensor) -> Result<Vec<f64>, Error> {
        let rows = self.rows(rows)?;
        let (count, visible) = (rows.shape()[0] as f64, self.rbm.visible);
        let rows = rows.as_slice::<f64>().expect("rows are f64");
        let sum = |unit: usize| rows.iter().skip(unit).step_by(visible).sum::<f64>();
        Ok((0..visible)
            .map(|unit| match self.rbm.units {
                VisibleUnits::Binary => ((sum(unit) + 1.0) / (count - sum(unit) + 1.0)).ln(),
                VisibleUnits::Gaussian => sum(unit) / count,
            })
            .collect())
    }

    /// The logarithms of the weights of all chains, `[chains]`, from an input of the biases of the base, `[visible]`.
    fn annealed(&self, cx: &mut Context, annealing: &Annealing) -> Result<Value, Error> {
        let weights = self.rbm.weights(cx)?;
        let base = cx.input(BASE, DType::F64, [self.rbm.visible])?;
        let shape = [annealing.chains, self.rbm.visible];
        let fields = cx.broadcast(base, shape)?;
        let start = sample(cx, self.rbm.units, fields)?;
        let zeros = Tensor::zeros(&Type::new(DType::F64, [annealing.chains]));
        let zeros = cx.constant(zeros);
        let last = annealing.temperatures - 1;
        let heats = |range: RangeInclusive<usize>| {
            let heats: Vec<f64> = range.map(|number| number as f64 / last as f64).collect();
            Tensor::new([last], heats).expect("one for each step")
        };
        let (before, after) = (cx.constant(heats(0..=last - 1)), cx.constant(heats(1..=last)));
        let key = cx.key()?;
        let carries = [start, zeros, key];
        let scanned = cx.scan(last, &carries, &[before, after], |cx, carries, items| {
            let [v, log_weight, key] = carries[..] else { unreachable!("there are three carries") };
            let [before, after] = items[..] else { unreachable!("there are two items") };
            let fields = weights.hidden_fields(cx, v)?;
            let [gained, lost] = [after, before].map(|heat| softplus(cx, fields, heat));
            let (gained, lost) = (gained?, lost?);
            // The energy of visible units changes from that of the base to that of the machine.
            let linear = cx.eval((v * (weights.visible_bias - base)).sum(&[1]))?;
            let next = cx.eval(log_weight + (gained - lost).sum(&[1]) + linear * (after - before))?;
            let v = cx.with_key(key, |cx| {
                let means = cx.eval((fields * after).sigmoid())?;
                let h = bernoulli(cx, means)?;
                let fields = weights.visible_fields(cx, h)?;
                let fields = cx.eval(base * (1.0 - after) + fields * after)?;
                sample(cx, self.rbm.units, fields)
            })?;
            Ok((vec![v, next, next_key(cx, key)?], vec![]))
        })?;
        Ok(scanned.carries[1])
    }

    /// The mean of `log p(v)` over rows `[rows, visible]`, in nats, where `log Z` is this.
    ///
    /// # Errors
    /// Where rows do not fit the machine, or there are none.
    pub fn log_likelihood(&self, rows: &Tensor, log_partition: f64) -> Result<f64, Error> {
        let energies = self.free_energies(rows)?;
        Ok(-energies.iter().sum::<f64>() / energies.len() as f64 - log_partition)
    }

    /// The [free energy](nn::models::RbmWeights::free_energy) of each of these rows, `[rows, visible]`.
    ///
    /// # Errors
    /// Where they do not fit the machine, or there are none.
    pub fn free_energies(&self, rows: &Tensor) -> Result<Vec<f64>, Error> {
        let rows = self.rows(rows)?;
        let visible = self.rbm.visible;
        let all = rows.as_slice::<f64>().expect("rows are f64");
        let at_once = ROWS_AT_ONCE.min(rows.shape()[0]);
        let mut cx = Context::with("free_energy", Mode::Infer, DType::F64);
        let weights = self.rbm.weights(&mut cx)?;
        let v = cx.input("v", DType::F64, [at_once, visible])?;
        let energies = weights.free_energy(&mut cx, v)?;
        cx.output("free_energy", energies)?;
        let (mut program, mut state) = self.program(&cx.finish(), 0, 1)?;
        let mut energies = Vec::new();
        for chunk in all.chunks(at_once * visible) {
            let mut padded = chunk.to_vec();
            padded.resize(at_once * visible, 0.0);
            let v = Tensor::new([at_once, visible], padded).expect("as many as there is room for");
            program.run(&mut state, &[&v])?;
            let computed = program.outputs()[0].as_slice::<f64>().expect("energies are f64");
            energies.extend(&computed[..chunk.len() / visible]);
        }
        Ok(energies)
    }

    /// Rows in `f64`, where they fit.
    fn rows(&self, rows: &Tensor) -> Result<Tensor, Error> {
        let fits = rows.shape().rank() == 2 && rows.shape()[1] == self.rbm.visible && rows.shape()[0] > 0;
        if !fits || !rows.dtype().is_float() {
            let problem = format!("they are {}", rows.ty());
            let help = format!("give floats [rows, {}]", self.rbm.visible);
            return Err(Error::invalid("the rows", problem, help));
        }
        let rows = in_f64(rows);
        let values = rows.as_slice::<f64>().expect("rows are f64");
        let is_sound = |x: &f64| match self.rbm.units {
            VisibleUnits::Binary => (0.0..=1.0).contains(x),
            VisibleUnits::Gaussian => x.is_finite(),
        };
        if let Some(at) = values.iter().position(|x| !is_sound(x)) {
            let problem = format!("row {} holds {}", at / self.rbm.visible, values[at]);
            let help = "give numbers from 0 to 1 to binary units, finite ones to Gaussian ones";
            return Err(Error::invalid("the rows", problem, help));
        }
        Ok(rows)
    }

    /// A program with the weights of the machine among its states.
    fn program(&self, graph: &Graph, seed: u64, threads: usize) -> Result<(Executable, State), Error> {
        let program = compile(graph, &Options { threads, ..Options::default() })?;
        let mut state = State::new(program.plan(), seed)?;
        for (name, tensor) in WEIGHTS.iter().zip(&self.weights) {
            if state.contains(name) {
                state.set(name, tensor)?;
            }
        }
        Ok((program, state))
    }
}

/// `log(1 + exp(heat x))` of each element.
fn softplus(cx: &mut Context, x: Value, heat: Value) -> Result<Value, ir::Error> {
    let scaled = cx.mul(x, heat)?;
    Activation::Softplus.apply(cx, scaled)
}

/// Visible units drawn where these are their logits, or their means.
fn sample(cx: &mut Context, units: VisibleUnits, fields: Value) -> Result<Value, ir::Error> {
    match units {
        VisibleUnits::Binary => {
            let means = cx.sigmoid(fields)?;
            bernoulli(cx, means)
        }
        VisibleUnits::Gaussian => {
            let shape = cx.shape(fields).clone();
            let noise = cx.draw(Distribution::Normal, shape)?;
            cx.add(fields, noise)
        }
    }
}

/// The logarithm of the mean of weights of which these are the logarithms.
fn of_weights(log_weights: &[f64]) -> LogPartition {
    let count = log_weights.len() as f64;
    let most = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = log_weights.iter().map(|log| (log - most).exp()).collect();
    let mean = weights.iter().sum::<f64>() / count;
    let variance = weights.iter().map(|weight| (weight - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    LogPartition { value: most + mean.ln(), standard_error: (variance / count).sqrt() / mean }
}

/// The mean over the rows of `test`, `[rows, units]` of 0 and 1, of their logarithmic likelihood, in nats, where all units are
/// independent and 1 as often as in `train` (with `smoothing` more rows of each value, at least a little above 0 so that none is impossible):
/// what a model of binary rows has to beat.
///
/// # Errors
/// Where the two are no floats of as many units, there are no rows, or the smoothing is not above 0.
pub fn factorised_log_likelihood(train: &Tensor, test: &Tensor, smoothing: f64) -> Result<f64, Error> {
    let is_alike = |rows: &Tensor| {
        rows.shape().rank() == 2
            && rows.shape()[0] > 0
            && rows.shape()[1] == train.shape()[1]
            && rows.dtype().is_float()
    };
    if !is_alike(train) || !is_alike(test) {
        let problem = format!("there are {} to fit to, {} to test on", train.ty(), test.ty());
        return Err(Error::invalid("the rows", problem, "give floats [rows, units] of as many units each"));
    }
    if !(smoothing > 0.0 && smoothing.is_finite()) {
        let problem = format!("it is {smoothing}");
        return Err(Error::invalid("the smoothing", problem, "give a finite number above 0"));
    }
    let units = train.shape()[1];
    let [train_rows, test_rows] = [train, test].map(in_f64);
    let [train_rows, test_rows] =
        [&train_rows, &test_rows].map(|rows| rows.as_slice::<f64>().unwrap_or_default());
    let count = train.shape()[0] as f64 + 2.0 * smoothing;
    let means: Vec<f64> = (0..units)
        .map(|unit| (train_rows.iter().skip(unit).step_by(units).sum::<f64>() + smoothing) / count)
        .collect();
    let of_row = |row: &[f64]| -> f64 {
        row.iter().zip(&means).map(|(x, mean)| x * mean.ln() + (1.0 - x) * (1.0 - mean).ln()).sum()
    };
    Ok(test_rows.chunks(units).map(of_row).sum::<f64>() / test.shape()[0] as f64)
}

/// The same numbers in `f64`.
fn in_f64(tensor: &Tensor) -> Tensor {
    let elements =
        (0..tensor.shape().elements()).map(|index| tensor.get(index).as_f64()).collect::<Vec<f64>>();
    Tensor::new(tensor.shape().clone(), elements).expect("as many as there were")
}
