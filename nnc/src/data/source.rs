//! Data sets by name, as `--data` takes them: `digits`, `idx:DIR`, `zip:FILE`, `csv:FILE#TARGET`, `npz:FILE`,
//! `images:DIR#SIZE`, `synthetic:KIND`, `adding:STEPS`, `copy:DELAY`, `text:FILE`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::arrays::{Arrays, Examples};
use super::csv::{Columns, Encoding, Format};
use super::images::Layout;
use super::sequences::{Text, adding, copying};
use super::synthetic::Kind;
use super::{Dataset, Parts, Sequences, csv, digits, idx, images, npz, zip};
use ir::names::with_nearest;

use crate::{Error, files};

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
    /// Pictures in folders.
    Images {
        /// The folder of the folders.
        path: PathBuf,
        /// The size and the channels that they get.
        layout: Layout,
    },
    /// Drawn.
    Synthetic(Kind),
    /// The adding problem of so many steps, drawn.
    Adding(usize),
    /// The copy problem with such a delay, drawn.
    Copy(usize),
    /// A text in a file; without one, the project's documents.
    Text(Option<PathBuf>),
}

/// How a source is read, where there is a choice.
#[derive(Clone, Debug)]
pub struct Loading<'a> {
    /// The number of rows of a text that are read beside each other.
    pub batch: usize,
    /// The number of characters in a row of a text.
    pub steps: usize,
    /// What chooses the rows for testing.
    pub split_seed: u64,
    /// How tables are written.
    pub format: Format,
    /// How the table was read that a model was trained on; of another table, the same columns are read alike.
    pub encoding: Option<&'a Encoding>,
}

impl Default for Loading<'_> {
    /// One row of 64 characters; the seed 0; tables as they say themselves.
    fn default() -> Self {
        Loading { batch: 1, steps: 64, split_seed: 0, format: Format::default(), encoding: None }
    }
}

/// What a source gives: rows with a target each, or sequences with a target at each step.
#[derive(Clone, Debug, PartialEq)]
pub enum Loaded {
    /// Rows with a target each.
    Rows(Dataset),
    /// Sequences with a target at each step.
    Sequences(Sequences),
    /// Rows of which few have a label, as [`few_labels`](super::few_labels) makes them; no source gives such.
    FewLabels(Arrays),
}

impl Loaded {
    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Loaded::Rows(rows) => rows.name(),
            Loaded::Sequences(sequences) => sequences.name(),
            Loaded::FewLabels(arrays) => arrays.name(),
        }
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Loaded::Rows(rows) => rows.len(),
            Loaded::Sequences(sequences) => sequences.len(),
            Loaded::FewLabels(arrays) => arrays.len(),
        }
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Examples for Loaded {
    fn arrays(&self) -> Arrays {
        match self {
            Loaded::Rows(rows) => rows.arrays(),
            Loaded::Sequences(sequences) => sequences.arrays(),
            Loaded::FewLabels(arrays) => arrays.clone(),
        }
    }

    fn dataset(&self) -> Option<&Dataset> {
        match self {
            Loaded::Rows(rows) => Some(rows),
            Loaded::Sequences(_) | Loaded::FewLabels(_) => None,
        }
    }

    fn sequences(&self) -> Option<&Sequences> {
        match self {
            Loaded::Rows(_) | Loaded::FewLabels(_) => None,
            Loaded::Sequences(sequences) => Some(sequences),
        }
    }

    fn order(&self, batch: usize, seed: u64, epoch: u64) -> Result<Vec<u32>, Error> {
        match self {
            Loaded::Rows(rows) => rows.order(batch, seed, epoch),
            Loaded::Sequences(sequences) => sequences.order(batch, seed, epoch),
            Loaded::FewLabels(arrays) => arrays.order(batch, seed, epoch),
        }
    }
}

/// The number of rows of the problems that are drawn, those for testing included.
const DRAWN_ROWS: usize = 10_000;
/// The seed that they are drawn from.
const DRAWN_SEED: u64 = 0;
/// How many steps the adding problem has, and by how many steps copies are delayed, where the source does not say.
const ADDING_STEPS: usize = 100;
const COPY_DELAY: usize = 20;
/// The most steps of either.
const MAX_STEPS: usize = 10_000;

/// How a kind of source is written, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceKind {
    /// What comes before the colon.
    pub name: &'static str,
    /// How it is written.
    pub syntax: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// The options of `nnc train` that suit it where others are not given, as on the command line.
    pub defaults: &'static str,
}

/// The kinds of sources.
pub const SOURCES: [SourceKind; 10] = [
    SourceKind {
        name: "digits",
        syntax: "digits",
        doc: "1,797 handwritten digits of 8x8 pixels, embedded; every fifth is for testing",
        defaults: "",
    },
    SourceKind {
        name: "idx",
        syntax: "idx:DIR",
        doc: "MNIST and its kin: train-* and t10k-* files, gzipped or not; of one set, a fifth is for testing",
        defaults: "",
    },
    SourceKind {
        name: "zip",
        syntax: "zip:FILE",
        doc: "lines of a digit and 256 pixels from -1 to 1; for testing, zip.test beside zip.train, or a fifth",
        defaults: "",
    },
    SourceKind {
        name: "csv",
        syntax: "csv:FILE[#TARGET,-COLUMN,..]",
        doc: "a table; the target is the last column, or named; -COLUMN is left out; a fifth of the rows is for testing",
        defaults: "",
    },
    SourceKind {
        name: "npz",
        syntax: "npz:FILE",
        doc: "arrays x and y, a fifth of the rows for testing; or x_train, y_train, x_test and y_test",
        defaults: "",
    },
    SourceKind {
        name: "images",
        syntax: "images:DIR[#HxW]",
        doc: "PNG and JPEG files, DIR/CLASS/*, a fifth for testing; or DIR/train/CLASS/* and DIR/test/CLASS/*",
        defaults: "",
    },
    SourceKind {
        name: "synthetic",
        syntax: "synthetic:blobs|spirals|images|regression",
        doc: "drawn from a fixed seed: clouds, spiral arms, 16x16 shapes, a function with noise",
        defaults: "",
    },
    SourceKind {
        name: "adding",
        syntax: "adding[:STEPS]",
        doc: "drawn: the sum of the two values that are marked among 100 (or STEPS)",
        defaults: "--hidden 64 --epochs 10 --batch 50 --lr 0.01 --clip 1",
    },
    SourceKind {
        name: "copy",
        syntax: "copy[:DELAY]",
        doc: "drawn: ten symbols that are to be told after 20 (or DELAY) blanks",
        defaults: "--hidden 128 --epochs 20 --batch 50 --lr 0.005 --clip 1",
    },
    SourceKind {
        name: "text",
        syntax: "text[:FILE]",
        doc: "the next character of a text, by default of the project's documents; a tenth of it is for testing",
        defaults: "--hidden 256 --epochs 20 --lr 0.01 --clip 1 --dropout 0.2",
    },
];

impl Source {
    /// The rows for training and for testing.
    ///
    /// # Errors
    /// As [`Source::load_with`]; and where it has a target at each step of its rows.
    pub fn load(&self) -> Result<(Dataset, Dataset), Error> {
        let Loading { split_seed, .. } = Loading::default();
        Ok(self.parts(&Loading::default())?.split(split_seed))
    }

    /// What is for training and for testing. Where a file does not say, a fifth of its rows is for testing, which the seed chooses;
    /// of each class a fifth.
    ///
    /// # Errors
    /// Where a file cannot be read or what it holds is malformed: the file, the place in it and the fix are named. Where a text is empty
    /// or too short.
    pub fn load_with(&self, loading: &Loading<'_>) -> Result<(Loaded, Loaded), Error> {
        let both = |(train, test)| (Loaded::Sequences(train), Loaded::Sequences(test));
        match self {
            Source::Copy(delay) => {
                copying(DRAWN_ROWS, *delay, DRAWN_SEED)?.split(|row| row.is_multiple_of(5)).map(both)
            }
            Source::Text(_) => self.text()?.sequences(loading.batch, loading.steps).map(both),
            rows => {
                let (train, test) = rows.parts(loading)?.split(loading.split_seed);
                Ok((Loaded::Rows(train), Loaded::Rows(test)))
            }
        }
    }

    /// All rows, those for testing included.
    ///
    /// # Errors
    /// As [`Source::load_with`]; and where it is a text.
    pub fn load_all(&self, loading: &Loading<'_>) -> Result<Loaded, Error> {
        match self {
            Source::Copy(delay) => Ok(Loaded::Sequences(copying(DRAWN_ROWS, *delay, DRAWN_SEED)?)),
            rows => rows.parts(loading)?.joined().map(Loaded::Rows),
        }
    }

    fn parts(&self, loading: &Loading<'_>) -> Result<Parts, Error> {
        let name = self.to_string();
        match self {
            Source::Digits => Ok(Parts::apart(digits())),
            Source::Idx(folder) => idx::read(folder, &name),
            Source::Zip(path) => zip::read(path, &name),
            Source::Csv { path, columns } => csv_rows(path, columns, loading, &name).map(Parts::whole),
            Source::Npz(path) => npz::read(path, &name),
            Source::Images { path, layout } => images::read(path, *layout, &name),
            Source::Synthetic(kind) => kind.draw().map(Parts::apart),
            Source::Adding(steps) => {
                Ok(Parts::apart(adding(DRAWN_ROWS, *steps, DRAWN_SEED)?.split_off_every_fifth()))
            }
            Source::Copy(_) | Source::Text(_) => {
                let problem = "it has a target at each step of its rows, not one for each row";
                Err(Error::invalid(name, problem, "train a model of sequences on it: `nnc train rnn`"))
            }
        }
    }

    /// The same source, whose pictures have the size and the channels of rows of this shape where it says none.
    pub fn like_rows(self, row: &[usize]) -> Source {
        match self {
            Source::Images { path, layout } if layout == Layout::default() => {
                Source::Images { path, layout: Layout::of_row(row).unwrap_or_default() }
            }
            other => other,
        }
    }

    /// The text that it is.
    ///
    /// # Errors
    /// Where it is none, or it cannot be read or is empty.
    pub fn text(&self) -> Result<Text, Error> {
        match self {
            Source::Text(None) => Ok(Text::documents()),
            Source::Text(Some(path)) => Text::read(path, &self.to_string()),
            other => Err(Error::invalid(other.to_string(), "it is no text", "give text:FILE")),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> &'static SourceKind {
        let text = self.to_string();
        let name = text.split(':').next().unwrap_or_default();
        SOURCES.iter().find(|kind| kind.name == name).expect("each source is of a kind, as a test checks")
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
            Source::Images { path, layout } => {
                let hash = if layout.size.is_some() { "#" } else { "" };
                write!(f, "images:{}{hash}{layout}", path.display())
            }
            Source::Synthetic(kind) => write!(f, "synthetic:{kind}"),
            Source::Adding(steps) => write!(f, "adding:{steps}"),
            Source::Copy(delay) => write!(f, "copy:{delay}"),
            Source::Text(None) => f.write_str("text"),
            Source::Text(Some(path)) => write!(f, "text:{}", path.display()),
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
            ("images", place) if !place.is_empty() => match place.rsplit_once('#') {
                Some((path, layout)) => Source::Images { path: path.into(), layout: layout.parse()? },
                None => Source::Images { path: place.into(), layout: Layout::default() },
            },
            ("synthetic", kind) if !kind.is_empty() => Source::Synthetic(kind.parse()?),
            ("adding", steps) => Source::Adding(steps_of(text, steps, ADDING_STEPS)?),
            ("copy", delay) => Source::Copy(steps_of(text, delay, COPY_DELAY)?),
            ("text", "") => Source::Text(None),
            ("text", path) => Source::Text(Some(path.into())),
            _ => {
                let all = format!("choose from {}", SOURCES.map(|source| source.syntax).join(", "));
                let others = SOURCES.map(|source| source.name).into_iter().filter(|&name| name != kind);
                let help = with_nearest(kind, others, all);
                return Err(Error::invalid(format!("data `{text}`"), "it is no data set", help));
            }
        })
    }
}

/// The rows of a table: as a model has read another, or as this one asks for.
fn csv_rows(path: &Path, columns: &Columns, loading: &Loading<'_>, name: &str) -> Result<Dataset, Error> {
    let Some(encoding) = loading.encoding else { return csv::read(path, columns, &loading.format, name) };
    let (file, subject) = (files::read(path)?, path.display().to_string());
    Ok(encoding.read(&file, &loading.format, csv::Use::Evaluate, &subject)?.named(name))
}

/// The number of steps that a source asks for.
fn steps_of(source: &str, given: &str, otherwise: usize) -> Result<usize, Error> {
    if given.is_empty() {
        return Ok(otherwise);
    }
    given.parse().ok().filter(|steps| (1..=MAX_STEPS).contains(steps)).ok_or_else(|| {
        let problem = format!("{given:?} is no number of steps");
        Error::invalid(format!("data `{source}`"), problem, format!("give from 1 to {MAX_STEPS}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_written_as_it_is_parsed() {
        let texts =
            ["digits", "idx:a/b", "zip:zip.train.gz", "csv:a.csv", "csv:a#b.csv#y", "csv:a.csv#y,-d,-7"];
        let more = [
            "csv:a.csv#-d",
            "npz:a.npz",
            "images:a/b",
            "images:a#b#28x28x1",
            "synthetic:blobs",
            "adding:7",
            "copy:3",
            "text",
            "text:a.txt",
        ];
        for text in texts.into_iter().chain(more) {
            let source = text.parse::<Source>().unwrap();
            assert_eq!(source.to_string(), text);
            assert_eq!(source.kind().name, text.split(':').next().unwrap());
        }
        assert_eq!("adding".parse::<Source>().unwrap(), Source::Adding(100));
        assert_eq!("copy".parse::<Source>().unwrap(), Source::Copy(20));
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
        for text in ["adding:x", "copy:0", "adding:10001"] {
            let error = text.parse::<Source>().unwrap_err().to_string();
            assert!(error.ends_with("is no number of steps; give from 1 to 10000"), "{error}");
        }
        assert!("csv:a.csv#".parse::<Source>().is_err() && "images:a#b".parse::<Source>().is_err());
        assert!("synthetic:moons".parse::<Source>().unwrap_err().to_string().contains("blobs, spirals"));
    }

    #[test]
    fn every_listed_source_is_known() {
        for source in SOURCES {
            let text = match source.name {
                "digits" | "adding" | "copy" => source.name.to_owned(),
                name => format!("{name}:blobs"),
            };
            assert!(text.parse::<Source>().unwrap().to_string().starts_with(source.name));
        }
        let (train, test) = Source::Digits.load().unwrap();
        assert_eq!((train.len(), test.len()), (1437, 360));
    }

    #[test]
    fn rows_and_sequences_are_loaded_alike() {
        let load = |text: &str| {
            text.parse::<Source>()
                .unwrap()
                .load_with(&Loading { batch: 8, steps: 20, ..Loading::default() })
                .unwrap()
        };
        let (train, test) = load("adding:5");
        assert!(train.dataset().is_some() && (train.len(), test.len()) == (8000, 2000));
        let (train, test) = load("copy:2");
        assert!(train.sequences().is_some() && (train.len(), test.len()) == (8000, 2000));
        let (train, _) = load("text");
        assert!(train.sequences().unwrap().is_continued() && train.len() % 8 == 0);
        let error = Source::Copy(2).load().unwrap_err().to_string();
        assert!(error.starts_with("copy:2: it has a target at each step of its rows"), "{error}");
        assert!(Source::Digits.text().is_err());
    }
}
