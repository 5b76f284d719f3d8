//! The registers of a body: where each value is, which are free, and what goes to the stack where none is.

use iced_x86::{Code, Instruction, MemoryOperand, Register};
use ir::VectorValue;

use super::body::Body;
use super::isa::{self, Isa};
use super::writer::{Operand, broadcast, memory};

/// Where a value is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
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
    /// What a mask register held, on the stack.
    MaskSlot(usize),
}

impl Body<'_> {
    /// Starts an instruction on these operands.
    pub(super) fn begin(&mut self, operands: &[VectorValue]) {
        self.operands = operands.iter().map(|&operand| self.strip.root(operand)).collect();
        for &operand in &self.operands {
            match self.places[operand.0 as usize] {
                Some(Place::Register(register)) => self.locked |= 1 << register,
                Some(Place::Mask(mask)) => self.locked_masks |= 1 << mask,
                _ => {}
            }
        }
    }

    /// Frees what the current instruction has used for the last time. What is computed from now on may overwrite it.
    pub(super) fn finish_operands(&mut self) {
        (self.locked, self.locked_masks) = (0, 0);
        self.free |= std::mem::take(&mut self.temporaries);
        self.free_masks |= std::mem::take(&mut self.temporary_masks);
        for operand in std::mem::take(&mut self.operands) {
            let is_over = self.uses[operand.0 as usize].last().is_none_or(|&last| last <= self.now);
            if is_over && let Some(place) = self.places[operand.0 as usize].take() {
                self.release(place);
                // A second mention of the same operand finds no place any more.
            }
        }
    }

    /// Whether a value is used for the last time now, and has a register of its own.
    pub(super) fn dies(&self, place: Place) -> bool {
        let Place::Register(register) = place else { return false };
        self.operands.iter().any(|&operand| {
            let is_here =
                matches!(self.places[operand.0 as usize], Some(Place::Register(r)) if r == register);
            is_here && self.uses[operand.0 as usize].last().is_none_or(|&last| last <= self.now)
        })
    }

    pub(super) fn release(&mut self, place: Place) {
        match place {
            Place::Register(register) => self.free |= 1 << register,
            Place::Mask(mask) => self.free_masks |= 1 << mask,
            _ => {}
        }
    }

    pub(super) fn place(&self, value: VectorValue) -> Place {
        self.places[self.strip.root(value).0 as usize].expect("a value that is used has a place")
    }

    /// A free register; where there is none, that of the value whose next use is farthest.
    pub(super) fn allocate(&mut self) -> u8 {
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
        let candidates = self.places.iter().enumerate().filter_map(|(index, place)| match place {
            Some(Place::Register(register)) if self.locked >> register & 1 == 0 => Some((index, *register)),
            _ => None,
        });
        let (index, register) = candidates
            .max_by_key(|&(index, _)| self.next_use(index))
            .expect("an instruction reads fewer registers than there are");
        let slot = self.new_slot();
        self.w.store(isa::STORE, self.slot(slot), self.w.register(register), None);
        self.places[index] = Some(Place::Slot(slot));
        self.free |= 1 << register;
    }

    fn evict_mask(&mut self) {
        let candidates = self.places.iter().enumerate().filter_map(|(index, place)| match place {
            Some(Place::Mask(mask)) if self.locked_masks >> mask & 1 == 0 => Some((index, *mask)),
            _ => None,
        });
        let (index, mask) = candidates
            .max_by_key(|&(index, _)| self.next_use(index))
            .expect("an instruction reads fewer masks than there are");
        let slot = self.new_slot();
        let store = Instruction::with2(Code::VEX_Kmovw_m16_kr, self.slot(slot), mask_register(mask));
        self.w.push(store);
        self.places[index] = Some(Place::MaskSlot(slot));
        self.free_masks |= 1 << mask;
    }

    /// When a value is used next.
    fn next_use(&self, index: usize) -> usize {
        self.uses[index].iter().copied().find(|&at| at > self.now).unwrap_or(self.now)
    }

    fn new_slot(&mut self) -> usize {
        self.taken.slots += 1;
        self.frame.slots + self.taken.slots - 1
    }

    fn slot(&self, slot: usize) -> MemoryOperand {
        memory(Register::RSP, Register::None, (slot * self.isa().vector_bytes()) as i64)
    }

    /// A register that is free again when the instruction ends.
    pub(super) fn temporary(&mut self) -> u8 {
        let register = self.allocate();
        self.temporaries |= 1 << register;
        self.locked |= 1 << register;
        register
    }

    pub(super) fn allocate_mask(&mut self) -> u8 {
        if self.free_masks == 0 {
            self.evict_mask();
        }
        let mask = self.free_masks.trailing_zeros() as u8;
        self.free_masks &= !(1 << mask);
        mask
    }

    /// The mask register of a truth value, loaded if need be.
    pub(super) fn mask_of(&mut self, place: Place) -> Register {
        match place {
            Place::Mask(mask) => mask_register(mask),
            Place::MaskSlot(slot) => {
                let mask = self.allocate_mask();
                self.temporary_masks |= 1 << mask;
                let load = Instruction::with2(Code::VEX_Kmovw_kr_km16, mask_register(mask), self.slot(slot));
                self.w.push(load);
                mask_register(mask)
            }
            other => unreachable!("a truth value is in a mask register, not in {other:?}"),
        }
    }

    /// The register of a value, loaded if need be.
    pub(super) fn register_of(&mut self, value: VectorValue) -> u8 {
        let place = self.place(value);
        self.in_register(place)
    }

    pub(super) fn in_register(&mut self, place: Place) -> u8 {
        match place {
            Place::Register(register) | Place::Kept(register) => register,
            Place::Mask(_) | Place::MaskSlot(_) => unreachable!("masks are no vectors"),
            other => {
                let register = self.temporary();
                self.load(register, other);
                register
            }
        }
    }

    /// Loads what is not in a register into one.
    pub(super) fn load(&mut self, register: u8, place: Place) {
        let to = self.w.register(register);
        match place {
            Place::Constant(bits) => self.w.splat_to(to, bits),
            Place::Scalar(from) => self.w.broadcast(to, from),
            Place::Slot(slot) => self.w.unary(isa::LOAD, to, Operand::Memory(self.slot(slot))),
            Place::Register(from) | Place::Kept(from) => {
                self.w.unary(isa::COPY, to, Operand::Register(self.w.register(from)));
            }
            Place::Mask(_) | Place::MaskSlot(_) => unreachable!("masks are no vectors"),
        }
    }

    /// A value as the last operand of an instruction.
    pub(super) fn operand(&mut self, place: Place) -> Operand {
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

    /// Ends the instruction, whose result takes over the register of a dying operand.
    pub(super) fn keep(&mut self, register: u8) {
        self.finish_operands();
        self.free &= !(1 << register);
    }

    /// A temporary that becomes the result.
    pub(super) fn take(&mut self, register: u8) -> Place {
        self.temporaries &= !(1 << register);
        self.finish_operands();
        Place::Register(register)
    }
}

/// The mask register of this number.
pub(super) fn mask_register(mask: u8) -> Register {
    Register::K0 + u32::from(mask)
}
