//! Data sets in NumPy's archives: arrays `x` and `y`, or `x_train`, `y_train`, `x_test` and `y_test`.

use std::path::Path;

use ir::{Elements, Shape, Tensor};

use super::dataset::check_alike;
use super::targets::class_count;
use super::{Dataset, Parts, Targets};
use crate::error::quoted;
use crate::{Error, npy};

const HELP: &str = "give x and y, or x_train, y_train, x_test and y_test, with numpy.savez";

/// The rows for training and for testing. `x` is `[rows, ..]`, of any dtype; `y` is `i64[rows]` or `i32[rows]` of
/// classes, or `f32` or `f64`, `[rows]` or `[rows, outputs]`, of values.
///
/// # Errors
/// Where the file cannot be read, arrays are missing or do not fit each other, a number is not finite in f32, or labels are
/// out of range: negative, a class without rows between others, or one that the rows for training have not.
pub fn read(path: &Path, name: &str) -> Result<Parts, Error> {
    let subject = path.display().to_string();
    let arrays = npy::npz::read(path)?;
    let find = |wanted: &str| arrays.iter().find(|(name, _)| name == wanted).map(|(_, array)| array);
    let get = |wanted: &str| {
        find(wanted).ok_or_else(|| {
            let names: Vec<String> = arrays.iter().map(|(name, _)| quoted(name)).collect();
            Error::invalid(&subject, format!("it has no array {wanted}, but [{}]", names.join(", ")), HELP)
        })
    };
    if find("x_train").is_none() {
        let all = dataset(get("x")?, get("y")?, None, &subject)?;
        return Ok(Parts::Whole(all.named(name)));
    }
    let train = dataset(get("x_train")?, get("y_train")?, None, &format!("{subject}, train"))?;
    let test = dataset(get("x_test")?, get("y_test")?, Some(&train), &format!("{subject}, test"))?;
    check_alike(&train, &test, &subject)?;
    Ok(Parts::Apart { train: train.named(name), test: test.named(name) })
}

/// The data set of these arrays, with as many classes as another where there is one.
fn dataset(x: &Tensor, y: &Tensor, train: Option<&Dataset>, subject: &str) -> Result<Dataset, Error> {
    let unfit = || {
        let problem = format!("x is {}, y is {}", x.ty(), y.ty());
        let help = "give as many rows of both; y as i64[rows] for classes, f32[rows, outputs] for values";
        Error::invalid(subject, problem, help)
    };
    let (Some((rows, row_shape)), Some((targets, outputs))) =
        (x.shape().split_first(), y.shape().split_first())
    else {
        return Err(unfit());
    };
    let labels = match y.elements() {
        Elements::I64(labels) => Some(labels.clone()),
        Elements::I32(labels) => Some(labels.iter().copied().map(i64::from).collect()),
        _ => None,
    };
    let targets = match (labels, outputs) {
        _ if rows != targets => return Err(unfit()),
        (Some(labels), []) => {
            let classes = match train {
                Some(train) => train.outputs(),
                None => class_count(&labels, &format!("{subject}, y"))?,
            };
            Targets::classes(labels, classes)
        }
        (None, []) => Targets::values(as_f32(y), 1),
        (None, [outputs]) => Targets::values(as_f32(y), *outputs),
        _ => return Err(unfit()),
    };
    let row_shape = if row_shape.is_empty() { Shape::from([1]) } else { Shape::new(row_shape) };
    Dataset::new(subject, row_shape, as_f32(x), targets)
}

/// The elements as f32.
fn as_f32(tensor: &Tensor) -> Vec<f32> {
    (0..tensor.shape().elements()).map(|index| tensor.get(index).as_f64() as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::Scalar;

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

    #[test]
    fn a_fifth_of_the_rows_is_for_testing_where_there_is_no_other() {
        let y = labels(&[0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
        let (train, test) = sets(&[("x", &zeros(&[10, 1, 2, 3])), ("y", &y)]).unwrap();
        assert_eq!(train.to_string(), "toy: 8 rows of [1, 2, 3], classes 0, 1, 2");
        assert_eq!(test.labels(), Some(&[2, 0][..]));
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
        assert_eq!(problem(&arrays), "a.npz, test: the label of row 0 is 2; give labels from 0 to 1");
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
    fn floats_are_values() {
        let y = Tensor::new([5, 2], (0..10).map(f64::from).collect()).unwrap();
        let (_, test) = sets(&[("x", &zeros(&[5])), ("y", &y)]).unwrap();
        assert_eq!((test.values(), test.row_shape().to_string()), (Some(&[0.0, 1.0][..]), "[1]".to_owned()));
        let (train, _) = sets(&[("x", &zeros(&[5, 1])), ("y", &zeros(&[5]))]).unwrap();
        assert_eq!((train.len(), train.outputs(), train.labels()), (4, 1, None));
    }

    #[test]
    fn arrays_that_do_not_fit_are_errors_that_show_both() {
        let help = "give as many rows of both; y as i64[rows] for classes, f32[rows, outputs] for values";
        let expected = format!("a.npz: x is f32[3, 2], y is i64[2]; {help}");
        assert_eq!(problem(&[("x", &zeros(&[3, 2])), ("y", &labels(&[0, 1]))]), expected);
        assert!(problem(&[("x", &zeros(&[])), ("y", &labels(&[0]))]).contains("x is f32[], y is i64[1]; "));
        assert!(
            problem(&[("x", &zeros(&[1, 1])), ("y", &zeros(&[1, 1, 1]))]).contains("y is f32[1, 1, 1]; ")
        );
        let y = Tensor::new([1, 1], vec![0i64]).unwrap();
        assert!(problem(&[("x", &zeros(&[1, 1])), ("y", &y)]).contains("y is i64[1, 1]; "));
        let missing = problem(&[("y", &y)]);
        assert_eq!(missing, format!("a.npz: it has no array x, but [\"y\"]; {HELP}"));
    }

    #[test]
    fn labels_and_numbers_that_cannot_be_are_errors_that_name_the_row() {
        let x = zeros(&[3, 1]);
        let negative = problem(&[("x", &x), ("y", &labels(&[0, -1, 0]))]);
        assert_eq!(negative, "a.npz, y: label 1 (from 0) is -1; give labels from 0 to 65535");
        let gap = problem(&[("x", &x), ("y", &labels(&[0, 1, 5]))]);
        assert_eq!(
            gap,
            "a.npz, y: label 2 (from 0) is 5, and none is 2; number the classes from 0 without gaps"
        );
        let x = Tensor::new([3, 1], vec![0.0, 1e60, 0.0]).unwrap();
        let infinite = problem(&[("x", &x), ("y", &labels(&[0, 1, 0]))]);
        assert_eq!(infinite, "a.npz: row 1, column 0 holds inf; give finite numbers");
    }
}
