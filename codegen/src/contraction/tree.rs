//! Long sums: the depth is done in runs of at most [`MOST_PRODUCTS`] products, and the sums of runs are added as a binary tree
//! ([`crate::emit::cascade`] has the bound and its source).
//!
//! A run is one block of the depth or several, in which the sums go on in ascending order. What waits in memory is the sums of the
//! current run and, in pieces of memory behind, those at each level of the tree. The last block of a run adds the levels below the
//! first empty one to its own sums, which wait there then; the last block of all adds what is left.

use cranelift_codegen::ir::condcodes::IntCC::{Equal, NotEqual};
use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::blocks::Block;
use super::bounds::DepthLoop;
use crate::emit::Emitter;
use crate::emit::cascade::levels;
use crate::wide::tile::sums::{SUMS_ARE_WAITING, SUMS_WAIT_AGAIN};

/// The most products that are added one after the other: those of a filter of three by three over 512 channels.
pub const MOST_PRODUCTS: usize = 9 * 512;

/// How the sums of blocks of the depth are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The blocks of a run.
    pub run: usize,
    /// The levels at which sums of runs wait.
    pub levels: usize,
}

/// What becomes of the sums of a block.
#[derive(Clone, Copy)]
pub struct Waiting {
    /// Whether they come from memory, and whether they go back: see [`SUMS_ARE_WAITING`].
    pub becomes: Value,
    /// Where there is a tree: the levels that are added, a bit for each, how far behind the sums of the current run those of the
    /// block wait, and how far a level is from the next, in bytes.
    pub tree: Option<[Value; 3]>,
}

impl Waiting {
    /// The words of a tile's frame behind the address of the sums.
    pub fn words(self) -> impl Iterator<Item = Value> {
        [self.becomes].into_iter().chain(self.tree.into_iter().flatten())
    }
}

impl Tree {
    /// The tree of so many blocks of this depth; `None` where the sum is one run.
    pub fn of(blocks: usize, depth: usize) -> Option<Tree> {
        let run = (MOST_PRODUCTS / depth).max(1);
        let runs = blocks.div_ceil(run);
        (runs > 1).then(|| Tree { run, levels: levels(runs - 1) })
    }
}

/// The pieces of memory in which sums wait: those of the current run, and the levels of a tree.
pub fn pieces(tree: Option<Tree>) -> usize {
    1 + tree.map_or(0, |tree| tree.levels)
}

/// A block of the depth no deeper than a run, if the sum is longer than that: the given one, or a shorter one. Loops around it are
/// done step by step, which those with bounds cannot be.
pub fn block_of_run(loops: &[DepthLoop], block: Option<Block>) -> Option<Block> {
    const ROUNDS: usize = 32;
    let depth: usize = loops.iter().map(|depth| depth.extent).product();
    if depth <= MOST_PRODUCTS {
        return block;
    }
    let first = block.map_or(0, |block| block.level);
    for level in first..loops.len() {
        let inner: usize = loops[level + 1..].iter().map(|depth| depth.extent).product();
        let most =
            block.filter(|block| block.level == level).map_or(loops[level].extent, |block| block.steps);
        let most = most.min(MOST_PRODUCTS / inner);
        if most > 0 {
            // Blocks of about the same depth, and whole rounds of a tile's loop.
            let multiple = if level + 1 == loops.len() { ROUNDS } else { 1 };
            let extent = loops[level].extent;
            let steps = extent.div_ceil(extent.div_ceil(most)).next_multiple_of(multiple).min(most);
            return Some(Block { level, steps });
        }
        if loops[level].is_limited() || !loops[level].row_limits.is_empty() {
            return Some(Block { level, steps: 1 });
        }
    }
    block
}

/// What becomes of the sums of block `number` of `blocks`, where the pieces of memory are so many bytes apart.
pub fn waiting(
    emitter: &mut Emitter<'_, '_>,
    tree: Option<Tree>,
    (number, blocks): (Value, usize),
    piece_bytes: usize,
) -> Waiting {
    let b = &mut *emitter.b;
    // The number of the run, and that of the block in it.
    let place = tree.map(|tree| {
        let run = b.ins().udiv_imm_u(number, tree.run as i64);
        let before = b.ins().imul_imm_s(run, tree.run as i64);
        (run, b.ins().isub(number, before), tree.run as i64)
    });
    let in_run = place.map_or(number, |(_, in_run, _)| in_run);
    let flags = [(in_run, 0, SUMS_ARE_WAITING), (number, blocks as i64 - 1, SUMS_WAIT_AGAIN)];
    let flags = flags.map(|(at, end, flag)| {
        let is_other = b.ins().icmp_imm_s(NotEqual, at, end);
        let is_other = b.ins().uextend(types::I64, is_other);
        b.ins().imul_imm_s(is_other, flag)
    });
    let becomes = b.ins().bor(flags[0], flags[1]);
    let tree = place.map(|(run, in_run, size)| {
        let none = b.ins().iconst(types::I64, 0);
        let is_last = b.ins().icmp_imm_s(Equal, number, blocks as i64 - 1);
        let ends_run = b.ins().icmp_imm_s(Equal, in_run, size - 1);
        // The ones behind the last zero.
        let next = b.ins().iadd_imm_s(run, 1);
        let below = b.ins().band_not(run, next);
        let full = b.ins().select(ends_run, below, none);
        let full = b.ins().select(is_last, run, full);
        let level = b.ins().popcnt(below);
        let level = b.ins().iadd_imm_s(level, 1);
        let behind = b.ins().imul_imm_s(level, piece_bytes as i64);
        let behind = b.ins().select(ends_run, behind, none);
        let behind = b.ins().select(is_last, none, behind);
        [full, behind, b.ins().iconst(types::I64, piece_bytes as i64)]
    });
    Waiting { becomes, tree }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_one_run_have_no_tree() {
        assert_eq!(Tree::of(1, MOST_PRODUCTS), None);
        assert_eq!(Tree::of(144, 32), None);
        assert_eq!(Tree::of(145, 32), Some(Tree { run: 144, levels: 1 }));
        assert_eq!(Tree::of(9, MOST_PRODUCTS), Some(Tree { run: 1, levels: 4 }));
    }

    #[test]
    fn blocks_are_no_deeper_than_a_run() {
        let depth = |extent: usize| DepthLoop {
            axis: None,
            extent,
            left_limits: Vec::new(),
            right_limits: Vec::new(),
            row_limits: Vec::new(),
        };
        let block = |extents: &[usize], block| {
            let loops: Vec<DepthLoop> = extents.iter().map(|&extent| depth(extent)).collect();
            block_of_run(&loops, block).map(|block| (block.level, block.steps))
        };
        assert_eq!(block(&[MOST_PRODUCTS], None), None);
        assert_eq!(block(&[MOST_PRODUCTS + 1], None), Some((0, 2336)));
        assert_eq!(block(&[8, 56, 56], None), Some((0, 1)));
        assert_eq!(block(&[8, 112, 112], None), Some((1, 38)));
        assert_eq!(block(&[8, 112, 112], Some(Block { level: 1, steps: 7 })), Some((1, 7)));
        assert_eq!(block(&[5000], Some(Block { level: 0, steps: 32 })), Some((0, 32)));
        assert_eq!(block(&[2, 3], Some(Block { level: 0, steps: 1 })), Some((0, 1)));
    }
}
