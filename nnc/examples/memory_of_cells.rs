//! How far back a recurrent cell can learn from: the norm of the gradient that reaches each time step from a loss at the end
//! (Y. Bengio, P. Simard and P. Frasconi, "Learning long-term dependencies with gradient descent is difficult", 1994). Cells that
//! multiply their state by a weight at each step forget whatever they do. Those with gates forget as well while gates are half
//! open, but they can learn to keep them open; here the biases of the gates that say what stays are set to do so.

mod support;

use std::path::Path;
use std::process::ExitCode;

use ir::{DType, Init, Tensor, Type};
use nn::rnn::{Cell, LstmCell, PeepholeCell, Recurrent, RecurrentInputs};
use nn::{Context, Mode};
use nnc::models::CellName;
use nnc::report::{Axis, Corner, Line, PALETTE, Panel, Scale, figure};
use nnc::{Error, Options, State, compile, files};

const STEPS: usize = 100;
const BATCH: usize = 16;
const INPUTS: usize = 8;
const HIDDEN: usize = 32;
/// The distances from the end that are printed.
const DISTANCES: [usize; 5] = [0, 10, 25, 50, 99];
/// The bias that opens a gate: what stays of a state in a step is about sigmoid(4), 98 %.
const OPEN: f64 = 4.0;

fn main() -> ExitCode {
    support::run("memory_of_cells", memory_of_cells)
}

fn memory_of_cells(out: &Path) -> Result<(), Error> {
    let mut panels = Vec::new();
    for (title, is_open) in [("from random weights", false), ("with open gates", true)] {
        print!("{title:<20}");
        DISTANCES.iter().for_each(|distance| print!("  {distance:>3} steps back"));
        println!();
        let mut lines = Vec::new();
        for (cell, color) in CellName::ALL.into_iter().zip(PALETTE) {
            if is_open && kept(cell).is_none() {
                continue;
            }
            let norms = gradient_norms(cell, is_open)?;
            let last = norms[STEPS - 1];
            print!("  {:<18}", cell.name());
            DISTANCES.iter().for_each(|distance| print!("  {:>14.1e}", norms[STEPS - 1 - distance] / last));
            println!();
            let points = norms.iter().enumerate().map(|(step, norm)| (step as f64, norm / last));
            lines.push(Line::new(cell.name(), color, points));
        }
        let x = Axis::new("time step (the loss is at the end)", Scale::Linear);
        let y =
            Axis::new("norm of the gradient, beside that of the last step", Scale::Log).within(1e-16..10.0);
        panels.push(Panel::new(title, x, y, lines).legend(Corner::LowerRight));
    }
    let title = format!("what the state after {STEPS} steps tells of each of them");
    files::write_text(&out.join("memory_of_cells.svg"), &figure(&title, 2, (620, 480), panels))
}

/// Which of the gates of a cell, in the order of its biases, says how much of the state stays, and of how many parts they are.
fn kept(cell: CellName) -> Option<(usize, usize)> {
    match cell {
        CellName::Elman | CellName::Jordan => None,
        CellName::Mgu => Some((0, 2)),
        CellName::Gru => Some((1, 3)),
        CellName::Lstm | CellName::Peephole => Some((1, 4)),
    }
}

/// The cell with gates that are half open at first, as PyTorch has them: `nnc train rnn` opens some.
fn plain(cell: CellName) -> Box<dyn Cell> {
    match cell {
        CellName::Lstm => Box::new(LstmCell::new(HIDDEN)),
        CellName::Peephole => Box::new(PeepholeCell::new(HIDDEN)),
        other => other.build(HIDDEN),
    }
}

/// The norm of the gradient of a loss on the last output with respect to what comes in at each step.
fn gradient_norms(cell: CellName, is_open: bool) -> Result<Vec<f64>, Error> {
    let mut cx = Context::with("memory", Mode::Infer, DType::F64);
    let x = cx.input("x", DType::F64, [STEPS, BATCH, INPUTS])?;
    let layer = Recurrent::with_cell(INPUTS, plain(cell)).last();
    let last = layer.run(&mut cx, RecurrentInputs::new(x))?.outputs;
    let loss = cx.eval(last.square().sum_all())?;
    let gradient = cx.grad(loss, &[x])?[0];
    let norms = cx.eval(gradient.square().sum(&[1, 2]).sqrt())?;
    cx.output("norms", norms)?;
    let mut program = compile(&cx.finish(), &Options::default())?;
    let mut state = State::new(program.plan(), 0)?;
    if let Some((gate, gates)) = kept(cell).filter(|_| is_open) {
        let bias = |at: usize| if at / HIDDEN == gate { OPEN } else { 0.0 };
        let biases = Tensor::new([gates * HIDDEN], (0..gates * HIDDEN).map(bias).collect());
        state.set("bias_ih_l0", &biases.expect("as many as there are"))?;
    }
    let noise = Init::Normal { mean: 0.0, deviation: 1.0, stream: 0 };
    let x: Tensor = noise.materialize(&Type::new(DType::F64, [STEPS, BATCH, INPUTS]), 1);
    program.run(&mut state, &[&x])?;
    Ok(program.outputs()[0].as_slice::<f64>().map(<[f64]>::to_vec).unwrap_or_default())
}
