//! Numbers before they are rounded to `f32`, where that makes a difference.

use std::ops::Range;
use std::sync::Arc;

use super::targets::rows_of;

/// From how many times its spread on a number is so large that `f32` loses digits of it that tell rows apart.
const MAX_MAGNITUDE: f64 = 1024.0;

/// Numbers `[rows, width]` as they were before they were rounded; none where `f32` has nearly the same digits of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Exact(Option<Arc<[f64]>>);

impl Exact {
    /// The numbers `[rows, width]`, which are kept where some column is far from zero beside how far its numbers are apart.
    pub fn of(numbers: Vec<f64>, width: usize) -> Exact {
        let loses_digits = (0..width).any(|column| {
            let mut numbers = numbers.iter().skip(column).step_by(width).copied();
            let first = numbers.next().unwrap_or_default();
            let (least, most) =
                numbers.fold((first, first), |(least, most), it| (it.min(least), it.max(most)));
            most > least && least.abs().max(most.abs()) > MAX_MAGNITUDE * (most - least)
        });
        Exact(loses_digits.then(|| numbers.into()))
    }

    /// Whether there are such numbers.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// The numbers at these places; `rounded` where none are kept.
    pub fn or<'a>(&'a self, rounded: &'a [f32], places: Range<usize>) -> impl Iterator<Item = f64> + 'a {
        let (exact, rounded) = match &self.0 {
            Some(exact) => (&exact[places], &[][..]),
            None => (&[][..], &rounded[places]),
        };
        exact.iter().copied().chain(rounded.iter().map(|&number| number.into()))
    }

    /// These and after them others, both with what they are rounded to.
    pub fn followed_by(&self, rounded: &[f32], (others, others_rounded): (&Exact, &[f32])) -> Exact {
        let is_kept = self.is_kept() || others.is_kept();
        let all =
            || self.or(rounded, 0..rounded.len()).chain(others.or(others_rounded, 0..others_rounded.len()));
        Exact(is_kept.then(|| all().collect()))
    }

    /// Those of these rows.
    pub fn of_rows(&self, width: usize, rows: &[u32]) -> Exact {
        Exact(self.0.as_ref().map(|all| rows_of(all, width, rows).into()))
    }
}
