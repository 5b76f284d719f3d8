//! Two networks that play against each other, each with an optimizer of its own on one set of states: a generator learns to
//! draw points like those of a ring, and a discriminator to tell them apart (I. Goodfellow et al., "Generative adversarial
//! nets", 2014, with the non-saturating loss).

use std::f32::consts::FRAC_PI_2;
use std::f64::consts::TAU;

use ir::ops::Distribution::{Normal, Uniform};
use nn::models::Mlp;
use nnc::prelude::*;

const ROWS: usize = 256;

/// A step of the player of this name: its weights alone change.
fn step(player: &str) -> Result<Executable, Error> {
    let mut cx = Context::training(format!("{player}_step"));
    let (draw, judge) = (Mlp::new(&[4, 64, 64, 2], Relu), Mlp::new(&[2, 64, 64, 1], Relu));
    let noise = cx.draw(Normal, [ROWS, 4])?;
    let drawn = cx.layer("generator", &draw, noise)?;
    let score = cx.layer("discriminator", &judge, drawn)?;
    let angle = cx.draw(Uniform, [ROWS, 1])?;
    let quarter = cx.constant(Tensor::new([2], vec![0.0, FRAC_PI_2]).expect("two"));
    let ring = cx.eval((angle * TAU - quarter).cos())?;
    let score_of_ring = cx.shared("discriminator", &judge, ring)?;
    let surprise = |score: Expr| -(score.sigmoid() + 1e-6).log();
    let (fools, tells) = (surprise(score.into()), surprise(score_of_ring.into()) + surprise(-score));
    let loss = cx.eval(if player == "generator" { fools } else { tells }.mean_all())?;
    let adam = TrainStep::new(Adam { beta1: 0.5, ..Adam::new(1e-3) });
    adam.only(format!("{player}.*")).named(player).step(&mut cx, loss)?;
    cx.output("points", drawn)?;
    compile(&cx.finish(), &Options::default())
}

fn main() -> Result<(), Error> {
    let (mut generator, mut discriminator) = (step("generator")?, step("discriminator")?);
    let mut state = State::new(generator.plan(), 0)?;
    state.adopt(discriminator.plan(), 0)?;
    for _ in 0..4000 {
        discriminator.run(&mut state, &[])?;
        generator.run(&mut state, &[])?;
    }
    let points = generator.output("points").and_then(Tensor::as_slice::<f32>).expect("points are f32");
    let radii = points.chunks(2).map(|point| point[0].hypot(point[1]));
    println!(
        "drawn points are {:.2} from the middle of a ring of radius 1",
        radii.sum::<f32>() / ROWS as f32
    );
    Ok(())
}
