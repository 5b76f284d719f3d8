//! A vector program as straight-line code, registers included.
//!
//! The program's values are computed in order. A value stays in its register until its last use; where no register is
//! free, the value whose next use is farthest goes to the stack and is read from there (L. A. Belady, "A study of
//! replacement algorithms", 1966; for straight-line SSA every value is written once, so this is all there is to it).
//! Constants and uniform values are operands in memory, unless the caller keeps them in registers.

use iced_x86::{Code, Instruction, MemoryOperand, Register};
use ir::{DType, Primitive, Scalar, VectorProgram, VectorValue};
use smallvec::SmallVec;

use super::function::load_word;
use super::isa::{self, Isa};
use super::registers::{Place, mask_register};
use super::strip::Strip;
use super::writer::{Operand, Unmasked, Writer};

/// Where an argument of the program is.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A vector in memory.
    Vector(Address),
    /// A scalar in memory, for all lanes.
    Scalar(MemoryOperand),
    /// A register that keeps it beyond the program.
    Kept(u8),
    /// A register that is free after its last use.
    Owned(u8),
    /// A vector in memory of which all lanes may be read.
    Spilled(MemoryOperand),
}

/// Where elements are in memory.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// The operand of instructions.
    pub operand: MemoryOperand,
    /// The pointer that goes into the operand's base register before each use, where it has none of its own.
    pub far: Option<usize>,
}

/// The first lanes of a vector, which count where others do not.
#[derive(Clone, Copy, Debug)]
pub struct Mask {
    /// A mask register, or a vector of AVX2.
    pub register: Register,
    /// How many lanes count.
    pub lanes: Lanes,
}

/// A number of lanes.
#[derive(Clone, Copy, Debug)]
pub enum Lanes {
    /// Known where code is made.
    Known(usize),
    /// In a register, and not 0.
    Count(Register),
}

/// What a body works with.
pub struct Frame<'a> {
    /// Each argument of the program, by number.
    pub sources: &'a [Source],
    /// The places that it stores to, in the order of the strip's streams.
    pub streams: &'a [Address],
    /// Values that are in registers throughout.
    pub kept: &'a [(VectorValue, u8)],
    /// The register of each reduction's sum so far.
    pub sums: &'a [u8],
    /// The registers that the body may use.
    pub free: u32,
    /// The lanes that count; `None` where all do.
    pub mask: Option<Mask>,
    /// Whether the stream that the strip stores past the caches is aligned.
    pub is_aligned: bool,
    /// The first vectors on the stack that are in use already.
    pub slots: usize,
}

/// What a body has taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// The most registers at once.
    pub registers: usize,
    /// The vectors on the stack.
    pub slots: usize,
}

/// A program that is being emitted.
pub(super) struct Body<'a> {
    pub(super) w: &'a mut Writer,
    pub(super) strip: &'a Strip,
    pub(super) frame: &'a Frame<'a>,
    pub(super) places: Vec<Option<Place>>,
    /// For each value, when it is used; times ascend.
    pub(super) uses: Vec<SmallVec<[usize; 4]>>,
    pub(super) now: usize,
    pub(super) free: u32,
    pub(super) free_masks: u8,
    /// Registers that the current instruction reads.
    pub(super) locked: u32,
    pub(super) locked_masks: u8,
    /// Registers that are free again when the instruction ends.
    pub(super) temporaries: u32,
    pub(super) temporary_masks: u8,
    /// The operands of the current instruction.
    pub(super) operands: SmallVec<[VectorValue; 3]>,
    pub(super) taken: Taken,
}

/// Emits a strip's program once.
pub fn emit_body(w: &mut Writer, strip: &Strip, frame: &Frame<'_>) -> Taken {
    let insts = strip.program.insts();
    let mut body = Body {
        w,
        strip,
        frame,
        places: vec![None; insts.len()],
        uses: uses(strip),
        now: 0,
        free: frame.free,
        free_masks: 0b1111_1100,
        locked: 0,
        locked_masks: 0,
        temporaries: 0,
        temporary_masks: 0,
        operands: SmallVec::new(),
        taken: Taken::default(),
    };
    for &(value, register) in frame.kept {
        body.places[value.0 as usize] = Some(Place::Kept(register));
    }
    for index in 0..insts.len() {
        body.stores(index);
        body.now = time_of_inst(strip, index);
        let value = VectorValue(index as u32);
        if body.places[index].is_none() && strip.root(value) == value && !body.uses[index].is_empty() {
            let place = body.inst(index);
            body.places[index] = Some(place);
            body.finish_operands();
        }
    }
    body.stores(insts.len());
    body.now = time_of_inst(strip, insts.len());
    for (reduction, &sum) in strip.reductions.iter().zip(frame.sums) {
        body.now += 1;
        body.reduce(reduction.op.function(), reduction.value, sum);
    }
    body.taken
}

/// Combines two registers as a reduction does: `sum = op(sum, other)`.
pub fn combine(w: &mut Writer, op: ir::ReduceOp, dtype: DType, sum: u8, other: u8, free: u32) {
    let mut strip = Strip::default();
    let other_value = strip.program.argument(0, dtype);
    strip.reductions.push(super::strip::Reduction { op, value: other_value });
    let frame = Frame {
        sources: &[Source::Kept(other)],
        streams: &[],
        kept: &[],
        sums: &[sum],
        free,
        mask: None,
        is_aligned: false,
        slots: 0,
    };
    emit_body(w, &strip, &frame);
}

/// The time at which an instruction runs; the stores that precede it run before, each at a time of its own.
fn time_of_inst(strip: &Strip, index: usize) -> usize {
    time_of_store(strip, index, strip.stores.len())
}

/// The time at which store number `store` runs, which comes before instruction `index`.
fn time_of_store(strip: &Strip, index: usize, store: usize) -> usize {
    index * (strip.stores.len() + 1) + store
}

/// When each value is used. Values that nothing needs have no uses.
fn uses(strip: &Strip) -> Vec<SmallVec<[usize; 4]>> {
    let insts = strip.program.insts();
    let mut uses: Vec<SmallVec<[usize; 4]>> = vec![SmallVec::new(); insts.len()];
    let end = time_of_inst(strip, insts.len());
    for (index, reduction) in strip.reductions.iter().enumerate() {
        uses[strip.root(reduction.value).0 as usize].push(end + 1 + index);
    }
    for (number, store) in strip.stores.iter().enumerate() {
        uses[strip.root(store.value).0 as usize].push(time_of_store(strip, store.after, number));
    }
    for index in (0..insts.len()).rev() {
        if !uses[index].is_empty() && strip.root(VectorValue(index as u32)).0 as usize == index {
            for operand in strip.operands(index) {
                uses[strip.root(operand).0 as usize].push(time_of_inst(strip, index));
            }
        }
        uses[index].sort_unstable();
    }
    uses
}

impl Body<'_> {
    pub(super) fn isa(&self) -> Isa {
        self.w.isa
    }

    fn program(&self) -> &VectorProgram {
        &self.strip.program
    }

    /// Runs the stores that come before instruction `index`.
    fn stores(&mut self, index: usize) {
        let stores = self.strip.stores.iter().enumerate();
        for (number, store) in stores.filter(|(_, store)| store.after == index) {
            self.now = time_of_store(self.strip, index, number);
            self.begin(&[store.value]);
            let past_caches = self.strip.past_caches == Some(store.stream) && self.frame.is_aligned;
            self.write(store.value, self.frame.streams[store.stream], past_caches);
            self.finish_operands();
        }
    }

    /// `sum = op(sum, value)` in the lanes that count.
    fn reduce(&mut self, function: ir::ScalarFn, value: VectorValue, sum: u8) {
        self.begin(&[value]);
        let y = self.place(value);
        let dtype = self.program().dtype(value);
        let primitive = match function {
            ir::ScalarFn::Add => Primitive::Add,
            ir::ScalarFn::Mul => Primitive::Mul,
            ir::ScalarFn::Max => Primitive::Max,
            ir::ScalarFn::Min => Primitive::Min,
            other => unreachable!("{} does not reduce", other.name()),
        };
        if self.frame.mask.is_none() && dtype == DType::F32 && primitive == Primitive::Add {
            let term = self.operand(y);
            self.finish_operands();
            return self.w.binary(isa::ADD_F32, self.w.register(sum), self.w.register(sum), term);
        }
        let Place::Register(result) = self.primitive(primitive, dtype, dtype, &[Place::Kept(sum), y]) else {
            unreachable!("numbers are in registers");
        };
        let (to, from) = (self.w.register(sum), Operand::Register(self.w.register(result)));
        match (self.isa(), self.frame.mask) {
            (_, None) => self.w.unary(isa::COPY, to, from),
            (Isa::Avx512, Some(mask)) => {
                let code = isa::COPY.code(Isa::Avx512);
                self.w.masked(code, to, None, from, None, Some((mask.register, Unmasked::Kept)));
            }
            (Isa::Avx2, Some(mask)) => {
                let blend = Instruction::with4(
                    Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm,
                    to,
                    to,
                    self.w.register(result),
                    mask.register,
                );
                self.w.push(blend);
            }
        }
        self.release(Place::Register(result));
        self.finish_operands();
    }

    /// Computes an instruction's value.
    fn inst(&mut self, index: usize) -> Place {
        let inst = &self.program().insts()[index];
        let (primitive, dtype) = (inst.primitive, inst.dtype);
        match primitive {
            Primitive::Argument(number) => return self.argument(number as usize, dtype),
            Primitive::Constant(value) => return self.constant(value),
            _ => {}
        }
        if let Some((op, [x, y])) = self.strip.extreme(index) {
            self.begin(&[x, y]);
            let (x, y) = (self.place(x), self.place(y));
            return self.binary(op, x, y, false);
        }
        let operands: SmallVec<[VectorValue; 3]> = self.program().insts()[index].operands.clone();
        let from = self.program().dtype(*operands.last().expect("primitives have operands"));
        self.begin(&operands);
        let places: SmallVec<[Place; 3]> = operands.iter().map(|&operand| self.place(operand)).collect();
        self.primitive(primitive, from, dtype, &places)
    }

    /// The operand for an address, whose base register holds its pointer from here on.
    pub(super) fn reach(&mut self, address: Address) -> MemoryOperand {
        if let Some(pointer) = address.far {
            load_word(self.w, address.operand.base, pointer);
        }
        address.operand
    }

    fn argument(&mut self, number: usize, dtype: DType) -> Place {
        match self.frame.sources[number] {
            Source::Kept(register) => Place::Kept(register),
            Source::Owned(register) => Place::Register(register),
            Source::Scalar(from) if dtype == DType::Bool && self.isa() == Isa::Avx512 => {
                let vector = self.allocate();
                let register = self.w.register(vector);
                self.w.broadcast(register, from);
                let mask = self.allocate_mask();
                let code = Code::EVEX_Vptestmd_kr_k1_zmm_zmmm512b32;
                self.w.raw(code, mask_register(mask), Some(register), Operand::Register(register), None);
                self.release(Place::Register(vector));
                Place::Mask(mask)
            }
            Source::Scalar(from) => Place::Scalar(from),
            Source::Spilled(from) => {
                let register = self.allocate();
                self.w.unary(isa::LOAD, self.w.register(register), Operand::Memory(from));
                Place::Register(register)
            }
            Source::Vector(from) => self.read(dtype, from),
        }
    }

    fn constant(&mut self, value: Scalar) -> Place {
        match (value, self.isa()) {
            (Scalar::Bool(is_true), Isa::Avx512) => {
                let mask = self.allocate_mask();
                let code = if is_true { Code::VEX_Kxnorw_kr_kr_kr } else { Code::VEX_Kxorw_kr_kr_kr };
                let k = mask_register(mask);
                self.w.raw(code, k, Some(k), Operand::Register(k), None);
                Place::Mask(mask)
            }
            (Scalar::Bool(is_true), Isa::Avx2) => Place::Constant(if is_true { u32::MAX } else { 0 }),
            (value, _) => Place::Constant(value.bits() as u32),
        }
    }
}
