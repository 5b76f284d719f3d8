//! Data sets in NumPy's archives: arrays `x` and `y`, or `x_train`, `y_train`, `x_test` and `y_test`.

use std::path::Path;

use ir::Shape;

use super::dataset::check_alike;
use super::labels::targets_of;
use super::{Dataset, Parts, Pixels, Targets};
use crate::npy::npz::Archive;
use crate::npy::{Array, Element};
use crate::{Error, files, memory};

/// What is left of `x` when it is split and scaled: the numbers, and the parts.
const TENSORS: usize = 2;
/// The numbers of channels that images have behind their height and width, in the order of TensorFlow.
const CHANNELS: [usize; 3] = [1, 3, 4];

/// The rows for training and for testing. `x` is `[rows, ..]`, of any dtype of numbers; `y` is `[rows]`, `[rows, 1]` or
/// `[rows, outputs]`, of [classes or values](super::labels).
///
/// Numbers are what they are: a `u8` of 255 is 255. Bytes in images, `[rows, height, width]` and with channels, are
/// [pixels](Pixels). Images whose channels come last, `[rows, height, width, channels]` of 1, 3 or 4 channels, become
/// `[channels, height, width]`.
///
/// # Errors
/// Where the file cannot be read, arrays are missing or do not fit each other, a number is not finite in f32 or is an integer that
/// f32 has not, or rows for testing are of a class that those for training are not of.
pub fn read(path: &Path, name: &str) -> Result<Parts, Error> {
    let subject = path.display().to_string();
    let bytes = files::read(path)?;
    let archive = Archive::of(&bytes, &subject)?;
    if !archive.has("x_train") {
        let all = dataset(&archive.get("x")?, &archive.get("y")?, None, &subject)?;
        return Ok(Parts::whole(all.named(name)));
    }
    let part = |part: &str, train: Option<&Dataset>| {
        let (x, y) = (archive.get(&format!("x_{part}"))?, archive.get(&format!("y_{part}"))?);
        dataset(&x, &y, train, &format!("{subject}, {part}"))
    };
    let train = part("train", None)?;
    let test = part("test", Some(&train))?;
    check_alike(&train, &test, &subject)?;
    Ok(Parts::apart((train.named(name), test.named(name))))
}

/// The data set of these arrays, with the classes of another where there is one.
fn dataset(x: &Array<'_>, y: &Array<'_>, train: Option<&Dataset>, subject: &str) -> Result<Dataset, Error> {
    let unfit = || {
        let problem = format!("x is {x}, y is {y}");
        let help =
            "give as many rows of both; y as i64[rows] or texts for classes, f32[rows, outputs] for values";
        Error::invalid(subject, problem, help)
    };
    if x.shape().rank() == 0 || x.shape().first() != y.shape().first() {
        return Err(unfit());
    }
    let targets = targets_of(y, train.map(Dataset::targets))?.ok_or_else(unfit)?;
    of_array(x, targets, subject)
}

/// The data set of the rows of an array `[rows, ..]`, as [`read`] has them, with these targets. Vectors of `f64` are rounded to `f32` only after
/// they are scaled, and so are integers that are far from zero beside how far they are apart, such as seconds since 1970.
///
/// # Errors
/// Where there is no memory for them, or a number is none that `f32` has.
pub(super) fn of_array(x: &Array<'_>, targets: Targets, subject: &str) -> Result<Dataset, Error> {
    if let [_, ref row @ ..] = x.shape()[..]
        && row.len() <= 1
        && let Some(numbers) = x.exact_features()?
    {
        let width = row.first().copied().unwrap_or(1);
        let data = Dataset::of_f64(subject, [width], numbers, targets)?;
        if x.element() != Element::F64 && !data.is_exact() {
            x.features()?; // which says what `f32` has not
        }
        return Ok(data);
    }
    let Rows { row, numbers, pixels } = rows_of(x)?;
    Ok(Dataset::new(subject, row, numbers, targets)?.with_pixels(pixels))
}

/// The rows that an array holds.
struct Rows {
    /// The shape of one.
    row: Shape,
    /// `f32[rows, ..]`, row-major.
    numbers: Vec<f32>,
    /// What the numbers are, where they are bytes of images.
    pixels: Option<Pixels>,
}

fn rows_of(x: &Array<'_>) -> Result<Rows, Error> {
    memory::check_rows(x.subject(), x.shape().elements(), 1, TENSORS)?;
    let numbers = x.features()?;
    let is_bytes = x.element() == Element::U8;
    let pixels = (is_bytes && x.shape().rank() >= 3).then_some(Pixels::BYTES);
    Ok(match x.shape()[..] {
        [_, height, width] if is_bytes => Rows { row: [1, height, width].into(), numbers, pixels },
        [_, height, width, channels] if CHANNELS.contains(&channels) && height > 4 && width > 4 => {
            memory::check_rows(x.subject(), numbers.len(), 1, 1)?;
            let numbers = channels_first(&numbers, height * width, channels);
            Rows { row: [channels, height, width].into(), numbers, pixels }
        }
        [_] => Rows { row: [1].into(), numbers, pixels },
        [] => Rows { row: Shape::new(&[]), numbers, pixels },
        [_, ref row @ ..] => Rows { row: Shape::new(row), numbers, pixels },
    })
}

/// Images `[rows, places, channels]` as `[rows, channels, places]`.
fn channels_first(numbers: &[f32], places: usize, channels: usize) -> Vec<f32> {
    if channels == 1 {
        return numbers.to_vec();
    }
    let of_image = |image: &'_ [f32]| -> Vec<f32> {
        let of_channel = |channel: usize| image.iter().skip(channel).step_by(channels).copied();
        (0..channels).flat_map(of_channel).collect()
    };
    numbers.chunks_exact(places * channels).flat_map(of_image).collect()
}

#[cfg(test)]
mod tests {
    use ir::{Scalar, Tensor};

    use super::*;
    use crate::npy;
    use crate::npy::tests::{file, header};

    /// What a file of these arrays gives.
    fn sets(arrays: &[(&str, &Tensor)]) -> Result<(Dataset, Dataset), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        npy::npz::write(&path, arrays.iter().copied()).unwrap();
        let prefix = format!("{}/", folder.path().display());
        let parts = read(&path, "toy").map_err(|error| error.to_string().replace(&prefix, ""))?;
        Ok(parts.split(0))
    }

    fn problem(arrays: &[(&str, &Tensor)]) -> String {
        sets(arrays).unwrap_err()
    }

    fn zeros(shape: &[usize]) -> Tensor {
        Tensor::splat(Shape::new(shape), Scalar::F32(0.0))
    }

    fn labels(labels: &[i64]) -> Tensor {
        Tensor::new([labels.len()], labels.to_vec()).unwrap()
    }

    /// The rows of an array of this descriptor, which counts from 0.
    fn rows(descriptor: &str, shape: &[usize]) -> Rows {
        let count = shape.iter().product::<usize>();
        let data: Vec<u8> = match descriptor {
            "|u1" => (0..count).map(|i| i as u8).collect(),
            _ => (0..count).flat_map(|i| (i as f32).to_le_bytes()).collect(),
        };
        let shape = format!("({},)", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", "));
        let file = file(&header(descriptor, "False", &shape), &data);
        rows_of(&Array::of(&file, "x").unwrap()).unwrap()
    }

    #[test]
    fn a_fifth_of_the_rows_is_for_testing_where_there_is_no_other() {
        let y = labels(&[0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
        let (train, test) = sets(&[("x", &zeros(&[10, 1, 2, 3])), ("y", &y)]).unwrap();
        assert_eq!(train.to_string(), "toy: 8 rows of [1, 2, 3], classes 0, 1, 2");
        assert_eq!(test.labels(), Some(&[1, 0][..]));
    }

    #[test]
    fn sets_for_training_and_testing_are_taken_as_they_are() {
        let (x, x_test) = (zeros(&[3, 4]), Tensor::new([1, 4], vec![1i32, 2, 3, 4]).unwrap());
        let (y, y_test) = (labels(&[0, 1, 1]), Tensor::new([1], vec![1i32]).unwrap());
        let arrays = [("x_train", &x), ("y_train", &y), ("x_test", &x_test), ("y_test", &y_test)];
        let (train, test) = sets(&arrays).unwrap();
        assert_eq!((train.len(), test.row(0), test.outputs()), (3, &[1.0, 2.0, 3.0, 4.0][..], 2));
        let y_test = labels(&[2]);
        let arrays = [arrays[0], arrays[1], arrays[2], ("y_test", &y_test)];
        let expected = "a.npz, array \"y_test\": row 0 is of class \"2\", which no row to train on is of; \
                        give rows of these classes: 0, 1";
        assert_eq!(problem(&arrays), expected);
        let arrays = [arrays[0], arrays[1], ("x_test", &zeros(&[1, 3])), ("y_test", &labels(&[1]))];
        assert!(
            problem(&arrays).contains("a.npz: to train on there are rows of [4] with 2 classes, to test on")
        );
        assert!(
            problem(&arrays[..3])
                .contains("it has no array y_test, but [\"x_train\", \"y_train\", \"x_test\"]")
        );
    }

    #[test]
    fn bytes_in_images_are_pixels() {
        let images = rows("|u1", &[2, 3, 2]);
        assert_eq!((images.row.to_string(), images.pixels), ("[1, 3, 2]".to_owned(), Some(Pixels::BYTES)));
        assert_eq!(images.numbers, (0..12u8).map(f32::from).collect::<Vec<f32>>());
        let vectors = rows("|u1", &[2, 3]);
        assert_eq!((vectors.row.to_string(), vectors.pixels), ("[3]".to_owned(), None));
        let floats = rows("<f4", &[2, 3, 2]);
        assert_eq!((floats.row.to_string(), floats.pixels), ("[3, 2]".to_owned(), None));
    }

    #[test]
    fn channels_that_come_last_come_first_afterwards() {
        let images = rows("|u1", &[2, 5, 6, 3]);
        assert_eq!(images.row.to_string(), "[3, 5, 6]");
        assert_eq!((images.numbers[1], images.numbers[30], images.numbers[90]), (3.0, 1.0, 90.0));
        assert_eq!(rows("<f4", &[1, 5, 5, 1]).row.to_string(), "[1, 5, 5]");
        assert_eq!(rows("<f4", &[1, 3, 5, 3]).row.to_string(), "[3, 5, 3]");
        assert_eq!(rows("<f4", &[1, 3, 5, 5]).row.to_string(), "[3, 5, 5]");
    }

    #[test]
    fn floats_are_values() {
        let y = Tensor::new([5, 2], (0..10).map(f64::from).collect()).unwrap();
        let (_, test) = sets(&[("x", &zeros(&[5])), ("y", &y)]).unwrap();
        assert_eq!((test.values(), test.row_shape().to_string()), (Some(&[8.0, 9.0][..]), "[1]".to_owned()));
        let (train, _) = sets(&[("x", &zeros(&[5, 1])), ("y", &zeros(&[5]))]).unwrap();
        assert_eq!((train.len(), train.outputs(), train.labels()), (4, 1, None));
    }

    #[test]
    fn arrays_that_do_not_fit_are_errors_that_show_both() {
        let help =
            "give as many rows of both; y as i64[rows] or texts for classes, f32[rows, outputs] for values";
        let expected = format!("a.npz: x is f32[3, 2], y is i64[2]; {help}");
        assert_eq!(problem(&[("x", &zeros(&[3, 2])), ("y", &labels(&[0, 1]))]), expected);
        assert!(problem(&[("x", &zeros(&[])), ("y", &labels(&[0]))]).contains("x is f32[], y is i64[1]; "));
        assert!(
            problem(&[("x", &zeros(&[1, 1])), ("y", &zeros(&[1, 1, 1]))]).contains("y is f32[1, 1, 1]; ")
        );
        let missing = problem(&[("y", &zeros(&[1]))]);
        assert_eq!(
            missing,
            "a.npz: it has no array x, but [\"y\"]; write it with numpy.savez, by these names"
        );
    }

    #[test]
    fn numbers_that_cannot_be_are_errors_that_name_the_row() {
        let y = labels(&[0, 1, 0]);
        let x = Tensor::new([3, 1], vec![0.0, f64::NAN, 0.0]).unwrap();
        assert_eq!(problem(&[("x", &x), ("y", &y)]), "a.npz: row 1, column 0 holds NaN; give finite numbers");
        let x = Tensor::new([3, 1], vec![0, 1 << 24, (1 << 24) + 1]).unwrap();
        assert!(
            problem(&[("x", &x), ("y", &y)])
                .contains("a.npz, array \"x\": row 2, column 0 holds 16777217, which")
        );
    }
}
