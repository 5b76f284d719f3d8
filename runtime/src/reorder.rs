//! Copies of tensors from memory in one order of axes to memory in another.
//!
//! Both orders are loops over the same parts of axes, with a step through each memory. Two of them have steps of 1, one for
//! each memory: they are the innermost loops, in tiles, so that lines of the cache are read and written as a whole.

use ir::{AxisOrder, AxisPart, Shape};
use smallvec::SmallVec;

/// A loop of a copy: how often it runs, and its steps through what is read and what is written, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loop {
    /// How often it runs.
    pub extent: usize,
    /// The step through what is read.
    pub from: usize,
    /// The step through what is written.
    pub to: usize,
}

/// The loops of a copy, in the row-major order of what is copied.
pub type Loops = SmallVec<[Loop; 8]>;

/// The loops that copy a tensor of shape `known` from one order to another; `None` where an axis is cut into blocks that
/// are not blocks of each other.
pub fn loops(known: &Shape, from: &AxisOrder, to: &AxisOrder) -> Option<Loops> {
    let [from_strides, to_strides] = [from, to].map(|order| order.in_memory(known).strides());
    let mut loops = Loops::new();
    for (axis, &extent) in known.iter().enumerate() {
        let mut sizes = [block(from, axis), block(to, axis), Some(1)];
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let mut end = extent;
        for size in sizes.into_iter().flatten() {
            if !end.is_multiple_of(size) {
                return None;
            }
            let step = |order: &AxisOrder, strides: &[usize]| step(order, strides, axis, size);
            let steps = (step(from, &from_strides), step(to, &to_strides));
            loops.push(Loop { extent: end / size, from: steps.0, to: steps.1 });
            end = size;
        }
    }
    Some(loops)
}

/// The size of the blocks into which an order cuts an axis.
fn block(order: &AxisOrder, axis: usize) -> Option<usize> {
    order.parts().iter().find_map(|part| match *part {
        AxisPart::Block { axis: other, size } if other == axis => Some(size),
        _ => None,
    })
}

/// The step through memory of so many places of an axis, which are whole blocks or within one.
fn step(order: &AxisOrder, strides: &[usize], axis: usize, places: usize) -> usize {
    let in_block = block(order, axis).is_some_and(|size| places < size);
    let is_it = |at: &usize| match order.part(*at) {
        AxisPart::Whole(other) => other == axis,
        AxisPart::Block { axis: other, .. } => other == axis && !in_block,
        AxisPart::InBlock { axis: other, .. } => other == axis && in_block,
    };
    let at = (0..strides.len()).find(is_it).expect("an order has all places of each axis");
    strides[at] * (places / order.part(at).step())
}

/// Runs loops: copies elements of `size` bytes.
pub fn copy(loops: &[Loop], size: usize, from: &[u8], to: &mut [u8]) {
    match size {
        1 => copy_elements(loops, from, to),
        4 => copy_elements::<u32>(loops, bytemuck::cast_slice(from), bytemuck::cast_slice_mut(to)),
        8 => copy_elements::<u64>(loops, bytemuck::cast_slice(from), bytemuck::cast_slice_mut(to)),
        other => unreachable!("no dtype has elements of {other} bytes"),
    }
}

fn copy_elements<T: Copy>(loops: &[Loop], from: &[T], to: &mut [T]) {
    if loops.iter().any(|it| it.extent == 0) {
        return;
    }
    let mut outer = merged(loops);
    let inner = outer.pop();
    let across = inner.filter(|inner| inner.from != 1).and_then(|_| take_least(&mut outer));
    let mut at = vec![0; outer.len()];
    loop {
        let place =
            |step: fn(&Loop) -> usize| outer.iter().zip(&at).map(|(it, at)| step(it) * at).sum::<usize>();
        let (from, to) = (&from[place(|it| it.from)..], &mut to[place(|it| it.to)..]);
        match (inner, across) {
            (None, _) => to[0] = from[0],
            (Some(inner), None) => copy_run(inner, from, to),
            (Some(inner), Some(across)) => copy_tiles(inner, across, from, to),
        }
        // The next place, the last loop first.
        let mut next = outer.len();
        loop {
            let Some(before) = next.checked_sub(1) else { return };
            at[before] += 1;
            if at[before] < outer[before].extent {
                break;
            }
            at[before] = 0;
            next = before;
        }
    }
}

/// The loops by their steps through what is written, the longest first, where two that are one are merged.
fn merged(loops: &[Loop]) -> Loops {
    let mut sorted: Loops = loops.iter().copied().filter(|it| it.extent != 1).collect();
    sorted.sort_by_key(|it| std::cmp::Reverse(it.to));
    let mut merged = Loops::new();
    for inner in sorted {
        match merged.last_mut() {
            Some(outer) if outer.to == inner.to * inner.extent && outer.from == inner.from * inner.extent => {
                *outer = Loop { extent: outer.extent * inner.extent, ..inner };
            }
            _ => merged.push(inner),
        }
    }
    merged
}

/// Takes out the loop with the least step through what is read.
fn take_least(loops: &mut Loops) -> Option<Loop> {
    let least = (0..loops.len()).min_by_key(|&at| loops[at].from)?;
    Some(loops.remove(least))
}

fn copy_run<T: Copy>(run: Loop, from: &[T], to: &mut [T]) {
    if run.from == 1 && run.to == 1 {
        to[..run.extent].copy_from_slice(&from[..run.extent]);
        return;
    }
    for at in 0..run.extent {
        to[at * run.to] = from[at * run.from];
    }
}

/// Copies along two loops, tile by tile: rows of what is read become columns of what is written.
fn copy_tiles<T: Copy>(inner: Loop, across: Loop, from: &[T], to: &mut [T]) {
    /// The elements of a line of the cache.
    const WIDTH: usize = 16;
    const HEIGHT: usize = 64;
    for left in (0..across.extent).step_by(WIDTH) {
        let right = across.extent.min(left + WIDTH);
        for top in (0..inner.extent).step_by(HEIGHT) {
            for row in top..inner.extent.min(top + HEIGHT) {
                let (from, to) = (&from[row * inner.from..], &mut to[row * inner.to..]);
                for column in left..right {
                    to[column * across.to] = from[column * across.from];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(axis: usize, size: usize, rest: &[usize]) -> AxisOrder {
        let rest = rest.iter().map(|&axis| AxisPart::Whole(axis));
        let (first, last) = (AxisPart::Block { axis, size }, AxisPart::InBlock { axis, size });
        AxisOrder::of_parts([first].into_iter().chain(rest).chain([last]))
    }

    /// Checks a copy, element by element, by what the orders say of each.
    fn check(known: &[usize], from: &AxisOrder, to: &AxisOrder) {
        let known = Shape::from(known);
        let elements: Vec<u32> = from.elements(&known).into_iter().map(|element| element as u32).collect();
        let mut copied = vec![u32::MAX; elements.len()];
        let loops = loops(&known, from, to).expect("blocks are blocks of each other");
        copy(&loops, 4, bytemuck::cast_slice(&elements), bytemuck::cast_slice_mut(&mut copied));
        let expected: Vec<u32> = to.elements(&known).into_iter().map(|element| element as u32).collect();
        assert_eq!(copied, expected, "{known} from ({from}) to ({to})");
    }

    #[test]
    fn elements_go_where_the_orders_say() {
        let orders: [AxisOrder; 5] = [
            AxisOrder::default(),
            AxisOrder::new(&[2, 1, 0]),
            blocks(0, 32, &[1, 2]),
            blocks(0, 16, &[2, 1]),
            blocks(2, 5, &[1, 0]),
        ];
        for from in &orders {
            for to in &orders {
                check(&[96, 7, 35], from, to);
            }
        }
        check(&[64, 1, 5], &blocks(0, 64, &[1, 2]), &blocks(0, 32, &[2, 1]));
        check(&[0, 7, 5], &AxisOrder::default(), &blocks(2, 5, &[1, 0]));
        check(&[], &AxisOrder::default(), &AxisOrder::default());
    }

    #[test]
    fn elements_of_all_sizes_are_copied() {
        let loops = [Loop { extent: 3, from: 2, to: 1 }, Loop { extent: 2, from: 1, to: 3 }];
        let mut bytes = [0; 6];
        copy(&loops, 1, &[1, 2, 3, 4, 5, 6], &mut bytes);
        assert_eq!(bytes, [1, 3, 5, 2, 4, 6]);
        let mut words = [0_u64; 6];
        copy(&loops, 8, bytemuck::cast_slice(&[1_u64, 2, 3, 4, 5, 6]), bytemuck::cast_slice_mut(&mut words));
        assert_eq!(words, [1, 3, 5, 2, 4, 6]);
    }

    #[test]
    fn blocks_that_are_no_blocks_of_each_other_have_no_common_loops() {
        let known = Shape::from([48, 2]);
        assert_eq!(loops(&known, &blocks(0, 16, &[1]), &blocks(0, 24, &[1])), None);
    }

    #[test]
    fn loops_that_are_one_are_merged() {
        let rows = Loop { extent: 3, from: 8, to: 8 };
        assert_eq!(
            merged(&[rows, Loop { extent: 8, from: 1, to: 1 }])[..],
            [Loop { extent: 24, from: 1, to: 1 }]
        );
    }
}
