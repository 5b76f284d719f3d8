//! The axes of a slot that all kernels agree on. A kernel may see a slot under another shape of as many elements: a pair of
//! axes for one, or one for a pair. What is between two places where every shape has a border is a *bundle* of axes, and
//! bundles can change places.

use ir::{Plan, Shape, Step};

/// The bundles of a slot, outermost first: for each border between axes that all shapes have, the number of elements behind
/// it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundles {
    /// From the number of all elements down to 1.
    borders: Vec<usize>,
}

/// The bundles of each slot.
pub fn bundles(plan: &Plan) -> Vec<Bundles> {
    let mut bundles: Vec<Bundles> =
        plan.slots.iter().map(|slot| Bundles { borders: borders(&slot.ty.shape) }).collect();
    for step in plan.prepare.iter().chain(&plan.steps) {
        let Step::Call { kernel, slots } = step else { continue };
        for ((_, buffer), slot) in plan.kernel(*kernel).parameters().zip(slots) {
            let others = borders(&buffer.ty.shape);
            bundles[slot.0 as usize].borders.retain(|border| others.contains(border));
        }
    }
    bundles
}

/// Whether one that sees a tensor of this shape under another shape sees several of its axes as one.
pub fn flattens(shape: &Shape, seen: &Shape) -> bool {
    let seen = borders(seen);
    borders(shape).iter().any(|border| !seen.contains(border))
}

/// The number of elements behind each border between axes. Axes of extent 1 have none of their own.
fn borders(shape: &Shape) -> Vec<usize> {
    let mut borders = vec![shape.elements()];
    for (&extent, &stride) in shape.iter().zip(&shape.strides()) {
        if extent != 1 {
            borders.push(stride);
        }
    }
    borders.dedup();
    borders
}

impl Bundles {
    /// How many there are. An empty slot has none that could be moved.
    pub fn len(&self) -> usize {
        if self.borders.contains(&0) { 0 } else { self.borders.len() - 1 }
    }

    /// Whether axes of a shape of as many elements are in one bundle, because others see them as one.
    pub fn merge_axes_of(&self, shape: &Shape) -> bool {
        borders(shape).iter().any(|border| !self.borders.contains(border))
    }

    /// The extent of a bundle.
    pub fn extent(&self, bundle: usize) -> usize {
        self.borders[bundle] / self.borders[bundle + 1]
    }

    /// The axes of a shape that are in a bundle.
    pub fn axes_of(&self, shape: &Shape, bundle: usize) -> Vec<usize> {
        let (all, rest) = (self.borders[bundle], self.borders[bundle + 1]);
        let strides = shape.strides();
        (0..shape.rank())
            .filter(|&axis| shape[axis] != 1 && strides[axis] < all && strides[axis] >= rest)
            .collect()
    }

    /// The axes of a shape where its bundles are in this order; axes of extent 1 come first.
    pub fn axes_in_order(&self, shape: &Shape, order: &[usize]) -> Vec<usize> {
        let is_in_order = order.iter().enumerate().all(|(at, &bundle)| at == bundle);
        if is_in_order {
            return (0..shape.rank()).collect();
        }
        let ones = (0..shape.rank()).filter(|&axis| shape[axis] == 1);
        ones.chain(order.iter().flat_map(|&bundle| self.axes_of(shape, bundle))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_are_what_all_shapes_agree_on() {
        let image = Shape::from([8, 64, 16, 16]);
        let mut bundles = Bundles { borders: borders(&image) };
        assert_eq!(bundles.len(), 4);
        let pooled = Shape::from([8, 1, 64, 8, 2, 8, 2]);
        bundles.borders.retain(|border| borders(&pooled).contains(border));
        assert_eq!(bundles.len(), 4);
        assert_eq!(bundles.axes_of(&pooled, 2), [3, 4]);
        assert_eq!(bundles.axes_in_order(&pooled, &[0, 2, 3, 1]), [1, 0, 3, 4, 5, 6, 2]);
        let flat = Shape::from([8, 64 * 256]);
        bundles.borders.retain(|border| borders(&flat).contains(border));
        assert_eq!(bundles.axes_of(&image, 1), [1, 2, 3]);
        assert_eq!(bundles.axes_in_order(&image, &[1, 0]), [1, 2, 3, 0]);
    }

    #[test]
    fn what_is_empty_has_no_bundles() {
        assert_eq!(Bundles { borders: borders(&Shape::from([3, 0, 2])) }.len(), 0);
        assert_eq!(Bundles { borders: borders(&Shape::scalar()) }.len(), 0);
    }
}
