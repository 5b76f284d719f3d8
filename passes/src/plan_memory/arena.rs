//! Offsets in the arena from live ranges.
//!
//! Up to [`EXACT`] blocks, the largest is placed first, in the tightest gap between those placed before whose live
//! ranges meet its own: "greedy by size" of Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
//! Inference" (2020), which compares all pairs. Larger plans are scanned once in the order of time, with a list of
//! free ranges from which the tightest is taken.
//!
//! Time is the number of a call or a copy in the order of the text, those in loops counted once. What a loop touches is in use
//! throughout the loop, unless the loop is its home ([`ir::plan::homes`]): then each iteration has a value of its own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use ir::in_place::Call;
use ir::plan::{Site, homes, sites};
use ir::{Place, Plan, SlotId};

/// The greatest number of blocks that are compared pair by pair.
const EXACT: usize = 1024;

/// Gives every unplaced slot its offset. Without `reuse`, no two share memory.
pub fn place_slots(plan: &mut Plan, reuse: bool) {
    let (mut blocks, block_of) = blocks(plan, reuse);
    if !reuse {
        let end = blocks.iter().map(|block| block.last).max().unwrap_or(0);
        blocks.iter_mut().for_each(|block| (block.first, block.last) = (0, end));
    }
    let offsets = if blocks.len() <= EXACT { place_by_size(&blocks) } else { place_by_time(&blocks) };
    plan.arena_bytes =
        blocks.iter().zip(&offsets).map(|(block, offset)| offset + block.size_bytes).max().unwrap_or(0);
    for (slot, block) in plan.slots.iter_mut().zip(block_of) {
        if let Some(block) = block {
            slot.place = Place::Arena { offset: offsets[block] };
        }
    }
}

/// A piece of the arena, for one slot or for several one after the other.
#[derive(Clone, Debug, PartialEq)]
struct Block {
    /// A multiple of [`Plan::ALIGNMENT`].
    size_bytes: usize,
    /// The first step that touches it.
    first: usize,
    /// The last step that touches it.
    last: usize,
}

/// The blocks, and the block of each unplaced slot. What a step of `prepare` writes has one that is in use throughout.
fn blocks(plan: &Plan, reuse: bool) -> (Vec<Block>, Vec<Option<usize>>) {
    let mut sites = sites(plan);
    let homes = homes(plan, &sites);
    sites.retain(|site| !site.is_prepare);
    let ranges = live_ranges(plan, &sites, &homes);
    let mut blocks: Vec<Block> = Vec::new();
    let mut block_of: Vec<Option<usize>> = vec![None; plan.slots.len()];
    let size_bytes = |slot: SlotId| plan.slot(slot).ty.size_bytes().next_multiple_of(Plan::ALIGNMENT);
    for slot in plan.prepare.iter().flat_map(|step| plan.roots_written(step)) {
        block_of[slot.0 as usize].get_or_insert_with(|| {
            blocks.push(Block { size_bytes: size_bytes(slot), first: 0, last: sites.len() });
            blocks.len() - 1
        });
    }
    for (index, site) in sites.iter().enumerate() {
        // Values of one iteration of the loop around the step can follow each other in one place. What has parts is none of
        // these in a loop; outside, its parts are no operands to be overwritten.
        let is_local = |slot: SlotId| homes[slot.0 as usize] == site.loops.len();
        let (read, written) = (plan.reads(site.step), plan.writes(site.step));
        let touched = read.iter().chain(&written).map(|&slot| (slot, plan.root(slot)));
        let in_parts: BTreeSet<SlotId> =
            touched.filter(|(slot, root)| slot != root).map(|(_, root)| root).collect();
        let mut dying: Vec<SlotId> = read.to_vec();
        dying.retain(|&operand| {
            let ends = ranges[operand.0 as usize].is_some_and(|(_, last)| last == index);
            reuse && ends && is_local(operand) && !in_parts.contains(&operand)
        });
        let mut taken: BTreeSet<SlotId> = BTreeSet::new();
        let call = Call::of(plan, site.step).filter(|_| !dying.is_empty());
        for &slot in &written {
            let root = plan.root(slot);
            let Some((first, last)) = ranges[root.0 as usize] else { continue };
            if block_of[root.0 as usize].is_some() {
                continue;
            }
            let size_of = |slot: SlotId| plan.slot(slot).ty.size_bytes();
            let may_write_over = |operand: SlotId| {
                let is_alike = !taken.contains(&operand) && size_of(operand) == size_of(slot);
                is_alike && call.as_ref().is_some_and(|call| call.may_write_over(operand, slot))
            };
            let is_placed_first = slot == root && is_local(slot) && !in_parts.contains(&slot);
            let overwritten =
                dying.iter().copied().find(|&operand| is_placed_first && may_write_over(operand));
            let block = match overwritten {
                Some(operand) => {
                    taken.insert(operand);
                    block_of[operand.0 as usize].expect("an operand is written before it is read")
                }
                None => {
                    blocks.push(Block { size_bytes: size_bytes(root), first, last });
                    blocks.len() - 1
                }
            };
            blocks[block].last = last;
            block_of[root.0 as usize] = Some(block);
        }
    }
    (blocks, block_of)
}

/// The first and the last step during which each unplaced slot is in use; none of slots that are written before the steps.
fn live_ranges(plan: &Plan, sites: &[Site<'_>], homes: &[usize]) -> Vec<Option<(usize, usize)>> {
    let mut ranges: Vec<Option<(usize, usize)>> = vec![None; plan.slots.len()];
    let loops = loop_ranges(sites);
    for (index, site) in sites.iter().enumerate() {
        for slot in plan.roots_read(site.step).into_iter().chain(plan.roots_written(site.step)) {
            if plan.slot(slot).place != Place::Unplaced {
                continue;
            }
            let within = site.loops.get(homes[slot.0 as usize]);
            let (first, last) = within.map_or((index, index), |within| loops[within]);
            let range = ranges[slot.0 as usize].get_or_insert((first, last));
            *range = (range.0.min(first), range.1.max(last));
        }
    }
    for slot in plan.prepare.iter().flat_map(|step| plan.roots_written(step)) {
        ranges[slot.0 as usize] = None;
    }
    ranges
}

/// The first and the last step of each loop.
fn loop_ranges(sites: &[Site<'_>]) -> BTreeMap<usize, (usize, usize)> {
    let mut ranges: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for (index, site) in sites.iter().enumerate() {
        for &within in &site.loops {
            ranges.entry(within).or_insert((index, index)).1 = index;
        }
    }
    ranges
}

/// The offset of each block, the largest placed first.
fn place_by_size(blocks: &[Block]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&index| (Reverse(blocks[index].size_bytes), blocks[index].first, index));
    let mut offsets = vec![0; blocks.len()];
    let mut placed: Vec<usize> = Vec::new();
    for index in order {
        let block = &blocks[index];
        let rivals = placed.iter().copied().filter(|&other| meet(block, &blocks[other]));
        offsets[index] =
            tightest_gap(block.size_bytes, rivals.map(|other| (offsets[other], blocks[other].size_bytes)));
        let at = placed.partition_point(|&other| offsets[other] <= offsets[index]);
        placed.insert(at, index);
    }
    offsets
}

/// Whether both blocks are in use at some step.
fn meet(a: &Block, b: &Block) -> bool {
    a.first <= b.last && b.first <= a.last
}

/// The offset of the smallest gap of at least `size_bytes` between `rivals`, which come by ascending offset; the end of
/// the last of them where there is none.
fn tightest_gap(size_bytes: usize, rivals: impl Iterator<Item = (usize, usize)>) -> usize {
    let mut end = 0;
    let mut best: Option<(usize, usize)> = None;
    for (offset, size) in rivals {
        let gap = offset.saturating_sub(end);
        if gap >= size_bytes && gap > 0 && best.is_none_or(|(smallest, _)| gap < smallest) {
            best = Some((gap, end));
        }
        end = end.max(offset + size);
    }
    best.map_or(end, |(_, offset)| offset)
}

/// The offset of each block, in the order in which they come into use.
fn place_by_time(blocks: &[Block]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&index| (blocks[index].first, index));
    let mut offsets = vec![0; blocks.len()];
    let mut free = FreeRanges::default();
    let mut live: BinaryHeap<Reverse<(usize, usize)>> = BinaryHeap::new();
    for index in order {
        let block = &blocks[index];
        while let Some(&Reverse((last, ended))) = live.peek().filter(|Reverse((last, _))| *last < block.first)
        {
            live.pop();
            free.release(offsets[ended], blocks[ended].size_bytes);
            debug_assert!(last < block.first, "a block is released after its last use");
        }
        offsets[index] = free.take(block.size_bytes);
        live.push(Reverse((block.last, index)));
    }
    offsets
}

/// The parts of the arena that nothing uses. No two of them touch.
#[derive(Default)]
struct FreeRanges {
    /// Size by offset.
    by_offset: BTreeMap<usize, usize>,
    /// Size and offset.
    by_size: BTreeSet<(usize, usize)>,
    /// Where the arena ends so far.
    end: usize,
}

impl FreeRanges {
    /// Takes `size` bytes from the tightest range, or from a longer arena.
    fn take(&mut self, size: usize) -> usize {
        let fitting = self.by_size.range((size, 0)..).next().copied();
        let (range_size, offset) = match fitting {
            Some(range) => range,
            None => {
                let last = self.by_offset.last_key_value().map(|(&offset, &size)| (size, offset));
                let tail = last.filter(|&(size, offset)| offset + size == self.end);
                let (tail_size, offset) = tail.unwrap_or((0, self.end));
                self.end = offset + size;
                self.remove(tail_size, offset);
                return offset;
            }
        };
        self.remove(range_size, offset);
        self.insert(range_size - size, offset + size);
        offset
    }

    /// Gives back what was taken.
    fn release(&mut self, mut offset: usize, mut size: usize) {
        let before = self.by_offset.range(..offset).next_back().map(|(&at, &size)| (at, size));
        if let Some((at, before_size)) = before.filter(|(at, size)| at + size == offset) {
            self.remove(before_size, at);
            (offset, size) = (at, before_size + size);
        }
        if let Some(&after_size) = self.by_offset.get(&(offset + size)) {
            self.remove(after_size, offset + size);
            size += after_size;
        }
        self.insert(size, offset);
    }

    fn insert(&mut self, size: usize, offset: usize) {
        if size > 0 {
            self.by_offset.insert(offset, size);
            self.by_size.insert((size, offset));
        }
    }

    fn remove(&mut self, size: usize, offset: usize) {
        if self.by_size.remove(&(size, offset)) {
            self.by_offset.remove(&offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(size_bytes: usize, first: usize, last: usize) -> Block {
        Block { size_bytes, first, last }
    }

    /// Blocks with sizes and live ranges from a linear congruential generator.
    fn random_blocks(count: usize, mut seed: u64) -> Vec<Block> {
        let mut next = |bound: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % bound
        };
        let draw = |_| {
            let (size, first, length) = (64 * next(9), next(count), next(8));
            block(size, first, first + length)
        };
        (0..count).map(draw).collect()
    }

    fn assert_disjoint(blocks: &[Block], offsets: &[usize]) {
        for (a, &at) in blocks.iter().zip(offsets) {
            assert_eq!(at % 64, 0);
            for (b, &other) in blocks.iter().zip(offsets) {
                let is_empty = a.size_bytes == 0 || b.size_bytes == 0;
                let apart = is_empty || at + a.size_bytes <= other || other + b.size_bytes <= at;
                assert!(std::ptr::eq(a, b) || !meet(a, b) || apart, "{a:?} at {at} and {b:?} at {other}");
            }
        }
    }

    fn end(blocks: &[Block], offsets: &[usize]) -> usize {
        blocks.iter().zip(offsets).map(|(block, offset)| offset + block.size_bytes).max().unwrap_or(0)
    }

    /// The least arena there can be: the most bytes that are in use at one step.
    fn least(blocks: &[Block]) -> usize {
        let in_use = |at| blocks.iter().filter(|b| b.first <= at && at <= b.last).map(|b| b.size_bytes).sum();
        blocks.iter().map(|block| in_use(block.first)).max().unwrap_or(0)
    }

    #[test]
    fn blocks_in_use_at_the_same_time_never_overlap() {
        for seed in 0..50 {
            let blocks = random_blocks(60, seed);
            assert_disjoint(&blocks, &place_by_size(&blocks));
            assert_disjoint(&blocks, &place_by_time(&blocks));
        }
    }

    #[test]
    fn a_chain_needs_two_blocks() {
        let chain: Vec<Block> = (0..20).map(|i| block(128, i, i + 1)).collect();
        assert_eq!(end(&chain, &place_by_size(&chain)), 256);
        assert_eq!(end(&chain, &place_by_time(&chain)), 256);
    }

    #[test]
    fn both_placements_stay_near_the_least_arena() {
        let (mut by_size, mut by_time, mut bound) = (0, 0, 0);
        for seed in 0..20 {
            let blocks = random_blocks(200, seed);
            by_size += end(&blocks, &place_by_size(&blocks));
            by_time += end(&blocks, &place_by_time(&blocks));
            bound += least(&blocks);
        }
        assert!(by_size * 100 <= bound * 115, "by size {by_size}, least {bound}");
        assert!(by_time * 100 <= bound * 150, "by time {by_time}, least {bound}");
    }
}
