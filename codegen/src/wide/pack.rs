//! Packing of a panel as a function: `(frame)`, where the frame holds the address of the source and that of the panel.
//!
//! A panel has all its columns at the first depth, then at the next. A dense one has nothing in between, and columns up to
//! the next whole vector are zeros; where the panel is a part of something larger, what is beside its columns stays.
//! Where the source runs along the depth, blocks are transposed in registers: vectors are put together from quarters of
//! four columns that are four apart, so that transposing inside of quarters is all that is left to do.

use iced_x86::{Code, Instruction, Register};

use super::function::{restore, save, set_mask};
use super::isa::{self, Isa};
use super::writer::{Operand, Unmasked, Writer, memory};
use super::{Kind, WideFunction};

/// A panel to be packed.
#[derive(Clone, Copy, Debug)]
pub struct PackSpec {
    /// The columns.
    pub columns: usize,
    /// The depth.
    pub depth: usize,
    /// From a column of the source to the next, in bytes.
    pub column_step: i64,
    /// From a depth of the source to the next, in bytes.
    pub depth_step: i64,
    /// From a depth of the panel to the next, in bytes, where it is a part of something larger.
    pub panel_step: Option<i64>,
}

pub(super) const SOURCE: Register = Register::RAX;
pub(super) const PANEL: Register = Register::R11;
const ROUNDS: Register = Register::RCX;
/// Depths in a quarter of a vector.
const QUARTER: usize = 4;
/// How far ahead of what a copy writes its lines are brought into the cache to be written, in bytes.
const WRITE_AHEAD: i64 = 128;
/// The lanes of the widest vectors.
const MOST_LANES: i64 = 16;

impl PackSpec {
    /// Whether there is a function for it: elements follow each other along one of the axes, and steps fit into
    /// instructions.
    pub fn is_packable(&self) -> bool {
        let reach = self.column_step * self.columns as i64;
        let is_row = self.column_step == 4 && self.panel_step.is_none();
        let is_column = self.depth_step == 4 && self.depth >= QUARTER;
        let steps = [reach, self.depth_step * 8, self.panel_step.unwrap_or(0).saturating_mul(MOST_LANES)];
        (is_row || is_column) && steps.iter().all(|&step| i32::try_from(step).is_ok())
    }
}

/// Emits the function.
pub fn emit_pack(isa: Isa, spec: &PackSpec) -> WideFunction {
    let mut w = Writer::new(isa);
    let (saved, stack) = save(&mut w, 0);
    for (word, register) in [SOURCE, PANEL].into_iter().enumerate() {
        let from = memory(Register::RDI, Register::None, 8 * word as i64);
        w.push(Instruction::with2(Code::Mov_r64_rm64, register, from));
    }
    if spec.column_step == 4 {
        copy_rows(&mut w, spec);
    } else {
        transpose(&mut w, spec);
    }
    restore(&mut w, saved);
    w.assembler.finish(Kind::Pack, &[(stack, 0)])
}

/// From a depth of the panel to the next, in bytes.
fn panel_step(isa: Isa, spec: &PackSpec) -> i64 {
    spec.panel_step.unwrap_or(4 * spec.columns.next_multiple_of(isa.lanes()) as i64)
}

/// Sets the mask of the columns in the last vector, where it is not whole.
fn set_column_mask(w: &mut Writer, spec: &PackSpec) -> Option<Register> {
    let count = spec.columns % w.isa.lanes();
    if count == 0 {
        return None;
    }
    w.push(Instruction::with2(Code::Mov_r32_imm32, ROUNDS.full_register32(), count as i32));
    // The scratch register of masks is that of the panel.
    w.push(Instruction::with1(Code::Push_r64, PANEL));
    set_mask(w, ROUNDS);
    w.push(Instruction::with1(Code::Pop_r64, PANEL));
    Some(match w.isa {
        Isa::Avx2 => Register::YMM15,
        Isa::Avx512 => Register::K1,
    })
}

/// Runs `body` for `rounds` rounds, the source and the panel moving on after each.
fn each_round(w: &mut Writer, rounds: usize, steps: (i64, i64), mut body: impl FnMut(&mut Writer)) {
    if rounds == 0 {
        return;
    }
    w.push(Instruction::with2(Code::Mov_r32_imm32, ROUNDS.full_register32(), rounds as i32));
    let again = w.assembler.label();
    w.assembler.bind(again);
    body(w);
    w.push(Instruction::with2(Code::Add_rm64_imm32, SOURCE, steps.0 as i32));
    w.push(Instruction::with2(Code::Add_rm64_imm32, PANEL, steps.1 as i32));
    w.push(Instruction::with1(Code::Dec_rm64, ROUNDS));
    w.assembler.jump(Code::Jne_rel32_64, again);
}

/// The source runs along the columns.
fn copy_rows(w: &mut Writer, spec: &PackSpec) {
    const UNROLL: usize = 4;
    let isa = w.isa;
    let (lanes, step) = (isa.lanes(), panel_step(isa, spec));
    let vectors = spec.columns.div_ceil(lanes);
    let mask = set_column_mask(w, spec);
    let row = |w: &mut Writer, at: usize| {
        for vector in 0..vectors {
            let ahead = (vector * isa.vector_bytes()) as i64;
            let register = w.register((vector % 8) as u8);
            let from = Operand::Memory(memory(SOURCE, Register::None, at as i64 * spec.depth_step + ahead));
            match (isa, mask.filter(|_| vector + 1 == vectors)) {
                (_, None) => w.unary(isa::LOAD, register, from),
                (Isa::Avx512, Some(mask)) => {
                    let code = isa::LOAD.code(isa);
                    w.masked(code, register, None, from, None, Some((mask, Unmasked::Zeroed)));
                }
                (Isa::Avx2, Some(mask)) => {
                    w.raw(Code::VEX_Vmaskmovps_ymm_ymm_m256, register, Some(mask), from, None);
                }
            }
            w.store(isa::STORE, memory(PANEL, Register::None, at as i64 * step + ahead), register, None);
        }
    };
    let (rounds, rest) = (spec.depth / UNROLL, spec.depth % UNROLL);
    let steps = (spec.depth_step * UNROLL as i64, step * UNROLL as i64);
    each_round(w, rounds, steps, |w| (0..UNROLL).for_each(|at| row(w, at)));
    (0..rest).for_each(|at| row(w, at));
}

/// The source runs along the depth.
fn transpose(w: &mut Writer, spec: &PackSpec) {
    let isa = w.isa;
    let lanes = isa.lanes();
    let step = panel_step(isa, spec);
    let mask = if spec.panel_step.is_some() { set_column_mask(w, spec) } else { None };
    let groups: Vec<usize> = (0..spec.columns).step_by(lanes).collect();
    // A block is as deep as it is wide: a cache line of each column on AVX-512.
    let rounds = spec.depth / lanes;
    each_round(w, rounds, (4 * lanes as i64, step * lanes as i64), |w| {
        for &first in &groups {
            let depths: Vec<i64> = (0..lanes / QUARTER).map(|quarter| (quarter * QUARTER) as i64).collect();
            block(w, spec, first, &depths, mask);
        }
    });
    // What is left, quarter by quarter; the last one ends with the depth and may do what is done already once more.
    let rest = (spec.depth - rounds * lanes) as i64;
    let mut depths: Vec<i64> = (0..rest / QUARTER as i64).map(|quarter| quarter * QUARTER as i64).collect();
    if rest % QUARTER as i64 != 0 {
        depths.push(rest - QUARTER as i64);
    }
    if !depths.is_empty() {
        for &first in &groups {
            block(w, spec, first, &depths, mask);
        }
    }
}

/// Transposes a vector of columns at four depths from each of `depths` on. The mask is for the last vector.
pub(super) fn block(w: &mut Writer, spec: &PackSpec, first: usize, depths: &[i64], mask: Option<Register>) {
    let isa = w.isa;
    let (lanes, step) = (isa.lanes(), panel_step(isa, spec));
    let columns = (spec.columns - first).min(lanes);
    let mask = mask.filter(|_| columns < lanes);
    let count = depths.len();
    let loaded = |quarter: usize, depth: usize| (quarter * count + depth) as u8;
    for quarter in 0..QUARTER {
        for (index, &depth) in depths.iter().enumerate() {
            let register = loaded(quarter, index);
            for part in 0..lanes / QUARTER {
                let column = quarter + QUARTER * part;
                let displacement = (first + column) as i64 * spec.column_step + 4 * depth;
                let from = Operand::Memory(memory(SOURCE, Register::None, displacement));
                let to = w.register(register);
                match (part, column < columns) {
                    (0, true) => {
                        let (code, low) = match isa {
                            Isa::Avx2 => (Code::VEX_Vmovups_xmm_xmmm128, Register::XMM0),
                            Isa::Avx512 => (Code::EVEX_Vmovups_xmm_k1z_xmmm128, Register::XMM0),
                        };
                        w.raw(code, low + u32::from(register), None, from, None);
                    }
                    (0, false) => w.binary(isa::XOR, to, to, Operand::Register(to)),
                    (_, true) => w.binary_by(isa::INSERT_QUARTER, to, to, from, part as u32),
                    (_, false) => {}
                }
            }
        }
    }
    let spare = (QUARTER * count) as u8;
    for (index, &depth) in depths.iter().enumerate() {
        let [a, b, c, d] = [0, 1, 2, 3].map(|quarter| w.register(loaded(quarter, index)));
        let pairs = [0, 1, 2, 3].map(|i| w.register(spare + i));
        let unpacked = [
            (isa::UNPACK_LOW_32, a, b),
            (isa::UNPACK_HIGH_32, a, b),
            (isa::UNPACK_LOW_32, c, d),
            (isa::UNPACK_HIGH_32, c, d),
        ];
        for (&to, (op, x, y)) in pairs.iter().zip(unpacked) {
            w.binary(op, to, x, Operand::Register(y));
        }
        let joined = [
            (isa::UNPACK_LOW_64, pairs[0], pairs[2]),
            (isa::UNPACK_HIGH_64, pairs[0], pairs[2]),
            (isa::UNPACK_LOW_64, pairs[1], pairs[3]),
            (isa::UNPACK_HIGH_64, pairs[1], pairs[3]),
        ];
        for (at, (op, x, y)) in joined.into_iter().enumerate() {
            // The columns have been read: their registers are free.
            let to = [a, b, c, d][at];
            w.binary(op, to, x, Operand::Register(y));
            let displacement = (depth + at as i64) * step + 4 * first as i64;
            let place = memory(PANEL, Register::None, displacement);
            if spec.panel_step.is_some() {
                // Rows of the copy are far apart: the line that follows in this one is brought before it is written. CPUs with
                // AVX2 that lack the instruction do nothing at it.
                let next = memory(PANEL, Register::None, displacement + WRITE_AHEAD);
                w.push(Instruction::with1(Code::Prefetchw_m8, next));
            }
            match (isa, mask) {
                (Isa::Avx2, Some(mask)) => {
                    w.push(Instruction::with3(Code::VEX_Vmaskmovps_m256_ymm_ymm, place, mask, to));
                }
                (_, mask) => w.store(isa::STORE, place, to, mask),
            }
        }
    }
}
