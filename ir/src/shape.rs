//! Static shapes, and the type of a value: its element type and its shape.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

use crate::DType;
use crate::text::MAX_ELEMENTS;

/// The extents of a tensor's axes, outermost first. Rank 0 is a scalar; an extent of 0 is an empty tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape(SmallVec<[usize; 4]>);

impl Shape {
    /// The shape with these extents.
    pub fn new(extents: &[usize]) -> Shape {
        Shape(SmallVec::from_slice(extents))
    }

    /// The shape of rank 0.
    pub fn scalar() -> Shape {
        Shape::default()
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The number of elements: the product of the extents, 1 for a scalar. It saturates.
    pub fn elements(&self) -> usize {
        self.0.iter().fold(1, |product: usize, &extent| product.saturating_mul(extent))
    }

    /// Row-major strides, in elements: the last axis has stride 1.
    pub fn strides(&self) -> SmallVec<[usize; 4]> {
        let mut strides = SmallVec::from_elem(1, self.rank());
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis] * self.0[axis];
        }
        strides
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(extents: I) -> Shape {
        Shape(extents.into_iter().collect())
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(extents: [usize; N]) -> Shape {
        Shape::new(&extents)
    }
}

impl From<&[usize]> for Shape {
    fn from(extents: &[usize]) -> Shape {
        Shape::new(extents)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (axis, extent) in self.0.iter().enumerate() {
            if axis > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{extent}")?;
        }
        f.write_str("]")
    }
}

/// The type of a value: `f32[2, 3]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Type {
    /// The type of each element.
    pub dtype: DType,
    /// The extents of the axes.
    pub shape: Shape,
}

impl Type {
    /// The type of a tensor of `shape` with elements of `dtype`.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Type {
        Type { dtype, shape: shape.into() }
    }

    /// The size of the dense, row-major tensor in memory, in bytes. It saturates.
    pub fn size_bytes(&self) -> usize {
        self.shape.elements().saturating_mul(self.dtype.size_bytes())
    }

    /// Whether it has at most [`MAX_ELEMENTS`] elements, extents of 0 counted as 1. Then no product of some of the extents
    /// with an element's size can overflow.
    pub fn is_within_limit(&self) -> bool {
        let extents =
            self.shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent.max(1)));
        extents.is_some_and(|product| product <= MAX_ELEMENTS)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}
