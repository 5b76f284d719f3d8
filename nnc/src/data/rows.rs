//! Rows without targets, to predict these: an array in a .npy or .npz file, or a table of numbers in a .csv file.

use std::path::Path;

use super::Dataset;
#[cfg(feature = "data-npy")]
use super::Targets;
#[cfg(feature = "data-csv")]
use super::csv::{self, Columns, Encoding, Format};
#[cfg(feature = "data-npy")]
use crate::npy::{Array, npz::Archive};
use crate::{Error, files};

/// How the rows of a table are read.
#[derive(Clone, Debug, Default)]
pub struct Reading<'a> {
    /// How the table was read that a model was trained on: the same columns are read alike, whatever others there are. Without it, all
    /// columns hold numbers.
    #[cfg(feature = "data-csv")]
    pub encoding: Option<&'a Encoding>,
    /// How it is written.
    #[cfg(feature = "data-csv")]
    pub format: Format,
    /// The columns that are left out, by name or by number from 1.
    pub left_out: Vec<String>,
    #[doc(hidden)]
    #[cfg(not(feature = "data-csv"))]
    pub of: std::marker::PhantomData<&'a ()>,
}

/// What a file may hold, and what it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Npy,
    Npz,
    Csv,
}

impl Kind {
    /// That of a file of this name.
    fn of_name(path: &Path) -> Option<Kind> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let has = |ending: &str| name.ends_with(ending);
        match () {
            () if has(".csv") || has(".csv.gz") => Some(Kind::Csv),
            () if has(".npz") => Some(Kind::Npz),
            () if has(".npy") => Some(Kind::Npy),
            () => None,
        }
    }

    /// That of a file which starts like this: a table, where it is no other.
    fn of_bytes(bytes: &[u8]) -> Kind {
        match bytes {
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Kind::Npy,
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Kind::Npz,
            _ => Kind::Csv,
        }
    }
}

/// The rows of a file: an array `[rows, ..]` of a .npy file; of a .npz file, the array `x` or the only one; or the lines
/// of a .csv file (gzipped or not), under names of columns or not. As targets they have class 0 each.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("rows.csv");
/// std::fs::write(&path, "age,height\n30,1.8\n20,1.7\n")?;
/// let rows = nnc::data::rows::read(&path, &Default::default())?;
/// assert_eq!((rows.len(), rows.row(1)), (2, [20.0, 1.7].as_slice()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Where the file cannot be read, is of another kind or of one that the crate is compiled without, or holds what cannot be read (see
/// [`csv`]), or columns are to be left out and it is no table.
pub fn read(path: &Path, reading: &Reading<'_>) -> Result<Dataset, Error> {
    let name = path.display().to_string();
    let Some(kind) = Kind::of_name(path) else {
        return Err(Error::invalid(name, "what it holds is not known", "give a .npy, .npz or .csv file"));
    };
    rows_of(kind, &files::read(path)?, reading, &name)
}

/// The rows in the bytes of such a file, whose kind is told by how they start; `subject` is what an error calls them.
///
/// ```
/// let rows = nnc::data::rows::decode(b"30,1.8\n20,1.7\n", &Default::default(), "stdin")?;
/// assert_eq!((rows.len(), rows.row(1)), (2, [20.0, 1.7].as_slice()));
/// # Ok::<(), nnc::Error>(())
/// ```
///
/// # Errors
/// As [`read`].
pub fn decode(bytes: &[u8], reading: &Reading<'_>, subject: &str) -> Result<Dataset, Error> {
    rows_of(Kind::of_bytes(bytes), bytes, reading, subject)
}

/// The labels beside the rows in the bytes of an archive (.npz), as a model of classes of these names knows them: its array `y`,
/// `[rows]`, of names of classes; of integers, where the names are none, the numbers of the classes, from 0. `None` where there is
/// no such array, or the bytes are of another kind.
///
/// ```
/// use nnc::ir::Tensor;
/// let labels = Tensor::new([2], vec![3i64, 1]).expect("two");
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("rows.npz");
/// nnc::npy::npz::write(&path, [("y", &labels)])?;
/// let names = ["1", "3"].map(str::to_owned);
/// assert_eq!(nnc::data::rows::labels(&std::fs::read(path)?, "rows.npz", &names)?, Some(vec![1, 0]));
/// assert_eq!(nnc::data::rows::labels(b"30,1.8", "rows.csv", &names)?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Where the archive is damaged, `y` is of another type, or a row is of none of the classes.
#[cfg(feature = "data-npy")]
pub fn labels(bytes: &[u8], subject: &str, names: &[String]) -> Result<Option<Vec<i64>>, Error> {
    if Kind::of_bytes(bytes) != Kind::Npz {
        return Ok(None);
    }
    let archive = Archive::of(bytes, subject)?;
    if !archive.has("y") {
        return Ok(None);
    }
    let y = archive.get("y")?;
    let labels = super::labels::labels_of(&y, names)?;
    labels.map(Some).ok_or_else(|| {
        Error::invalid(subject, format!("y is {y}"), "give labels as i64[rows], or names of classes")
    })
}

fn rows_of(kind: Kind, bytes: &[u8], reading: &Reading<'_>, subject: &str) -> Result<Dataset, Error> {
    if kind != Kind::Csv && !reading.left_out.is_empty() {
        let problem = format!("it has no columns of names, such as {}", reading.left_out[0].escape_debug());
        return Err(Error::invalid(subject, problem, "leave columns out of tables alone"));
    }
    match kind {
        #[cfg(feature = "data-csv")]
        Kind::Csv => table(bytes, reading, subject),
        #[cfg(feature = "data-npy")]
        Kind::Npz => of_array(&array_of_rows(&Archive::of(bytes, subject)?, subject)?, subject),
        #[cfg(feature = "data-npy")]
        Kind::Npy => of_array(&Array::of(bytes, subject)?, subject),
        #[cfg(not(all(feature = "data-csv", feature = "data-npy")))]
        other => {
            let feature = if other == Kind::Csv { "data-csv" } else { "data-npy" };
            let help = format!("compile nnc with the feature `{feature}`");
            Err(Error::invalid(subject, "such files are not read", help))
        }
    }
}

#[cfg(feature = "data-npy")]
fn of_array(array: &Array<'_>, subject: &str) -> Result<Dataset, Error> {
    let Some(&rows) = array.shape().first() else {
        return Err(Error::invalid(array.subject(), "it holds one number", "give an array [rows, ..]"));
    };
    super::npz::of_array(array, Targets::classes(vec![0; rows], 1), subject)
}

/// The rows of a table: as a model has read another, or numbers.
#[cfg(feature = "data-csv")]
fn table(bytes: &[u8], reading: &Reading<'_>, subject: &str) -> Result<Dataset, Error> {
    match reading.encoding {
        Some(_) if !reading.left_out.is_empty() => {
            let problem = "the model knows which columns it uses, and others are left out as they are";
            Err(Error::invalid(subject, problem, "name no columns to leave out"))
        }
        Some(encoding) => encoding.read(bytes, &reading.format, csv::Use::Predict, subject),
        None => {
            let columns = Columns { target: None, left_out: reading.left_out.clone() };
            csv::decode_numbers(bytes, &columns, &reading.format, subject)
        }
    }
}

/// The array `x` of an archive, or the only one.
#[cfg(feature = "data-npy")]
fn array_of_rows<'a>(archive: &'a Archive<'a>, subject: &str) -> Result<Array<'a>, Error> {
    let names: Vec<&str> = archive.names().collect();
    match names[..] {
        [only] => archive.get(only),
        _ if archive.has("x") => archive.get("x"),
        _ => {
            let problem = format!("it holds the arrays {}", names.join(", "));
            Err(Error::invalid(subject, problem, "give one, or call that of the rows x"))
        }
    }
}

#[cfg(test)]
mod tests {
    use ir::Tensor;

    use super::*;
    use crate::npy;

    fn rows(file: &[u8], left_out: &[&str]) -> Result<Dataset, String> {
        let left_out = left_out.iter().map(|&name| name.to_owned()).collect();
        decode(file, &Reading { left_out, ..Reading::default() }, "rows.csv")
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_first_line_of_names_is_no_row() {
        for file in ["a,b\n1,2\n3,4\n", "1,2\n3,4"] {
            let rows = rows(file.as_bytes(), &[]).unwrap();
            assert_eq!((rows.len(), rows.rows()), (2, [1.0, 2.0, 3.0, 4.0].as_slice()));
        }
        assert_eq!(rows(b"", &[]).unwrap_err(), "rows.csv: it has no rows; give a table with a row per line");
    }

    #[test]
    fn columns_are_left_out_by_name_or_by_number() {
        for left_out in ["b", "2"] {
            assert_eq!(rows(b"a,b\n1,x\n3,y\n", &[left_out]).unwrap().rows(), [1.0, 3.0]);
        }
        let error = rows(b"a,b\n1,2\n", &["c"]).unwrap_err();
        assert!(error.starts_with("rows.csv: it has no column `c`; choose by name"), "{error}");
        let error = rows(b"\x93NUMPY\x01\x00", &["c"]).unwrap_err();
        assert!(
            error.contains("it has no columns of names, such as c; leave columns out of tables"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_table_of_numbers_is_an_error_that_names_the_line() {
        let error = |file: &[u8]| rows(file, &[]).unwrap_err();
        let expected = "rows.csv, line 2: column \"2\": \"x\" is no number, and 2 of 3 fields are numbers; ";
        assert!(error(b"1,2\n3,x\n4,5\n").starts_with(expected));
        let expected = "rows.csv: column \"b\" holds texts, and the model was not trained on a table";
        assert!(error(b"a,b\n1,x\n").starts_with(expected));
        let expected = "rows.csv, line 2: there are 1 fields, in the first line 2; give each line as many";
        assert_eq!(error(b"1,2\n3\n"), expected);
    }

    #[test]
    fn an_archive_of_several_arrays_needs_one_called_x() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let [a, b] = [1.0f32, 2.0].map(|x| Tensor::new([1, 1], vec![x]).unwrap());
        npy::npz::write(&path, [("a", &a), ("b", &b)]).unwrap();
        let error = read(&path, &Reading::default()).unwrap_err().to_string();
        assert!(error.contains("it holds the arrays a, b; give one, or call that of the rows x"), "{error}");
        npy::npz::write(&path, [("a", &a), ("x", &b)]).unwrap();
        assert_eq!(read(&path, &Reading::default()).unwrap().row(0), [2.0]);
        let error = read(Path::new("a.txt"), &Reading::default()).unwrap_err().to_string();
        assert_eq!(error, "a.txt: what it holds is not known; give a .npy, .npz or .csv file");
    }

    #[test]
    fn what_has_no_name_is_told_by_how_it_starts() {
        let x = Tensor::new([2, 1], vec![5.0f32, 6.0]).unwrap();
        let mut array = Vec::new();
        npy::encode(&x, &mut array).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        npy::npz::write(&path, [("any", &x)]).unwrap();
        for bytes in [array, files::read(&path).unwrap(), b"x\n5\n6\n".to_vec()] {
            let rows = decode(&bytes, &Reading::default(), "stdin").unwrap();
            assert_eq!((rows.len(), rows.row(1)), (2, [6.0].as_slice()));
        }
        let error = decode(b"\x93NUMPY\x01\x00", &Reading::default(), "stdin").unwrap_err().to_string();
        assert!(error.starts_with("stdin: the file ends within its header"), "{error}");
    }
}
