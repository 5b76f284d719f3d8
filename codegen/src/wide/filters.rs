//! The transform of filters of Winograd's convolution as a function: `(frame)`, where the frame holds the addresses of the first
//! filter and of the first element that is made, and how far behind the filters those are that are wanted next, in bytes.
//!
//! At each of the six points of a row, a weighted sum of the nine taps, in ascending order with one fused multiply-add per tap:
//! the bits of the product of matrices that transforms filters in a kernel of its own. Taps whose weight is 0 are left out. A sum
//! that begins with 0 stays the same; where a tap is infinite or NaN, the sums at other points are so in any case, and what
//! follows computes the result directly.
//!
//! Each row of points fetches a sixth of the filters that are wanted next, so they come while others are computed with.

use iced_x86::{Code, Instruction, Register};
use ir::winograd::{POINTS, TAPS, filter_weights};

use super::function::{POINTERS, restore, save};
use super::isa::{self, Isa};
use super::tile::LINE;
use super::writer::{Operand, Writer, memory};
use super::{Kind, WideFunction};

/// A transform of the filters of a panel.
#[derive(Clone, Copy, Debug)]
pub struct FilterSpec {
    /// The row of points.
    pub row: usize,
    /// Whether filters are read from the last tap to the first.
    pub is_backwards: bool,
    /// From a tap to the next, in bytes.
    pub tap_step: i64,
    /// From a point to the next in what is made, in bytes.
    pub output_step: i64,
    /// The vectors of a channel, at least one.
    pub vectors: usize,
    /// The channels, at least one.
    pub channels: usize,
    /// From a channel to the next in the filters and in what is made, in bytes.
    pub channel_steps: (i64, i64),
}

const INPUT: Register = POINTERS[0];
const OUTPUT: Register = Register::RAX;
/// How far it is to the filters that are wanted next.
const AHEAD: Register = Register::R11;
/// The channels that are left.
const CHANNELS: Register = Register::RCX;
/// The registers of taps, which take turns, so that one is loaded while the other is read.
const ELEMENTS: u8 = 2;
/// The registers of the six sums follow, and then those of weights.
const WEIGHTS: u8 = ELEMENTS + POINTS as u8;

/// Emits the function.
pub fn emit_filters(isa: Isa, spec: &FilterSpec) -> WideFunction {
    let mut w = Writer::new(isa);
    let (saved, stack) = save(&mut w, 1);
    for (word, register) in [INPUT, OUTPUT, AHEAD].into_iter().enumerate() {
        let from = memory(Register::RDI, Register::None, 8 * word as i64);
        w.push(Instruction::with2(Code::Mov_r64_rm64, register, from));
    }
    let terms = terms(spec);
    let weights = Weights::load(&mut w, &terms);
    w.push(Instruction::with2(Code::Mov_r32_imm32, CHANNELS.full_register32(), spec.channels as i32));
    let channel = w.assembler.label();
    w.assembler.bind(channel);
    for vector in 0..spec.vectors {
        transform(&mut w, spec, (&terms, &weights), (vector * isa.vector_bytes()) as i64);
    }
    fetch_ahead(&mut w, spec);
    w.push(Instruction::with2(Code::Add_rm64_imm32, INPUT, spec.channel_steps.0 as i32));
    w.push(Instruction::with2(Code::Add_rm64_imm32, OUTPUT, spec.channel_steps.1 as i32));
    w.push(Instruction::with1(Code::Dec_rm64, CHANNELS));
    w.assembler.jump(Code::Jne_rel32_64, channel);
    restore(&mut w, saved);
    w.assembler.finish(Kind::Transform, &[(stack, 0)])
}

/// A tap that counts at a point.
#[derive(Clone, Copy)]
struct Term {
    tap: usize,
    point: usize,
    weight: f32,
    /// Whether it is the first one there.
    is_first: bool,
}

/// The terms of all sums, tap by tap.
fn terms(spec: &FilterSpec) -> Vec<Term> {
    let weights = filter_weights(spec.is_backwards);
    let mut has_begun = [false; POINTS];
    let mut terms = Vec::new();
    for (tap, point) in (0..TAPS * TAPS).flat_map(|tap| (0..POINTS).map(move |point| (tap, point))) {
        let weight = weights[(spec.row * POINTS + point) * TAPS * TAPS + tap];
        if weight != 0.0 {
            terms.push(Term {
                tap,
                point,
                weight,
                is_first: !std::mem::replace(&mut has_begun[point], true),
            });
        }
    }
    terms
}

/// The registers of weights. Those that differ in sign share one; where registers are used up, weights are read from memory.
struct Weights(Vec<f32>);

impl Weights {
    fn load(w: &mut Writer, terms: &[Term]) -> Weights {
        let mut weights: Vec<f32> = Vec::new();
        let most = w.isa.registers() - usize::from(WEIGHTS);
        for Term { weight, .. } in terms {
            if weights.len() < most && !weights.iter().any(|known| known.abs() == weight.abs()) {
                let to = w.register(WEIGHTS + weights.len() as u8);
                w.splat_to(to, weight.to_bits());
                weights.push(*weight);
            }
        }
        Weights(weights)
    }

    /// The operand with a weight, or with the same one of the other sign.
    fn operand(&self, w: &mut Writer, term: &Term) -> (Operand, bool) {
        let known = self.0.iter().position(|known| known.abs() == term.weight.abs());
        match known.filter(|&at| self.0[at] == term.weight || !term.is_first) {
            Some(at) => (Operand::Register(w.register(WEIGHTS + at as u8)), self.0[at] != term.weight),
            None => (Operand::Constant(w.splat(term.weight.to_bits())), false),
        }
    }
}

/// One vector of each tap and of each point.
fn transform(w: &mut Writer, spec: &FilterSpec, (terms, weights): (&[Term], &Weights), offset: i64) {
    for (turn, of_tap) in terms.chunk_by(|a, b| a.tap == b.tap).enumerate() {
        let element = w.register(turn as u8 % ELEMENTS);
        let from = memory(INPUT, Register::None, of_tap[0].tap as i64 * spec.tap_step + offset);
        w.unary(isa::LOAD, element, Operand::Memory(from));
        for term in of_tap {
            let sum = w.register(ELEMENTS + term.point as u8);
            let (weight, is_negated) = weights.operand(w, term);
            let op = match (term.is_first, is_negated) {
                (true, _) => isa::MUL_F32,
                (false, false) => isa::FMA_231,
                (false, true) => isa::FNMA_231,
            };
            w.binary(op, sum, element, weight);
        }
    }
    for point in 0..POINTS {
        let to = memory(OUTPUT, Register::None, point as i64 * spec.output_step + offset);
        let sum = w.register(ELEMENTS + point as u8);
        w.store(isa::STORE, to, sum, None);
    }
}

/// Fetches this row's share of a channel's filters that are wanted next.
fn fetch_ahead(w: &mut Writer, spec: &FilterSpec) {
    let lines_of_tap = (spec.vectors * w.isa.vector_bytes()).div_ceil(LINE);
    let lines = TAPS * TAPS * lines_of_tap;
    let share = lines.div_ceil(POINTS);
    for line in (0..lines).skip(spec.row * share).take(share) {
        let (tap, line) = (line / lines_of_tap, line % lines_of_tap);
        let place = memory(INPUT, AHEAD, tap as i64 * spec.tap_step + (line * LINE) as i64);
        w.push(Instruction::with1(Code::Prefetcht1_m8, place));
    }
}
