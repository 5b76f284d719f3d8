//! Generative adversarial networks (I. Goodfellow et al., "Generative adversarial nets", 2014): a generator makes rows of noise, and
//! a discriminator, or critic, tells them from those of the data. It is a [game](crate::game) of two players.
//!
//! | module | what it holds |
//! |---|---|
//! | [`objective`] | what the two make small |
//! | [`divergence`] | f-divergences with their conjugates, for f-GAN |
//! | `penalty` | the gradient penalty |
//! | `orthogonal` | the penalty of BigGAN on a generator's weights |
//! | `conv` | networks of images |
//! | [`bigan`] | a game with an encoder |

pub mod bigan;
mod conv;
pub mod divergence;
pub mod objective;
mod orthogonal;
mod penalty;

use ir::ops::Distribution::Normal;
use ir::{DType, Error, Shape, Value};

pub use bigan::BiGan;
pub use conv::{ConvDiscriminator, ConvGenerator};
pub use divergence::Divergence;
pub use objective::Objective;
pub use orthogonal::orthogonality;
use penalty::gradient_penalty;

use crate::supervised::TARGETS;
use crate::{Context, Generative, Layer, Network, Optimizer, Outputs, Player, TrainStep};

/// The name of the player that makes rows, and the scope of its layer.
pub const GENERATOR: &str = "generator";
/// The name of the player that tells rows from made ones, and the scope of its layer.
pub const DISCRIMINATOR: &str = "discriminator";
/// The name of the result: what the generator makes of noise.
pub const SAMPLE: &str = "sample";
/// The name of the noise among the inputs in use.
pub const NOISE: &str = "z";

/// A generator, `f32[rows, latent]` to `f32[rows, ..row]`, and a discriminator, `f32[rows, ..row]` to scores `f32[rows, 1]` or
/// `f32[rows]`: the greater, the more a row is like those of the data.
///
/// In training and evaluation its input is `x`, `f32[rows, ..row]`; the noise, standard normal, is drawn within the step. Its
/// players are `discriminator` and `generator`. Their losses are those of the [`Objective`], and the loss by which the
/// game is judged is [`Objective::distance`]. In use its input is noise `z`, `f32[rows, latent]`, and its result `sample`,
/// `f32[rows, ..row]`.
///
/// ```
/// use nn::models::gan::{Gan, Objective};
/// use nn::{Adam, Network, game::turn_graph, models::Mlp, network::inference_graph, Relu};
/// let made = Mlp::new(&[8, 32, 2], Relu);
/// let judged = Mlp::new(&[2, 32, 1], Relu);
/// let gan = Gan::new([2], 8, made, judged, Objective::wgan_gp());
/// let [critic, generator] = gan.players(Adam::new(1e-4), Adam::new(1e-4), 5);
/// let step = turn_graph("gan", &gan, 64, &critic)?;
/// assert_eq!(step.outputs[1].name, "discriminator_loss");
/// let step = turn_graph("gan", &gan, 64, &generator)?;
/// assert_eq!(step.outputs[0].name, "generator_loss");
/// let used = inference_graph("gan", &gan, 10)?;
/// assert_eq!(used.ty(used.outputs[0].value).to_string(), "f32[10, 2]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Gan<G, D> {
    /// The shape of a row.
    pub row: Shape,
    /// The number of values of noise that a row is made of.
    pub latent: usize,
    /// What makes rows.
    pub generator: G,
    /// What gives rows scores.
    pub discriminator: D,
    /// What the two make small.
    pub objective: Objective,
    /// Whether both know the class of each row; see [`Gan::conditional`].
    pub is_conditional: bool,
    /// How much [`orthogonality`] of the generator's weights counts in its loss; 0 for none. The paper's weight is 1e-4.
    pub orthogonality: f64,
}

impl<G: Layer, D: Layer> Gan<G, D> {
    /// A game for rows of this shape, made of so many values of noise.
    pub fn new(
        row: impl Into<Shape>,
        latent: usize,
        generator: G,
        discriminator: D,
        objective: Objective,
    ) -> Gan<G, D> {
        let row = row.into();
        Gan { row, latent, generator, discriminator, objective, is_conditional: false, orthogonality: 0.0 }
    }

    /// With the class of each row known to both (M. Mirza and S. Osindero, "Conditional generative adversarial nets", 2014): the
    /// input `y`, `i64[rows]`, has those of the data, of which rows are made, too; in use it has those that are asked for. The layers
    /// are ones that [depend on classes](crate::conditional).
    ///
    /// ```
    /// use nn::models::gan::{Gan, Objective};
    /// use nn::{Conditioned, Relu, models::Mlp, network::inference_graph};
    /// let made = Conditioned::new(Mlp::new(&[8 + 4, 32, 2], Relu), 10, 4);
    /// let judged = Conditioned::new(Mlp::new(&[2 + 4, 32, 1], Relu), 10, 4);
    /// let gan = Gan::new([2], 8, made, judged, Objective::NonSaturating).conditional();
    /// let used = inference_graph("cgan", &gan, 10)?;
    /// assert_eq!(used.inputs().count(), 2); // labels and noise
    /// # Ok::<(), ir::Error>(())
    /// ```
    pub fn conditional(self) -> Gan<G, D> {
        Gan { is_conditional: true, ..self }
    }

    /// The game, where layers know of classes what they are to know.
    fn game(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        let Pairs { real, made, .. } = Pairs::new(cx, &self.row, self.latent, &self.generator, rows)?;
        let of_real = cx.layer(DISCRIMINATOR, &self.discriminator, real)?;
        let of_made = cx.shared(DISCRIMINATOR, &self.discriminator, made)?;
        check_scores(cx, of_real, rows)?;
        let mut lost_by_critic = self.objective.discriminator_loss(cx, of_real, of_made)?;
        let distance = self.objective.distance(cx, of_real, of_made)?;
        if let Some(weight) = self.objective.penalty_weight() {
            let judge = |cx: &mut Context, x: Value| cx.shared(DISCRIMINATOR, &self.discriminator, x);
            let penalty = gradient_penalty(cx, real, made, &judge)?;
            lost_by_critic = cx.eval(lost_by_critic + penalty * weight)?;
        }
        let mut lost_by_generator = self.objective.generator_loss(cx, of_made)?;
        if self.orthogonality > 0.0 {
            let penalty = orthogonality(cx, GENERATOR)?;
            lost_by_generator = cx.eval(lost_by_generator + penalty * self.orthogonality)?;
        }
        let outputs = Outputs::new()
            .loss(distance)
            .player(DISCRIMINATOR, lost_by_critic)
            .player(GENERATOR, lost_by_generator);
        if cx.is_training() {
            return Ok(outputs);
        }
        let noise = cx.input(NOISE, DType::F32, [rows, self.latent])?;
        let sample = cx.shared(GENERATOR, &self.generator, noise)?;
        Ok(outputs.result(SAMPLE, sample))
    }

    /// The players, the discriminator first, which has so many steps for one of the generator. Where the objective bounds the weights
    /// of the critic, its optimizer does.
    pub fn players(
        &self,
        generator: impl Optimizer + 'static,
        discriminator: impl Optimizer + 'static,
        discriminator_steps: usize,
    ) -> [Player; 2] {
        self.objective.players(generator, discriminator, discriminator_steps)
    }
}

impl Objective {
    /// The players of a game with this objective: see [`Gan::players`].
    pub fn players(
        self,
        generator: impl Optimizer + 'static,
        discriminator: impl Optimizer + 'static,
        discriminator_steps: usize,
    ) -> [Player; 2] {
        let step = TrainStep::new(discriminator);
        let step = match self.weight_bound() {
            Some(bound) => step.clip_weights(bound),
            None => step,
        };
        [
            Player::new(DISCRIMINATOR, step).moves(format!("{DISCRIMINATOR}.*")).steps(discriminator_steps),
            Player::new(GENERATOR, generator).moves(format!("{GENERATOR}.*")),
        ]
    }
}

impl<G: Layer, D: Layer> Network for Gan<G, D> {
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        if !self.is_conditional {
            return self.game(cx, rows);
        }
        let labels = cx.input(TARGETS, DType::I64, [rows])?;
        cx.with_labels(labels, |cx| self.game(cx, rows))
    }
}

impl<G: Layer, D: Layer> Generative for Gan<G, D> {
    fn code_size(&self) -> usize {
        self.latent
    }

    fn generate(&self, cx: &mut Context, code: Value) -> Result<Value, Error> {
        if !self.is_conditional {
            return cx.layer(GENERATOR, &self.generator, code);
        }
        let rows = cx.shape(code)[0];
        let labels = cx.input(TARGETS, DType::I64, [rows])?;
        cx.with_labels(labels, |cx| cx.layer(GENERATOR, &self.generator, code))
    }
}

/// Rows of the data beside as many that are made of noise.
struct Pairs {
    real: Value,
    noise: Value,
    made: Value,
}

impl Pairs {
    fn new(
        cx: &mut Context,
        row: &Shape,
        latent: usize,
        generator: &dyn Layer,
        rows: usize,
    ) -> Result<Pairs, Error> {
        let shape: Shape = [rows].into_iter().chain(row.iter().copied()).collect();
        let real = cx.input("x", DType::F32, shape)?;
        let noise = cx.draw(Normal, [rows, latent])?;
        let made = cx.layer(GENERATOR, generator, noise)?;
        if cx.ty(made) != cx.ty(real) {
            let problem = format!("the generator makes {}, a batch of data is {}", cx.ty(made), cx.ty(real));
            let help = "end it in a layer that gives rows of the shape of the data";
            return Err(Error::new(GENERATOR, problem, help));
        }
        Ok(Pairs { real, noise, made })
    }
}

/// Checks that there is one score for each row.
fn check_scores(cx: &Context, scores: Value, rows: usize) -> Result<(), Error> {
    let shape = cx.shape(scores);
    if shape.elements() == rows && shape.first() == Some(&rows) {
        return Ok(());
    }
    let problem = format!("of {rows} rows its scores are {}", cx.ty(scores));
    Err(Error::new(DISCRIMINATOR, problem, "end it in a layer that gives one score for each row"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::turn_graph;
    use crate::models::Mlp;
    use crate::network::evaluation_graph;
    use crate::{Relu, Sgd};
    use ir::Graph;

    fn gan(sizes: [&[usize]; 2], objective: Objective) -> Gan<Mlp, Mlp> {
        let [generator, discriminator] = sizes.map(|sizes| Mlp::new(sizes, Relu));
        Gan::new([3], 2, generator, discriminator, objective)
    }

    fn moved(graph: &Graph) -> Vec<&str> {
        let names = graph.updates.iter().filter_map(|update| graph.node(update.state).name.as_deref());
        names.filter(|name| name.ends_with(".weight")).collect()
    }

    #[test]
    fn each_objective_has_a_step_for_each_player_that_moves_its_own_weights() {
        let divergences = Divergence::ALL.map(Objective::Divergence);
        let all = Objective::ALL.into_iter().chain(divergences);
        for objective in all {
            let gan = gan([&[2, 4, 3], &[3, 4, 1]], objective);
            let [critic, generator] = gan.players(Sgd::new(0.1), Sgd::new(0.1), 2);
            let step = turn_graph("gan", &gan, 5, &critic).unwrap();
            assert_eq!(moved(&step), ["discriminator.fc1.weight", "discriminator.fc2.weight"]);
            let step = turn_graph("gan", &gan, 5, &generator).unwrap();
            assert_eq!(moved(&step), ["generator.fc1.weight", "generator.fc2.weight"]);
            evaluation_graph("gan", &gan, 5).unwrap();
        }
    }

    #[test]
    fn rows_and_scores_of_other_shapes_are_errors() {
        let message =
            |sizes| evaluation_graph("g", &gan(sizes, Objective::Hinge), 5).unwrap_err().to_string();
        let help = "end it in a layer that gives rows of the shape of the data";
        assert_eq!(
            message([&[2, 4], &[4, 1]]),
            format!("generator: the generator makes f32[5, 4], a batch of data is f32[5, 3]; {help}")
        );
        let help = "end it in a layer that gives one score for each row";
        assert_eq!(
            message([&[2, 3], &[3, 2]]),
            format!("discriminator: of 5 rows its scores are f32[5, 2]; {help}")
        );
    }
}
