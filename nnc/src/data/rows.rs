//! Rows without targets, to predict these: an array in a .npy or .npz file, or a table of numbers in a .csv file.

use std::path::Path;

use ir::{Shape, Tensor};

use super::records::Records;
use super::{Dataset, Targets};
use crate::{Error, files, npy};

/// The rows of a file: an array `[rows, ..]` of a .npy file; of a .npz file, the array `x` or the only one; or the lines
/// of a .csv file (gzipped or not), where a first line without numbers holds names. As targets they have class 0 each.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("rows.csv");
/// std::fs::write(&path, "age,height\n30,1.8\n20,1.7\n")?;
/// let rows = nnc::data::rows::read(&path)?;
/// assert_eq!((rows.len(), rows.row(1)), (2, [20.0, 1.7].as_slice()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Where the file cannot be read, is of another kind, lines are of different lengths, or a number is missing or not
/// finite.
pub fn read(path: &Path) -> Result<Dataset, Error> {
    let name = path.display().to_string();
    let kind = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
    let (shape, values) = if kind.ends_with(".csv") || kind.ends_with(".csv.gz") {
        table(&files::read(path)?, &name)?
    } else if kind.ends_with(".npz") {
        numbers(&array_of_rows(path)?)
    } else if kind.ends_with(".npy") {
        numbers(&npy::read(path)?)
    } else {
        return Err(Error::invalid(name, "what it holds is not known", "give a .npy, .npz or .csv file"));
    };
    let Some((&rows, row)) = shape.split_first() else {
        return Err(Error::invalid(name, "it holds one number", "give an array [rows, ..]"));
    };
    Dataset::new(&name, Shape::from(row), values, Targets::classes(vec![0; rows], 1))
}

/// The array `x` of an archive, or the only one.
fn array_of_rows(path: &Path) -> Result<Tensor, Error> {
    let mut arrays = npy::npz::read(path)?;
    let index = if arrays.len() == 1 { Some(0) } else { arrays.iter().position(|(name, _)| name == "x") };
    let Some(index) = index else {
        let names: Vec<&str> = arrays.iter().map(|(name, _)| name.as_str()).collect();
        let problem = format!("it holds the arrays {}", names.join(", "));
        return Err(Error::invalid(
            path.display().to_string(),
            problem,
            "give one, or call that of the rows x",
        ));
    };
    Ok(arrays.swap_remove(index).1)
}

fn numbers(tensor: &Tensor) -> (Shape, Vec<f32>) {
    let values = (0..tensor.shape().elements()).map(|index| tensor.get(index).as_f64() as f32);
    (tensor.shape().clone(), values.collect())
}

/// The numbers of a table.
fn table(file: &[u8], subject: &str) -> Result<(Shape, Vec<f32>), Error> {
    let mut records = Records::new(file, subject)?;
    let (mut rows, mut columns, mut values) = (0, None, Vec::new());
    while let Some(record) = records.next_record()? {
        let invalid = |problem: String| {
            let help = "give lines of as many numbers each";
            Err(Error::invalid(format!("{subject}, line {}", record.line), problem, help))
        };
        let is_first = columns.is_none();
        let expected = *columns.get_or_insert(record.len());
        if record.len() != expected {
            return invalid(format!("there are {} fields, in the first {expected}", record.len()));
        }
        if is_first && record.fields().all(|field| field.parse::<f32>().is_err()) {
            continue;
        }
        for field in record.fields() {
            match field.parse() {
                Ok(number) => values.push(number),
                Err(_) => return invalid(format!("{field:?} is no number")),
            }
        }
        rows += 1;
    }
    Ok(([rows, columns.unwrap_or(0)].into(), values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(file: &[u8]) -> String {
        table(file, "rows.csv").unwrap_err().to_string()
    }

    #[test]
    fn a_first_line_of_names_is_no_row() {
        let expected = ([2, 2].into(), vec![1.0, 2.0, 3.0, 4.0]);
        assert_eq!(table(b"a,b\n1,2\n3,4\n", "rows.csv").unwrap(), expected);
        assert_eq!(table(b"1,2\n3,4", "rows.csv").unwrap(), expected);
        assert_eq!(table(b"", "rows.csv").unwrap(), ([0, 0].into(), vec![]));
    }

    #[test]
    fn what_is_no_table_of_numbers_is_an_error_that_names_the_line() {
        let expected = "rows.csv, line 2: \"x\" is no number; give lines of as many numbers each";
        assert_eq!(error(b"1,2\n3,x\n"), expected);
        assert_eq!(error(b"1,a\n"), expected.replace("line 2: \"x\"", "line 1: \"a\""));
        let expected =
            "rows.csv, line 2: there are 1 fields, in the first 2; give lines of as many numbers each";
        assert_eq!(error(b"1,2\n3\n"), expected);
    }

    #[test]
    fn an_archive_of_several_arrays_needs_one_called_x() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let [a, b] = [1.0f32, 2.0].map(|x| Tensor::new([1, 1], vec![x]).unwrap());
        npy::npz::write(&path, [("a", &a), ("b", &b)]).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("it holds the arrays a, b; give one, or call that of the rows x"), "{error}");
        npy::npz::write(&path, [("a", &a), ("x", &b)]).unwrap();
        assert_eq!(read(&path).unwrap().row(0), [2.0]);
        let error = read(Path::new("a.txt")).unwrap_err().to_string();
        assert_eq!(error, "a.txt: what it holds is not known; give a .npy, .npz or .csv file");
    }
}
