//! The transforms of Winograd's convolution along one axis as functions: `(frame)`, where the frame holds the addresses of the
//! inputs, or of the first, and that of the first output.
//!
//! Element by element, as [`ir::winograd`] says: six inputs become the six factors of a tile, and six sums of products the four
//! outputs; for the gradient of filters, four outputs become factors, and sums of products the three taps. Elements lie side
//! by side in runs of whole vectors. The points are pairs of numbers that differ in their sign, so that even and odd
//! powers are summed once for both.
//!
//! A transform of sums of products keeps the greatest magnitude that it stores, lane by lane, in a vector of memory: what
//! follows can tell from it whether a sum has been infinite, NaN or so large that the next transform might overflow.

use iced_x86::{Code, Instruction, MemoryOperand, Register};
use ir::winograd::{FAR, FILTER, NEAR, OUTPUTS, POINTS, TAPS};

use super::function::{POINTERS, restore, save};
use super::isa::{self, Isa};
use super::writer::{Operand, Writer, memory};
use super::{Kind, WideFunction};

/// Which transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// [`ir::winograd::INPUT`]
    Input,
    /// [`ir::winograd::OUTPUT`]
    Output,
    /// The transposed one of outputs.
    OutputTransposed,
    /// The transposed one of [`ir::winograd::FILTER`].
    FilterTransposed,
}

impl Matrix {
    /// How many there are to be transformed.
    fn inputs(self) -> usize {
        match self {
            Matrix::Input | Matrix::Output | Matrix::FilterTransposed => POINTS,
            Matrix::OutputTransposed => OUTPUTS,
        }
    }

    /// Whether it is of sums of products, the greatest magnitude of which is kept.
    pub fn is_of_sums(self) -> bool {
        matches!(self, Matrix::Output | Matrix::FilterTransposed)
    }
}

/// A transform.
#[derive(Clone, Copy, Debug)]
pub struct TransformSpec {
    /// Which.
    pub matrix: Matrix,
    /// From an input to the next, in bytes; `None` where the frame holds the address of each.
    pub input_step: Option<i64>,
    /// From an output to the next, in bytes.
    pub output_step: i64,
    /// The vectors of a run, at least one.
    pub vectors: usize,
    /// The runs, at least one.
    pub runs: usize,
    /// From a run to the next in the inputs and the outputs, in bytes.
    pub run_steps: (i64, i64),
}

impl TransformSpec {
    /// The pointers to inputs.
    fn inputs(&self) -> usize {
        if self.input_step.is_some() { 1 } else { self.matrix.inputs() }
    }

    /// The number of words in the frame: after the inputs, the address of the first output, and of the greatest magnitudes
    /// where it is of sums.
    pub fn frame_words(&self) -> usize {
        self.inputs() + 1 + usize::from(self.matrix.is_of_sums())
    }
}

/// A magnitude as it is kept: the bits of a number, shifted left by one, which drops the sign. They are in the order of the
/// numbers, infinity and then NaN being the greatest.
pub fn magnitude_bits(number: f32) -> u32 {
    number.to_bits() << 1
}

/// The address of the outputs.
const OUTPUT: Register = Register::RAX;
/// How far a run has been done, in bytes.
const OFFSET: Register = Register::R10;
const RUNS: Register = Register::RCX;
/// The registers of intermediate values, behind those of the inputs.
const EVEN: u8 = 6;
const ODD: u8 = 7;
/// The greatest magnitudes. Transforms of sums have no odd powers.
const GREATEST: u8 = ODD;
/// The first register of the factors.
const FACTORS: u8 = 8;
const FREE: u8 = 15;

/// The constant factors of a transform, each kept in a register.
fn factors(matrix: Matrix) -> Vec<f32> {
    let (a2, b2) = (NEAR * NEAR, FAR * FAR);
    match matrix {
        Matrix::Input => vec![NEAR, FAR, -b2, -a2, a2 * b2, -a2 - b2],
        Matrix::Output | Matrix::OutputTransposed => vec![NEAR, FAR, a2, b2, a2 * NEAR, b2 * FAR],
        Matrix::FilterTransposed => {
            let [near, far] = [FILTER[1], FILTER[3]];
            vec![FILTER[0][0], near[0], far[0], near[1], far[1], near[2], far[2]]
        }
    }
}

struct Transform<'a> {
    w: Writer,
    spec: &'a TransformSpec,
}

/// Emits the function.
pub fn emit_transform(isa: Isa, spec: &TransformSpec) -> WideFunction {
    let mut transform = Transform { w: Writer::new(isa), spec };
    let (saved, stack) = save(&mut transform.w, spec.inputs());
    let pointers = POINTERS[..spec.inputs()].iter().chain([&OUTPUT]);
    for (word, &register) in pointers.enumerate() {
        let from = memory(Register::RDI, Register::None, 8 * word as i64);
        transform.w.push(Instruction::with2(Code::Mov_r64_rm64, register, from));
    }
    for (at, factor) in factors(spec.matrix).into_iter().enumerate() {
        let to = transform.w.register(FACTORS + at as u8);
        transform.w.splat_to(to, factor.to_bits());
    }
    if spec.matrix.is_of_sums() {
        let from = transform.greatest();
        let to = transform.w.register(GREATEST);
        transform.w.unary(isa::LOAD, to, Operand::Memory(from));
        transform.runs();
        let to = transform.greatest();
        let from = transform.w.register(GREATEST);
        transform.w.store(isa::STORE, to, from, None);
    } else {
        transform.runs();
    }
    restore(&mut transform.w, saved);
    transform.w.assembler.finish(Kind::Transform, &[(stack, 0)])
}

impl Transform<'_> {
    /// The memory of the greatest magnitudes, whose address is the last word of the frame.
    fn greatest(&mut self) -> MemoryOperand {
        let word = memory(Register::RDI, Register::None, 8 * (self.spec.frame_words() as i64 - 1));
        self.w.push(Instruction::with2(Code::Mov_r64_rm64, RUNS, word));
        memory(RUNS, Register::None, 0)
    }

    fn runs(&mut self) {
        let spec = self.spec;
        let run_bytes = (spec.vectors * self.w.isa.vector_bytes()) as i32;
        self.w.push(Instruction::with2(Code::Mov_r32_imm32, RUNS.full_register32(), spec.runs as i32));
        let [run, vector] = [(); 2].map(|()| self.w.assembler.label());
        self.w.assembler.bind(run);
        let offset = OFFSET.full_register32();
        self.w.push(Instruction::with2(Code::Xor_r32_rm32, offset, offset));
        self.w.assembler.bind(vector);
        self.vector();
        self.w.push(Instruction::with2(Code::Add_rm64_imm32, OFFSET, self.w.isa.vector_bytes() as i32));
        self.w.push(Instruction::with2(Code::Cmp_rm64_imm32, OFFSET, run_bytes));
        self.w.assembler.jump(Code::Jne_rel32_64, vector);
        for &input in &POINTERS[..spec.inputs()] {
            self.w.push(Instruction::with2(Code::Add_rm64_imm32, input, spec.run_steps.0 as i32));
        }
        self.w.push(Instruction::with2(Code::Add_rm64_imm32, OUTPUT, spec.run_steps.1 as i32));
        self.w.push(Instruction::with1(Code::Dec_rm64, RUNS));
        self.w.assembler.jump(Code::Jne_rel32_64, run);
    }

    /// One vector of each input and output.
    fn vector(&mut self) {
        for input in 0..self.spec.matrix.inputs() {
            let from = Operand::Memory(self.input(input));
            let to = self.w.register(input as u8);
            self.w.unary(isa::LOAD, to, from);
        }
        match self.spec.matrix {
            Matrix::Input => self.inputs_to_factors(),
            Matrix::Output => self.sums_to_outputs(),
            Matrix::OutputTransposed => self.outputs_to_factors(),
            Matrix::FilterTransposed => self.sums_to_taps(),
        }
    }

    fn input(&self, input: usize) -> MemoryOperand {
        match self.spec.input_step {
            Some(step) => memory(POINTERS[0], OFFSET, input as i64 * step),
            None => memory(POINTERS[input], OFFSET, 0),
        }
    }

    /// `INPUT d`, for `d` in registers 0 to 5.
    fn inputs_to_factors(&mut self) {
        let [near, far, minus_b2, minus_a2, product, minus_sum] = [0, 1, 2, 3, 4, 5].map(|at| FACTORS + at);
        // What both points of a pair share: the even and the odd powers of x (x^2 - c^2), for the other pair c.
        for (outputs, point, minus_square) in [([1, 2], near, minus_b2), ([3, 4], far, minus_a2)] {
            self.copy(EVEN, 4);
            self.multiply_add(EVEN, 2, minus_square);
            self.copy(ODD, 3);
            self.multiply_add(ODD, 1, minus_square);
            self.op(isa::MUL_F32, ODD, ODD, point);
            self.sum_and_difference(outputs);
        }
        // 0 and infinity: d0 a^2 b^2 - d2 (a^2 + b^2) + d4, and the same one element later.
        for (output, [first, second, third]) in [(0, [0, 2, 4]), (5, [1, 3, 5])] {
            self.multiply_add(third, second, minus_sum);
            self.multiply_add(third, first, product);
            self.store(output, third);
        }
    }

    /// Sums and differences of pairs of points, in place of registers 1 to 4: `m1 + m2` is in [`EVEN`], `m1 - m2` in 1, and the
    /// same of `m3` and `m4` in 2 and 3.
    fn pairs(&mut self) {
        self.op(isa::ADD_F32, EVEN, 1, 2);
        self.op(isa::SUB_F32, 1, 1, 2);
        self.op(isa::ADD_F32, 2, 3, 4);
        self.op(isa::SUB_F32, 3, 3, 4);
    }

    /// `OUTPUT m`, for `m` in registers 0 to 5.
    fn sums_to_outputs(&mut self) {
        let [near, far, a2, b2, a3, b3] = [0, 1, 2, 3, 4, 5].map(|at| FACTORS + at);
        self.pairs();
        self.op(isa::ADD_F32, 0, 0, EVEN);
        self.op(isa::ADD_F32, 0, 0, 2);
        self.store(0, 0);
        self.op(isa::MUL_F32, 4, 1, near);
        self.multiply_add(4, 3, far);
        self.store(1, 4);
        self.op(isa::MUL_F32, EVEN, EVEN, a2);
        self.multiply_add(EVEN, 2, b2);
        self.store(2, EVEN);
        self.multiply_add(5, 1, a3);
        self.multiply_add(5, 3, b3);
        self.store(OUTPUTS - 1, 5);
    }

    /// `y OUTPUT`, for `y` in registers 0 to 3.
    fn outputs_to_factors(&mut self) {
        let [near, far, a2, b2, a3, b3] = [0, 1, 2, 3, 4, 5].map(|at| FACTORS + at);
        self.store(0, 0);
        self.store(POINTS - 1, 3);
        for (outputs, [first, second, third]) in [([1, 2], [near, a2, a3]), ([3, 4], [far, b2, b3])] {
            self.copy(EVEN, 0);
            self.multiply_add(EVEN, 2, second);
            self.op(isa::MUL_F32, ODD, 1, first);
            self.multiply_add(ODD, 3, third);
            self.sum_and_difference(outputs);
        }
    }

    /// `u FILTER`, for `u` in registers 0 to 5.
    fn sums_to_taps(&mut self) {
        let [zero, near, far, near_odd, far_odd, near_even, far_even] =
            [0, 1, 2, 3, 4, 5, 6].map(|at| FACTORS + at);
        self.pairs();
        self.op(isa::MUL_F32, 0, 0, zero);
        self.multiply_add(0, EVEN, near);
        self.multiply_add(0, 2, far);
        self.store(0, 0);
        self.op(isa::MUL_F32, 4, 1, near_odd);
        self.multiply_add(4, 3, far_odd);
        self.store(1, 4);
        self.multiply_add(5, EVEN, near_even);
        self.multiply_add(5, 2, far_even);
        self.store(TAPS - 1, 5);
    }

    fn copy(&mut self, to: u8, from: u8) {
        let [to, from] = [to, from].map(|register| self.w.register(register));
        self.w.unary(isa::COPY, to, Operand::Register(from));
    }

    fn op(&mut self, op: isa::Op, to: u8, left: u8, right: u8) {
        let [to, left, right] = [to, left, right].map(|register| self.w.register(register));
        self.w.binary(op, to, left, Operand::Register(right));
    }

    /// `sum += x * y`
    fn multiply_add(&mut self, sum: u8, x: u8, y: u8) {
        self.op(isa::FMA_231, sum, x, y);
    }

    /// Stores `EVEN + ODD` and `EVEN - ODD`.
    fn sum_and_difference(&mut self, [sum, difference]: [usize; 2]) {
        self.op(isa::ADD_F32, FREE, EVEN, ODD);
        self.store(sum, FREE);
        self.op(isa::SUB_F32, EVEN, EVEN, ODD);
        self.store(difference, EVEN);
    }

    fn store(&mut self, output: usize, from: u8) {
        let to = memory(OUTPUT, OFFSET, output as i64 * self.spec.output_step);
        if self.spec.matrix.is_of_sums() {
            self.op(isa::ADD_I32, FREE, from, from);
            self.op(isa::MAX_U32, GREATEST, GREATEST, FREE);
        }
        let from = self.w.register(from);
        self.w.store(isa::STORE, to, from, None);
    }
}
