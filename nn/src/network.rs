//! What can be trained and used: a [`Network`], and the graphs that are made of one.

use std::sync::Arc;

use ir::{Builder, DType, Error, Graph, Value};

use crate::{Context, Domain, Optimizer, Player, game};

/// What turns the named inputs of a batch into named results and, where it is to be trained, into a loss.
///
/// It is a description, as a [`Layer`](crate::Layer) is: `build` declares the inputs that it wants, makes its parameters,
/// and says what comes out. One description gives all graphs: in use, only what the results depend on is kept, so targets
/// are no inputs there. [`Supervised`](crate::Supervised) is the ready-made one for a layer and a loss; a function is one,
/// too:
///
/// ```
/// use ir::DType;
/// use nn::{Adam, Context, Linear, Outputs, network};
/// /// Whether two rows are alike: their distance after one layer that both go through.
/// fn siamese(cx: &mut Context, rows: usize) -> Result<Outputs, ir::Error> {
///     let [a, b] = [cx.input("a", DType::F32, [rows, 64])?, cx.input("b", DType::F32, [rows, 64])?];
///     let target = cx.input("distance", DType::F32, [rows])?;
///     let layer = Linear::new(64, 8);
///     let [a, b] = [cx.layer("tower", &layer, a)?, cx.shared("tower", &layer, b)?];
///     let difference = cx.sub(a, b)?;
///     let square = cx.square(difference)?;
///     let distance = cx.reduce_sum(square, &[1], false)?;
///     let loss = nn::Loss::SquaredError.mean(cx, distance, target)?;
///     Ok(Outputs::new().result("distance", distance).loss(loss))
/// }
/// let step = network::training_graph("siamese", &siamese, 32, &Adam::default())?;
/// assert_eq!(step.inputs().count(), 3);
/// let used = network::inference_graph("siamese", &siamese, 1)?;
/// assert_eq!(used.inputs().count(), 2);
/// # Ok::<(), ir::Error>(())
/// ```
pub trait Network: Send + Sync {
    /// Builds it for a batch of `rows` rows. Each input has them along its first axis.
    ///
    /// # Errors
    /// Where its parts do not fit together.
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error>;
}

impl<F> Network for F
where
    F: Fn(&mut Context, usize) -> Result<Outputs, Error> + Send + Sync,
{
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        self(cx, rows)
    }
}

impl<T: Network + ?Sized> Network for Arc<T> {
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        (**self).build(cx, rows)
    }
}

/// A network that makes rows of codes.
pub trait Generative: Network {
    /// The number of values of a code.
    fn code_size(&self) -> usize;

    /// Whether codes are standard normal where nothing is known of a row, so that rows can be drawn.
    fn has_prior(&self) -> bool {
        true
    }

    /// The rows that codes, `[rows, code]`, stand for: `[rows, ..]`. One that knows the labels of rows declares the input
    /// [`y`](crate::supervised::TARGETS).
    ///
    /// # Errors
    /// Where codes are of another size.
    fn generate(&self, cx: &mut Context, code: Value) -> Result<Value, Error>;
}

/// A network that draws rows by chains within the program, as [Boltzmann machines](crate::models::rbm) do.
pub trait Sampler: Network {
    /// A row at the end of each of so many chains after so many steps: `[chains, ..]`.
    ///
    /// # Errors
    /// Where there is nothing to draw, or the network says nothing of how likely rows are.
    fn draw_rows(&self, cx: &mut Context, chains: usize, steps: usize) -> Result<Value, Error>;
}

/// What a network makes of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// What it is used for, by name: of each row something, along the first axis.
    pub results: Vec<(String, Value)>,
    /// What is made small: a float of rank 0, a mean over the rows. In a game, what it is judged by: see [`crate::game`].
    pub loss: Option<Value>,
    /// What the players of a game make small, each its own, by their names: floats of rank 0, means over the rows.
    pub players: Vec<(String, Value)>,
    /// What is reported besides: floats of rank 0, each a mean over the rows.
    pub metrics: Vec<(String, Value)>,
    /// Whether labels `y` may be [`UNLABELLED`](crate::models::latent::UNLABELLED), which those of other networks may not.
    pub takes_unlabelled: bool,
    /// What the elements of inputs have to be for the loss to say something, by the names of the inputs.
    pub domains: Vec<(String, Domain)>,
}

/// The name of the loss among the outputs of graphs.
pub const LOSS: &str = "loss";

impl Outputs {
    /// Nothing yet.
    pub fn new() -> Outputs {
        Outputs::default()
    }

    /// With a result of this name.
    pub fn result(mut self, name: impl Into<String>, value: Value) -> Outputs {
        self.results.push((name.into(), value));
        self
    }

    /// With this loss.
    pub fn loss(self, loss: Value) -> Outputs {
        Outputs { loss: Some(loss), ..self }
    }

    /// With a player of this name, who makes this loss small: see [`crate::game`].
    pub fn player(mut self, name: impl Into<String>, loss: Value) -> Outputs {
        self.players.push((name.into(), loss));
        self
    }

    /// With a metric of this name.
    pub fn metric(mut self, name: impl Into<String>, value: Value) -> Outputs {
        self.metrics.push((name.into(), value));
        self
    }

    /// With labels that may be [`UNLABELLED`](crate::models::latent::UNLABELLED).
    pub fn takes_unlabelled(self) -> Outputs {
        Outputs { takes_unlabelled: true, ..self }
    }

    /// With an input of this name that is for these numbers alone, where it is for some: others are errors where rows come in.
    ///
    /// ```
    /// use nn::{Loss, Outputs};
    /// let outputs = Outputs::new().of_domain("is_alike", Loss::BinaryCrossEntropy.domain());
    /// assert_eq!(outputs.domains[0].1.to_string(), "numbers from 0 to 1");
    /// ```
    pub fn of_domain(mut self, input: impl Into<String>, domain: Option<Domain>) -> Outputs {
        self.domains.extend(domain.map(|domain| (input.into(), domain)));
        self
    }

    /// What is reported of examples: the loss (of a game without one, that of the last player), those of the players, and the
    /// metrics, where each is a float of rank 0.
    fn scalars(&self, cx: &Context) -> Result<Vec<(String, Value)>, Error> {
        let loss = self.loss.or(self.players.last().map(|(_, loss)| *loss));
        let loss = loss.map(|loss| (LOSS.to_owned(), loss));
        let players = self.players.iter().map(|(name, loss)| (game::loss_name(name), *loss));
        let all = loss.into_iter().chain(players).chain(self.metrics.iter().cloned());
        let all: Vec<(String, Value)> = all.collect();
        match all.iter().find(|(_, value)| !cx.dtype(*value).is_float() || cx.shape(*value).rank() > 0) {
            None => Ok(all),
            Some((name, value)) => {
                let problem = format!("it is {}", cx.ty(*value));
                Err(Error::new(name, problem, "make it a float of rank 0: a mean over the rows"))
            }
        }
    }

    /// The names of the players, in words.
    pub(crate) fn player_names(&self) -> String {
        let names: Vec<&str> = self.players.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }
}

/// A whole training step (forward, backward, optimizer). Its inputs are those of the network. Its outputs are `loss`, `f32[]`
/// (before the step), and the metrics.
///
/// The step takes place where its loss is finite, and so is every value that the optimizer
/// [requires to be](Context::require_finite); each of these is an output under its own name. Elsewhere all states keep
/// their values: parameters, moments, statistics of batches, counters.
///
/// ```
/// use nn::{Adam, Loss, Supervised, models, network::training_graph};
/// let network = Supervised::new([64], models::mlp(), Loss::cross_entropy());
/// let graph = training_graph("mlp", &network, 32, &Adam::default())?;
/// assert_eq!(graph.outputs[0].name, "loss");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the network cannot be built, has no loss or is a game of several, or a setting is out of its range.
pub fn training_graph(
    name: &str,
    network: &dyn Network,
    rows: usize,
    optimizer: &dyn Optimizer,
) -> Result<Graph, Error> {
    let mut cx = Context::training(format!("{name}_train"));
    let outputs = network.build(&mut cx, rows)?;
    if !outputs.players.is_empty() {
        let problem = format!("the network is a game of {}", outputs.player_names());
        let help = "give each of them an optimizer: `Trainer::of_game`, or `nn::game::turn_graph`";
        return Err(Error::new(name, problem, help));
    }
    let Some(loss) = outputs.loss else {
        let help = "give it one to be trained: `Outputs::new().loss(mean)`";
        return Err(Error::new(name, "the network has no loss", help));
    };
    let scalars = outputs.scalars(&cx)?;
    step_graph(cx, &scalars, (LOSS, loss), optimizer)
}

/// The step of a player on a batch of a game: what [`game::turn_graph`](crate::game::turn_graph) gives.
pub(crate) fn turn_graph(
    name: &str,
    network: &dyn Network,
    rows: usize,
    player: &Player,
) -> Result<Graph, Error> {
    let mut cx = Context::training(format!("{name}_{}", player.name())).in_turn_of(player.name());
    let outputs = network.build(&mut cx, rows)?;
    let Some(position) = outputs.players.iter().position(|(name, _)| name == player.name()) else {
        let problem = format!("it has no player `{}`", player.name());
        let help = match outputs.players.is_empty() {
            true => "give its outputs players: `Outputs::new().player(\"critic\", loss)`".to_owned(),
            false => format!("its players are {}", outputs.player_names()),
        };
        return Err(Error::new(name, problem, help));
    };
    let loss = outputs.players[position].1;
    let (is_first, is_last) = (position == 0, position + 1 == outputs.players.len());
    let own = game::loss_name(player.name());
    // What costs others something is reported in the turns of the first player alone.
    let is_reported = |name: &str| {
        name == own
            || match name == LOSS && outputs.loss.is_none() {
                true => is_last,
                false => is_first && !outputs.players.iter().any(|(known, _)| game::loss_name(known) == name),
            }
    };
    let scalars = outputs.scalars(&cx)?.into_iter().filter(|(name, _)| is_reported(name));
    let scalars: Vec<(String, Value)> = scalars.collect();
    step_graph(cx, &scalars, (&own, loss), player)
}

/// The step that makes a loss small, which reports some values.
fn step_graph(
    mut cx: Context,
    reported: &[(String, Value)],
    (name, loss): (&str, Value),
    optimizer: &dyn Optimizer,
) -> Result<Graph, Error> {
    for (name, value) in reported {
        cx.output(name, *value)?;
    }
    optimizer.step(&mut cx, loss)?;
    cx.require_finite(name, loss);
    finish_guarded(cx)
}

/// The network on examples with targets, as it is: its results, then the loss, those of the players of a game
/// ([`game::loss_name`]), and the metrics.
///
/// # Errors
/// Where the network cannot be built, or two outputs have one name.
pub fn evaluation_graph(name: &str, network: &dyn Network, rows: usize) -> Result<Graph, Error> {
    let mut cx = Context::new(name);
    let outputs = network.build(&mut cx, rows)?;
    let scalars = outputs.scalars(&cx)?;
    for (name, value) in outputs.results.iter().chain(&scalars) {
        cx.output(name, *value)?;
    }
    Ok(cx.finish())
}

/// The network in use: its results, from the inputs that they depend on.
///
/// ```
/// use nn::{Loss, Supervised, models, network::inference_graph};
/// let network = Supervised::new([64], models::mlp(), Loss::cross_entropy());
/// let graph = inference_graph("mlp", &network, 1)?;
/// assert_eq!(graph.ty(graph.outputs[0].value).to_string(), "f32[1, 10]");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the network cannot be built, or has no results.
pub fn inference_graph(name: &str, network: &dyn Network, rows: usize) -> Result<Graph, Error> {
    let mut cx = Context::new(name);
    let outputs = network.build(&mut cx, rows)?;
    if outputs.results.is_empty() {
        let help = "name what it is used for: `Outputs::new().result(\"prediction\", y)`";
        return Err(Error::new(name, "the network has no results", help));
    }
    for (name, value) in &outputs.results {
        cx.output(name, *value)?;
    }
    Ok(needed_part(&cx.finish()))
}

/// The rows that a network makes of codes: the output `x` of the input `code`, `f32[rows, code]`.
///
/// # Errors
/// Where the network cannot be built.
pub fn generating_graph(name: &str, network: &dyn Generative, rows: usize) -> Result<Graph, Error> {
    let mut cx = Context::new(name);
    let code = cx.input(crate::models::latent::CODE, DType::F32, [rows, network.code_size()])?;
    let rows = network.generate(&mut cx, code)?;
    cx.output(crate::supervised::ROWS, rows)?;
    Ok(cx.finish())
}

/// The rows that a network draws, `f32[chains, ..]`, as the output `x`. They depend on the seed of its states.
///
/// ```
/// use nn::{models::Rbm, network::drawing_graph};
/// let graph = drawing_graph("rbm", &Rbm::new(64, 100), 10, 1000)?;
/// assert_eq!(graph.ty(graph.outputs[0].value).to_string(), "f32[10, 64]");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// As [`Sampler::draw_rows`].
pub fn drawing_graph(name: &str, network: &dyn Sampler, chains: usize, steps: usize) -> Result<Graph, Error> {
    if chains == 0 || steps == 0 {
        let problem = format!("{chains} chains of {steps} steps are asked for");
        return Err(Error::new(name, problem, "give at least one of each"));
    }
    // In use, each run would have the same draws.
    let mut cx = Context::training(name);
    let rows = network.draw_rows(&mut cx, chains, steps)?;
    cx.output(crate::supervised::ROWS, rows)?;
    Ok(needed_part(&cx.finish()))
}

/// The part of a graph that its outputs and updates depend on, in the same order: inputs and states that they do not are
/// left out, too.
pub fn needed_part(graph: &Graph) -> Graph {
    let mut is_needed = vec![false; graph.len()];
    graph.roots().for_each(|value| is_needed[value.node.0 as usize] = true);
    graph.updates.iter().for_each(|update| is_needed[update.state.0 as usize] = true);
    for (id, node) in graph.nodes().rev() {
        if is_needed[id.0 as usize] {
            node.operands.iter().for_each(|operand| is_needed[operand.node.0 as usize] = true);
        }
    }
    graph.part(&is_needed)
}

/// The finished graph, in which states change where all that is required to be finite is.
fn finish_guarded(mut cx: Context) -> Result<Graph, Error> {
    let mut is_finite: Option<Value> = None;
    for (name, value) in cx.required().to_vec() {
        if !cx.graph().outputs.iter().any(|output| output.name == name) {
            cx.output(&name, value)?;
        }
        let this = self::is_finite(&mut cx, value)?;
        is_finite = Some(is_finite.map_or(Ok(this), |others| cx.logical_and(others, this))?);
    }
    let mut graph = cx.finish();
    let Some(is_finite) = is_finite else { return Ok(graph) };
    let updates = std::mem::take(&mut graph.updates);
    let mut b = Builder::resume(graph);
    for update in updates {
        let state = Value::new(update.state, 0);
        let next = b.select(is_finite, update.value, state)?;
        b.update(state, next)?;
    }
    Ok(b.finish())
}

/// `|x| <= the greatest number`, which a NaN is not.
fn is_finite(b: &mut Builder, x: Value) -> Result<Value, Error> {
    let greatest = if b.dtype(x) == DType::F32 { f64::from(f32::MAX) } else { f64::MAX };
    let greatest = b.float_like(x, greatest);
    let size = b.abs(x)?;
    b.le(size, greatest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adam, Linear};

    fn refused(network: &dyn Network) -> [String; 3] {
        let message = |graph: Result<Graph, Error>| graph.err().map_or(String::new(), |it| it.to_string());
        [
            message(training_graph("net", network, 2, &Adam::default())),
            message(evaluation_graph("net", network, 2)),
            message(inference_graph("net", network, 2)),
        ]
    }

    #[test]
    fn what_a_network_lacks_is_an_error_where_it_is_wanted() {
        let only_result = |cx: &mut Context, rows: usize| {
            let x = cx.input("x", DType::F32, [rows, 3])?;
            Ok(Outputs::new().result("y", cx.layer("fc", &Linear::new(3, 1), x)?))
        };
        let expected = "net: the network has no loss; give it one to be trained: `Outputs::new().loss(mean)`";
        assert_eq!(refused(&only_result), [expected, "", ""]);
        let only_loss = |cx: &mut Context, rows: usize| {
            let x = cx.input("x", DType::F32, [rows, 3])?;
            let y = cx.layer("fc", &Linear::new(3, 1), x)?;
            Ok(Outputs::new().loss(cx.reduce_mean(y, &[0, 1], false)?))
        };
        let expected = "net: the network has no results; \
                        name what it is used for: `Outputs::new().result(\"prediction\", y)`";
        assert_eq!(refused(&only_loss), ["", "", expected]);
    }

    #[test]
    fn losses_and_metrics_are_floats_of_rank_0() {
        let metric_per_row = |cx: &mut Context, rows: usize| {
            let x = cx.input("x", DType::F32, [rows, 3])?;
            let y = cx.layer("fc", &Linear::new(3, 1), x)?;
            let loss = cx.reduce_mean(y, &[0, 1], false)?;
            Ok(Outputs::new().loss(loss).metric("size", y).result("y", y))
        };
        let expected = "size: it is f32[2, 1]; make it a float of rank 0: a mean over the rows";
        assert_eq!(refused(&metric_per_row), [expected, expected, ""]);
    }

    #[test]
    fn what_the_results_do_not_depend_on_is_no_part_of_use() {
        let network = |cx: &mut Context, rows: usize| {
            let x = cx.input("x", DType::F32, [rows, 3])?;
            let y = cx.input("y", DType::F32, [rows, 1])?;
            let prediction = cx.layer("fc", &Linear::new(3, 1), x)?;
            let critic = cx.layer("critic", &Linear::new(1, 1), y)?;
            let loss = crate::Loss::SquaredError.mean(cx, prediction, critic)?;
            Ok(Outputs::new().result("prediction", prediction).loss(loss))
        };
        let used = inference_graph("net", &network, 4).unwrap();
        let names = |nodes: Vec<String>| nodes.join(" ");
        let of = |graph: &Graph| {
            names(graph.nodes().filter_map(|(_, node)| node.name.clone()).collect::<Vec<String>>())
        };
        assert_eq!(of(&used), "x fc.weight fc.bias");
        let evaluated = evaluation_graph("net", &network, 4).unwrap();
        assert_eq!(of(&evaluated), "x y fc.weight fc.bias critic.weight critic.bias");
        assert_eq!(of(&needed_part(&evaluated)), of(&evaluated));
    }
}
