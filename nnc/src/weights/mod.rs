//! Weights by the names of another program: files of the format safetensors, as PyTorch's libraries write them.
//!
//! Layers call their parameters as PyTorch does (`weight`, `bias`, `running_mean`, ..), so what differs is where they are in a
//! model: `features.0.weight` there may be `layers.0.weight` here. [`Weights::rename`] says so by patterns,
//! [`Weights::load`] sets the states of a model, [`Weights::write`] exports them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`mod@report`] | what came of loading |

pub mod report;

use std::collections::BTreeMap;
use std::path::Path;

use ir::{DType, Tensor, Type};
use nn::optimizer::AVERAGE;
use nn::pattern::renamed;
use runtime::State;

use crate::{Error, checkpoint};
pub use report::{NotLoaded, OtherType, Report};

/// PyTorch's count of the batches that a normalisation has seen: no result depends on it.
const PASSED_OVER: &str = "num_batches_tracked";

/// Where weights are from that no file holds.
const STATES: &str = "the states";

/// Tensors by name.
///
/// ```
/// use nnc::prelude::*;
/// use nnc::weights::Weights;
///
/// // The weights of a model, under the names that another program has for them ..
/// let model = Sequential::new().add(Linear::new(4, 3)).add(BatchNorm::new(3)).add(Linear::new(3, 2));
/// let mut cx = Context::new("small");
/// let x = cx.input("x", DType::F32, [1, 4])?;
/// let y = model.forward(&mut cx, x)?;
/// cx.output("y", y)?;
/// let program = compile(&cx.finish(), &Options::default())?;
/// let state = State::new(program.plan(), 7)?;
/// let names = [("layers.2.*", "head.*"), ("layers.*", "features.*")];
/// let folder = tempfile::tempdir().expect("a folder");
/// let path = folder.path().join("small.safetensors");
/// Weights::of(&state).rename(&names)?.write(&path)?;
///
/// // .. and back.
/// let mut loaded = State::new(program.plan(), 8)?;
/// let weights = Weights::read(&path)?;
/// assert_eq!(weights.names().next(), Some("features.0.bias"));
/// let report = weights.rename_back(&names)?.load(&mut loaded)?;
/// assert_eq!(report.loaded.len(), 8);
/// assert_eq!(loaded.get("layers.2.weight")?, state.get("layers.2.weight")?);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// What they are of, for errors.
    origin: String,
    tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// Those of a safetensors file. Halves (F16, BF16) become `f32`, which has all of their numbers.
    ///
    /// # Errors
    /// Where the file cannot be read, is no whole safetensors file, or holds elements of a dtype that nnc has not.
    pub fn read(path: &Path) -> Result<Weights, Error> {
        let tensors = checkpoint::load(path)?.into_iter().collect();
        Ok(Weights { origin: path.display().to_string(), tensors })
    }

    /// Those of all states.
    pub fn of(state: &State) -> Weights {
        let copy = |name: &str| (name.to_owned(), state.get(name).expect("it is one of the states"));
        Weights { origin: STATES.into(), tensors: state.iter().map(|(name, _)| copy(name)).collect() }
    }

    /// Those of the states of these names: of [`Trainer::weights`](crate::Trainer::weights), parameters and buffers without what
    /// belongs to the optimizer.
    ///
    /// # Errors
    /// Where there is no state of one of the names.
    pub fn of_names(state: &State, names: &[String]) -> Result<Weights, Error> {
        let tensors = checkpoint::states_of(state, names)?.into_iter().collect();
        Ok(Weights { origin: STATES.into(), tensors })
    }

    /// The names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// With other names: each rule, one after the other, gives tensors of names like its first pattern names like its second. A
    /// `*` stands for any characters, which are carried over.
    ///
    /// ```
    /// use nnc::weights::Weights;
    /// let weights = Weights::of(&nnc::State::empty());
    /// let error = weights.rename(&[("features.*", "layers")]).unwrap_err().to_string();
    /// assert!(error.starts_with("features.*: it has 1 `*`, its new name `layers` 0"));
    /// # Ok::<(), nnc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where the patterns of a rule have another number of stars each, or two tensors get one name.
    pub fn rename(mut self, rules: &[(&str, &str)]) -> Result<Weights, Error> {
        for (from, to) in rules {
            let [stars, new_stars] = [from, to].map(|pattern| pattern.matches('*').count());
            if stars != new_stars {
                let problem = format!("it has {stars} `*`, its new name `{to}` {new_stars}");
                return Err(Error::invalid(*from, problem, "write as many in both"));
            }
            let mut tensors = BTreeMap::new();
            for (name, tensor) in self.tensors {
                let new = renamed(&name, from, to).unwrap_or(name);
                if tensors.contains_key(&new) {
                    let problem = format!("with `{from}` as `{to}`, two tensors are called `{new}`");
                    return Err(Error::invalid(self.origin, problem, "give each a name of its own"));
                }
                tensors.insert(new, tensor);
            }
            self.tensors = tensors;
        }
        Ok(self)
    }

    /// With the names that they had before [`Weights::rename`] with these rules: the rules backwards, in the reverse order.
    ///
    /// # Errors
    /// As `rename`.
    pub fn rename_back(self, rules: &[(&str, &str)]) -> Result<Weights, Error> {
        let backwards: Vec<(&str, &str)> = rules.iter().rev().map(|&(from, to)| (to, from)).collect();
        self.rename(&backwards)
    }

    /// Sets all states, each to the tensor of its name. PyTorch's `num_batches_tracked` are passed over, and an `f32` becomes an
    /// `f64` where the state is one.
    ///
    /// # Errors
    /// Where a state has no tensor, a tensor no state, or their types differ; the error ([`NotLoaded`]) lists all of
    /// these. Then nothing has been set.
    pub fn load(&self, state: &mut State) -> Result<Report, Error> {
        let names: Vec<String> = state.iter().map(|(name, _)| name.to_owned()).collect();
        self.load_names(state, &names)
    }

    /// As [`Weights::load`], of the states of these names alone.
    ///
    /// # Errors
    /// As `load`; and where there is no state of one of the names.
    pub fn load_names(&self, state: &mut State, names: &[String]) -> Result<Report, Error> {
        let (report, values) = self.compare(state, names)?;
        if !report.is_complete() {
            let origin = self.origin.clone();
            return Err(Box::new(NotLoaded { origin, report }).into());
        }
        set(state, values)?;
        Ok(report)
    }

    /// Sets the states of these names that have a tensor of their type, and tells which these are, and what is left.
    ///
    /// # Errors
    /// Where there is no state of one of the names. Then nothing has been set.
    pub fn load_partial(&self, state: &mut State, names: &[String]) -> Result<Report, Error> {
        let (report, values) = self.compare(state, names)?;
        set(state, values)?;
        Ok(report)
    }

    /// Writes a safetensors file; one that was there is replaced whole or not at all.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        checkpoint::write_plain(path, self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)))
    }

    /// What can be loaded into states, and what cannot.
    fn compare(&self, state: &State, names: &[String]) -> Result<(Report, Vec<(String, Tensor)>), Error> {
        let mut report = Report::default();
        let mut values = Vec::new();
        for name in names {
            let expected = state.get(name)?.ty();
            let Some(tensor) = self.tensors.get(name) else {
                report.missing.push(name.clone());
                continue;
            };
            match widened(tensor, &expected) {
                Some(value) => {
                    report.loaded.push(name.clone());
                    values.push((name.clone(), value));
                }
                None => {
                    let (name, given) = (name.clone(), tensor.ty());
                    report.other_types.push(OtherType { name, given, expected });
                }
            }
        }
        for name in self.tensors.keys().filter(|name| !names.contains(name)) {
            let is_passed_over = name.rsplit('.').next() == Some(PASSED_OVER);
            let list = if is_passed_over { &mut report.passed_over } else { &mut report.unexpected };
            list.push(name.clone());
        }
        Ok((report, values))
    }
}

/// Sets states whose types have been compared.
fn set(state: &mut State, values: Vec<(String, Tensor)>) -> Result<(), Error> {
    values.iter().try_for_each(|(name, value)| Ok(state.set(name, value)?))
}

/// The tensor as one of type `ty`, where that has all of its numbers.
fn widened(tensor: &Tensor, ty: &Type) -> Option<Tensor> {
    if tensor.ty() == *ty {
        return Some(tensor.clone());
    }
    let elements = tensor.as_slice::<f32>()?;
    let has_all = ty.dtype == DType::F64 && *tensor.shape() == ty.shape;
    has_all.then(|| {
        Tensor::new(ty.shape.clone(), elements.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>())
    })?
}

/// A copy of the states in which each parameter that has a moving average
/// ([`TrainStep::average_weights`](nn::TrainStep::average_weights)) is that average: what to evaluate and to save.
///
/// ```
/// use nnc::prelude::*;
/// use nnc::weights::averaged;
/// let mut cx = Context::training("step");
/// let p = cx.parameter("p", [], Init::Constant(1.0))?;
/// let loss = cx.square(p)?;
/// nn::TrainStep::new(Sgd::new(0.25)).average_weights(1.0).step(&mut cx, loss)?;
/// let mut program = compile(&cx.finish(), &Options::default())?;
/// let mut state = State::new(program.plan(), 0)?;
/// program.run(&mut state, &[])?; // 0.5
/// program.run(&mut state, &[])?; // 0.25
/// assert_eq!(averaged(&state).get("p")?.get(0).as_f64(), 0.375);
/// # Ok::<(), Error>(())
/// ```
pub fn averaged(state: &State) -> State {
    let mut averaged = state.clone();
    for name in state.iter().filter_map(|(name, _)| name.strip_suffix(AVERAGE)) {
        let average = state.get(&format!("{name}{AVERAGE}")).expect("it is one of the states");
        // What only sounds like an average has no parameter of its type, and none is set.
        averaged.set(name, &average).ok();
    }
    averaged
}

#[cfg(test)]
mod tests;
