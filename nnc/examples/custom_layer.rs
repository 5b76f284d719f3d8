//! A layer of one's own: Gaussian bumps whose centres and widths are learned. Their gradient comes from the compiler,
//! and their kernels are fused like those of any layer.

mod support;

use std::path::Path;
use std::process::ExitCode;

use ir::{Init, Value};
use nn::models::{Logistic, Mlp};
use nn::{Adam, Context, Layer, Linear, Loss, Relu, Sequential, Supervised, init};
use nnc::data::{Dataset, Targets, synthetic};
use nnc::report::{Axis, Color, Line, PALETTE, Panel, Scale, Stroke, contours, figure};
use nnc::trainer::{FitOptions, silent};
use nnc::{Error, Trainer, TrainerOptions, files};

/// `y[i, u] = exp(-sum_f (x[i, f] - centre[u, f])^2 * exp(log_precision[u]))`: unit `u` says how near row `i` is to its
/// centre (D. S. Broomhead and D. Lowe, "Multivariable functional interpolation and adaptive networks", 1988).
struct GaussianBumps {
    features: usize,
    units: usize,
}

impl Layer for GaussianBumps {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, ir::Error> {
        let &[rows, features] = &cx.shape(x)[..] else {
            let subject = format!("bumps {}", cx.scoped("centre"));
            return Err(ir::Error::new(subject, format!("x is {}", cx.ty(x)), "give f32[batch, features]"));
        };
        // Parameters are named within the scope that is open. The optimizer and checkpoints find them by themselves.
        let centre = cx.parameter("centre", [self.units, self.features], init::uniform(1.0))?;
        let log_precision = cx.parameter("log_precision", [self.units], Init::Constant(2.0))?;
        // [rows, 1, features] less [units, features] is broadcast to [rows, units, features].
        let distance = (x.reshape([rows, 1, features]) - centre).square().sum(&[2]);
        cx.eval((-(distance * log_precision.exp())).exp())
    }

    fn description(&self) -> String {
        format!("GaussianBumps {} -> {}", self.features, self.units)
    }
}

/// The half of the side of the square that is drawn.
const SIDE: f64 = 1.1;
const ARMS: usize = 3;

fn main() -> ExitCode {
    support::run("custom_layer", custom_layer)
}

fn custom_layer(out: &Path) -> Result<(), Error> {
    // Points on three spiral arms, which no line separates.
    let (train, test) = synthetic::spirals(ARMS, 1500, 0)?.split(|row| row % 5 == 0);
    let bumps = Sequential::new().add(GaussianBumps { features: 2, units: 48 }).add(Linear::new(48, ARMS));
    let models: [(&str, Box<dyn Layer>); 3] = [
        ("logistic regression", Box::new(Logistic::new(2, ARMS))),
        ("perceptron 2-48-3", Box::new(Mlp::new(&[2, 48, ARMS], Relu))),
        ("Gaussian bumps 2-48-3", Box::new(bumps)),
    ];
    let mut panels = Vec::new();
    for (name, model) in models {
        let network = Supervised::new([2], model, Loss::cross_entropy());
        let mut trainer = Trainer::new("spirals", network, Adam::new(0.02), TrainerOptions::default())?;
        trainer.fit(&train, None, &FitOptions::epochs(60), &mut silent)?;
        let accuracy = 100.0 * trainer.evaluate(&test)?.accuracy.unwrap_or_default();
        println!("{name:<22} {:>4} parameters, test accuracy {accuracy:5.1} %", trainer.parameter_count());
        let lines = decision_map(&mut trainer, &test)?;
        let axis = |name: &str| Axis::new(name, Scale::Linear).within(-SIDE..SIDE);
        panels.push(Panel::new(&format!("{name}: {accuracy:.1} %"), axis("x1"), axis("x2"), lines));
    }
    let title = "Test points of three spiral arms, and where each model draws the border";
    files::write_text(&out.join("borders.svg"), &figure(title, 3, (400, 420), panels))
}

/// The points of each arm, and the lines on which the model's score of the arm equals the best of the others.
fn decision_map(trainer: &mut Trainer, points: &Dataset) -> Result<Vec<Line>, Error> {
    const CELLS: usize = 120;
    let place = |cell: usize| (SIDE * (2.0 * cell as f64 / (CELLS - 1) as f64 - 1.0)) as f32;
    let grid = (0..CELLS * CELLS).flat_map(|cell| [place(cell % CELLS), place(cell / CELLS)]).collect();
    let unlabelled = Targets::classes(vec![0; CELLS * CELLS], ARMS);
    let logits = trainer.predict(&Dataset::new("grid", [2], grid, unlabelled)?)?;

    let colors: [Color; ARMS] = [PALETTE[0], PALETTE[1], PALETTE[2]];
    let labels = points.labels().expect("arms are classes");
    let mut lines = Vec::new();
    for (arm, color) in colors.into_iter().enumerate() {
        let of_arm = (0..points.len()).filter(|&row| labels[row] == arm as i64);
        let places = of_arm.map(|row| (f64::from(points.row(row)[0]), f64::from(points.row(row)[1])));
        lines.push(Line::new("", color, places).stroke(Stroke::Dots(3)));
        let lead = logits.chunks_exact(ARMS).map(|row| {
            let others = row.iter().enumerate().filter(|&(other, _)| other != arm).map(|(_, &score)| score);
            f64::from(row[arm] - others.fold(f32::NEG_INFINITY, f32::max))
        });
        let lead: Vec<f64> = lead.collect();
        for border in contours(&lead, CELLS, -SIDE..SIDE, -SIDE..SIDE, 0.0) {
            lines.push(Line::new("", PALETTE[6], border));
        }
    }
    Ok(lines)
}
