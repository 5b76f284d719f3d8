//! A network in use: programs that predict and evaluate, one per size of batch.

mod fitting;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ir::{DType, Element, Graph, Shape, Tensor, Type, Value, VerifiedPlan};
use nn::network::{LOSS, evaluation_graph, needed_part};
use nn::supervised::ROWS;
use nn::{Context, Domain, Network, Outputs};
use runtime::{Executable, Pool, RunError, State};

use super::Evaluation;
use crate::checkpoint::Template;
use crate::data::{Arrays, Batch, Dataset, Examples};
use crate::{Error, Options, memory};

/// The size of batches in evaluation and prediction.
const BATCH: usize = 512;

/// What gives the graph by which a network is evaluated on a batch of so many rows: its results, then its loss and metrics.
type Graphs = dyn Fn(usize) -> Result<Graph, Error> + Send + Sync;

/// A network in use. Its states belong to the caller, and are not changed; so several threads can use one at once, on one copy of
/// the weights, each with programs of its own.
///
/// ```
/// use nnc::trainer::Predictor;
/// use nnc::{Options, data::digits};
/// let model = nn::models::Mlp::new(&[64, 16, 10], nn::Relu);
/// let network = nn::Supervised::new([64], model, nn::Loss::cross_entropy());
/// let predictor = Predictor::new("small", network, &Options::default())?;
/// let state = predictor.initial_state(0)?;
/// let (_, test) = digits();
/// assert_eq!(predictor.predict(&state, &test)?.len(), 360 * 10);
/// assert!(predictor.evaluate(&state, &test)?.accuracy < Some(0.3)); // it has not been trained
/// # Ok::<(), nnc::Error>(())
/// ```
pub struct Predictor {
    name: String,
    graphs: Box<Graphs>,
    /// Of a batch of one row.
    in_use: Interface,
    evaluated: Interface,
    states: Vec<(String, Type)>,
    parameter_count: usize,
    /// Whether rows may be without a label.
    takes_unlabelled: bool,
    /// The numbers that inputs are for, by name, where they are for some alone.
    domains: Vec<(String, Domain)>,
    options: Options,
    pool: Arc<Pool>,
    /// Those that no thread runs, by the size of the batch and by what they are for.
    idle: Mutex<BTreeMap<(usize, Use), Vec<Executable>>>,
    compile_time: Mutex<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// Results.
    Predict,
    /// Results, the loss and metrics.
    Evaluate,
}

/// What goes into a program and what comes out.
struct Interface {
    inputs: Vec<(String, Type)>,
    outputs: Vec<(String, Type)>,
}

impl Interface {
    fn of(graph: &Graph) -> Interface {
        let outputs = graph.outputs.iter().map(|it| (it.name.clone(), graph.ty(it.value).clone()));
        Interface { inputs: inputs_of(graph), outputs: outputs.collect() }
    }

    fn input(&self, name: &str) -> Option<&Type> {
        self.inputs.iter().find(|(known, _)| known == name).map(|(_, ty)| ty)
    }

    fn inputs(&self) -> impl Iterator<Item = (&str, &Type)> {
        self.inputs.iter().map(|(name, ty)| (name.as_str(), ty))
    }
}

impl Predictor {
    /// A network in use.
    ///
    /// # Errors
    /// Where it cannot be built, a result does not have the rows of the batch along its first axis, or the threads cannot be
    /// started.
    pub fn new(name: &str, network: impl Network + 'static, options: &Options) -> Result<Predictor, Error> {
        let mut cx = Context::new(name);
        let Outputs { results, takes_unlabelled, domains, .. } = network.build(&mut cx, 1)?;
        let results: Vec<String> = results.into_iter().map(|(name, _)| name).collect();
        let parameters = cx.parameters().iter();
        let parameter_count = parameters.map(|parameter| cx.shape(parameter.value).elements()).sum();
        let owned = name.to_owned();
        let graphs = move |rows| Ok(evaluation_graph(&owned, &network, rows)?);
        let predictor = Predictor::of_graphs(name, Box::new(graphs), &results, parameter_count, options)?;
        Ok(Predictor { takes_unlabelled, domains, ..predictor })
    }

    /// What a template gives graphs of, of which the outputs of these names are results.
    ///
    /// # Errors
    /// As [`Predictor::new`].
    pub(crate) fn of_template(
        name: &str,
        template: Template,
        results: &[String],
        parameter_count: usize,
        options: &Options,
    ) -> Result<Predictor, Error> {
        let graphs = Box::new(move |rows| template.graph(rows));
        Predictor::of_graphs(name, graphs, results, parameter_count, options)
    }

    /// With inputs that are for these numbers alone.
    pub(crate) fn with_domains(self, domains: Vec<(String, Domain)>) -> Predictor {
        Predictor { domains, ..self }
    }

    /// The numbers that inputs are for, by name, where they are for some alone.
    pub fn domains(&self) -> &[(String, Domain)] {
        &self.domains
    }

    fn of_graphs(
        name: &str,
        graphs: Box<Graphs>,
        results: &[String],
        parameter_count: usize,
        options: &Options,
    ) -> Result<Predictor, Error> {
        let graph = graphs(1)?;
        let states = states_of(&graph);
        let evaluated = Interface::of(&evaluated_part(graph.clone(), results));
        let in_use = Interface::of(&with_results_alone(graph, results));
        for (result, ty) in &in_use.outputs {
            if ty.shape.first() != Some(&1) {
                let problem = format!("of a batch of one row its result `{result}` is {ty}");
                return Err(Error::invalid(name, problem, "make it return [batch, ..]"));
            }
        }
        Ok(Predictor {
            name: name.to_owned(),
            graphs,
            in_use,
            evaluated,
            states,
            parameter_count,
            takes_unlabelled: false,
            domains: Vec::new(),
            options: options.clone(),
            pool: Arc::new(Pool::new(options.threads)?),
            idle: Mutex::default(),
            compile_time: Mutex::default(),
        })
    }

    /// What its first result is of each row of a data set, whose targets are not looked at: `f32[rows, outputs]`, row-major.
    ///
    /// # Errors
    /// Where rows do not fit the network, `state` lacks states of it, or it has no result of `f32`.
    pub fn predict(&self, state: &State, data: &Dataset) -> Result<Vec<f32>, Error> {
        let mut results = self.results(state, &self.with_rows_that_fit(data)?)?;
        let (name, tensor) = results.swap_remove(0);
        let elements = tensor.as_slice::<f32>().map(<[f32]>::to_vec);
        elements.ok_or_else(|| {
            let problem = format!("its result `{name}` is {}", tensor.ty());
            Error::invalid(&self.name, problem, "ask for results by name")
        })
    }

    /// All results of the rows of some arrays, by name.
    ///
    /// # Errors
    /// Where an array is missing or of another type, `state` lacks states of the network, or there are no results.
    pub fn results(&self, state: &State, data: &dyn Examples) -> Result<Vec<(String, Tensor)>, Error> {
        if self.in_use.outputs.is_empty() {
            let help = "name what it is used for: `Outputs::new().result(\"prediction\", y)`";
            return Err(Error::invalid(&self.name, "it has no results", help));
        }
        let data = data.arrays().for_inputs(self.in_use.inputs())?;
        let row_bytes: usize = self.in_use.outputs.iter().map(|(_, ty)| ty.size_bytes()).sum();
        memory::check(data.name(), row_bytes.saturating_mul(data.len()).saturating_mul(2))?; // in parts, and joined
        let mut collected: Vec<Vec<Tensor>> = vec![Vec::new(); self.in_use.outputs.len()];
        self.run_all(state, &data, Use::Predict, &mut |program, _| {
            collected.iter_mut().zip(program.outputs()).for_each(|(all, part)| all.push(part.clone()));
        })?;
        let of_all_rows = |((name, ty), parts): (&(String, Type), Vec<Tensor>)| {
            let mut shape = ty.shape.to_vec();
            shape[0] = data.len();
            (name.clone(), joined(&Type::new(ty.dtype, shape.as_slice()), &parts))
        };
        Ok(self.in_use.outputs.iter().zip(collected).map(of_all_rows).collect())
    }

    /// Loss and metrics on examples.
    ///
    /// # Errors
    /// Where they do not fit the network or there are none, or it has no loss; as [`Predictor::predict`].
    pub fn evaluate(&self, state: &State, data: &dyn Examples) -> Result<Evaluation, Error> {
        // Metrics of rows that are classified or valued look at what is predicted of all of them.
        let keeps_outputs = data.dataset().is_some() && self.predicts();
        Ok(self.evaluate_and_keep(state, data, keeps_outputs)?.1)
    }

    /// What its first result is of each row, where it is `f32`, and what that is worth.
    ///
    /// # Errors
    /// As [`Predictor::evaluate`].
    pub fn predict_and_evaluate(
        &self,
        state: &State,
        data: &dyn Examples,
    ) -> Result<(Vec<f32>, Evaluation), Error> {
        self.evaluate_and_keep(state, data, true)
    }

    /// What its first result is of each row, where that is asked for and is `f32`, and what it is worth.
    fn evaluate_and_keep(
        &self,
        state: &State,
        data: &dyn Examples,
        keeps_outputs: bool,
    ) -> Result<(Vec<f32>, Evaluation), Error> {
        let arrays = self.that_fit(data)?;
        let Some(loss) = self.evaluated.outputs.iter().position(|(name, _)| name == LOSS) else {
            return Err(Error::invalid(&self.name, "it has no loss to be evaluated by", "give it one"));
        };
        let mut sums = vec![0.0; self.evaluated.outputs.len() - loss];
        let first = self.evaluated.outputs.first().filter(|(_, ty)| keeps_outputs && ty.dtype == DType::F32);
        let width = first.map_or(0, |(_, ty)| ty.shape.elements());
        let mut outputs = memory::vector(arrays.name(), width.saturating_mul(arrays.len()))?;
        self.run_all(state, &arrays, Use::Evaluate, &mut |program, rows| {
            let first = program.outputs().first().and_then(|output| output.as_slice::<f32>());
            outputs.extend(first.filter(|_| keeps_outputs).unwrap_or_default());
            let means = program.outputs()[loss..].iter().map(|mean| mean.get(0).as_f64());
            sums.iter_mut().zip(means).for_each(|(sum, mean)| *sum += mean * rows as f64);
        })?;
        let means = sums.iter().map(|sum| sum / arrays.len() as f64);
        let names = self.evaluated.outputs[loss + 1..].iter().map(|(name, _)| name.clone());
        let metrics = names.zip(means.skip(1)).collect();
        let evaluation =
            Evaluation { metrics, ..Evaluation::of_loss(sums[0] / arrays.len() as f64, arrays.len()) };
        // Of classes and of values there is more to say.
        Ok(match data.dataset().filter(|_| self.predicts()) {
            Some(dataset) => {
                let evaluation = evaluation.with_predictions(&outputs, dataset);
                (outputs, evaluation)
            }
            None if data.sequences().is_some() => (outputs, evaluation.with_own_accuracy()),
            None => (outputs, evaluation),
        })
    }

    /// The states of the network, as they are before training.
    ///
    /// # Errors
    /// Where there is no memory for them.
    pub fn initial_state(&self, seed: u64) -> Result<State, Error> {
        let mut state = State::empty();
        self.adopt(&mut state, seed)?;
        Ok(state)
    }

    /// The states of the network, all zero: for who writes each of them.
    ///
    /// # Errors
    /// Where there is no memory for them.
    pub(crate) fn zero_state(&self) -> Result<State, Error> {
        let mut state = State::empty();
        self.adopt_by(&mut state, &|state, plan| state.adopt_zeros(plan))?;
        Ok(state)
    }

    /// Adds the states that `state` has not, as they are before training.
    ///
    /// # Errors
    /// Where one is there with another type, or there is no memory.
    pub(crate) fn adopt(&self, state: &mut State, seed: u64) -> Result<(), Error> {
        self.adopt_by(state, &|state, plan| state.adopt(plan, seed))
    }

    fn adopt_by(
        &self,
        state: &mut State,
        adopt: &dyn Fn(&mut State, &VerifiedPlan) -> Result<(), RunError>,
    ) -> Result<(), Error> {
        if self.states.iter().all(|(name, _)| state.contains(name)) {
            return Ok(());
        }
        // Results may depend on states that what is reported does not depend on.
        for what in [Use::Evaluate, Use::Predict] {
            if self.states.iter().all(|(name, _)| state.contains(name)) {
                break;
            }
            let program = self.program(1, what)?;
            adopt(state, program.plan())?;
            self.give_back(1, what, program);
        }
        Ok(())
    }

    /// The name of the network.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shape of a row of `x`; of rank 0 where there is none.
    pub fn row(&self) -> Shape {
        let rows = self.in_use.input(ROWS).or_else(|| self.evaluated.input(ROWS));
        rows.map_or(Shape::new(&[]), |ty| Shape::from(&ty.shape[1..]))
    }

    /// Names and types of the inputs in use, for a batch of one row.
    pub fn inputs(&self) -> &[(String, Type)] {
        &self.in_use.inputs
    }

    /// Names and types of the results, for a batch of one row.
    pub fn result_types(&self) -> &[(String, Type)] {
        &self.in_use.outputs
    }

    /// The number of elements of its first result, of a row.
    pub fn outputs(&self) -> usize {
        self.in_use.outputs.first().map_or(0, |(_, ty)| ty.shape.elements())
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
        *self.compile_time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The graph by which it is evaluated on a batch of so many rows.
    pub(crate) fn graph(&self, rows: usize) -> Result<Graph, Error> {
        (self.graphs)(rows)
    }

    /// Compiles a graph on the threads of this network.
    pub(crate) fn compile(&self, graph: &Graph) -> Result<Executable, Error> {
        let program = crate::compile_on(graph, &self.options, Arc::clone(&self.pool))?;
        *self.compile_time.lock().unwrap_or_else(PoisonError::into_inner) += program.compile_time();
        Ok(program)
    }

    /// Runs it on all rows in order; `each` is called with the program after each batch, and the size of the batch.
    fn run_all(
        &self,
        state: &State,
        data: &Arrays,
        what: Use,
        each: &mut dyn FnMut(&Executable, usize),
    ) -> Result<(), Error> {
        let order: Vec<u32> = (0..data.len() as u32).collect();
        let mut batch = Batch::zeros(data, 0);
        for rows in order.chunks(BATCH) {
            if batch.len() != rows.len() {
                batch = Batch::zeros(data, rows.len());
            }
            batch.gather(data, rows);
            let mut program = self.program(rows.len(), what)?;
            program.infer(state, &batch.tensors())?;
            each(&program, rows.len());
            self.give_back(rows.len(), what, program);
        }
        Ok(())
    }

    /// A program that no other thread has.
    fn program(&self, rows: usize, what: Use) -> Result<Executable, Error> {
        let idle = self.idle().get_mut(&(rows, what)).and_then(Vec::pop);
        if let Some(program) = idle {
            return Ok(program);
        }
        let graph = self.graph(rows)?;
        let results: Vec<String> = self.in_use.outputs.iter().map(|(name, _)| name.clone()).collect();
        self.compile(&match what {
            Use::Predict => with_results_alone(graph, &results),
            Use::Evaluate => evaluated_part(graph, &results),
        })
    }

    /// Keeps a program for the next batch of this size.
    fn give_back(&self, rows: usize, what: Use, program: Executable) {
        self.idle().entry((rows, what)).or_default().push(program);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, BTreeMap<(usize, Use), Vec<Executable>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The states of a graph: their names and types, in order.
pub(super) fn states_of(graph: &Graph) -> Vec<(String, Type)> {
    graph.states().map(|(id, node)| (node.name.clone().unwrap_or_default(), first(graph, id))).collect()
}

/// The inputs of a graph: their names and types, in order.
pub(super) fn inputs_of(graph: &Graph) -> Vec<(String, Type)> {
    graph.inputs().map(|(id, node)| (node.name.clone().unwrap_or_default(), first(graph, id))).collect()
}

/// The type of the first result of a node.
fn first(graph: &Graph, node: ir::NodeId) -> Type {
    graph.ty(Value::new(node, 0)).clone()
}

/// The part of a graph by which examples are evaluated: what is reported of them, and those of the results that need no inputs
/// besides.
fn evaluated_part(mut graph: Graph, results: &[String]) -> Graph {
    let outputs = graph.outputs.iter().map(|output| output.name.clone());
    let reported: Vec<String> = outputs.filter(|name| !results.contains(name)).collect();
    if reported.is_empty() {
        return graph;
    }
    let known = inputs_of(&with_results_alone(graph.clone(), &reported));
    let needs_more = |name: &String| {
        let needed = inputs_of(&with_results_alone(graph.clone(), std::slice::from_ref(name)));
        needed.iter().any(|input| !known.contains(input))
    };
    let left_out: Vec<&String> = results.iter().filter(|name| needs_more(name)).collect();
    if left_out.is_empty() {
        return graph;
    }
    graph.outputs.retain(|output| !left_out.contains(&&output.name));
    needed_part(&graph)
}

/// The part of a graph that the outputs of these names depend on.
fn with_results_alone(mut graph: Graph, results: &[String]) -> Graph {
    graph.outputs.retain(|output| results.contains(&output.name));
    needed_part(&graph)
}

/// The tensor of this type whose rows are those of `parts`, one after the other.
fn joined(ty: &Type, parts: &[Tensor]) -> Tensor {
    fn join<T: Element>(ty: &Type, parts: &[Tensor]) -> Option<Tensor> {
        let parts = parts.iter().flat_map(|part| part.as_slice::<T>().unwrap_or_default());
        Tensor::new(ty.shape.clone(), parts.copied().collect())
    }
    let joined = match ty.dtype {
        DType::F32 => join::<f32>(ty, parts),
        DType::F64 => join::<f64>(ty, parts),
        DType::I32 => join::<i32>(ty, parts),
        DType::I64 => join::<i64>(ty, parts),
        DType::Bool => join::<bool>(ty, parts),
    };
    joined.expect("the parts have all rows")
}
