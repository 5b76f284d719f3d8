//! The paths of all optimizers over one loss surface: down a steep slope into a narrow, bent valley with an almost flat
//! ground (H. H. Rosenbrock, "An automatic method for finding the greatest or least value of a function", 1960).

mod support;

use std::path::Path;
use std::process::ExitCode;

use ir::{Builder, DType, Init, Tensor, Value};
use nn::{Adagrad, Adam, AdamW, Context, Optimizer, RmsProp, Sgd};
use nnc::report::{Axis, Color, Corner, Line, PALETTE, Panel, Scale, Stroke, contours, figure};
use nnc::{Error, Options, State, compile, files};

const START: (f64, f64) = (-1.4, 1.8);
const MINIMUM: (f64, f64) = (1.0, 1.0);
const STEPS: usize = 500;
/// A loss below this counts as arrived.
const ARRIVED: f64 = 1e-3;

/// `(1 - x)^2 + 5 (y - x^2)^2`
fn surface(b: &mut Builder, x: Value, y: Value) -> Result<Value, ir::Error> {
    let [one, five] = [1.0, 5.0].map(|number| b.float_like(x, number));
    let along = b.sub(one, x)?;
    let along = b.square(along)?;
    let square = b.square(x)?;
    let across = b.sub(y, square)?;
    let across = b.square(across)?;
    let across = b.mul(across, five)?;
    b.add(along, across)
}

/// An optimizer with a learning rate.
type OfRate = fn(f64) -> Box<dyn Optimizer>;

fn optimizers() -> [(&'static str, OfRate); 8] {
    [
        ("gradient descent", |rate| Box::new(Sgd::new(rate))),
        ("momentum, average", |rate| Box::new(Sgd::new(rate).average(0.9))),
        ("momentum, heavy ball", |rate| Box::new(Sgd::new(rate).momentum(0.9))),
        ("Nesterov", |rate| Box::new(Sgd::new(rate).momentum(0.9).nesterov())),
        ("Adagrad", |rate| Box::new(Adagrad::new(rate))),
        ("RMSProp", |rate| Box::new(RmsProp::new(rate))),
        ("Adam", |rate| Box::new(Adam::new(rate))),
        ("AdamW", |rate| Box::new(AdamW::new(rate))),
    ]
}

/// The learning rates that are tried.
const RATES: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0];

/// Where an optimizer was before each step, and the loss there.
struct Descent {
    rate: f64,
    places: Vec<(f64, f64)>,
    losses: Vec<f64>,
}

fn descend(optimizer: &dyn Optimizer, rate: f64) -> Result<Descent, Error> {
    let mut cx = Context::training("descent");
    let x = cx.parameter("x", [], Init::Constant(START.0))?;
    let y = cx.parameter("y", [], Init::Constant(START.1))?;
    let loss = surface(&mut cx, x, y)?;
    for (name, value) in [("at_x", x), ("at_y", y), ("loss", loss)] {
        cx.output(name, value)?;
    }
    optimizer.step(&mut cx, loss)?;
    let mut program = compile(&cx.finish(), &Options::default())?;
    let mut state = State::new(program.plan(), 0)?;
    let mut descent = Descent { rate, places: Vec::new(), losses: Vec::new() };
    for _ in 0..=STEPS {
        program.run(&mut state, &[])?;
        let [x, y, loss] = [0, 1, 2].map(|output| program.outputs()[output].get(0).as_f64());
        descent.places.push((x, y));
        descent.losses.push(loss);
    }
    Ok(descent)
}

/// The descent that ends lowest of those with all learning rates.
fn best_descent(optimizer: OfRate) -> Result<Descent, Error> {
    let all = RATES.map(|rate| descend(&*optimizer(rate), rate));
    let all = all.into_iter().collect::<Result<Vec<Descent>, Error>>()?;
    let last = |descent: &Descent| descent.losses.last().copied().filter(|loss| loss.is_finite());
    let worst = f64::INFINITY;
    let best = all.into_iter().min_by(|a, b| last(a).unwrap_or(worst).total_cmp(&last(b).unwrap_or(worst)));
    Ok(best.expect("there are learning rates"))
}

fn main() -> ExitCode {
    support::run("optimizers", optimizers_on_one_surface)
}

fn optimizers_on_one_surface(out: &Path) -> Result<(), Error> {
    let (mut paths, mut losses) = (contour_lines()?, Vec::new());
    println!("{:<21} learning rate  steps to {ARRIVED}  loss after {STEPS}", "optimizer");
    for ((name, optimizer), color) in optimizers().into_iter().zip(PALETTE) {
        let Descent { rate, places, losses: values } = best_descent(optimizer)?;
        let arrived = values.iter().position(|&loss| loss < ARRIVED);
        let steps = arrived.map_or("-".to_owned(), |step| step.to_string());
        println!("{name:<21} {rate:>13}  {steps:>14}  {:>14.1e}", values[STEPS]);
        paths.push(Line::new(&format!("{name} ({rate})"), color, places));
        losses.push(Line::new(name, color, (0..).map(f64::from).zip(values)));
    }
    for (name, place, color) in
        [("start", START, Color(120, 120, 120)), ("minimum", MINIMUM, Color(220, 0, 0))]
    {
        paths.push(Line::new(name, color, [place]).stroke(Stroke::Dots(6)));
    }
    let [x, y] =
        [("x", X), ("y", Y)].map(|(name, (low, high))| Axis::new(name, Scale::Linear).within(low..high));
    let paths = Panel::new("paths, with the learning rates", x, y, paths).legend(Corner::UpperRight);
    let (x, y) = (Axis::new("step", Scale::Linear), Axis::new("loss", Scale::Log).within(1e-9..1e2));
    let losses = Panel::new("loss before each step", x, y, losses);
    let title =
        format!("{STEPS} steps on (1 - x)² + 5 (y - x²)², each with the learning rate that ends lowest");
    files::write_text(&out.join("optimizers.svg"), &figure(&title, 2, (680, 560), vec![paths, losses]))
}

/// What is drawn of the plane.
const X: (f64, f64) = (-1.9, 1.9);
const Y: (f64, f64) = (-0.8, 2.6);

/// Where the surface has the heights 0.1, 0.3, 1, 3, .., from one program for the whole grid.
fn contour_lines() -> Result<Vec<Line>, Error> {
    const CELLS: usize = 150;
    let mut b = Builder::new("grid");
    let x = b.input("x", DType::F64, [CELLS])?;
    let y = b.input("y", DType::F64, [CELLS, 1])?;
    let heights = surface(&mut b, x, y)?;
    b.output("heights", heights)?;
    let mut program = compile(&b.finish(), &Options::default())?;
    let mut state = State::new(program.plan(), 0)?;
    let [x, y] = [(X, vec![CELLS]), (Y, vec![CELLS, 1])].map(|((low, high), shape)| {
        let place = |cell: usize| low + (high - low) * cell as f64 / (CELLS - 1) as f64;
        let shape: ir::Shape = shape.into_iter().collect();
        Tensor::new(shape, (0..CELLS).map(place).collect::<Vec<f64>>()).expect("as many places as cells")
    });
    program.run(&mut state, &[&x, &y])?;
    let heights = program.outputs()[0].as_slice::<f64>().expect("heights are f64");
    let mut lines = Vec::new();
    for (index, level) in [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0].into_iter().enumerate() {
        let shade = 160 + 11 * index as u8;
        for contour in contours(heights, CELLS, X.0..X.1, Y.0..Y.1, level) {
            lines.push(Line::new("", Color(shade, shade, shade), contour).stroke(Stroke::Solid(1)));
        }
    }
    Ok(lines)
}
