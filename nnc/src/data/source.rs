//! Data sets by name, as `--data` takes them: `digits`, `idx:DIR`, `zip:FILE`, `csv:FILE#TARGET`, `npz:FILE`,
//! `synthetic:KIND`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::csv::Columns;
use super::synthetic::Kind;
use super::{Dataset, csv, digits, idx, npz, zip};
use ir::names::with_nearest;

use crate::Error;

/// Where a data set comes from.
///
/// ```
/// let source: nnc::data::Source = "synthetic:spirals".parse()?;
/// let (train, test) = source.load()?;
/// assert_eq!(train.to_string(), "synthetic:spirals: 1200 rows of [2], classes 0, 1, 2");
/// assert_eq!(test.len(), 300);
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The embedded digits.
    Digits,
    /// IDX files in a folder.
    Idx(PathBuf),
    /// A file in the format of "The Elements of Statistical Learning".
    Zip(PathBuf),
    /// A table.
    Csv {
        /// The file.
        path: PathBuf,
        /// The columns that are used.
        columns: Columns,
    },
    /// Arrays of NumPy.
    Npz(PathBuf),
    /// Drawn.
    Synthetic(Kind),
}

/// How a kind of source is written, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceKind {
    /// What comes before the colon.
    pub name: &'static str,
    /// How it is written.
    pub syntax: &'static str,
    /// What it is.
    pub doc: &'static str,
}

/// The kinds of sources.
pub const SOURCES: [SourceKind; 6] = [
    SourceKind {
        name: "digits",
        syntax: "digits",
        doc: "1,797 handwritten digits of 8x8 pixels, embedded; every fifth is for testing",
    },
    SourceKind {
        name: "idx",
        syntax: "idx:DIR",
        doc: "MNIST and its kin: train-* and t10k-* files, gzipped or not; of one set, the last fifth is for testing",
    },
    SourceKind {
        name: "zip",
        syntax: "zip:FILE",
        doc: "lines of a digit and 256 pixels from -1 to 1; for testing, zip.test beside zip.train, or the last fifth",
    },
    SourceKind {
        name: "csv",
        syntax: "csv:FILE[#TARGET,-COLUMN,..]",
        doc: "a table; the target is the last column, or named; -COLUMN is left out; every fifth row is for testing",
    },
    SourceKind {
        name: "npz",
        syntax: "npz:FILE",
        doc: "arrays x and y, every fifth row for testing; or x_train, y_train, x_test and y_test",
    },
    SourceKind {
        name: "synthetic",
        syntax: "synthetic:blobs|spirals|images|regression",
        doc: "drawn from a fixed seed: clouds, spiral arms, 16x16 shapes, a function with noise",
    },
];

impl Source {
    /// The rows for training and for testing.
    ///
    /// # Errors
    /// Where a file cannot be read or what it holds is malformed: the file, the place in it and the fix are named.
    pub fn load(&self) -> Result<(Dataset, Dataset), Error> {
        let name = self.to_string();
        match self {
            Source::Digits => Ok(digits()),
            Source::Idx(folder) => idx::read(folder, &name),
            Source::Zip(path) => zip::read(path, &name),
            Source::Csv { path, columns } => csv::read(path, columns, &name),
            Source::Npz(path) => npz::read(path, &name),
            Source::Synthetic(kind) => kind.draw(),
        }
    }

    /// Whether its features are already of about the same size, as pixels are. Others want a
    /// [`Normalisation`](super::Normalisation).
    pub fn is_scaled(&self) -> bool {
        !matches!(self, Source::Csv { .. } | Source::Npz(_))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Digits => f.write_str("digits"),
            Source::Idx(folder) => write!(f, "idx:{}", folder.display()),
            Source::Zip(path) => write!(f, "zip:{}", path.display()),
            Source::Csv { path, columns } => write!(f, "csv:{}{columns}", path.display()),
            Source::Npz(path) => write!(f, "npz:{}", path.display()),
            Source::Synthetic(kind) => write!(f, "synthetic:{kind}"),
        }
    }
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Source, Error> {
        let (kind, place) = text.split_once(':').unwrap_or((text, ""));
        Ok(match (kind, place) {
            ("digits", "") => Source::Digits,
            ("idx", folder) if !folder.is_empty() => Source::Idx(folder.into()),
            ("zip", path) if !path.is_empty() => Source::Zip(path.into()),
            ("csv", place) if !place.is_empty() => match place.rsplit_once('#') {
                Some((path, columns)) => Source::Csv { path: path.into(), columns: columns.parse()? },
                None => Source::Csv { path: place.into(), columns: Columns::default() },
            },
            ("npz", path) if !path.is_empty() => Source::Npz(path.into()),
            ("synthetic", kind) if !kind.is_empty() => Source::Synthetic(kind.parse()?),
            _ => {
                let all = format!("choose from {}", SOURCES.map(|source| source.syntax).join(", "));
                let others = SOURCES.map(|source| source.name).into_iter().filter(|&name| name != kind);
                let help = with_nearest(kind, others, all);
                return Err(Error::invalid(format!("data `{text}`"), "it is no data set", help));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_written_as_it_is_parsed() {
        let texts =
            ["digits", "idx:a/b", "zip:zip.train.gz", "csv:a.csv", "csv:a#b.csv#y", "csv:a.csv#y,-d,-7"];
        for text in texts.into_iter().chain(["csv:a.csv#-d", "npz:a.npz", "synthetic:blobs"]) {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_source_is_an_error_that_lists_them() {
        for text in ["", "mnist", "idx", "idx:", "digits:x", "csv:", "synthetic"] {
            let error = text.parse::<Source>().unwrap_err().to_string();
            assert!(
                error
                    .starts_with(&format!("data `{text}`: it is no data set; choose from digits, idx:DIR, "))
            );
        }
        assert!("csv:a.csv#".parse::<Source>().is_err());
        assert!("synthetic:moons".parse::<Source>().unwrap_err().to_string().contains("blobs, spirals"));
    }

    #[test]
    fn every_listed_source_is_known() {
        for source in SOURCES {
            let text = format!("{}:blobs", source.name);
            let text = if source.name == "digits" { "digits" } else { &text };
            assert!(text.parse::<Source>().unwrap().to_string().starts_with(source.name));
        }
        let (train, test) = Source::Digits.load().unwrap();
        assert_eq!((train.len(), test.len()), (1437, 360));
    }
}
