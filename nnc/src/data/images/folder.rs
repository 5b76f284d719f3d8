//! Which pictures a folder holds, and of which class each is.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;

/// The endings of names of pictures.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];
/// The folder of what is trained on, and those of what is tested on, the first that is there.
const TRAIN: &str = "train";
const TESTS: [&str; 4] = ["test", "val", "valid", "validation"];
/// The most names that an error lists.
const SHOWN: usize = 5;

/// The pictures of a folder.
pub struct Folder {
    /// The names of the classes, in alphabetical order.
    pub classes: Vec<String>,
    pub train: Part,
    pub test: Option<Part>,
    /// The number of files and folders that are no pictures of a class.
    pub left_out: usize,
}

/// Pictures in the order of classes and names.
pub struct Part {
    pub files: Vec<File>,
}

/// A picture and the number of its class.
pub struct File {
    pub path: PathBuf,
    pub label: i64,
}

/// What is in a folder, in the order of names, by bytes.
pub struct Entries {
    pub folders: Vec<(OsString, PathBuf)>,
    pub pictures: Vec<PathBuf>,
    pub others: Vec<PathBuf>,
}

impl Folder {
    /// What is in a folder.
    ///
    /// # Errors
    /// Where it holds no folders of pictures, one of them holds none, or there is a class to test on that is not trained on.
    pub fn find(path: &Path) -> Result<Folder, Error> {
        let top = Entries::of(path)?;
        let find = |name: &str| {
            top.folders.iter().find(|(folder, _)| folder == name).map(|(_, path)| path.as_path())
        };
        let test = TESTS.into_iter().find_map(find);
        let mut left_out = top.pictures.len() + top.others.len();
        let (Some(train), Some(test)) = (find(TRAIN), test) else {
            let (classes, train) = part(path, &top, None, &mut left_out)?;
            return Ok(Folder { classes, train, test: None, left_out });
        };
        let used = |folder: &PathBuf| folder == train || folder == test;
        if let Some((name, _)) = top.folders.iter().find(|(_, folder)| !used(folder)) {
            let problem = format!("beside {TRAIN} and {} it holds {}", end(test), name.display());
            let help = "leave the parts alone in it, one to train on and one to test on; `--validation` holds out rows of the first";
            return Err(Error::invalid(path.display().to_string(), problem, help));
        }
        let of_part = |folder: &Path, known, left_out: &mut usize| {
            let entries = Entries::of(folder)?;
            *left_out += entries.pictures.len() + entries.others.len();
            part(folder, &entries, known, left_out)
        };
        let (classes, train) = of_part(train, None, &mut left_out)?;
        let (_, test) = of_part(test, Some(&classes), &mut left_out)?;
        Ok(Folder { classes, train, test: Some(test), left_out })
    }
}

impl Entries {
    /// What is in a folder. Names that begin with a point are passed over.
    pub fn of(path: &Path) -> Result<Entries, Error> {
        let failed = |path: &Path, source| Error::io(path, "read", source);
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(path).map_err(|source| failed(path, source))? {
            names.insert(entry.map_err(|source| failed(path, source))?.file_name());
        }
        names.retain(|name| !name.as_encoded_bytes().starts_with(b"."));
        let mut entries = Entries { folders: Vec::new(), pictures: Vec::new(), others: Vec::new() };
        for name in names {
            let path = path.join(&name);
            // Where links lead in a circle or to nothing, this fails.
            let metadata = fs::metadata(&path).map_err(|source| failed(&path, source))?;
            match () {
                () if metadata.is_dir() => entries.folders.push((name, path)),
                () if metadata.is_file() && is_named_as_picture(&path) => entries.pictures.push(path),
                () => entries.others.push(path),
            }
        }
        Ok(entries)
    }
}

/// Whether the name of a file ends as those of pictures do.
pub fn is_named_as_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// The classes and the pictures of a folder of folders; with those that are known, no others.
fn part(
    path: &Path,
    entries: &Entries,
    known: Option<&[String]>,
    left_out: &mut usize,
) -> Result<(Vec<String>, Part), Error> {
    let invalid = |path: &Path, problem: String, help: &str| {
        Err(Error::invalid(path.display().to_string(), problem, help))
    };
    if entries.folders.is_empty() {
        let there = listed(entries.pictures.iter().chain(&entries.others));
        let help = "put the pictures of each class into a folder that has its name: DIR/cat/1.png";
        return invalid(path, format!("there are no folders in it, which classes are, but {there}"), help);
    }
    let (mut classes, mut files) = (Vec::new(), Vec::new());
    for (name, folder) in &entries.folders {
        let Some(name) = name.to_str() else {
            return invalid(
                folder,
                "its name, which a class has, is not UTF-8".into(),
                "give it another name",
            );
        };
        let label = match known.map(|known| known.iter().position(|class| class == name)) {
            None => classes.len(),
            Some(Some(label)) => label,
            Some(None) => {
                let help = format!(
                    "give pictures of classes that are trained on: {}",
                    names(known.unwrap_or_default())
                );
                return invalid(folder, format!("no pictures to train on are of class `{name}`"), &help);
            }
        };
        let within = Entries::of(folder)?;
        if within.pictures.is_empty() {
            let there = listed(within.folders.iter().map(|(_, path)| path).chain(&within.others));
            let help = "put PNG or JPEG files into it, or take it away";
            return invalid(
                folder,
                format!("there are no pictures of class `{name}` in it, but {there}"),
                help,
            );
        }
        *left_out += within.others.len() + within.folders.len();
        classes.push(name.to_owned());
        files.extend(within.pictures.into_iter().map(|path| File { path, label: label as i64 }));
    }
    Ok((classes, Part { files }))
}

/// The last part of a path.
fn end(path: &Path) -> String {
    path.file_name().unwrap_or_default().display().to_string()
}

/// The names of some files.
fn listed<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> String {
    let all: Vec<String> = paths.map(|path| end(path)).collect();
    if all.is_empty() { "nothing".to_owned() } else { names(&all) }
}

fn names(all: &[String]) -> String {
    let shown = all[..all.len().min(SHOWN)].join(", ");
    if all.len() > SHOWN { format!("{shown}, and {} more", all.len() - SHOWN) } else { shown }
}
