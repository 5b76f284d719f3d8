//! Register tiles of a contraction as a function: `(frame)`.
//!
//! A tile is a few rows by a few vectors of columns. It stays in registers while the sum over the depth runs, in
//! ascending order with one fused multiply-add per product, so the bits depend neither on the width of vectors nor on how
//! the result is cut. Then the epilogue, a strip's program, runs on the registers, vector by vector. Where it needs more
//! registers than the tile leaves over, some sums wait on the stack.
//!
//! The depth is a nest of loops, as a convolution has it: over the rows of the filter, its columns and the channels.
//! How often a loop runs may be known only when the tile does (at the upper and lower edge of an image), and a step of a
//! loop may concern some rows of the tile alone (at its left and right edge). Where the depth is done in blocks, the sums
//! wait in memory between them.
//!
//! The function does the tiles of a panel one below the other. Its frame is 64-bit words: the addresses of the left and
//! the right operand, the number of tiles, the counts of loops, the address of waiting sums and what becomes of them, the
//! levels of their tree, how far ahead the right operand is fetched, the pointers of the epilogue, its uniform values.
//!
//! | module | what it holds |
//! |---|---|
//! | [`depth`] | the loops over the depth |
//! | [`sums`] | the sums: where they are, and a step of them |
//! | `crosswise` | the same for tiles whose lanes are rows |
//! | `ahead` | what is fetched while the sum runs |
//! | `epilogue` | what follows from the sums, on registers |

mod ahead;
mod crosswise;
pub mod depth;
mod epilogue;
pub mod sums;

use iced_x86::{Code, Instruction, Register};

use super::function::{POINTERS, restore, save, set_mask};
use super::isa::Isa;
use super::strip::Strip;
use super::writer::{Writer, memory};
use super::{Kind, WideFunction};
use depth::Level;

/// A tile.
#[derive(Clone, Debug)]
pub struct TileSpec<'a> {
    /// The rows.
    pub rows: usize,
    /// The columns; those beyond the last whole vector are masked.
    pub columns: usize,
    /// The loops over the depth, outermost first.
    pub depth: &'a [Level],
    /// The number of words of the frame in which loops find how often they run.
    pub count_words: usize,
    /// Whether the depth is done in blocks, between which the sums are in memory.
    pub is_blocked: bool,
    /// Whether there are so many blocks that their sums are added as a tree, whose levels are in memory, too.
    pub has_tree: bool,
    /// How many lines of the cache are fetched ahead of the right operand in each round of the sum, and by how many the next
    /// tile begins behind.
    pub lines_ahead: usize,
    /// From a row of the left operand to the next, in bytes.
    pub left_row_step: i64,
    /// Where the lanes of the sums are rows, which are side by side in the left operand: from a column of the right operand to
    /// the next, in bytes. There is one vector of columns then, and one loop over the depth.
    pub right_column_step: Option<i64>,
    /// How far ahead a row of the right operand is fetched, in bytes, where rows are read side by side.
    pub row_ahead: Option<i64>,
    /// Whether columns beyond the result can be read, because the panel has zeros there.
    pub is_padded: bool,
    /// What follows from the sum.
    pub epilogue: &'a Strip,
    /// From a row to the next, in bytes, for each pointer of the epilogue.
    pub row_steps: &'a [i64],
}

/// Words of the frame.
const LEFT: usize = 0;
const RIGHT: usize = 1;
const TILES: usize = 2;
const COUNTS: usize = 3;

impl TileSpec<'_> {
    /// The number of words in the frame.
    pub fn frame_words(&self) -> usize {
        self.first_pointer() + self.epilogue.pointers + self.epilogue.uniforms
    }

    /// The word with the address of waiting sums; in the next one is what becomes of them.
    fn waiting(&self) -> usize {
        COUNTS + self.count_words
    }

    /// The word with the levels of the tree that are added; then come how far behind the address sums wait, and how far a level is
    /// from the next, in bytes.
    fn tree(&self) -> usize {
        self.waiting() + if self.is_blocked { 2 } else { 0 }
    }

    /// The word that says how far ahead the first line is that is fetched, in bytes.
    fn ahead(&self) -> usize {
        self.tree() + if self.has_tree { 3 } else { 0 }
    }

    fn first_pointer(&self) -> usize {
        self.ahead() + usize::from(self.lines_ahead > 0)
    }
}

const FRAME: Register = Register::RDI;
const LEFT_AT: Register = Register::RAX;
const RIGHT_AT: Register = Register::R11;
const ROUNDS: Register = Register::RCX;
/// How far the row that is fetched is from the first, in bytes.
const ROW: Register = Register::R10;
/// How far ahead the right operand is fetched, where no rows are, in bytes.
const AHEAD: Register = ROW;
/// What a line of the caches holds, in bytes.
pub const LINE: usize = 64;

/// A tile whose code is being written.
struct Tile<'a> {
    w: Writer,
    spec: &'a TileSpec<'a>,
    vectors: usize,
    /// The register of the mask of the last vector, where it is not whole.
    mask: Option<Register>,
}

/// Emits the function of a tile.
pub fn emit_tile(isa: Isa, spec: &TileSpec<'_>) -> WideFunction {
    let vectors = spec.columns.div_ceil(isa.lanes());
    let is_partial = !spec.columns.is_multiple_of(isa.lanes());
    let mask = is_partial.then_some(match isa {
        Isa::Avx2 => Register::YMM15,
        Isa::Avx512 => Register::K1,
    });
    let mut tile = Tile { w: Writer::new(isa), spec, vectors, mask };
    let (saved, stack) = save(&mut tile.w, spec.epilogue.pointers);
    for (pointer, &register) in POINTERS.iter().enumerate().take(spec.epilogue.pointers) {
        tile.load_word(register, spec.first_pointer() + pointer);
    }
    if is_partial {
        let lanes = (spec.columns % isa.lanes()) as i32;
        tile.w.push(Instruction::with2(Code::Mov_r32_imm32, Register::ECX, lanes));
        set_mask(&mut tile.w, Register::RCX);
    }
    let [again, done] = [(); 2].map(|()| tile.w.assembler.label());
    let count = memory(FRAME, Register::None, 8 * TILES as i64);
    tile.w.push(Instruction::with2(Code::Cmp_rm64_imm8, count, 0));
    tile.w.assembler.jump(Code::Je_rel32_64, done);
    tile.w.assembler.bind(again);
    tile.sum_over_depth();
    let after = tile.w.assembler.label();
    tile.put_sums_back(after);
    let slots = tile.epilogue();
    tile.w.assembler.bind(after);
    tile.advance();
    tile.w.push(Instruction::with1(Code::Dec_rm64, count));
    tile.w.assembler.jump(Code::Jne_rel32_64, again);
    tile.w.assembler.bind(done);
    restore(&mut tile.w, saved);
    let bytes = (slots * isa.vector_bytes()).next_multiple_of(64) as i32;
    tile.w.finish(Kind::Tile, &[(stack, bytes)])
}

impl Tile<'_> {
    fn load_word(&mut self, to: Register, word: usize) {
        let from = memory(FRAME, Register::None, 8 * word as i64);
        self.w.push(Instruction::with2(Code::Mov_r64_rm64, to, from));
    }

    /// Adds so many bytes to an address.
    fn add(&mut self, register: Register, bytes: i64) {
        if bytes == 0 {
            return;
        }
        self.w.push(Instruction::with2(Code::Add_rm64_imm32, register, bytes as i32));
    }

    /// Moves on to the tile below.
    fn advance(&mut self) {
        let rows = self.spec.rows as i64;
        let left = memory(FRAME, Register::None, 8 * LEFT as i64);
        let bytes = (self.spec.left_row_step * rows) as i32;
        self.w.push(Instruction::with2(Code::Add_rm64_imm32, left, bytes));
        if self.spec.is_blocked {
            let waiting = memory(FRAME, Register::None, 8 * self.spec.waiting() as i64);
            let bytes = self.sums_bytes() as i32;
            self.w.push(Instruction::with2(Code::Add_rm64_imm32, waiting, bytes));
        }
        if self.spec.lines_ahead > 0 {
            let ahead = memory(FRAME, Register::None, 8 * self.spec.ahead() as i64);
            let bytes = (LINE * self.spec.lines_ahead) as i32;
            self.w.push(Instruction::with2(Code::Add_rm64_imm32, ahead, bytes));
        }
        for (&register, &step) in POINTERS.iter().zip(self.spec.row_steps) {
            self.add(register, step * rows);
        }
    }
}

/// Whether a step from a row or a depth to the next, in bytes, fits into the instructions of every tile: they reach over
/// fewer than 32 rows and [`depth::MOST_TAPS`] depths, in an epilogue behind a displacement of less than 2^30, and add 2^31 at
/// most.
pub fn is_step(bytes: i64) -> bool {
    bytes.unsigned_abs() < 1 << 24
}
