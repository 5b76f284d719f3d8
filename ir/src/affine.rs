//! Affine functions of loop axes: `3*i + j - 1`.

use smallvec::SmallVec;

/// A loop axis: of a kernel (an index into [`crate::Kernel::axes`]) or, inside a [`crate::View`], an axis of the
/// result that is being computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AxisId(pub u32);

/// `constant + sum of coefficient * axis`. Terms are sorted by axis and have coefficients other than 0, so equal
/// functions are equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Affine {
    constant: i64,
    terms: SmallVec<[(AxisId, i64); 2]>,
}

impl Affine {
    /// The constant function.
    pub fn constant(constant: i64) -> Affine {
        Affine { constant, terms: SmallVec::new() }
    }

    /// The function that is `axis` itself.
    pub fn axis(axis: AxisId) -> Affine {
        Affine { constant: 0, terms: SmallVec::from_elem((axis, 1), 1) }
    }

    /// The part that depends on no axis.
    pub fn offset(&self) -> i64 {
        self.constant
    }

    /// The axes it depends on, ascending, each with its coefficient, which is not 0.
    pub fn terms(&self) -> &[(AxisId, i64)] {
        &self.terms
    }

    /// The coefficient of `axis`, 0 where the function does not depend on it.
    pub fn coefficient(&self, axis: AxisId) -> i64 {
        self.terms.iter().find(|term| term.0 == axis).map_or(0, |term| term.1)
    }

    /// `self + other`.
    pub fn plus(&self, other: &Affine) -> Affine {
        let mut sum = self.clone();
        sum.constant += other.constant;
        for &(axis, coefficient) in &other.terms {
            match sum.terms.binary_search_by_key(&axis, |term| term.0) {
                Ok(at) => sum.terms[at].1 += coefficient,
                Err(at) => sum.terms.insert(at, (axis, coefficient)),
            }
        }
        sum.terms.retain(|term| term.1 != 0);
        sum
    }

    /// `factor * self`.
    pub fn times(&self, factor: i64) -> Affine {
        let mut product = self.clone();
        product.constant *= factor;
        product.terms.iter_mut().for_each(|term| term.1 *= factor);
        product.terms.retain(|term| term.1 != 0);
        product
    }

    /// `self + constant`.
    pub fn shifted(&self, constant: i64) -> Affine {
        Affine { constant: self.constant + constant, terms: self.terms.clone() }
    }

    /// The function with `value(axis)` in the place of each axis.
    pub fn substitute(&self, value: impl Fn(AxisId) -> Affine) -> Affine {
        let start = Affine::constant(self.constant);
        self.terms.iter().fold(start, |sum, &(axis, k)| sum.plus(&value(axis).times(k)))
    }

    /// The value where each axis has the value `at(axis)`.
    pub fn evaluate(&self, at: impl Fn(AxisId) -> i64) -> i64 {
        self.terms.iter().fold(self.constant, |sum, &(axis, k)| sum + k * at(axis))
    }

    /// The least and the greatest value over `0 <= axis < extent(axis)`, for extents of at least 1.
    pub fn range(&self, extent: impl Fn(AxisId) -> usize) -> (i64, i64) {
        let start = (self.constant, self.constant);
        self.terms.iter().fold(start, |(low, high), &(axis, k)| {
            let last = k * (extent(axis) as i64 - 1);
            (low + last.min(0), high + last.max(0))
        })
    }
}
