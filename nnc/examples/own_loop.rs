//! A loop of one's own, and training through it: a Kalman filter (R. E. Kalman, "A new approach to linear filtering and
//! prediction problems", 1960) written with `Context::scan`, of which the noises are learned. They are what makes the
//! measurements likeliest; the gradient of the likelihood goes back through all steps of the filter.
//!
//! What is tracked moves along a line: its velocity changes at random, and its place is measured with an error.

mod support;

use std::path::Path;
use std::process::ExitCode;

use ir::{DType, Graph, Init, Tensor, Value, scalar};
use nn::{Adam, Context, Mode, Optimizer};
use nnc::report::{Axis, Color, Corner, Line, PALETTE, Panel, Scale, Stroke, figure};
use nnc::{Error, Options, State, compile, files};

const STEPS: usize = 100;
const TRACKS: usize = 32;
/// The deviations that the tracks are drawn with: of how the velocity changes, and of measurements.
const PROCESS: f64 = 0.1;
const MEASUREMENT: f64 = 2.0;
/// What the filter believes at first.
const FIRST_GUESS: f64 = 1.0;
/// How uncertain place and velocity are before the first measurement.
const UNKNOWN: f64 = 100.0;
const TRAINING_STEPS: usize = 150;

/// The filter on measurements `[STEPS, TRACKS]`: the estimated places, of the same shape, and the mean negative logarithm of the
/// likelihood of a measurement (without its constant).
fn filter(cx: &mut Context, measured: Value) -> Result<(Value, Value), ir::Error> {
    let [process, measurement] = ["log_process", "log_measurement"]
        .map(|name| cx.parameter(name, [], Init::Constant(FIRST_GUESS.ln())));
    // Variances: exp(2 log deviation).
    let [q, r] = [process?, measurement?].map(|deviation| cx.eval((deviation * 2.0).exp()));
    let (q, r) = (q?, r?);
    let constant = |cx: &mut Context, number: f64| {
        let number = cx.float(DType::F64, number);
        cx.broadcast(number, [TRACKS])
    };
    let (zero, unknown) = (constant(cx, 0.0)?, constant(cx, UNKNOWN)?);
    // Place, velocity, and the upper triangle of their covariance.
    let start = [zero, zero, unknown, zero, unknown];
    let scanned = cx.scan(STEPS, &start, &[measured], |cx, carries, items| {
        let [place, velocity, pp, pv, vv] = carries[..] else { unreachable!("there are five carries") };
        // Predict: a step of time passes.
        let place = cx.eval(place + velocity)?;
        let (pp, pv, vv) = (cx.eval(pp + pv * 2.0 + vv)?, cx.eval(pv + vv)?, cx.eval(vv + q)?);
        // Correct by the measurement, as far as it is surer than what was predicted.
        let variance = cx.eval(pp + r)?;
        let surprise = cx.eval(items[0] - place)?;
        let (place_gain, velocity_gain) = (cx.eval(pp / variance)?, cx.eval(pv / variance)?);
        let loss = cx.eval((variance.log() + surprise * surprise / variance) * 0.5)?;
        let next = vec![
            cx.eval(place + place_gain * surprise)?,
            cx.eval(velocity + velocity_gain * surprise)?,
            cx.eval(pp - place_gain * pp)?,
            cx.eval(pv - place_gain * pv)?,
            cx.eval(vv - velocity_gain * pv)?,
        ];
        let place = next[0];
        Ok((next, vec![place, loss]))
    })?;
    let loss = cx.eval(scanned.stacked[1].mean_all())?;
    Ok((scanned.stacked[0], loss))
}

/// A step of Adam on the noises.
fn step() -> Result<Graph, ir::Error> {
    let mut cx = Context::with("step", Mode::Train, DType::F64);
    let measured = cx.input("measured", DType::F64, [STEPS, TRACKS])?;
    let (places, loss) = filter(&mut cx, measured)?;
    cx.output("places", places)?;
    cx.output("loss", loss)?;
    Adam::new(0.05).step(&mut cx, loss)?;
    Ok(cx.finish())
}

/// True places and measurements, `[STEPS, TRACKS]` each.
fn draw() -> (Vec<f64>, Vec<f64>) {
    let mut count = 0;
    let mut normal = || {
        count += 1;
        scalar::normal(7, 0, count, DType::F64)
    };
    let (mut place, mut velocity) = (vec![0.0; TRACKS], vec![0.0; TRACKS]);
    let (mut places, mut measured) = (Vec::new(), Vec::new());
    for _ in 0..STEPS {
        for track in 0..TRACKS {
            velocity[track] += PROCESS * normal();
            place[track] += velocity[track];
            places.push(place[track]);
            measured.push(place[track] + MEASUREMENT * normal());
        }
    }
    (places, measured)
}

fn root_mean_square(a: &[f64], b: &[f64]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    (sum / a.len() as f64).sqrt()
}

fn main() -> ExitCode {
    support::run("own_loop", own_loop)
}

fn own_loop(out: &Path) -> Result<(), Error> {
    let (places, measured) = draw();
    let input = Tensor::new([STEPS, TRACKS], measured.clone()).expect("one for each step and track");
    let mut program = compile(&step()?, &Options::default())?;
    let mut state = State::new(program.plan(), 0)?;
    let (mut losses, mut first) = (Vec::new(), Vec::new());
    for number in 0..TRAINING_STEPS {
        program.run(&mut state, &[&input])?;
        losses.push(program.outputs()[1].get(0).as_f64());
        if number == 0 {
            first = program.outputs()[0].as_slice::<f64>().unwrap_or_default().to_vec();
        }
    }
    let estimated = program.outputs()[0].as_slice::<f64>().unwrap_or_default();
    println!("deviation            drawn with  guessed first  learned");
    for (name, state_name, truth) in
        [("of the velocity", "log_process", PROCESS), ("of measurements", "log_measurement", MEASUREMENT)]
    {
        let learned = state.get(state_name)?.get(0).as_f64().exp();
        println!("{name:<20} {truth:>10}  {FIRST_GUESS:>13}  {learned:>7.3}");
    }
    println!("error of the place");
    for (name, values) in [("as measured", &measured[..]), ("first guess", &first), ("learned", estimated)] {
        println!("{name:<20} {:.3}", root_mean_square(values, &places));
    }
    files::write_text(&out.join("own_loop.svg"), &picture(&losses, &places, &measured, estimated))
}

/// The loss, and one track.
fn picture(losses: &[f64], places: &[f64], measured: &[f64], estimated: &[f64]) -> String {
    let points = |values: &[f64]| -> Vec<(f64, f64)> {
        (0..).map(f64::from).zip(values.iter().copied().step_by(TRACKS)).collect()
    };
    let tracks = vec![
        Line::new("measured", Color(150, 150, 150), points(measured)).stroke(Stroke::Dots(2)),
        Line::new("true", PALETTE[0], points(places)),
        Line::new("estimated", PALETTE[1], points(estimated)),
    ];
    let (x, y) = (Axis::new("time step", Scale::Linear), Axis::new("place", Scale::Linear));
    let track = Panel::new("one track, after training", x, y, tracks).legend(Corner::UpperLeft);
    let loss = Line::new("", PALETTE[0], (0..).map(f64::from).zip(losses.iter().copied()));
    let (x, y) = (Axis::new("step of Adam", Scale::Linear), Axis::new("-log likelihood", Scale::Linear));
    let loss = Panel::new("loss", x, y, vec![loss]);
    figure("A Kalman filter that learns its noises", 2, (620, 460), vec![loss, track])
}
