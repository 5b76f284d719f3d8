//! Which arrays of targets are classes, and which are values: the rules of tables ([`csv`](super::csv)), for arrays of NumPy.
//!
//! Texts and booleans are classes. Integers are, where they are few (at most 100, with five rows each on average, or two at all) or
//! count from 0 or 1 without gaps; so are `[rows, classes]` of integers or booleans with a single 1 in each row. Other integers, and
//! all floating-point numbers, are values. `[rows, 1]` is `[rows]`.

use std::collections::BTreeMap;

use super::Targets;
use super::targets::MAX_CLASSES;
use crate::error::quoted;
use crate::npy::{Array, Element};
use crate::{Error, memory};

/// More different integers are values, but for those without gaps.
const MAX_INTEGER_CLASSES: usize = 100;
/// With fewer rows per integer on average, they are values.
const ROWS_PER_CLASS: usize = 5;
/// The most classes that an error lists.
const SHOWN_CLASSES: usize = 12;

/// What a row is of, by the array alone.
enum Read {
    /// The class of each row, and the names of the classes.
    Classes(Vec<i64>, Vec<String>),
    /// A class or a value for each row.
    Integers(Vec<i64>),
    /// Values.
    Values,
}

/// The targets that an array `[rows]` or `[rows, ..]` holds; with those that a model is trained on, of the same classes. `None`
/// where it has another shape.
///
/// # Errors
/// Where a row is of a class that those to train on have not, there are more than [`MAX_CLASSES`] classes, or a number is none that
/// `f32` has.
pub fn targets_of(y: &Array<'_>, train: Option<&Targets>) -> Result<Option<Targets>, Error> {
    let width = match y.shape()[..] {
        [_] => None,
        [_, 1] => None,
        [_, width] => Some(width),
        _ => return Ok(None),
    };
    let read = match (read(y, width)?, train) {
        (None, _) => return Ok(None),
        (Some(Read::Integers(labels)), Some(Targets::Values { .. })) if !labels.is_empty() => Read::Values,
        (Some(Read::Integers(labels)), None) if !are_classes(&labels) => Read::Values,
        (Some(Read::Integers(labels)), _) => {
            let (labels, names) = numbered(labels, |integer| integer.to_string(), y.subject())?;
            Read::Classes(labels, names)
        }
        (Some(read), _) => read,
    };
    Ok(Some(match (read, train) {
        (Read::Classes(labels, names), Some(Targets::Classes { names: known, .. })) => {
            among(labels, &names, known, y.subject())?
        }
        (Read::Classes(labels, names), _) => Targets::Classes { labels, names },
        (_, _) => Targets::values(y.features()?, width.unwrap_or(1)),
    }))
}

/// The numbers of these classes, by which a model of classes of these names knows them: an array `[rows]` of names, or of integers
/// where the names are none. `None` where it has another shape or dtype.
///
/// # Errors
/// Where a row is of none of the classes.
pub fn labels_of(y: &Array<'_>, names: &[String]) -> Result<Option<Vec<i64>>, Error> {
    let are_integers = names.iter().all(|name| name.parse::<i64>().is_ok());
    if y.shape().rank() == 1 && !are_integers && y.element() != Element::Bool && y.integers()?.is_some() {
        return y.integers();
    }
    let known = Targets::Classes { labels: Vec::new(), names: names.to_vec() };
    Ok(match targets_of(y, Some(&known))? {
        Some(Targets::Classes { labels, .. }) => Some(labels),
        _ => None,
    })
}

/// What an array holds; `None` where it is of texts and has several of a row.
fn read(y: &Array<'_>, width: Option<usize>) -> Result<Option<Read>, Error> {
    if let Some(texts) = y.texts()? {
        if width.is_some() {
            return Ok(None);
        }
        let (labels, names) = numbered(texts, |text| text, y.subject())?;
        return Ok(Some(Read::Classes(labels, names)));
    }
    let Some(integers) = y.integers()? else { return Ok(Some(Read::Values)) };
    Ok(Some(match width {
        None if y.element() == Element::Bool => {
            let name = |integer| if integer == 0 { "False" } else { "True" }.to_owned();
            let (labels, names) = numbered(integers, name, y.subject())?;
            Read::Classes(labels, names)
        }
        None => Read::Integers(integers),
        Some(width) => match one_hot(&integers, width) {
            Some(labels) => Read::Classes(labels, (0..width).map(|class| class.to_string()).collect()),
            None => Read::Values,
        },
    }))
}

/// The classes of these rows, and their names, in the order of what they stand for.
fn numbered<T: Ord + Clone>(
    rows: Vec<T>,
    name: impl Fn(T) -> String,
    subject: &str,
) -> Result<(Vec<i64>, Vec<String>), Error> {
    let mut classes: BTreeMap<T, i64> = BTreeMap::new();
    for row in &rows {
        if !classes.contains_key(row) {
            classes.insert(row.clone(), 0);
        }
        if classes.len() > MAX_CLASSES {
            let problem = format!("it has more than {MAX_CLASSES} classes");
            return Err(Error::invalid(subject, problem, "give fewer; numbers are values as floats"));
        }
    }
    classes.values_mut().zip(0..).for_each(|(class, label)| *class = label);
    let mut labels = memory::vector(subject, rows.len())?;
    labels.extend(rows.iter().map(|row| classes[row]));
    Ok((labels, classes.into_keys().map(name).collect()))
}

/// Whether integers are classes.
fn are_classes(labels: &[i64]) -> bool {
    let mut different = std::collections::BTreeSet::new();
    for &label in labels {
        different.insert(label);
        if different.len() > MAX_CLASSES {
            return false;
        }
    }
    let count = different.len();
    let is_few = count <= 2 || (count <= MAX_INTEGER_CLASSES && count * ROWS_PER_CLASS <= labels.len());
    let (first, last) = (different.first().copied().unwrap_or(0), different.last().copied().unwrap_or(0));
    is_few || ((0..=1).contains(&first) && last - first + 1 == count as i64)
}

/// The place of the 1 in each row of `width` integers; `None` where a row has another number of them, or others than 0 and 1.
fn one_hot(integers: &[i64], width: usize) -> Option<Vec<i64>> {
    let place = |row: &[i64]| {
        let is_sound = row.iter().all(|integer| (0..=1).contains(integer)) && row.iter().sum::<i64>() == 1;
        row.iter().position(|&integer| integer == 1).filter(|_| is_sound).map(|place| place as i64)
    };
    integers.chunks_exact(width.max(1)).map(place).collect()
}

/// Labels of classes of these names as those of classes of known names.
fn among(labels: Vec<i64>, names: &[String], known: &[String], subject: &str) -> Result<Targets, Error> {
    let places: BTreeMap<&String, i64> = known.iter().zip(0..).collect();
    let places: Vec<Option<i64>> = names.iter().map(|name| places.get(name).copied()).collect();
    let of_row = |(row, label): (usize, i64)| {
        places[label as usize].ok_or_else(|| {
            let name = quoted(&names[label as usize]);
            let problem = format!("row {row} is of class {name}, which no row to train on is of");
            let shown =
                known.iter().take(SHOWN_CLASSES).map(String::as_str).collect::<Vec<&str>>().join(", ");
            let dots = if known.len() > SHOWN_CLASSES { ", .." } else { "" };
            Error::invalid(subject, problem, format!("give rows of these classes: {shown}{dots}"))
        })
    };
    let labels = labels.into_iter().enumerate().map(of_row).collect::<Result<_, _>>()?;
    Ok(Targets::Classes { labels, names: known.to_vec() })
}

#[cfg(test)]
mod tests {
    use ir::{Shape, Tensor};

    use super::*;
    use crate::npy::tests::{file, header};

    /// The targets that a file of this descriptor, shape and bytes holds.
    fn targets(
        descriptor: &str,
        shape: &str,
        data: &[u8],
        train: Option<&Targets>,
    ) -> Result<Option<Targets>, String> {
        let file = file(&header(descriptor, "False", shape), data);
        let y = Array::of(&file, "y").unwrap();
        targets_of(&y, train).map_err(|error| error.to_string())
    }

    fn of_integers(
        shape: impl Into<Shape>,
        integers: &[i64],
        train: Option<&Targets>,
    ) -> Result<Targets, String> {
        let mut file = Vec::new();
        crate::npy::encode(&Tensor::new(shape, integers.to_vec()).unwrap(), &mut file).unwrap();
        let y = Array::of(&file, "y").unwrap();
        targets_of(&y, train).map(Option::unwrap).map_err(|error| error.to_string())
    }

    fn classes(labels: &[i64], names: &[&str]) -> Targets {
        Targets::Classes {
            labels: labels.to_vec(),
            names: names.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn texts_and_booleans_are_classes() {
        let y = targets("|S3", "(4,)", b"dogcatdogcat", None).unwrap().unwrap();
        assert_eq!(y, classes(&[1, 0, 1, 0], &["cat", "dog"]));
        assert_eq!(
            targets("|S3", "(2, 1)", b"dogcat", None).unwrap().unwrap(),
            classes(&[1, 0], &["cat", "dog"])
        );
        assert_eq!(targets("|S3", "(1, 2)", b"dogcat", None).unwrap(), None);
        let y = targets("|b1", "(3,)", &[1, 0, 1], None).unwrap().unwrap();
        assert_eq!(y, classes(&[1, 0, 1], &["False", "True"]));
    }

    #[test]
    fn few_integers_and_those_without_gaps_are_classes_and_others_values() {
        assert_eq!(of_integers([3], &[0, 2, 1], None).unwrap(), classes(&[0, 2, 1], &["0", "1", "2"]));
        assert_eq!(of_integers([3, 1], &[2, 1, 3], None).unwrap(), classes(&[1, 0, 2], &["1", "2", "3"]));
        assert_eq!(of_integers([3], &[7, -1, 7], None).unwrap(), classes(&[1, 0, 1], &["-1", "7"]));
        assert_eq!(of_integers([3], &[2, 3, 4], None).unwrap(), Targets::values(vec![2.0, 3.0, 4.0], 1));
        let fives = [2, 3, 9].repeat(5);
        assert_eq!(of_integers([15], &fives, None).unwrap().names(), ["2", "3", "9"]);
        let many: Vec<i64> = (0..1000).collect();
        assert_eq!(of_integers([1000], &many, None).unwrap().names().len(), 1000);
        let gap: Vec<i64> = (0..1010).filter(|integer| integer % 101 != 7).collect();
        assert_eq!(of_integers([gap.len()], &gap, None).unwrap().names(), ["0"]);
        let large = of_integers([3], &[1 << 25, (1 << 25) + 1, 0], None).unwrap_err();
        assert!(large.contains("row 1, column 0 holds 33554433, which f32 has not"), "{large}");
    }

    #[test]
    fn a_single_1_in_each_row_is_its_class() {
        let hot = of_integers([2, 3], &[0, 0, 1, 1, 0, 0], None).unwrap();
        assert_eq!(hot, classes(&[2, 0], &["0", "1", "2"]));
        assert_eq!(
            targets("|b1", "(2, 2)", &[0, 1, 1, 0], None).unwrap().unwrap(),
            classes(&[1, 0], &["0", "1"])
        );
        let several = of_integers([2, 2], &[1, 1, 1, 0], None).unwrap();
        assert_eq!(several, Targets::values(vec![1.0, 1.0, 1.0, 0.0], 2));
        assert_eq!(of_integers([1, 2], &[2, -1], None).unwrap(), Targets::values(vec![2.0, -1.0], 2));
    }

    #[test]
    fn floats_are_values() {
        let y = targets("<f2", "(2, 1)", &[0, 0x3c, 0, 0], None).unwrap().unwrap();
        assert_eq!(y, Targets::values(vec![1.0, 0.0], 1));
        assert_eq!(targets("<f4", "(1, 2, 2)", &[0; 16], None).unwrap(), None);
        assert_eq!(targets("<f4", "()", &[0; 4], None).unwrap(), None);
    }

    #[test]
    fn rows_to_test_on_are_of_the_classes_to_train_on() {
        let train = classes(&[0, 1, 2], &["3", "5", "7"]);
        assert_eq!(of_integers([2], &[7, 3], Some(&train)).unwrap(), classes(&[2, 0], &["3", "5", "7"]));
        let expected =
            "y: row 1 is of class \"4\", which no row to train on is of; give rows of these classes: 3, 5, 7";
        assert_eq!(of_integers([2], &[7, 4], Some(&train)).unwrap_err(), expected);
        let values = Targets::values(vec![0.5], 1);
        assert_eq!(of_integers([2], &[0, 1], Some(&values)).unwrap(), Targets::values(vec![0.0, 1.0], 1));
        let many: Vec<i64> = (0..65_537).collect();
        let error = of_integers([65_537], &many, Some(&train)).unwrap_err();
        assert_eq!(error, "y: it has more than 65536 classes; give fewer; numbers are values as floats");
    }

    #[test]
    fn labels_are_names_of_classes_or_their_numbers() {
        let labels = |integers: &[i64], names: [&str; 2]| {
            let mut file = Vec::new();
            crate::npy::encode(&Tensor::new([integers.len()], integers.to_vec()).unwrap(), &mut file)
                .unwrap();
            let y = Array::of(&file, "y").unwrap();
            labels_of(&y, &names.map(str::to_owned)).map_err(|error| error.to_string())
        };
        assert_eq!(labels(&[5, 3], ["3", "5"]), Ok(Some(vec![1, 0])));
        assert_eq!(labels(&[1, 0], ["cat", "dog"]), Ok(Some(vec![1, 0])));
        assert!(
            labels(&[4], ["3", "5"]).unwrap_err().starts_with("y: row 0 is of class \"4\", which no row")
        );
    }
}
