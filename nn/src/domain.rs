//! What the elements of an input may be: a loss can be defined for some numbers alone, and says nothing of use of others.

use std::fmt;
use std::str::FromStr;

use ir::{Elements, Error, Tensor};

/// How far the sum of a row of probabilities may be from 1: they are rounded.
const SUM_TOLERANCE: f64 = 1e-3;

/// The numbers that an input of a network is for. Where rows come in (`nnc::Trainer`, `nnc eval`), others are errors.
///
/// ```
/// use ir::Tensor;
/// use nn::Domain;
/// let targets = Tensor::new([3, 1], vec![0.0f32, 1.0, 17.0]).unwrap();
/// let (row, value) = Domain::Probabilities.first_outside(&targets, 3).unwrap();
/// assert_eq!((row, value.as_str()), (2, "17"));
/// assert_eq!(Domain::Probabilities.to_string(), "numbers from 0 to 1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// From 0 to 1.
    Probabilities,
    /// -1 or 1.
    Signs,
    /// Each row probabilities that sum to 1, within 0.001.
    Distribution,
    /// At least 0.
    NotNegative,
    /// Classes below this number, from 0 on.
    Classes(usize),
}

impl Domain {
    /// The first of so many rows that is not in it, from 0, and what is wrong there: an element, or `a sum of 0.5`. The elements are
    /// those of the rows, one row after the other.
    pub fn first_outside(self, elements: &Tensor, rows: usize) -> Option<(usize, String)> {
        let width = elements.shape().elements() / rows.max(1);
        let text = |at: usize| match elements.elements() {
            Elements::F32(elements) => elements[at].to_string(),
            _ => elements.get(at).as_f64().to_string(),
        };
        let of_element = self.position_outside(elements).map(|at| (at / width.max(1), text(at)));
        if self != Domain::Distribution {
            return of_element;
        }
        let whole_rows = of_element.as_ref().map_or(rows, |(row, _)| *row);
        let element = |at: usize| elements.get(at).as_f64();
        let sum = |row: usize| (row * width..(row + 1) * width).map(element).sum::<f64>();
        let is_outside = |sum: &f64| (sum - 1.0).abs() > SUM_TOLERANCE;
        let of_sum = (0..whole_rows).find_map(|row| Some((row, Some(sum(row)).filter(is_outside)?)));
        of_sum.map(|(row, sum)| (row, format!("a sum of {}", sum as f32))).or(of_element)
    }

    /// The first element that is not in it.
    fn position_outside(self, elements: &Tensor) -> Option<usize> {
        // Data sets are of `f32` and `i64`, and may be large.
        match elements.elements() {
            Elements::F32(elements) => elements.iter().position(|&x| !self.contains(f64::from(x))),
            Elements::I64(elements) => elements.iter().position(|&x| !self.contains(x as f64)),
            _ => (0..elements.shape().elements()).find(|&at| !self.contains(elements.get(at).as_f64())),
        }
    }

    fn contains(self, x: f64) -> bool {
        match self {
            Domain::Probabilities | Domain::Distribution => (0.0..=1.0).contains(&x),
            Domain::Signs => x.abs() == 1.0,
            Domain::NotNegative => x >= 0.0,
            Domain::Classes(count) => x >= 0.0 && x < count as f64,
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Domain::Probabilities => f.write_str("numbers from 0 to 1"),
            Domain::Signs => f.write_str("-1 or 1"),
            Domain::Distribution => f.write_str("probabilities that sum to 1"),
            Domain::NotNegative => f.write_str("numbers of at least 0"),
            Domain::Classes(count) => write!(f, "classes below {count}"),
        }
    }
}

impl FromStr for Domain {
    type Err = Error;

    /// What `Display` gives.
    fn from_str(text: &str) -> Result<Domain, Error> {
        use Domain::{Classes, Distribution, NotNegative, Probabilities, Signs};
        let count = text.strip_prefix("classes below ").and_then(|count| count.parse().ok());
        let known = [Probabilities, Signs, Distribution, NotNegative].into_iter();
        known.chain(count.map(Classes)).find(|domain| domain.to_string() == text).ok_or_else(|| {
            let help = "give what `Domain` displays, such as `numbers from 0 to 1`";
            Error::new(text, "no numbers are called so", help)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(width: usize, elements: &[f32]) -> Tensor {
        Tensor::new([elements.len() / width, width], elements.to_vec()).unwrap()
    }

    #[test]
    fn the_first_row_outside_is_told_with_what_is_there() {
        for (domain, elements, expected) in [
            (Domain::Probabilities, [0.0, 1.0, 0.5, -0.25], Some((1, "-0.25"))),
            (Domain::Probabilities, [0.0, 1.0, 0.5, f32::NAN], Some((1, "NaN"))),
            (Domain::Probabilities, [0.0, 1.0, 0.5, 0.25], None),
            (Domain::Signs, [1.0, -1.0, 0.0, 1.0], Some((1, "0"))),
            (Domain::Signs, [1.0, -1.0, -1.0, 1.0], None),
            (Domain::Distribution, [0.25, 0.75, 0.5, 0.25], Some((1, "a sum of 0.75"))),
            (Domain::Distribution, [0.0, 0.0, 2.0, -1.0], Some((0, "a sum of 0"))),
            (Domain::Distribution, [0.0, 1.0, 2.0, -1.0], Some((1, "2"))),
            (Domain::Distribution, [0.1, 0.9, 0.3334, 0.6666], None),
            (Domain::NotNegative, [0.0, 3.0, -1.0, 0.0], Some((1, "-1"))),
        ] {
            let found = domain.first_outside(&tensor(2, &elements), 2);
            assert_eq!(found.as_ref().map(|(row, what)| (*row, what.as_str())), expected, "{domain:?}");
        }
        let labels = Tensor::new([3], vec![0i64, 3, -1]).unwrap();
        assert_eq!(Domain::Classes(3).first_outside(&labels, 3), Some((1, "3".to_owned())));
        assert_eq!(Domain::Classes(4).first_outside(&labels, 3), Some((2, "-1".to_owned())));
        assert_eq!(Domain::Signs.first_outside(&Tensor::new([0, 2], Vec::<f32>::new()).unwrap(), 0), None);
    }

    #[test]
    fn names_read_back() {
        use Domain::{Classes, Distribution, NotNegative, Probabilities, Signs};
        for domain in [Probabilities, Signs, Distribution, NotNegative, Classes(10)] {
            assert_eq!(domain.to_string().parse(), Ok(domain));
        }
        let error = "numbers".parse::<Domain>().unwrap_err().to_string();
        assert!(error.starts_with("numbers: no numbers are called so; give what"), "{error}");
    }
}
