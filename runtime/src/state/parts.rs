//! A state in parts, each of which lies in memory in loops: so that who writes it needs no second copy of the whole.

use std::ops::Range;

use ir::{AxisOrder, Shape};

use crate::reorder::{self, Loop, Loops};

/// About so many elements are in a part.
const PART_ELEMENTS: usize = 1 << 20;

/// A part of a tensor.
pub struct Part {
    /// Its elements in row-major order.
    pub elements: Range<usize>,
    /// The loops that copy it from there into the memory of the tensor,
    pub loops: Loops,
    /// from this element of the memory on.
    pub to: usize,
}

/// The parts of a tensor of shape `known` that lies in memory in `order`, in ascending order.
pub fn parts(known: &Shape, order: &AxisOrder) -> Vec<Part> {
    parts_of(known, order, PART_ELEMENTS)
}

fn parts_of(known: &Shape, order: &AxisOrder, most: usize) -> Vec<Part> {
    let loops = reorder::loops(known, &AxisOrder::default(), order).expect("one order has no blocks");
    if loops.iter().any(|it| it.extent == 0) {
        return Vec::new();
    }
    // Some iterations of one loop are a part; the loops around it are unrolled.
    let cut = loops.iter().position(|it| it.from <= most).unwrap_or(loops.len());
    let Some(&Loop { extent, from, to }) = loops.get(cut) else {
        return vec![Part { elements: 0..1, loops, to: 0 }];
    };
    let count = (most / from.max(1)).max(1);
    let mut parts = Vec::new();
    for (first, first_to) in places(&loops[..cut]) {
        for at in (0..extent).step_by(count) {
            let count = count.min(extent - at);
            let start = first + at * from;
            let mut inner = Loops::from_slice(&loops[cut..]);
            inner[0].extent = count;
            parts.push(Part { elements: start..start + count * from, loops: inner, to: first_to + at * to });
        }
    }
    parts
}

/// Where each iteration of some loops starts, in what is read and what is written.
fn places(loops: &[Loop]) -> Vec<(usize, usize)> {
    loops.iter().fold(vec![(0, 0)], |before, it| {
        let iterations = |&(from, to): &(usize, usize)| {
            (0..it.extent).map(move |at| (from + at * it.from, to + at * it.to))
        };
        before.iter().flat_map(iterations).collect()
    })
}

#[cfg(test)]
mod tests {
    use ir::AxisPart;

    use super::*;

    /// The elements of the parts of `f32[6, 4, 5]`, one part after the other, and what lies in memory after all copies.
    fn copied(order: &AxisOrder, most: usize) -> (Vec<Range<usize>>, Vec<u32>) {
        let known = Shape::from([6, 4, 5]);
        let mut memory = vec![u32::MAX; known.elements()];
        let parts = parts_of(&known, order, most);
        for Part { elements, loops, to } in &parts {
            let values: Vec<u32> = elements.clone().map(|element| element as u32).collect();
            let memory = bytemuck::cast_slice_mut(&mut memory[*to..]);
            reorder::copy(loops, 4, bytemuck::cast_slice(&values), memory);
        }
        (parts.into_iter().map(|part| part.elements).collect(), memory)
    }

    #[test]
    fn parts_are_the_whole_in_ascending_order() {
        let (axis, size) = (0, 3);
        let panels = [
            AxisPart::Block { axis, size },
            AxisPart::Whole(2),
            AxisPart::Whole(1),
            AxisPart::InBlock { axis, size },
        ];
        for order in [AxisOrder::default(), AxisOrder::new(&[2, 0, 1]), AxisOrder::of_parts(panels)] {
            for most in [1, 5, 7, 20, 59, 60, 120, 1000] {
                let (ranges, memory) = copied(&order, most);
                let elements: Vec<usize> = ranges.iter().cloned().flatten().collect();
                assert_eq!(elements, (0..120).collect::<Vec<usize>>(), "({order}) {most}");
                assert!(ranges.iter().all(|range| range.len() <= most), "({order}) {most}: {ranges:?}");
                let expected = order.elements(&Shape::from([6, 4, 5]));
                assert!(memory.iter().map(|&it| it as usize).eq(expected), "({order}) {most}");
            }
        }
    }

    #[test]
    fn what_is_empty_has_no_parts_and_a_scalar_one() {
        assert!(parts(&Shape::from([3, 0]), &AxisOrder::default()).is_empty());
        let scalar = parts(&Shape::scalar(), &AxisOrder::default());
        assert_eq!(scalar.iter().map(|part| part.elements.clone()).collect::<Vec<_>>(), vec![0..1]);
    }
}
