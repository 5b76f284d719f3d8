//! The step of a generator against a discriminator as a workload: both players' steps in one graph, the second through the weights that
//! the first has made.

use ir::{DType, Error};
use nn::models::Mlp;
use nn::models::gan::{DISCRIMINATOR, GENERATOR, Objective};
use nn::{Activation, Adam, Context, Optimizer};

/// The values of noise of a row, and of the row.
const NOISE: usize = 100;
const ROW: usize = 784;
/// What the layers of the generator, and those of the discriminator, have before and after them.
const GENERATED: [usize; 4] = [NOISE, 256, 512, ROW];
const JUDGED: [usize; 4] = [ROW, 512, 256, 1];

/// Two networks of dense layers, and the size of a batch.
pub struct Adversaries {
    batch: usize,
    generator: Mlp,
    discriminator: Mlp,
}

impl Adversaries {
    /// On batches of this size.
    pub fn new(batch: usize) -> Adversaries {
        let leaky = Activation::LeakyRelu { slope: 0.2 };
        Adversaries {
            batch,
            generator: Mlp::new(&GENERATED, leaky).output_activation(Activation::Tanh),
            discriminator: Mlp::new(&JUDGED, leaky),
        }
    }

    /// A step of the discriminator on the rows `x` and on rows made of the noise `y0`, then one of the generator by noise `y1`. It
    /// returns the sum of the two losses.
    pub fn step(&self, name: &str, generator: Adam, discriminator: Adam) -> Result<Context, Error> {
        let mut cx = Context::training(name);
        let x = cx.input("x", DType::F32, [self.batch, ROW])?;
        let noises = ["y0", "y1"].map(|name| cx.input(name, DType::F32, [self.batch, NOISE]));
        let [first, second] = [noises[0].clone()?, noises[1].clone()?];
        let made = cx.layer(GENERATOR, &self.generator, first)?;
        let made = cx.stop_gradient(made)?;
        let of_real = cx.layer(DISCRIMINATOR, &self.discriminator, x)?;
        let of_made = cx.shared(DISCRIMINATOR, &self.discriminator, made)?;
        let lost = Objective::NonSaturating.discriminator_loss(&mut cx, of_real, of_made)?;
        player(DISCRIMINATOR, discriminator).step(&mut cx, lost)?;
        let made = cx.shared(GENERATOR, &self.generator, second)?;
        let of_made = cx.updated(DISCRIMINATOR, &self.discriminator, made)?;
        let fooled = Objective::NonSaturating.generator_loss(&mut cx, of_made)?;
        let loss = cx.add(lost, fooled)?;
        cx.output("loss", loss)?;
        player(GENERATOR, generator).step(&mut cx, fooled)?;
        Ok(cx)
    }

    /// The additions and multiplications of the products: the first step makes rows and judges both kinds, with gradients of the weights
    /// and, but in the first layer, of what comes in; the second makes rows with all gradients but that of the noise, and judges
    /// them with those of what comes in.
    pub fn flops(&self) -> f64 {
        let of_layers = |sizes: &[usize]| -> Vec<f64> {
            sizes.windows(2).map(|pair| (2 * self.batch * pair[0] * pair[1]) as f64).collect()
        };
        let [generator, discriminator] = [&GENERATED, &JUDGED].map(|sizes| of_layers(sizes));
        let [made, judged] = [&generator, &discriminator].map(|layers| layers.iter().sum::<f64>());
        made + 2.0 * (3.0 * judged - discriminator[0]) + (3.0 * made - generator[0]) + 2.0 * judged
    }
}

/// An optimizer for the parameters of this player.
fn player(name: &str, adam: Adam) -> nn::TrainStep {
    adam.named(name).only(format!("{name}.*"))
}
