//! Recurrent networks: cells, and the layers that run them over time.
//!
//! A [`Cell`] is one step: from what the step reads of the input, and the state, to the next state. A [`Recurrent`] runs one
//! over a sequence `[steps, batch, features]`: several layers, either direction or both, with lengths per sample, and initial
//! states that are zero, given or learned.
//!
//! | layer | cell | formulas |
//! |---|---|---|
//! | [`Elman`] | [`ElmanCell`] | J. L. Elman 1990; PyTorch's `RNN` |
//! | [`Jordan`] | [`JordanCell`] | M. I. Jordan 1986 |
//! | [`Mgu`] | [`MguCell`] | the minimal gated unit, G.-B. Zhou et al. 2016 |
//! | [`Gru`] | [`GruCell`] | K. Cho et al. 2014, and PyTorch's `GRU` |
//! | [`Lstm`] | [`LstmCell`] | S. Hochreiter and J. Schmidhuber 1997, PyTorch's `LSTM`; with F. A. Gers' peepholes |
//! | [`Peephole`] | [`PeepholeCell`] | an LSTM whose gates and cell see the cell's state in the place of its output |
//!
//! Parameters are called, shaped and initialised as PyTorch's: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`,
//! `weight_ih_l0_reverse` and so on, uniform on +-1/sqrt(hidden size). So a state dict of PyTorch loads by name.
//!
//! What a step reads of the input is one product for all steps, before the loop; the recurrent weights of all gates are one
//! product per step.
//!
//! ```
//! use ir::DType;
//! use nn::{Context, Layer, Lstm};
//! use nn::rnn::RecurrentInputs;
//! let mut cx = Context::new("encoder");
//! let x = cx.input("x", DType::F32, [20, 8, 64])?;
//! let lengths = cx.input("lengths", DType::I64, [8])?;
//! let lstm = Lstm::new(64, 128).layers(2).bidirectional();
//! let y = lstm.run(&mut cx, RecurrentInputs::new(x).lengths(lengths))?;
//! assert_eq!(cx.ty(y.outputs).to_string(), "f32[20, 8, 256]");
//! assert_eq!(cx.ty(y.states[1]).to_string(), "f32[4, 8, 128]"); // the cells' states of two layers in two directions
//! assert_eq!(cx.parameters()[4].name, "weight_ih_l0_reverse");
//! # Ok::<(), ir::Error>(())
//! ```

mod cell;
mod elman;
mod gru;
mod jordan;
mod lengths;
mod lstm;
mod mgu;
mod peephole;
mod recurrent;
mod run;
mod weights;

pub use cell::{Cell, Prepared};
pub use elman::{Elman, ElmanCell};
pub use gru::{Gru, GruCell};
pub use jordan::{Jordan, JordanCell};
pub use lengths::check_lengths;
pub use lstm::{Lstm, LstmCell};
pub use mgu::{Mgu, MguCell};
pub use peephole::{Peephole, PeepholeCell};
pub use recurrent::{Direction, Recurrent};
pub use run::{RecurrentInputs, RecurrentOutputs};
pub use weights::Weights;
