//! Where the depth is cut into blocks, each of which is multiplied for all tiles of a panel before the next. The sums wait in
//! memory in between.

use super::bounds::DepthLoop;
use super::recognise::Contraction;
use crate::Target;

/// The size of an element, in bytes.
pub const ELEMENT: usize = 4;

/// How the depth is cut: the loops before `level` step by step, that one in blocks of so many steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The first loop that is not done step by step.
    pub level: usize,
    /// Its steps in a block.
    pub steps: usize,
}

/// What is read again and again, in bytes: a small part of the second level of cache, which also holds sums that wait, and
/// what is read and written only once.
pub fn budget(target: &Target) -> usize {
    target.l2_bytes / 6
}

/// Where the depth is cut into blocks: where a panel and the left operand do not fit into the second level of cache beside what
/// else is there (sums that wait cost more than they save before), and both can be read block by block, because a loop over the
/// depth is outermost in both.
pub fn block(
    contraction: &Contraction<'_>,
    loops: &[DepthLoop],
    panel: usize,
    target: &Target,
) -> Option<Block> {
    let budget = budget(target);
    let depth: usize = loops.iter().map(|depth| depth.extent).product();
    // What a step of a loop reads of the left operand, about: everything up to the next step.
    let left_bytes = |depth: &DepthLoop| {
        let step = depth.axis.map_or(0, |axis| contraction.left.offset.coefficient(axis).unsigned_abs());
        step as usize * ELEMENT
    };
    let all = depth * panel * ELEMENT + loops.first().map_or(0, |first| first.extent * left_bytes(first));
    let fits = all <= target.l2_bytes / 8 * 5;
    if loops.len() < 2 || fits {
        return None;
    }
    for level in 0..loops.len() - 1 {
        let inner: usize = loops[level + 1..].iter().map(|depth| depth.extent).product();
        let bytes = inner * panel * ELEMENT + left_bytes(&loops[level]);
        let steps = (budget / bytes.max(1)).min(loops[level].extent);
        if steps >= 1 {
            let is_whole = level == 0 && steps == loops[level].extent;
            return (!is_whole).then_some(Block { level, steps });
        }
        if loops[level].is_limited() || !loops[level].row_limits.is_empty() {
            return None;
        }
    }
    None
}

/// How a panel that several tiles read, and that the next one follows in memory, is cut: into blocks so short that two of them
/// are a small part of the second level of cache, one that is multiplied and one that is brought there meanwhile.
pub fn block_of_stream(depth: usize, columns: usize, tiles: usize, target: &Target) -> Option<Block> {
    /// Blocks are whole rounds of a tile's loop, and whole pages of memory for panels of two vectors of 512 bits.
    const MULTIPLE: usize = 32;
    let most_steps = target.l2_bytes / 4 / (columns * ELEMENT);
    if tiles == 1 || depth <= most_steps {
        return None;
    }
    let steps = depth.div_ceil(depth.div_ceil(most_steps.max(1))).next_multiple_of(MULTIPLE);
    Some(Block { level: 0, steps })
}
