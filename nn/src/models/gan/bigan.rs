//! Bidirectional games: an encoder beside the generator.

use ir::{Error, Shape, Value};

use super::{DISCRIMINATOR, GENERATOR, Objective, Pairs, check_scores};
use crate::models::latent::{CODE, RECONSTRUCTION};
use crate::{Context, Generative, Layer, Network, Optimizer, Outputs, Player};

/// The scope of the encoder.
pub const ENCODER: &str = "encoder";

/// A bidirectional generative adversarial network (J. Donahue, P. Krähenbühl and T. Darrell, "Adversarial feature learning", 2017, equation
/// 2): the discriminator tells pairs `(x, E(x))` of a row and its code from pairs `(G(z), z)`; generator and encoder, one player, make it
/// fail. Where it can no longer tell, the encoder is the inverse of the generator.
///
/// The generator takes `f32[rows, latent]` to `f32[rows, ..row]`, the encoder the other way, and the discriminator takes a row and a code
/// side by side, `f32[rows, row + latent]`, to scores `f32[rows, 1]`. In use its input is `x`, `f32[rows, ..row]`; results are `code` and
/// `reconstruction`, `G(E(x))`.
///
/// ```
/// use nn::{Adam, Network, game::turn_graph, models::Mlp, models::gan::{BiGan, Objective}, Relu};
/// let game = BiGan {
///     row: [2].into(),
///     latent: 4,
///     generator: Mlp::new(&[4, 32, 2], Relu),
///     encoder: Mlp::new(&[2, 32, 4], Relu),
///     discriminator: Mlp::new(&[6, 32, 1], Relu),
///     objective: Objective::NonSaturating,
/// };
/// let [_, generator] = game.players(Adam::new(1e-3), Adam::new(1e-3), 1);
/// let step = turn_graph("bigan", &game, 64, &generator)?;
/// assert!(step.find("encoder.fc1.weight").is_some());
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BiGan<G, E, D> {
    /// The shape of a row.
    pub row: Shape,
    /// The number of values of a code.
    pub latent: usize,
    /// What makes rows of codes.
    pub generator: G,
    /// What makes codes of rows.
    pub encoder: E,
    /// What gives pairs scores.
    pub discriminator: D,
    /// What the players make small.
    pub objective: Objective,
}

impl<G: Layer, E: Layer, D: Layer> BiGan<G, E, D> {
    /// The players, the discriminator first, which has so many steps for one of generator and encoder.
    pub fn players(
        &self,
        generator: impl Optimizer + 'static,
        discriminator: impl Optimizer + 'static,
        discriminator_steps: usize,
    ) -> [Player; 2] {
        let [critic, maker] = self.objective.players(generator, discriminator, discriminator_steps);
        [critic, maker.moves(format!("{ENCODER}.*"))]
    }
}

/// Rows and codes side by side.
fn pair(cx: &mut Context, rows: Value, codes: Value) -> Result<Value, Error> {
    let shape = cx.shape(rows).clone();
    let flat = cx.reshape(rows, [shape[0], shape.elements() / shape[0].max(1)])?;
    cx.concat(&[flat, codes], 1)
}

impl<G: Layer, E: Layer, D: Layer> Network for BiGan<G, E, D> {
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        let Pairs { real, noise, made } = Pairs::new(cx, &self.row, self.latent, &self.generator, rows)?;
        let code = cx.layer(ENCODER, &self.encoder, real)?;
        if cx.ty(code) != cx.ty(noise) {
            let problem = format!("codes are {}, and rows are made of {}", cx.ty(code), cx.ty(noise));
            return Err(Error::new(ENCODER, problem, "end it in a layer that gives as many values"));
        }
        let [of_data, of_made] = [pair(cx, real, code)?, pair(cx, made, noise)?];
        let of_data = cx.layer(DISCRIMINATOR, &self.discriminator, of_data)?;
        let of_made = cx.shared(DISCRIMINATOR, &self.discriminator, of_made)?;
        check_scores(cx, of_data, rows)?;
        let lost_by_critic = self.objective.discriminator_loss(cx, of_data, of_made)?;
        // Seen from the encoder, pairs of data are the made ones.
        let fools = self.objective.generator_loss(cx, of_made)?;
        let negative = cx.eval(-of_data)?;
        let hides = self.objective.generator_loss(cx, negative)?;
        let lost_by_makers = cx.eval(fools + hides)?;
        let distance = self.objective.distance(cx, of_data, of_made)?;
        let reconstruction = cx.shared(GENERATOR, &self.generator, code)?;
        Ok(Outputs::new()
            .loss(distance)
            .player(DISCRIMINATOR, lost_by_critic)
            .player(GENERATOR, lost_by_makers)
            .result(CODE, code)
            .result(RECONSTRUCTION, reconstruction))
    }
}

impl<G: Layer, E: Layer, D: Layer> Generative for BiGan<G, E, D> {
    fn code_size(&self) -> usize {
        self.latent
    }

    fn generate(&self, cx: &mut Context, code: Value) -> Result<Value, Error> {
        cx.layer(GENERATOR, &self.generator, code)
    }
}
