//! Bytes of x86-64: instructions, labels, and a pool of constants behind the code.

use iced_x86::{Code, Encoder, Instruction, MemoryOperand, Register};

use super::{Kind, WideFunction};

/// A place in the code, known once it is bound.
#[derive(Clone, Copy, Debug)]
pub struct Label(usize);

/// A constant in the pool: its offset there and its size, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constant {
    offset: usize,
    size: usize,
}

impl Constant {
    /// Whether it is one lane of 32 bits.
    pub fn is_lane(self) -> bool {
        self.size == 4
    }
}

/// Where four bytes of code have to be filled in.
#[derive(Clone, Copy, Debug)]
struct Fixup {
    /// Where the bytes are.
    at: usize,
    /// The end of the instruction, which the distance counts from.
    from: usize,
    to: Target,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Label(usize),
    Constant(usize),
}

/// Code that grows.
pub struct Assembler {
    encoder: Encoder,
    length: usize,
    labels: Vec<Option<usize>>,
    fixups: Vec<Fixup>,
    pool: Vec<u8>,
}

/// An instruction pointer far from every address: operands that refer to it are filled in at the end.
const UNKNOWN: u64 = 0x1000_0000;

impl Default for Assembler {
    /// No code.
    fn default() -> Assembler {
        Assembler {
            encoder: Encoder::new(64),
            length: 0,
            labels: Vec::new(),
            fixups: Vec::new(),
            pool: Vec::new(),
        }
    }
}

impl Assembler {
    /// The number of bytes so far, constants not counted.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Appends an instruction whose operands are all known.
    pub fn push(&mut self, instruction: Instruction) {
        self.length += self
            .encoder
            .encode(&instruction, self.length as u64)
            .unwrap_or_else(|error| panic!("the wide emitter wrote {instruction}: {error}"));
    }

    /// A label that is not bound yet.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Binds a label to this place.
    pub fn bind(&mut self, label: Label) {
        assert!(self.labels[label.0].replace(self.length).is_none(), "a label has one place");
    }

    /// A jump, conditional or not (`Jne_rel32_64` and the like).
    pub fn jump(&mut self, code: Code, label: Label) {
        let jump = Instruction::with_branch(code, UNKNOWN).expect("the code is that of a near branch");
        self.push(jump);
        self.fixups.push(Fixup { at: self.length - 4, from: self.length, to: Target::Label(label.0) });
    }

    /// These bytes in the pool, at a multiple of their length (a power of two).
    pub fn constant(&mut self, bytes: &[u8]) -> Constant {
        let size = bytes.len();
        let known = self.pool.chunks_exact(size).position(|chunk| chunk == bytes);
        let offset = known.map_or(self.pool.len().next_multiple_of(size), |index| index * size);
        if known.is_none() {
            self.pool.resize(offset, 0);
            self.pool.extend(bytes);
        }
        Constant { offset, size }
    }

    /// The operand that is a constant; with `broadcast`, its first element in each lane.
    pub fn constant_operand(broadcast: bool) -> MemoryOperand {
        MemoryOperand::new(Register::RIP, Register::None, 1, UNKNOWN as i64, 8, broadcast, Register::None)
    }

    /// Appends an instruction with an operand that [`Assembler::constant_operand`] gave.
    pub fn push_with_constant(&mut self, instruction: Instruction, constant: Constant) {
        let start = self.length;
        self.push(instruction);
        let at = start + self.encoder.get_constant_offsets().displacement_offset();
        self.fixups.push(Fixup { at, from: self.length, to: Target::Constant(constant.offset) });
    }

    /// The place of the 32-bit immediate that ends the last instruction, for [`Assembler::finish`] to patch.
    pub fn last_immediate(&self) -> usize {
        self.length - 4
    }

    /// The code with its constants as a function. `patches` are 32-bit immediates by their place.
    pub fn finish(mut self, kind: Kind, patches: &[(usize, i32)]) -> WideFunction {
        const POOL_ALIGNMENT: usize = 64;
        let mut bytes = self.encoder.take_buffer();
        let code_bytes = bytes.len();
        let pool = code_bytes.next_multiple_of(POOL_ALIGNMENT);
        for fixup in &self.fixups {
            let to = match fixup.to {
                Target::Label(label) => self.labels[label].expect("every label that is used is bound"),
                Target::Constant(offset) => pool + offset,
            };
            let distance = i32::try_from(to as i64 - fixup.from as i64).expect("code is small");
            bytes[fixup.at..fixup.at + 4].copy_from_slice(&distance.to_le_bytes());
        }
        for &(at, value) in patches {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        if !self.pool.is_empty() {
            // What is between code and constants traps.
            bytes.resize(pool, 0xcc);
            bytes.extend(&self.pool);
        }
        WideFunction { kind, bytes, code_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_goes_to_its_label_forward_and_back() {
        let mut assembler = Assembler::default();
        let [start, end] = [(); 2].map(|()| assembler.label());
        assembler.bind(start);
        assembler.jump(Code::Jmp_rel32_64, end);
        assembler.jump(Code::Jne_rel32_64, start);
        assembler.bind(end);
        let bytes = assembler.finish(Kind::Strip, &[]).bytes;
        assert_eq!(bytes, [0xe9, 6, 0, 0, 0, 0x0f, 0x85, 0xf5, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn equal_constants_are_one_and_each_is_aligned_to_its_size() {
        let mut assembler = Assembler::default();
        let lane = assembler.constant(&[1, 2, 3, 4]);
        let vector = assembler.constant(&[9; 32]);
        assert_eq!((lane.offset, vector.offset), (0, 32));
        assert_eq!(assembler.constant(&[1, 2, 3, 4]), lane);
        let address = Instruction::with2(Code::Lea_r64_m, Register::RAX, Assembler::constant_operand(false));
        assembler.push_with_constant(address.expect("it is an address"), vector);
        let bytes = assembler.finish(Kind::Strip, &[]).bytes;
        let distance = i32::from_le_bytes(bytes[3..7].try_into().expect("four bytes"));
        assert_eq!(bytes[7 + distance as usize..], [9; 32]);
        assert_eq!(bytes[64..68], [1, 2, 3, 4]);
        assert!(bytes[7..64].iter().all(|&byte| byte == 0xcc));
    }

    #[test]
    fn an_immediate_is_filled_in_at_the_end() {
        let mut assembler = Assembler::default();
        let add = Instruction::with2(Code::Sub_rm64_imm32, Register::RSP, 0x1000);
        assembler.push(add.expect("the operands are those of the code"));
        let place = assembler.last_immediate();
        let bytes = assembler.finish(Kind::Strip, &[(place, 192)]).bytes;
        assert_eq!(bytes, [0x48, 0x81, 0xec, 192, 0, 0, 0]);
    }
}
