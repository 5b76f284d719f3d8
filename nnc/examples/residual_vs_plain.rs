//! Depth with and without shortcuts: plain networks of more and more layers become worse even on the digits that they are
//! trained on, and residual networks of the same layers do not (K. He et al., "Deep residual learning for image
//! recognition", 2016, figure 6).

mod support;

use std::path::Path;
use std::process::ExitCode;

use nn::models::ResNet;
use nn::schedule::{Decay, Schedule};
use nn::{Loss, Sgd, Supervised};
use nnc::data::digits;
use nnc::report::{Axis, Corner, Line, PALETTE, Panel, Scale, figure};
use nnc::trainer::{FitOptions, silent};
use nnc::{Error, Options, Trainer, TrainerOptions, files};

/// The numbers of blocks in each of three stages; a network has `6 blocks + 2` layers.
const BLOCKS: [usize; 4] = [1, 2, 3, 4];
const EPOCHS: usize = 4;
const BATCH: usize = 64;
const KINDS: [&str; 2] = ["plain", "residual"];

/// What came of a network: the loss in each epoch, and the part of the training rows that it gets wrong at the end.
struct Outcome {
    losses: Vec<f64>,
    error: f64,
}

fn train(blocks: usize, kind: &str) -> Result<Outcome, Error> {
    let (train, _) = digits();
    let residual = ResNet { width: 8, ..ResNet::small(blocks, 10) };
    let model = if kind == "plain" { residual.plain() } else { residual };
    let compile = Options { threads: 2, ..Options::default() };
    let options = TrainerOptions { batch: BATCH, compile, ..TrainerOptions::default() };
    let network = Supervised::new([1, 8, 8], model, Loss::cross_entropy());
    let mut trainer = Trainer::new(kind, network, Sgd::new(0.05).momentum(0.9), options)?;
    let steps = (EPOCHS * train.len().div_ceil(BATCH)) as u64;
    let schedule = Schedule { warm_up: 0, decay: Decay::Cosine { steps, least: 0.0 } };
    let fit = FitOptions { schedule, ..FitOptions::epochs(EPOCHS) };
    let history = trainer.fit(&train, None, &fit, &mut silent)?;
    let accuracy = trainer.evaluate(&train)?.accuracy.unwrap_or_default();
    Ok(Outcome { losses: history.epochs.iter().map(|epoch| epoch.loss).collect(), error: 1.0 - accuracy })
}

fn residual_vs_plain(out: &Path) -> Result<(), Error> {
    println!("{:>6}  {:<9} training error  loss in the last epoch", "layers", "network");
    let (mut errors, mut losses) = ([const { Vec::new() }; 2], Vec::new());
    for blocks in BLOCKS {
        for (kind, name) in KINDS.into_iter().enumerate() {
            let (layers, outcome) = (6 * blocks + 2, train(blocks, name)?);
            let last = outcome.losses.last().copied().unwrap_or_default();
            println!("{layers:>6}  {name:<9} {:>12.2} %  {last:.4}", 100.0 * outcome.error);
            errors[kind].push((layers as f64, outcome.error));
            if Some(&blocks) == BLOCKS.last() {
                let points = (1..).map(f64::from).zip(outcome.losses);
                losses.push(Line::new(&format!("{name}, {layers} layers"), PALETTE[kind], points));
            }
        }
    }
    let lines = (KINDS.into_iter().zip(errors).zip(PALETTE))
        .map(|((name, points), color)| Line::new(name, color, points));
    let (x, y) = (Axis::new("layers", Scale::Whole), Axis::new("", Scale::Percent));
    let errors = Panel::new("training error by depth", x, y, lines.collect()).legend(Corner::UpperLeft);
    let (x, y) = (Axis::new("epoch", Scale::Whole), Axis::new("", Scale::Log));
    let losses = Panel::new("training loss of the deepest", x, y, losses).legend(Corner::LowerLeft);
    let svg = figure("The same layers with and without shortcuts", 2, (560, 420), vec![errors, losses]);
    files::write_text(&out.join("residual_vs_plain.svg"), &svg)
}

fn main() -> ExitCode {
    support::run("residual_vs_plain", residual_vs_plain)
}
