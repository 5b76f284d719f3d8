//! In which order the elements of a state lie in memory: its axes in some order, where one may be cut into blocks.

use std::fmt;

use smallvec::SmallVec;

use crate::Shape;

/// In which order the axes of a tensor lie in memory: axis `i` of what is in memory, from the outermost on, is the part
/// `order[i]` of the axes that the user knows. Row-major memory has no axes out of order.
///
/// ```
/// use ir::{AxisOrder, AxisPart, Shape};
/// let channels_last = AxisOrder::new(&[0, 2, 3, 1]);
/// let known = Shape::from([8, 3, 224, 224]);
/// assert_eq!(channels_last.in_memory(&known), Shape::from([8, 224, 224, 3]));
/// assert_eq!(channels_last.known(&channels_last.in_memory(&known)), known);
/// assert!(AxisOrder::new(&[0, 1, 2]).is_row_major());
///
/// let (axis, size) = (0, 32);
/// let panels = [AxisPart::Block { axis, size }, AxisPart::Whole(1), AxisPart::InBlock { axis, size }];
/// let panels = AxisOrder::of_parts(panels);
/// assert_eq!(panels.in_memory(&Shape::from([96, 7])), Shape::from([3, 7, 32]));
/// assert_eq!(panels.to_string(), "0 div 32, 1, 0 mod 32");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AxisOrder(SmallVec<[AxisPart; 4]>);

/// What an axis of memory is of the axes that the user knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AxisPart {
    /// An axis.
    Whole(usize),
    /// The blocks of `size` into which an axis is cut.
    Block {
        /// The axis.
        axis: usize,
        /// How many of its places a block has, which divides the extent.
        size: usize,
    },
    /// The places of a block.
    InBlock {
        /// The axis.
        axis: usize,
        /// How many there are.
        size: usize,
    },
}

impl AxisPart {
    /// The axis that it is of.
    pub fn axis(self) -> usize {
        match self {
            AxisPart::Whole(axis) | AxisPart::Block { axis, .. } | AxisPart::InBlock { axis, .. } => axis,
        }
    }

    /// From one of its places to the next, in those of the axis.
    pub fn step(self) -> usize {
        match self {
            AxisPart::Block { size, .. } => size,
            AxisPart::Whole(_) | AxisPart::InBlock { .. } => 1,
        }
    }

    /// Its extent, where this is that of the axis.
    fn extent(self, of_axis: usize) -> usize {
        match self {
            AxisPart::Whole(_) => of_axis,
            AxisPart::Block { size, .. } => of_axis / size.max(1),
            AxisPart::InBlock { size, .. } => size,
        }
    }
}

impl AxisOrder {
    /// This order, a permutation of the axes.
    pub fn new(order: &[usize]) -> AxisOrder {
        AxisOrder::of_parts(order.iter().map(|&axis| AxisPart::Whole(axis)))
    }

    /// The order of these parts, from the outermost on.
    pub fn of_parts(parts: impl IntoIterator<Item = AxisPart>) -> AxisOrder {
        let parts: SmallVec<[AxisPart; 4]> = parts.into_iter().collect();
        let is_row_major = parts.iter().enumerate().all(|(at, &part)| part == AxisPart::Whole(at));
        AxisOrder(if is_row_major { SmallVec::new() } else { parts })
    }

    /// Whether memory of this shape has each axis once, as a whole or as its blocks and the places in them.
    pub fn fits(&self, in_memory: &Shape) -> bool {
        let is_once = |axis: usize| {
            let mut parts = self.0.iter().zip(in_memory.iter()).filter(|(part, _)| part.axis() == axis);
            match (parts.next(), parts.next(), parts.next()) {
                (Some((AxisPart::Whole(_), _)), None, None) => true,
                (Some(one), Some(other), None) => is_cut(one, other) || is_cut(other, one),
                _ => false,
            }
        };
        let rank = self.0.iter().map(|part| part.axis().saturating_add(1)).max().unwrap_or(0);
        self.is_row_major()
            || (self.0.len() == in_memory.rank() && rank <= self.0.len() && (0..rank).all(is_once))
    }

    /// Whether memory is row-major.
    pub fn is_row_major(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an axis is cut into blocks.
    pub fn is_blocked(&self) -> bool {
        self.0.iter().any(|part| !matches!(part, AxisPart::Whole(_)))
    }

    /// What lies in memory, from the outermost axis on; nothing where memory is row-major.
    pub fn parts(&self) -> &[AxisPart] {
        &self.0
    }

    /// What axis `axis` of memory is.
    pub fn part(&self, axis: usize) -> AxisPart {
        self.0.get(axis).copied().unwrap_or(AxisPart::Whole(axis))
    }

    /// The order where the axes of what is in memory are put in this order, a permutation of them.
    ///
    /// ```
    /// let (reversed, known) = (ir::AxisOrder::new(&[2, 1, 0]), ir::Shape::from([5, 6, 7]));
    /// let order = reversed.then(&[1, 2, 0]);
    /// assert_eq!(order.in_memory(&known), ir::Shape::from([6, 5, 7]));
    /// assert!(reversed.then(&[2, 1, 0]).is_row_major());
    /// ```
    pub fn then(&self, axes: &[usize]) -> AxisOrder {
        AxisOrder::of_parts(axes.iter().map(|&axis| self.part(axis)))
    }

    /// The shape of what is in memory.
    pub fn in_memory(&self, known: &Shape) -> Shape {
        if self.is_row_major() {
            return known.clone();
        }
        self.0.iter().map(|part| part.extent(known[part.axis()])).collect()
    }

    /// The shape that the user knows.
    pub fn known(&self, in_memory: &Shape) -> Shape {
        if self.is_row_major() {
            return in_memory.clone();
        }
        let rank = self.0.iter().map(|part| part.axis().saturating_add(1)).max().unwrap_or(0);
        let mut known = vec![1; rank];
        self.0.iter().zip(in_memory.iter()).for_each(|(part, extent)| known[part.axis()] *= extent);
        known.into_iter().collect()
    }

    /// From a place of each axis of memory to the next, in elements of the row-major tensor that the user knows.
    pub fn steps(&self, known: &Shape) -> SmallVec<[usize; 4]> {
        let strides = known.strides();
        match self.is_row_major() {
            true => strides,
            false => self.0.iter().map(|part| part.step() * strides[part.axis()]).collect(),
        }
    }

    /// For each element in memory, in order, its row-major number in the shape that the user knows.
    pub fn elements(&self, known: &Shape) -> Vec<usize> {
        let in_memory = self.in_memory(known);
        in_memory.iter().zip(self.steps(known)).fold(vec![0], |before, (&extent, step)| {
            let steps = |&first: &usize| (0..extent).map(move |at| first + at * step);
            before.iter().flat_map(steps).collect()
        })
    }
}

/// Whether these parts, each with its extent, are the blocks of an axis and the places in them.
fn is_cut((blocks, _): (&AxisPart, &usize), (places, &count): (&AxisPart, &usize)) -> bool {
    match (blocks, places) {
        (AxisPart::Block { size, .. }, AxisPart::InBlock { size: there, .. }) => {
            size == there && *size == count && count > 0
        }
        _ => false,
    }
}

impl fmt::Display for AxisOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            match part {
                AxisPart::Whole(axis) => write!(f, "{axis}")?,
                AxisPart::Block { axis, size } => write!(f, "{axis} div {size}")?,
                AxisPart::InBlock { axis, size } => write!(f, "{axis} mod {size}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panels(size: usize) -> AxisOrder {
        AxisOrder::of_parts([
            AxisPart::Block { axis: 0, size },
            AxisPart::Whole(1),
            AxisPart::InBlock { axis: 0, size },
        ])
    }

    #[test]
    fn a_cut_axis_is_put_together_again() {
        let known = Shape::from([4, 3]);
        let order = panels(2);
        assert_eq!(order.in_memory(&known), Shape::from([2, 3, 2]));
        assert_eq!(order.known(&order.in_memory(&known)), known);
        assert_eq!(order.elements(&known), [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
        assert_eq!(AxisOrder::default().elements(&known), (0..12).collect::<Vec<usize>>());
    }

    #[test]
    fn an_order_has_each_axis_once() {
        let fits = |parts: &[AxisPart], shape: &[usize]| {
            AxisOrder::of_parts(parts.iter().copied()).fits(&Shape::from(shape))
        };
        let (whole, block, place) = (
            AxisPart::Whole(0),
            AxisPart::Block { axis: 0, size: 4 },
            AxisPart::InBlock { axis: 0, size: 4 },
        );
        assert!(fits(&[block, AxisPart::Whole(1), place], &[3, 7, 4]));
        assert!(fits(&[place, AxisPart::Whole(1), block], &[4, 7, 3]));
        assert!(!fits(&[block, AxisPart::Whole(1), place], &[3, 7, 5]), "a block of another size");
        assert!(!fits(&[block, AxisPart::Whole(1)], &[3, 7]), "no places in blocks");
        assert!(!fits(&[block, whole, place], &[3, 12, 4]), "an axis twice");
        assert!(!fits(&[AxisPart::Whole(1)], &[3]), "an axis is missing");
        assert!(!fits(&[AxisPart::Whole(1), AxisPart::Whole(1)], &[3, 3]));
        assert!(!fits(&[block, place, AxisPart::Whole(usize::MAX - 1)], &[3, 4, 7]));
        assert!(!fits(&[block, AxisPart::InBlock { axis: 0, size: 0 }], &[3, 0]));
    }
}
