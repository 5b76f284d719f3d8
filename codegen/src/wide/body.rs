//! A vector program as straight-line code, registers included.
//!
//! The program's values are computed in order. A value stays in its register until its last use; where no register is
//! free, the value whose next use is farthest goes to the stack and is read from there (L. A. Belady, "A study of
//! replacement algorithms", 1966; for straight-line SSA every value is written once, so this is all there is to it).
//! Constants and uniform values are operands in memory, unless the caller keeps them in registers.

use iced_x86::{Code, MemoryOperand, Register};
use ir::{Comparison, DType, Primitive, Scalar, VectorProgram, VectorValue};
use smallvec::SmallVec;

use super::isa::{self, Isa, Op};
use super::strip::Strip;
use super::writer::{Operand, Unmasked, Writer, broadcast, memory};

/// Where an argument of the program is.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A vector in memory.
    Vector(MemoryOperand),
    /// A scalar in memory, for all lanes.
    Scalar(MemoryOperand),
    /// A register that keeps it beyond the program.
    Kept(u8),
    /// A register that is free after its last use.
    Owned(u8),
    /// A vector in memory of which all lanes may be read.
    Spilled(MemoryOperand),
}

/// What a body works with.
pub struct Frame<'a> {
    /// Each argument of the program, by number.
    pub sources: &'a [Source],
    /// The places that it stores to, in the order of the strip's streams.
    pub streams: &'a [MemoryOperand],
    /// Values that are in registers throughout.
    pub kept: &'a [(VectorValue, u8)],
    /// The register of each reduction's sum so far.
    pub sums: &'a [u8],
    /// The registers that the body may use.
    pub free: u32,
    /// The lanes that count; `None` where all do. A mask register, or a vector of AVX2.
    pub mask: Option<Register>,
    /// Whether stores go past the caches.
    pub past_caches: bool,
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

/// The program needs more mask registers than there are.
#[derive(Clone, Copy, Debug)]
pub struct TooManyMasks;

/// Where a value is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// A register of its own.
    Register(u8),
    /// A register that is not its own.
    Kept(u8),
    /// A mask register of its own.
    Mask(u8),
    /// The same bits in each lane.
    Constant(u32),
    /// A scalar in memory.
    Scalar(MemoryOperand),
    /// A vector on the stack.
    Slot(usize),
}

struct Body<'a> {
    w: &'a mut Writer,
    strip: &'a Strip,
    frame: &'a Frame<'a>,
    places: Vec<Option<Place>>,
    /// For each value, when it is used; times ascend.
    uses: Vec<SmallVec<[usize; 4]>>,
    now: usize,
    free: u32,
    free_masks: u8,
    /// Registers that the current instruction reads.
    locked: u32,
    temporaries: u32,
    /// The operands of the current instruction.
    operands: SmallVec<[VectorValue; 3]>,
    taken: Taken,
    is_out_of_masks: bool,
}

/// Emits a strip's program once.
pub fn emit_body(w: &mut Writer, strip: &Strip, frame: &Frame<'_>) -> Result<Taken, TooManyMasks> {
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
        temporaries: 0,
        operands: SmallVec::new(),
        taken: Taken::default(),
        is_out_of_masks: false,
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
    if body.is_out_of_masks { Err(TooManyMasks) } else { Ok(body.taken) }
}

/// Combines two registers as a reduction does: `sum = op(sum, other)`.
pub fn combine(
    w: &mut Writer,
    op: ir::ReduceOp,
    dtype: DType,
    sum: u8,
    other: u8,
    free: u32,
) -> Result<(), TooManyMasks> {
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
        past_caches: false,
        slots: 0,
    };
    emit_body(w, &strip, &frame).map(|_| ())
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
    fn isa(&self) -> Isa {
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
            let from = self.register_of(store.value);
            let to = self.frame.streams[store.stream];
            match (self.isa(), self.frame.mask) {
                (Isa::Avx2, Some(mask)) => {
                    let store = iced_x86::Instruction::with3(
                        Code::VEX_Vmaskmovps_m256_ymm_ymm,
                        to,
                        mask,
                        self.w.register(from),
                    );
                    self.w.push(store);
                }
                (_, mask) => {
                    let op = if self.frame.past_caches && mask.is_none() {
                        isa::STORE_PAST_CACHES
                    } else {
                        isa::STORE
                    };
                    self.w.store(op, to, self.w.register(from), mask);
                }
            }
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
                self.w.masked(code, to, None, from, None, Some((mask, Unmasked::Kept)));
            }
            (Isa::Avx2, Some(mask)) => {
                let blend = iced_x86::Instruction::with4(
                    Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm,
                    to,
                    to,
                    self.w.register(result),
                    mask,
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
            Source::Vector(from) => {
                let register = self.allocate();
                let to = self.w.register(register);
                let (code, from) = (isa::LOAD.code(self.isa()), Operand::Memory(from));
                match (self.isa(), self.frame.mask) {
                    (_, None) => self.w.raw(code, to, None, from, None),
                    (Isa::Avx512, Some(mask)) => {
                        self.w.masked(code, to, None, from, None, Some((mask, Unmasked::Zeroed)));
                    }
                    (Isa::Avx2, Some(mask)) => {
                        self.w.raw(Code::VEX_Vmaskmovps_ymm_ymm_m256, to, Some(mask), from, None);
                    }
                }
                Place::Register(register)
            }
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

    /// Starts an instruction on these operands.
    fn begin(&mut self, operands: &[VectorValue]) {
        self.operands = operands.iter().map(|&operand| self.strip.root(operand)).collect();
        for &operand in &self.operands {
            if let Some(Place::Register(register)) = self.places[operand.0 as usize] {
                self.locked |= 1 << register;
            }
        }
    }

    /// Frees what the current instruction has used for the last time. What is computed from now on may overwrite it.
    fn finish_operands(&mut self) {
        self.locked = 0;
        self.free |= std::mem::take(&mut self.temporaries);
        for operand in std::mem::take(&mut self.operands) {
            let is_over = self.uses[operand.0 as usize].last().is_none_or(|&last| last <= self.now);
            if is_over && let Some(place) = self.places[operand.0 as usize].take() {
                self.release(place);
                // A second mention of the same operand finds no place any more.
            }
        }
    }

    /// Whether a value is used for the last time now, and has a register of its own.
    fn dies(&self, place: Place) -> bool {
        let Place::Register(register) = place else { return false };
        self.operands.iter().any(|&operand| {
            let is_here =
                matches!(self.places[operand.0 as usize], Some(Place::Register(r)) if r == register);
            is_here && self.uses[operand.0 as usize].last().is_none_or(|&last| last <= self.now)
        })
    }

    fn release(&mut self, place: Place) {
        match place {
            Place::Register(register) => self.free |= 1 << register,
            Place::Mask(mask) => self.free_masks |= 1 << mask,
            _ => {}
        }
    }

    fn place(&self, value: VectorValue) -> Place {
        self.places[self.strip.root(value).0 as usize].expect("a value that is used has a place")
    }

    /// A free register; where there is none, that of the value whose next use is farthest.
    fn allocate(&mut self) -> u8 {
        if self.free == 0 {
            self.evict();
        }
        let register = self.free.trailing_zeros() as u8;
        self.free &= !(1 << register);
        let used = (self.frame.free & !self.free).count_ones() as usize;
        self.taken.registers = self.taken.registers.max(used);
        register
    }

    fn evict(&mut self) {
        let now = self.now;
        let next_use = |index: usize| self.uses[index].iter().copied().find(|&at| at > now).unwrap_or(now);
        let candidates = self.places.iter().enumerate().filter_map(|(index, place)| match place {
            Some(Place::Register(register)) if self.locked >> register & 1 == 0 => Some((index, *register)),
            _ => None,
        });
        let (index, register) = candidates
            .max_by_key(|&(index, _)| next_use(index))
            .expect("an instruction reads fewer registers than there are");
        let slot = self.frame.slots + self.taken.slots;
        self.taken.slots += 1;
        self.w.store(isa::STORE, self.slot(slot), self.w.register(register), None);
        self.places[index] = Some(Place::Slot(slot));
        self.free |= 1 << register;
    }

    fn slot(&self, slot: usize) -> MemoryOperand {
        memory(Register::RSP, Register::None, (slot * self.isa().vector_bytes()) as i64)
    }

    /// A register that is free again when the instruction ends.
    fn temporary(&mut self) -> u8 {
        let register = self.allocate();
        self.temporaries |= 1 << register;
        self.locked |= 1 << register;
        register
    }

    fn allocate_mask(&mut self) -> u8 {
        if self.free_masks == 0 {
            self.is_out_of_masks = true;
            return 7;
        }
        let mask = self.free_masks.trailing_zeros() as u8;
        self.free_masks &= !(1 << mask);
        mask
    }

    /// The register of a value, loaded if need be.
    fn register_of(&mut self, value: VectorValue) -> u8 {
        let place = self.place(value);
        self.in_register(place)
    }

    fn in_register(&mut self, place: Place) -> u8 {
        match place {
            Place::Register(register) | Place::Kept(register) => register,
            Place::Mask(_) => unreachable!("masks are no vectors"),
            other => {
                let register = self.temporary();
                self.load(register, other);
                register
            }
        }
    }

    /// Loads what is not in a register into one.
    fn load(&mut self, register: u8, place: Place) {
        let to = self.w.register(register);
        match place {
            Place::Constant(0) => {
                self.w.binary(isa::XOR, to, to, Operand::Register(to));
            }
            Place::Constant(bits) => match self.isa() {
                Isa::Avx512 => {
                    // As a scalar that is broadcast: the constant is one lane.
                    let lane = self.w.splat(bits);
                    let load = iced_x86::Instruction::with2(
                        isa::BROADCAST.code(Isa::Avx512),
                        to,
                        super::assembler::Assembler::constant_operand(false),
                    );
                    self.w
                        .assembler
                        .push_with_constant(load.expect("the operands are those of a broadcast"), lane);
                }
                Isa::Avx2 => {
                    let vector = self.w.splat(bits);
                    self.w.unary(isa::LOAD, to, Operand::Constant(vector));
                }
            },
            Place::Scalar(from) => self.w.broadcast(to, from),
            Place::Slot(slot) => self.w.unary(isa::LOAD, to, Operand::Memory(self.slot(slot))),
            Place::Register(from) | Place::Kept(from) => {
                self.w.unary(isa::COPY, to, Operand::Register(self.w.register(from)));
            }
            Place::Mask(_) => unreachable!("masks are no vectors"),
        }
    }

    /// A value as the last operand of an instruction.
    fn operand(&mut self, place: Place) -> Operand {
        match (place, self.isa()) {
            (Place::Constant(0), Isa::Avx512) | (Place::Constant(_), _) => {
                let Place::Constant(bits) = place else { unreachable!("the pattern says so") };
                Operand::Constant(self.w.splat(bits))
            }
            (Place::Scalar(from), Isa::Avx512) => Operand::Memory(broadcast(from)),
            (Place::Slot(slot), _) => Operand::Memory(self.slot(slot)),
            (other, _) => Operand::Register({
                let register = self.in_register(other);
                self.w.register(register)
            }),
        }
    }

    fn binary(&mut self, op: Op, x: Place, y: Place, commutes: bool) -> Place {
        let is_register = |place| matches!(place, Place::Register(_) | Place::Kept(_));
        let (x, y) = if commutes && !is_register(x) && is_register(y) { (y, x) } else { (x, y) };
        let left = self.in_register(x);
        let right = self.operand(y);
        self.finish_operands();
        let to = self.allocate();
        self.w.binary(op, self.w.register(to), self.w.register(left), right);
        Place::Register(to)
    }

    fn unary(&mut self, op: Op, x: Place, immediate: Option<u32>) -> Place {
        let from = self.operand(x);
        self.finish_operands();
        let to = self.allocate();
        self.w.raw(op.code(self.isa()), self.w.register(to), None, from, immediate);
        Place::Register(to)
    }

    /// A shift; VEX forms of shifts by a constant have no memory operand.
    fn shift(&mut self, op: Op, x: Place, by: u32) -> Place {
        let from = self.in_register(x);
        self.finish_operands();
        let to = self.allocate();
        self.w.unary_by(op, self.w.register(to), Operand::Register(self.w.register(from)), by);
        Place::Register(to)
    }

    /// Applies a primitive to operands of dtype `from` (that of the last operand).
    fn primitive(&mut self, primitive: Primitive, from: DType, to: DType, x: &[Place]) -> Place {
        let is_float = from == DType::F32;
        let is_mask = to == DType::Bool && self.isa() == Isa::Avx512;
        match primitive {
            Primitive::Argument(_) | Primitive::Constant(_) | Primitive::Bitcast(_) => {
                unreachable!("{primitive:?} is no instruction")
            }
            Primitive::Add => {
                self.binary(if is_float { isa::ADD_F32 } else { isa::ADD_I32 }, x[0], x[1], true)
            }
            Primitive::Sub => {
                self.binary(if is_float { isa::SUB_F32 } else { isa::SUB_I32 }, x[0], x[1], false)
            }
            Primitive::Mul => {
                self.binary(if is_float { isa::MUL_F32 } else { isa::MUL_I32 }, x[0], x[1], true)
            }
            Primitive::MulHighUnsigned => self.multiply_high(x[0], x[1]),
            Primitive::Div => self.binary(isa::DIV_F32, x[0], x[1], false),
            Primitive::Fma => self.multiply_add(x[0], x[1], x[2]),
            Primitive::Min if is_float => self.float_min(x[0], x[1]),
            Primitive::Max if is_float => self.float_max(x[0], x[1]),
            Primitive::Min => self.binary(isa::MIN_I32, x[0], x[1], true),
            Primitive::Max => self.binary(isa::MAX_I32, x[0], x[1], true),
            Primitive::Neg if is_float => self.binary(isa::XOR, x[0], Place::Constant(0x8000_0000), true),
            Primitive::Neg => self.binary(isa::SUB_I32, Place::Constant(0), x[0], false),
            Primitive::Abs if is_float => self.binary(isa::AND, x[0], Place::Constant(0x7fff_ffff), true),
            Primitive::Abs => self.unary(isa::ABS_I32, x[0], None),
            Primitive::Sqrt => self.unary(isa::SQRT_F32, x[0], None),
            Primitive::Floor => self.unary(isa::ROUND_F32, x[0], Some(0b1001)),
            Primitive::Ceil => self.unary(isa::ROUND_F32, x[0], Some(0b1010)),
            Primitive::Round => self.unary(isa::ROUND_F32, x[0], Some(0b1000)),
            Primitive::And if is_mask => self.masks(Code::VEX_Kandw_kr_kr_kr, x[0], x[1]),
            Primitive::Or if is_mask => self.masks(Code::VEX_Korw_kr_kr_kr, x[0], x[1]),
            Primitive::Xor if is_mask => self.masks(Code::VEX_Kxorw_kr_kr_kr, x[0], x[1]),
            Primitive::Not if is_mask => self.not_mask(x[0]),
            Primitive::And => self.binary(isa::AND, x[0], x[1], true),
            Primitive::Or => self.binary(isa::OR, x[0], x[1], true),
            Primitive::Xor => self.binary(isa::XOR, x[0], x[1], true),
            Primitive::Not => self.binary(isa::XOR, x[0], Place::Constant(u32::MAX), true),
            Primitive::ShiftLeft(by) => self.shift(isa::SHIFT_LEFT, x[0], by),
            Primitive::ShiftRightLogical(by) => self.shift(isa::SHIFT_RIGHT, x[0], by),
            Primitive::ShiftRightArithmetic(by) => self.shift(isa::SHIFT_RIGHT_SIGNED, x[0], by),
            Primitive::Compare(how) if from == DType::Bool => self.compare_truths(how, x[0], x[1]),
            Primitive::Compare(how) => self.compare(how, is_float, x[0], x[1]),
            Primitive::Select if is_mask => self.select_mask(x[0], x[1], x[2]),
            Primitive::Select => self.select(x[0], x[1], x[2]),
            Primitive::Convert(to) => self.convert(from, to, x[0]),
        }
    }

    /// `x * y + z`, into the register of an operand that is not needed any more where there is one.
    fn multiply_add(&mut self, x: Place, y: Place, z: Place) -> Place {
        let is_register = |place| matches!(place, Place::Register(_) | Place::Kept(_));
        let (x, y) = if self.dies(y) && !self.dies(x) || (!is_register(x) && is_register(y)) {
            (y, x)
        } else {
            (x, y)
        };
        let is_sum_free = self.dies(z);
        if !is_sum_free && self.dies(x) {
            // The factor is overwritten.
            let Place::Register(to) = x else { unreachable!("only registers die") };
            if is_register(z) {
                let addend = self.in_register(z);
                let factor = self.operand(y);
                self.keep(to);
                self.w.binary(isa::FMA_132, self.w.register(to), self.w.register(addend), factor);
            } else {
                let factor = self.in_register(y);
                let addend = self.operand(z);
                self.keep(to);
                self.w.binary(isa::FMA_213, self.w.register(to), self.w.register(factor), addend);
            }
            return Place::Register(to);
        }
        let left = self.in_register(x);
        let right = self.operand(y);
        let to = match z {
            Place::Register(to) if is_sum_free => {
                self.keep(to);
                to
            }
            other => {
                let to = self.allocate();
                self.locked |= 1 << to;
                self.load(to, other);
                self.finish_operands();
                to
            }
        };
        self.w.binary(isa::FMA_231, self.w.register(to), self.w.register(left), right);
        Place::Register(to)
    }

    /// Ends the instruction, whose result takes over the register of a dying operand.
    fn keep(&mut self, register: u8) {
        self.finish_operands();
        self.free &= !(1 << register);
    }

    /// The high halves of products of unsigned lanes.
    fn multiply_high(&mut self, x: Place, y: Place) -> Place {
        let (x, y) = (self.in_register(x), self.in_register(y));
        let [even, odd] = [(); 2].map(|()| self.temporary());
        let to = self.temporary();
        let [x, y, even, odd, result] = [x, y, even, odd, to].map(|register| self.w.register(register));
        let high_halves = self.w.lanes(|lane| if lane % 2 == 1 { -1 } else { 0 });
        self.w.binary(isa::MUL_U32_EVEN, even, x, Operand::Register(y));
        self.w.unary_by(isa::SHIFT_RIGHT_64, odd, Operand::Register(x), 32);
        self.w.unary_by(isa::SHIFT_RIGHT_64, result, Operand::Register(y), 32);
        self.w.binary(isa::MUL_U32_EVEN, odd, odd, Operand::Register(result));
        self.w.unary_by(isa::SHIFT_RIGHT_64, even, Operand::Register(even), 32);
        self.w.binary(isa::AND, odd, odd, Operand::Constant(high_halves));
        self.w.binary(isa::OR, result, even, Operand::Register(odd));
        self.take(to)
    }

    /// A temporary that becomes the result.
    fn take(&mut self, register: u8) -> Place {
        self.temporaries &= !(1 << register);
        self.finish_operands();
        Place::Register(register)
    }

    /// The lesser: the instruction gives its second operand where both are zeros or either is NaN, so both orders
    /// together have every bit that is to be set.
    fn float_min(&mut self, x: Place, y: Place) -> Place {
        let (x, y) = (self.in_register(x), self.in_register(y));
        let [one, other] = [(); 2].map(|()| self.temporary());
        let [x, y, result, swapped] = [x, y, one, other].map(|register| self.w.register(register));
        self.w.binary(isa::MIN_F32, result, x, Operand::Register(y));
        self.w.binary(isa::MIN_F32, swapped, y, Operand::Register(x));
        self.w.binary(isa::OR, result, result, Operand::Register(swapped));
        self.quiet_nan(one, x, y)
    }

    /// The greater: of zeros, the sign is set where it is set in both.
    fn float_max(&mut self, x: Place, y: Place) -> Place {
        let (x, y) = (self.in_register(x), self.in_register(y));
        let [one, other] = [(); 2].map(|()| self.temporary());
        let [x, y, result, swapped] = [x, y, one, other].map(|register| self.w.register(register));
        self.w.binary(isa::MAX_F32, result, x, Operand::Register(y));
        self.w.binary(isa::MAX_F32, swapped, y, Operand::Register(x));
        self.w.binary(isa::AND, result, result, Operand::Register(swapped));
        self.quiet_nan(one, x, y)
    }

    /// NaN where either operand is, else what is in `register`.
    fn quiet_nan(&mut self, register: u8, x: Register, y: Register) -> Place {
        const UNORDERED: u32 = 3;
        let result = self.w.register(register);
        match self.isa() {
            Isa::Avx512 => {
                let mask = self.allocate_mask();
                let k = mask_register(mask);
                self.w.raw(
                    isa::COMPARE_F32.code(Isa::Avx512),
                    k,
                    Some(x),
                    Operand::Register(y),
                    Some(UNORDERED),
                );
                let add = isa::ADD_F32.code(Isa::Avx512);
                self.w.masked(add, result, Some(x), Operand::Register(y), None, Some((k, Unmasked::Kept)));
                self.release(Place::Mask(mask));
            }
            Isa::Avx2 => {
                let [nan, sum] = [(); 2].map(|()| self.temporary());
                let [nan, sum] = [nan, sum].map(|register| self.w.register(register));
                self.w.binary_by(isa::COMPARE_F32, nan, x, Operand::Register(y), UNORDERED);
                self.w.binary(isa::ADD_F32, sum, x, Operand::Register(y));
                let blend = iced_x86::Instruction::with4(
                    Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm,
                    result,
                    result,
                    sum,
                    nan,
                );
                self.w.push(blend);
            }
        }
        self.take(register)
    }

    fn mask_of(&self, place: Place) -> Register {
        match place {
            Place::Mask(mask) => mask_register(mask),
            other => unreachable!("a truth value is in a mask register, not in {other:?}"),
        }
    }

    fn masks(&mut self, code: Code, x: Place, y: Place) -> Place {
        let (x, y) = (self.mask_of(x), self.mask_of(y));
        self.finish_operands();
        let to = self.allocate_mask();
        self.w.raw(code, mask_register(to), Some(x), Operand::Register(y), None);
        Place::Mask(to)
    }

    fn not_mask(&mut self, x: Place) -> Place {
        let x = self.mask_of(x);
        self.finish_operands();
        let to = self.allocate_mask();
        self.w.raw(Code::VEX_Knotw_kr_kr, mask_register(to), None, Operand::Register(x), None);
        Place::Mask(to)
    }

    fn compare(&mut self, how: Comparison, is_float: bool, x: Place, y: Place) -> Place {
        if is_float {
            // Ordered and quiet, except "not equal", which is unordered.
            let predicate = match how {
                Comparison::Eq => 0x00,
                Comparison::Ne => 0x04,
                Comparison::Lt => 0x11,
                Comparison::Le => 0x12,
                Comparison::Gt => 0x1e,
                Comparison::Ge => 0x1d,
            };
            let left = self.in_register(x);
            let right = self.operand(y);
            self.finish_operands();
            return self.compared(isa::COMPARE_F32.code(self.isa()), left, right, Some(predicate));
        }
        if self.isa() == Isa::Avx512 {
            let predicate = match how {
                Comparison::Eq => 0,
                Comparison::Lt => 1,
                Comparison::Le => 2,
                Comparison::Ne => 4,
                Comparison::Ge => 5,
                Comparison::Gt => 6,
            };
            let left = self.in_register(x);
            let right = self.operand(y);
            self.finish_operands();
            let code = Code::EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8;
            return self.compared(code, left, right, Some(predicate));
        }
        let (code, x, y, is_inverse) = match how {
            Comparison::Eq => (Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256, x, y, false),
            Comparison::Ne => (Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256, x, y, true),
            Comparison::Gt => (Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256, x, y, false),
            Comparison::Le => (Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256, x, y, true),
            Comparison::Lt => (Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256, y, x, false),
            Comparison::Ge => (Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256, y, x, true),
        };
        let left = self.in_register(x);
        let right = self.operand(y);
        self.finish_operands();
        let result = self.compared(code, left, right, None);
        if is_inverse && let Place::Register(register) = result {
            let ones = self.w.splat(u32::MAX);
            let register = self.w.register(register);
            self.w.binary(isa::XOR, register, register, Operand::Constant(ones));
        }
        result
    }

    /// A comparison into a mask register or a vector.
    fn compared(&mut self, code: Code, left: u8, right: Operand, predicate: Option<u32>) -> Place {
        let left = self.w.register(left);
        match self.isa() {
            Isa::Avx512 => {
                let to = self.allocate_mask();
                self.w.raw(code, mask_register(to), Some(left), right, predicate);
                Place::Mask(to)
            }
            Isa::Avx2 => {
                let to = self.allocate();
                self.w.raw(code, self.w.register(to), Some(left), right, predicate);
                Place::Register(to)
            }
        }
    }

    /// Comparisons of truth values: false is less than true.
    fn compare_truths(&mut self, how: Comparison, x: Place, y: Place) -> Place {
        let (x, y) = match how {
            Comparison::Gt | Comparison::Ge => (y, x),
            _ => (x, y),
        };
        let is_inverse = matches!(how, Comparison::Eq | Comparison::Le | Comparison::Ge);
        let is_equality = matches!(how, Comparison::Eq | Comparison::Ne);
        match self.isa() {
            Isa::Avx512 => {
                // `x < y` is `!x & y`; its inverse with the operands swapped is `x <= y`.
                let (x, y) = if is_inverse && !is_equality { (y, x) } else { (x, y) };
                let code = if is_equality { Code::VEX_Kxorw_kr_kr_kr } else { Code::VEX_Kandnw_kr_kr_kr };
                let result = self.masks(code, x, y);
                if is_inverse && let Place::Mask(mask) = result {
                    let k = mask_register(mask);
                    self.w.raw(Code::VEX_Knotw_kr_kr, k, None, Operand::Register(k), None);
                }
                result
            }
            Isa::Avx2 => {
                let (x, y) = if is_inverse && !is_equality { (y, x) } else { (x, y) };
                let op = if is_equality { isa::XOR } else { isa::AND_NOT };
                let result = self.binary(op, x, y, false);
                if is_inverse && let Place::Register(register) = result {
                    let ones = self.w.splat(u32::MAX);
                    let register = self.w.register(register);
                    self.w.binary(isa::XOR, register, register, Operand::Constant(ones));
                }
                result
            }
        }
    }

    fn select(&mut self, condition: Place, x: Place, y: Place) -> Place {
        match self.isa() {
            Isa::Avx512 => {
                let mask = self.mask_of(condition);
                let otherwise = self.in_register(y);
                let then = self.operand(x);
                self.finish_operands();
                let to = self.allocate();
                let (to_register, otherwise) = (self.w.register(to), self.w.register(otherwise));
                let code = Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32;
                self.w.masked(code, to_register, Some(otherwise), then, None, Some((mask, Unmasked::Kept)));
                Place::Register(to)
            }
            Isa::Avx2 => {
                let mask = self.in_register(condition);
                let otherwise = self.in_register(y);
                let then = self.operand(x);
                self.finish_operands();
                let to = self.allocate();
                let [to_register, otherwise, mask] = [to, otherwise, mask].map(|r| self.w.register(r));
                let code = Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm;
                let blend = match then {
                    Operand::Register(then) => {
                        iced_x86::Instruction::with4(code, to_register, otherwise, then, mask)
                    }
                    Operand::Memory(then) => {
                        iced_x86::Instruction::with4(code, to_register, otherwise, then, mask)
                    }
                    Operand::Constant(then) => {
                        let operand = super::assembler::Assembler::constant_operand(false);
                        let blend = iced_x86::Instruction::with4(code, to_register, otherwise, operand, mask);
                        let blend = blend.expect("the operands are those of a blend");
                        self.w.assembler.push_with_constant(blend, then);
                        return Place::Register(to);
                    }
                };
                self.w.push(blend);
                Place::Register(to)
            }
        }
    }

    fn select_mask(&mut self, condition: Place, x: Place, y: Place) -> Place {
        let [condition, x, y] = [condition, x, y].map(|place| self.mask_of(place));
        let [to, other] = [(); 2].map(|()| self.allocate_mask());
        let (k, not) = (mask_register(to), mask_register(other));
        self.w.raw(Code::VEX_Kandnw_kr_kr_kr, not, Some(condition), Operand::Register(y), None);
        self.w.raw(Code::VEX_Kandw_kr_kr_kr, k, Some(condition), Operand::Register(x), None);
        self.w.raw(Code::VEX_Korw_kr_kr_kr, k, Some(k), Operand::Register(not), None);
        self.release(Place::Mask(other));
        self.finish_operands();
        Place::Mask(to)
    }

    fn convert(&mut self, from: DType, to: DType, x: Place) -> Place {
        match (from, to) {
            (DType::I32, DType::F32) => self.unary(isa::F32_OF_I32, x, None),
            (DType::F32, DType::I32) => self.int_of_float(x),
            (_, DType::Bool) => self.compare(Comparison::Ne, from == DType::F32, x, Place::Constant(0)),
            (DType::Bool, _) => {
                let one = Place::Constant(if to == DType::F32 { 1f32.to_bits() } else { 1 });
                self.select(x, one, Place::Constant(0))
            }
            _ => unreachable!("a strip has no conversion from {from} to {to}"),
        }
    }

    /// Toward zero; NaN becomes 0 and what is too large the greatest integer. What is too small is the least one
    /// already, which is what the instruction gives for all three.
    fn int_of_float(&mut self, x: Place) -> Place {
        const ORDERED: u32 = 7;
        const AT_LEAST: u32 = 0x1d;
        let from = self.in_register(x);
        let to = self.temporary();
        let (x, result) = (self.w.register(from), self.w.register(to));
        let (limit, greatest) = (self.w.splat(2_147_483_648f32.to_bits()), self.w.splat(i32::MAX as u32));
        match self.isa() {
            Isa::Avx512 => {
                let mask = self.allocate_mask();
                let k = mask_register(mask);
                let compare = isa::COMPARE_F32.code(Isa::Avx512);
                self.w.raw(compare, k, Some(x), Operand::Register(x), Some(ORDERED));
                let truncate = isa::I32_OF_F32.code(Isa::Avx512);
                let zeroed = Some((k, Unmasked::Zeroed));
                self.w.masked(truncate, result, None, Operand::Register(x), None, zeroed);
                self.w.raw(compare, k, Some(x), Operand::Constant(limit), Some(AT_LEAST));
                let blend = Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32;
                let kept = Some((k, Unmasked::Kept));
                self.w.masked(blend, result, Some(result), Operand::Constant(greatest), None, kept);
                self.release(Place::Mask(mask));
            }
            Isa::Avx2 => {
                let mask = self.temporary();
                let mask = self.w.register(mask);
                self.w.unary(isa::I32_OF_F32, result, Operand::Register(x));
                self.w.binary_by(isa::COMPARE_F32, mask, x, Operand::Register(x), ORDERED);
                self.w.binary(isa::AND, result, result, Operand::Register(mask));
                // The least integer with all bits flipped is the greatest one.
                self.w.binary_by(isa::COMPARE_F32, mask, x, Operand::Constant(limit), AT_LEAST);
                self.w.binary(isa::XOR, result, result, Operand::Register(mask));
            }
        }
        self.take(to)
    }
}

fn mask_register(mask: u8) -> Register {
    Register::K0 + u32::from(mask)
}
