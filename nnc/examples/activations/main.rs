//! Activations with their gradients, and what they do to deep networks: how gradients vanish on their way down, and how
//! many units are dead after training, with and without batch normalisation.

mod deep;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::ExitCode;

use ir::{DType, Tensor};
use nn::{Activation, Context, Layer, PRelu, RRelu};
use nnc::data::digits;
use nnc::report::{Axis, Corner, Line, PALETTE, Panel, Scale, figure};
use nnc::{Error, Options, State, compile, files};

use deep::{DEPTH, DeepRun, EPOCHS, WIDTH, deep_run};

/// What deep networks are compared with.
const COMPARED: [Activation; 4] =
    [Activation::Sigmoid, Activation::Tanh, Activation::Relu, Activation::LeakyRelu { slope: 0.01 }];

fn main() -> ExitCode {
    support::run("activations", activations)
}

fn activations(out: &Path) -> Result<(), Error> {
    let curves = [
        ("sigmoid", Box::new(Activation::Sigmoid) as Box<dyn Layer>),
        ("tanh", Box::new(Activation::Tanh)),
        ("relu", Box::new(Activation::Relu)),
        ("leaky relu, slope 0.01", Box::new(Activation::LeakyRelu { slope: 0.01 })),
        ("PReLU, slope learned from 0.25", Box::new(PRelu::new(1))),
        ("RReLU in use, mean slope", Box::new(RRelu::default())),
        ("ELU", Box::new(Activation::Elu { alpha: 1.0 })),
        ("SELU", Box::new(Activation::Selu)),
        ("GELU", Box::new(Activation::Gelu)),
        ("softplus", Box::new(Activation::Softplus)),
    ];
    let mut panels =
        curves.iter().map(|(name, layer)| curve(name, layer)).collect::<Result<Vec<_>, Error>>()?;
    panels[0].legend = Some(Corner::UpperLeft);
    let title = "Activations and their gradients";
    files::write_text(&out.join("activations.svg"), &figure(title, 5, (270, 280), panels))?;

    let (train, test) = digits();
    println!(
        "{DEPTH} hidden layers of {WIDTH} units on digits, {EPOCHS} epochs of gradient descent with momentum"
    );
    println!("activation  batch norm  gradient at the start, first/last layer  dead units  test accuracy");
    let mut columns = Vec::new();
    for batch_norm in [false, true] {
        let mut lines = [Vec::new(), Vec::new(), Vec::new()];
        for (activation, color) in COMPARED.into_iter().zip(PALETTE) {
            let DeepRun { start, end, losses, accuracy } = deep_run(activation, batch_norm, &train, &test)?;
            let name = activation.name();
            let ratio = start.gradients[0] / start.gradients[DEPTH - 1];
            let dead = 100.0 * end.dead.iter().sum::<f64>() / DEPTH as f64;
            let accuracy = 100.0 * accuracy;
            println!("{name:<10}  {batch_norm:<10}  {ratio:>39.1e}  {dead:>8.1} %  {accuracy:>11.1} %");
            for (lines, values) in lines.iter_mut().zip([start.gradients, end.dead, losses]) {
                lines.push(Line::new(name, color, (1..).map(f64::from).zip(values)));
            }
        }
        columns.push(lines);
    }
    files::write_text(&out.join("depth.svg"), &depth_figure(columns))
}

/// A function of each element and its gradient, from -4 to 4.
fn curve(name: &str, layer: &dyn Layer) -> Result<Panel, Error> {
    const POINTS: usize = 401;
    let mut cx = Context::new("curve");
    let x = cx.input("x", DType::F32, [POINTS, 1])?;
    let y = layer.forward(&mut cx, x)?;
    let sum = cx.reduce_sum(y, &[0, 1], false)?;
    let slope = cx.grad(sum, &[x])?[0];
    cx.output("y", y)?;
    cx.output("slope", slope)?;
    let mut program = compile(&cx.finish(), &Options::default())?;
    let mut state = State::new(program.plan(), 0)?;
    let places: Vec<f32> = (0..POINTS).map(|point| point as f32 / 50.0 - 4.0).collect();
    program.run(&mut state, &[&Tensor::new([POINTS, 1], places.clone()).expect("as many as points")])?;
    let line = |name, output: usize, color| {
        let values = program.outputs()[output].as_slice::<f32>().expect("the graph is one of f32");
        Line::new(name, color, places.iter().zip(values).map(|(&x, &y)| (f64::from(x), f64::from(y))))
    };
    let lines = vec![line("f(x)", 0, PALETTE[0]), line("f'(x)", 1, PALETTE[1])];
    let (x, y) =
        (Axis::new("x", Scale::Linear).within(-4.0..4.0), Axis::new("", Scale::Linear).within(-2.0..4.2));
    Ok(Panel::new(name, x, y, lines))
}

/// A column without and one with batch normalisation; in each, gradients, dead units and losses.
fn depth_figure(columns: Vec<[Vec<Line>; 3]>) -> String {
    let titles = ["gradients at the start", "dead units after training", "loss in training"];
    let dead = columns.iter().flat_map(|lines| &lines[1]).flat_map(|line| &line.points);
    let most_dead = dead.fold(0.0, |most: f64, point| most.max(point.1));
    let mut panels = Vec::new();
    for (row, title) in titles.into_iter().enumerate() {
        for (lines, with) in columns.iter().zip(["without", "with"]) {
            let x = Axis::new(if row == 2 { "epoch" } else { "hidden layer, from the input" }, Scale::Whole);
            let y = match row {
                0 => Axis::new("root mean square", Scale::Log).within(1e-15..1e-2),
                1 => Axis::new("part of the units", Scale::Percent).within(-0.01..most_dead.max(0.1) + 0.02),
                _ => Axis::new("cross entropy", Scale::Log).within(0.05..4.0),
            };
            let panel = Panel::new(&format!("{title}, {with} batch norm"), x, y, lines[row].clone());
            panels.push(if row == 0 { panel.legend(Corner::LowerRight) } else { panel });
        }
    }
    let title = format!("{DEPTH} hidden layers of {WIDTH} units on digits");
    figure(&title, 2, (560, 330), panels)
}
