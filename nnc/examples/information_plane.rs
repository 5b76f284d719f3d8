//! What the layers of a network tell of the picture and of its label while it learns, in bits (R. Shwartz-Ziv and N. Tishby, 2017): of
//! narrow layers with tanh, whose values move to the ends of their range, and with relu, where that does not happen (A. Saxe et
//! al., "On the information bottleneck theory of deep learning", 2018). And the trade-off of the variational information bottleneck:
//! what its code tells of both, by beta.

mod support;

use std::path::Path;
use std::process::ExitCode;

use nn::models::Vib;
use nn::models::latent::KL;
use nn::supervised::PREDICTION;
use nn::{Activation, Adam, Context, Linear, Loss, Outputs};
use nnc::data::{Dataset, digits};
use nnc::information::{binned, entropy, mutual_information};
use nnc::report::{Axis, Corner, Line, PALETTE, Panel, Scale, figure};
use nnc::trainer::{FitOptions, silent};
use nnc::{Error, Trainer, TrainerOptions, files};

/// The sizes of the hidden layers.
const SIZES: [usize; 4] = [12, 8, 6, 4];
/// The epochs after which layers are looked at.
const EPOCHS: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const BINS: usize = 30;
const BETAS: [f64; 8] = [1e-5, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0];

fn main() -> ExitCode {
    support::run("information_plane", information_plane)
}

/// Narrow layers, each a result, and the classes.
fn network(cx: &mut Context, rows: usize, activation: Activation) -> Result<Outputs, ir::Error> {
    let x = cx.input("x", ir::DType::F32, [rows, 64])?;
    let y = cx.input("y", ir::DType::I64, [rows])?;
    let (mut hidden, mut size) = (x, 64);
    let mut layers = Vec::new();
    for (number, &next) in SIZES.iter().enumerate() {
        hidden = cx.layer(format!("fc{}", number + 1), &Linear::new(size, next), hidden)?;
        hidden = activation.apply(cx, hidden)?;
        layers.push((format!("layer{}", number + 1), hidden));
        size = next;
    }
    let logits = cx.layer("out", &Linear::new(size, 10), hidden)?;
    let loss = Loss::cross_entropy().mean(cx, logits, y)?;
    let outputs = Outputs::new().result(PREDICTION, logits).loss(loss);
    Ok(layers.into_iter().fold(outputs, |outputs, (name, value)| outputs.result(name, value)))
}

/// The ways of the layers of a network in the plane of I(x; h) and I(h; y).
fn ways(activation: Activation, data: &Dataset) -> Result<Vec<Vec<(f64, f64)>>, Error> {
    let build = move |cx: &mut Context, rows: usize| network(cx, rows, activation);
    let mut trainer = Trainer::new("narrow", build, Adam::new(0.002), TrainerOptions::default())?;
    let rows = data.reshaped([64])?;
    let labels = data.labels().unwrap_or_default();
    let mut ways = vec![Vec::new(); SIZES.len()];
    for epochs in EPOCHS {
        trainer.fit(data, None, &FitOptions::epochs(epochs), &mut silent)?;
        let results = trainer.results(&rows)?;
        for ((way, (_, layer)), &size) in ways.iter_mut().zip(&results[1..]).zip(&SIZES) {
            let values = layer.as_slice::<f32>().unwrap_or_default();
            let most = values.iter().fold(1.0f64, |most, &x| most.max(f64::from(x.abs())));
            let low = if values.iter().any(|&x| x < 0.0) { -most } else { 0.0 };
            let symbols = binned(values, size, BINS, (low, most));
            way.push((entropy(&symbols), mutual_information(&symbols, labels)));
        }
    }
    Ok(ways)
}

fn information_plane(out: &Path) -> Result<(), Error> {
    let (train, test) = digits();
    let mut panels = Vec::new();
    for (name, activation) in [("tanh", Activation::Tanh), ("relu", Activation::Relu)] {
        println!("{name:<8} I(x; h) and I(h; y) in bits after 1 and {} epochs", EPOCHS[EPOCHS.len() - 1]);
        let mut lines = Vec::new();
        for (number, (way, color)) in ways(activation, &train)?.into_iter().zip(PALETTE).enumerate() {
            let (first, last) = (way[0], way[way.len() - 1]);
            println!(
                "  layer {}   {:>6.2} {:>6.2}   {:>6.2} {:>6.2}",
                number + 1,
                first.0,
                first.1,
                last.0,
                last.1
            );
            lines.push(Line::new(&format!("layer {}", number + 1), color, way));
        }
        let axes = (Axis::new("I(x; h), bits", Scale::Linear), Axis::new("I(h; y), bits", Scale::Linear));
        panels.push(Panel::new(name, axes.0, axes.1, lines).legend(Corner::LowerRight));
    }
    files::write_text(
        &out.join("information_plane.svg"),
        &figure("what layers tell while a network learns", 2, (560, 460), panels),
    )?;

    println!("beta       I(x; z) at most   I(z; y) at least   accuracy");
    let labels: Vec<i64> = test.labels().unwrap_or_default().to_vec();
    let mut curve = Vec::new();
    for beta in BETAS {
        let network = Vib {
            values: 64,
            hidden: vec![64],
            code: 8,
            activation: Activation::Relu.into(),
            classes: 10,
            beta,
        };
        let mut trainer = Trainer::new("vib", network, Adam::new(0.003), TrainerOptions::default())?;
        trainer.fit(&train, None, &FitOptions::epochs(40), &mut silent)?;
        let found = trainer.evaluate(&test)?;
        let bits = |nats: f64| nats / std::f64::consts::LN_2;
        let (of_row, of_label) = (bits(found.metrics[KL]), entropy(&labels) - bits(found.loss));
        let accuracy = 100.0 * found.accuracy.unwrap_or_default();
        println!("{beta:<9}  {of_row:>15.2}   {of_label:>16.2}   {accuracy:>6.2} %");
        curve.push((of_row, of_label));
    }
    let axes = (
        Axis::new("I(x; z) at most, bits", Scale::Linear),
        Axis::new("I(z; y) at least, bits", Scale::Linear),
    );
    let panel =
        Panel::new("of new digits, by beta", axes.0, axes.1, vec![Line::new("code", PALETTE[0], curve)]);
    files::write_text(
        &out.join("bottleneck.svg"),
        &figure("the information bottleneck", 1, (620, 480), vec![panel]),
    )
}
