//! A model in use: programs that predict and evaluate, one per size of batch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ir::{DType, Graph, Shape, Tensor, Type, Value};
use nn::{Context, Layer, Loss};
use runtime::{Executable, Pool, State};

use super::Evaluation;
use crate::data::{Batch, Dataset, Targets};
use crate::{Error, Options};

/// The size of batches in evaluation and prediction.
const BATCH: usize = 512;

/// A model that takes rows of one shape and returns, of each, scores of classes or values. Its states belong to the caller.
///
/// ```
/// use nnc::trainer::Predictor;
/// use nnc::{Options, State, data::digits};
/// let model = nn::models::Mlp::new(&[64, 16, 10], nn::Relu);
/// let mut predictor = Predictor::new("small", &[64], Box::new(model), nn::Loss::cross_entropy(), &Options::default())?;
/// let mut state = State::empty();
/// let (_, test) = digits();
/// assert_eq!(predictor.predict(&mut state, &test)?.len(), 360 * 10);
/// assert!(predictor.evaluate(&mut state, &test)?.accuracy < Some(0.3)); // it has not been trained
/// # Ok::<(), nnc::Error>(())
/// ```
pub struct Predictor {
    name: String,
    row: Shape,
    model: Box<dyn Layer>,
    loss: Loss,
    outputs: usize,
    states: Vec<(String, Type)>,
    parameter_count: usize,
    options: Options,
    pool: Arc<Pool>,
    /// By the size of the batch, and whether there are targets to compute the loss from.
    programs: BTreeMap<(usize, bool), Executable>,
    compile_time: Duration,
}

impl Predictor {
    /// The model that takes rows of shape `row`, and is evaluated by `loss`, without its class weights and label smoothing.
    ///
    /// # Errors
    /// Where the model does not take such rows or does not return `[batch, outputs]`, or the threads cannot be started.
    pub fn new(
        name: &str,
        row: &[usize],
        model: Box<dyn Layer>,
        loss: Loss,
        options: &Options,
    ) -> Result<Predictor, Error> {
        let mut cx = Context::new(name);
        let x = cx.input("x", DType::F32, batch_shape(1, row))?;
        let prediction = model.forward(&mut cx, x)?;
        let &[1, outputs] = &cx.shape(prediction)[..] else {
            let problem = format!("of a batch of one row it returns {}", cx.ty(prediction));
            return Err(Error::invalid(name, problem, "make it return [batch, outputs]"));
        };
        let parameters = cx.parameters().iter();
        let parameter_count = parameters.map(|parameter| cx.shape(parameter.value).elements()).sum();
        Ok(Predictor {
            name: name.to_owned(),
            row: row.into(),
            states: states_of(cx.graph()),
            model,
            loss: match loss {
                Loss::CrossEntropy { .. } => Loss::cross_entropy(),
                other => other,
            },
            outputs,
            parameter_count,
            options: options.clone(),
            pool: Arc::new(Pool::new(options.threads)?),
            programs: BTreeMap::new(),
            compile_time: Duration::ZERO,
        })
    }

    /// What the model returns of each row of a data set, whose targets are not looked at: `f32[rows, outputs]`, row-major.
    /// States that `state` has not are made, as they are before training.
    ///
    /// # Errors
    /// Where rows do not fit the model, or `state` has states of other types than the model's.
    pub fn predict(&mut self, state: &mut State, data: &Dataset) -> Result<Vec<f32>, Error> {
        let data = self.with_rows_that_fit(data)?;
        let mut outputs = Vec::with_capacity(data.len() * self.outputs);
        self.run_all(state, &data, false, &mut |program, _| outputs.extend(elements(&program.outputs()[0])))?;
        Ok(outputs)
    }

    /// Loss and metrics on a data set.
    ///
    /// # Errors
    /// Where the data set does not fit the model or is empty; as [`Predictor::predict`].
    pub fn evaluate(&mut self, state: &mut State, data: &Dataset) -> Result<Evaluation, Error> {
        Ok(self.predict_and_evaluate(state, data)?.1)
    }

    /// What [`Predictor::predict`] and [`Predictor::evaluate`] return.
    ///
    /// # Errors
    /// As these.
    pub fn predict_and_evaluate(
        &mut self,
        state: &mut State,
        data: &Dataset,
    ) -> Result<(Vec<f32>, Evaluation), Error> {
        let data = self.that_fits(data)?;
        let mut outputs = Vec::with_capacity(data.len() * self.outputs);
        let mut loss = 0.0;
        self.run_all(state, &data, true, &mut |program, rows| {
            outputs.extend(elements(&program.outputs()[0]));
            loss += program.outputs()[1].get(0).as_f64() * rows as f64;
        })?;
        let evaluation = Evaluation::new(loss / data.len() as f64, &outputs, &data);
        Ok((outputs, evaluation))
    }

    /// The states that the model needs in use, as they are before training.
    ///
    /// # Errors
    /// Where there is no memory for them.
    pub fn initial_state(&mut self, seed: u64) -> Result<State, Error> {
        let mut state = State::empty();
        let program = self.program(1, false)?;
        state.adopt(program.plan(), seed)?;
        Ok(state)
    }

    /// The name of the model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shape of a row.
    pub fn row(&self) -> &Shape {
        &self.row
    }

    /// The number of scores or values that it returns of a row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Names and types of its parameters and buffers, in the order of the layers.
    pub fn states(&self) -> &[(String, Type)] {
        &self.states
    }

    /// The number of elements of all parameters.
    pub fn parameter_count(&self) -> usize {
        self.parameter_count
    }

    /// The time spent on compiling so far.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }

    /// The model.
    pub fn model(&self) -> &dyn Layer {
        &*self.model
    }

    /// Compiles a graph on the threads of this model.
    pub(crate) fn compile(&mut self, graph: &Graph) -> Result<Executable, Error> {
        let program = crate::compile_on(graph, &self.options, Arc::clone(&self.pool))?;
        self.compile_time += program.compile_time();
        Ok(program)
    }

    /// The data set with rows in the shape that the model takes, where it fits: rows and targets.
    pub(super) fn that_fits(&self, data: &Dataset) -> Result<Dataset, Error> {
        let invalid = |problem: String, help: &str| Err(Error::invalid(data.name(), problem, help));
        if data.is_empty() {
            return invalid("the data set has no rows".into(), "give at least one");
        }
        let fitting = self.with_rows_that_fit(data)?;
        match data.targets() {
            Targets::Classes { .. } if !self.loss.has_labels() => invalid(
                "its targets are classes, the loss is one of values".into(),
                "choose a loss of classes",
            ),
            Targets::Values { .. } if self.loss.has_labels() => invalid(
                "its targets are values, the loss is one of classes".into(),
                "choose a loss of values",
            ),
            Targets::Classes { names, .. } if names.len() > self.outputs => {
                let problem =
                    format!("there are {} classes, the model returns {} logits", names.len(), self.outputs);
                invalid(problem, "make the last layer of the model as wide as there are classes")
            }
            Targets::Values { names, .. } if names.len() != self.outputs => {
                let problem =
                    format!("a row has {} targets, the model returns {}", names.len(), self.outputs);
                invalid(problem, "make the last layer of the model as wide as there are targets")
            }
            _ => Ok(fitting),
        }
    }

    /// The data set with rows in the shape that the model takes, whatever its targets.
    ///
    /// # Errors
    /// Where its rows are of another size.
    pub fn with_rows_that_fit(&self, data: &Dataset) -> Result<Dataset, Error> {
        let (given, wanted) = (data.row_shape(), &self.row);
        if data.features() != wanted.elements() && wanted.rank() < 2 {
            let problem =
                format!("a row has {} values, the model takes {}", data.features(), wanted.elements());
            let help = "make the first layer of the model as wide as a row";
            return Err(Error::invalid(data.name(), problem, help));
        }
        if !data.has_rows_like(wanted) {
            let layer = self.first_layer();
            let problem = format!("its rows are of {given}, layer `{layer}` of {} takes {wanted}", self.name);
            return Err(Error::invalid(
                data.name(),
                problem,
                "give images of this size, or make the model for theirs",
            ));
        }
        data.reshaped(self.row.clone())
    }

    /// The scope of the first layer that has weights.
    pub fn first_layer(&self) -> &str {
        let weight = self.states.first().map_or("x", |(name, _)| name.as_str());
        weight.rsplit_once('.').map_or(weight, |(scope, _)| scope)
    }

    /// Runs the model on all rows in order; `each` is called with the program after each batch, and the size of the batch.
    fn run_all(
        &mut self,
        state: &mut State,
        data: &Dataset,
        has_targets: bool,
        each: &mut dyn FnMut(&Executable, usize),
    ) -> Result<(), Error> {
        let order: Vec<u32> = (0..data.len() as u32).collect();
        let mut batch = Batch::zeros(data, 0);
        for rows in order.chunks(BATCH) {
            if batch.len() != rows.len() {
                batch = Batch::zeros(data, rows.len());
            }
            batch.gather(data, rows);
            let program = self.program(rows.len(), has_targets)?;
            state.adopt(program.plan(), 0)?;
            let inputs = [&batch.x, &batch.y];
            program.run(state, if has_targets { &inputs } else { &inputs[..1] })?;
            each(program, rows.len());
        }
        Ok(())
    }

    fn program(&mut self, batch: usize, has_targets: bool) -> Result<&mut Executable, Error> {
        let key = (batch, has_targets);
        if !self.programs.contains_key(&key) {
            let graph = self.graph(batch, has_targets)?;
            let program = self.compile(&graph)?;
            self.programs.insert(key, program);
        }
        Ok(self.programs.get_mut(&key).expect("it has just been compiled"))
    }

    /// From `x` the output `prediction`; and from the targets `y` the output `loss`.
    fn graph(&self, batch: usize, has_targets: bool) -> Result<Graph, Error> {
        let mut cx = Context::new(&self.name);
        let x = cx.input("x", DType::F32, batch_shape(batch, &self.row))?;
        let prediction = self.model.forward(&mut cx, x)?;
        cx.output("prediction", prediction)?;
        if has_targets {
            let target = self.loss.target(cx.ty(prediction));
            let y = cx.input("y", target.dtype, target.shape)?;
            let loss = self.loss.mean(&mut cx, prediction, y)?;
            cx.output("loss", loss)?;
        }
        Ok(cx.finish())
    }
}

/// The states of a graph: their names and types, in order.
pub(super) fn states_of(graph: &Graph) -> Vec<(String, Type)> {
    let ty = |node| graph.ty(Value::new(node, 0)).clone();
    graph.states().map(|(id, node)| (node.name.clone().unwrap_or_default(), ty(id))).collect()
}

/// `[batch, ..row]`
fn batch_shape(batch: usize, row: &[usize]) -> Shape {
    [batch].into_iter().chain(row.iter().copied()).collect()
}

fn elements(tensor: &Tensor) -> &[f32] {
    tensor.as_slice::<f32>().expect("a prediction is f32")
}
