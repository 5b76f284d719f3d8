//! IDX files, in which MNIST and its kin come (Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten
//! digits", where the format is described): images and labels in a file each, gzipped or not.
//!
//! A file is a magic number (two zero bytes, the type of the elements, the number of axes), the extents of the axes as
//! big-endian 32-bit integers, and the elements, of which this reads bytes only.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use ir::Shape;

use super::dataset::check_alike;
use super::targets::class_count;
use super::{Dataset, Parts, Pixels, Targets, gzip};
use crate::{Error, files, memory};

/// The type of bytes in a magic number.
const UNSIGNED_BYTE: u8 = 8;
const MAX_RANK: usize = 4;
/// The greatest value of a pixel.
const WHITE: f32 = 255.0;
/// How the names of sets for testing end, before `images-idx3-ubyte`.
const TEST_PREFIXES: [&str; 2] = ["t10k-", "test-"];
/// The most files that an error lists.
const SHOWN_FILES: usize = 10;

/// The images of a folder for training and for testing, `[1, height, width]` and scaled to 0..1, with their classes. A
/// set is a pair of files like `train-images-idx3-ubyte.gz` and `train-labels-idx1-ubyte.gz`; one that starts with
/// `t10k-` or `test-` is for testing.
///
/// # Errors
/// Where there is no set in the folder or more than two, a file is damaged, there are not as many images as labels, or
/// labels are out of range: a class without images between others, or one that the set for training has not.
pub fn read(folder: &Path, name: &str) -> Result<Parts, Error> {
    let sets = Sets::find(folder)?;
    let (images, labels) = read_set(&sets.train)?;
    let classes = class_count(&labels, &sets.train.labels.display().to_string())?;
    let train = dataset(name, &sets.train, images, labels, classes)?;
    let Some(test) = &sets.test else { return Ok(Parts::whole(train)) };
    let (images, labels) = read_set(test)?;
    let test = dataset(name, test, images, labels, classes)?;
    check_alike(&train, &test, &folder.display().to_string())?;
    Ok(Parts::apart((train, test)))
}

/// The files of a set.
struct Set {
    images: PathBuf,
    labels: PathBuf,
}

struct Sets {
    train: Set,
    test: Option<Set>,
}

impl Sets {
    fn find(folder: &Path) -> Result<Sets, Error> {
        let failed = |source| Error::io(folder, "read", source);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        names.sort(); // a file comes before its gzipped form, and is taken
        let with_ending = |kind: &str, axes: u32| -> BTreeMap<String, PathBuf> {
            let endings = [format!("{kind}-idx{axes}-ubyte"), format!("{kind}.idx{axes}-ubyte")];
            let prefix = |name: &str| {
                let name = name.strip_suffix(".gz").unwrap_or(name);
                endings.iter().find_map(|ending| name.strip_suffix(ending.as_str())).map(str::to_owned)
            };
            let found = names.iter().rev().filter_map(|name| Some((prefix(name)?, folder.join(name))));
            found.collect()
        };
        let (images, mut labels) = (with_ending("images", 3), with_ending("labels", 1));
        let invalid =
            |problem: String, help: &str| Error::invalid(folder.display().to_string(), problem, help);
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for (prefix, images) in images {
            let Some(labels) = labels.remove(&prefix) else {
                let problem = format!("there is {}, but no {prefix}labels-idx1-ubyte", images.display());
                return Err(invalid(problem, "put the labels beside the images"));
            };
            let is_for_testing = TEST_PREFIXES.iter().any(|test| prefix.ends_with(test));
            if is_for_testing { &mut test } else { &mut train }.push(Set { images, labels });
        }
        let is_clear = train.len() <= 1 && test.len() <= 1;
        let mut sets = train.into_iter().chain(test);
        match sets.next() {
            Some(train) if is_clear => Ok(Sets { train, test: sets.next() }),
            Some(_) => Err(invalid(
                format!("there are several sets in it: {}", listed(&names)),
                "put each set, for training and for testing, into a folder of its own",
            )),
            None => Err(invalid(
                format!("there are no IDX files in it, but {}", listed(&names)),
                "give a folder with train-images-idx3-ubyte and train-labels-idx1-ubyte, gzipped or not",
            )),
        }
    }
}

fn listed(names: &[String]) -> String {
    match names.len() {
        0 => "nothing".to_owned(),
        count if count <= SHOWN_FILES => names.join(", "),
        count => format!("{}, and {} more", names[..SHOWN_FILES].join(", "), count - SHOWN_FILES),
    }
}

/// Images, with their shape, and labels.
type Images = (Shape, Vec<u8>);

fn read_set(set: &Set) -> Result<(Images, Vec<i64>), Error> {
    let read = |path: &Path| decode(&files::read(path)?, &path.display().to_string());
    let (images, (labels_shape, labels)) = (read(&set.images)?, read(&set.labels)?);
    let subject = |path: &Path| path.display().to_string();
    if labels_shape.rank() != 1 {
        let problem = format!("its elements are {labels_shape}");
        return Err(Error::invalid(subject(&set.labels), problem, "give one label per image"));
    }
    if images.0.rank() != 3 || images.0[0] != labels_shape[0] {
        let problem = format!("its elements are {}, and there are {} labels", images.0, labels.len());
        return Err(Error::invalid(subject(&set.images), problem, "give [images, height, width]"));
    }
    Ok((images, labels.into_iter().map(i64::from).collect()))
}

fn dataset(
    name: &str,
    set: &Set,
    (shape, pixels): Images,
    labels: Vec<i64>,
    classes: usize,
) -> Result<Dataset, Error> {
    if let Some(row) = labels.iter().position(|&label| label as usize >= classes) {
        let problem = format!("label {row} (from 0) is {}, and there are {classes} classes", labels[row]);
        let help = "give a set with the classes of the set for training";
        return Err(Error::invalid(set.labels.display().to_string(), problem, help));
    }
    memory::check_rows(name, pixels.len(), 1, 2)?;
    let pixels = pixels.into_iter().map(|pixel| f32::from(pixel) / WHITE).collect();
    let images = Dataset::new(name, [1, shape[1], shape[2]], pixels, Targets::classes(labels, classes))?;
    Ok(images.with_pixels(Some(Pixels::UNIT)))
}

/// The shape and the elements of an IDX file of bytes; `subject` is what an error calls it.
///
/// ```
/// let file = [0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9];
/// assert_eq!(nnc::data::idx::decode(&file, "labels")?, ([3].into(), vec![7, 8, 9]));
/// # Ok::<(), nnc::Error>(())
/// ```
///
/// # Errors
/// Where it is no such file, or it does not hold as many elements as its header says: no memory is taken for those that
/// are not there.
pub fn decode(file: &[u8], subject: &str) -> Result<(Shape, Vec<u8>), Error> {
    let damaged = |error: &std::io::Error| gzip::damaged(subject, error);
    let broken =
        |problem: String| Error::invalid(subject, problem, "get it again, as an IDX file of unsigned bytes");
    let mut reader = gzip::reader(file);
    let mut take = |count: usize| -> Result<Vec<u8>, Error> {
        let mut bytes = memory::vector(subject, count)?;
        reader.by_ref().take(count as u64).read_to_end(&mut bytes).map_err(|error| damaged(&error))?;
        Ok(bytes)
    };
    let magic = take(4)?;
    let [0, 0, element_type, rank] = magic[..] else {
        return Err(broken("this is no IDX file: it does not start with two zero bytes".into()));
    };
    if element_type != UNSIGNED_BYTE || rank == 0 || usize::from(rank) > MAX_RANK {
        let problem = format!("its elements are of type {element_type:#04x}, along {rank} axes");
        return Err(broken(problem));
    }
    let header = take(4 * usize::from(rank))?;
    let (extents, _) = header.as_chunks::<4>();
    if extents.len() < usize::from(rank) {
        return Err(broken("it ends within its header".into()));
    }
    let shape: Shape = extents.iter().map(|&extent| u32::from_be_bytes(extent) as usize).collect();
    let (promised, most) = (shape.elements(), gzip::most_bytes(file));
    if promised > most {
        let problem = format!("its header promises {shape} elements, and it cannot hold more than {most}");
        return Err(broken(problem));
    }
    let elements = take(promised)?;
    if elements.len() < promised {
        return Err(broken(format!(
            "its header promises {shape} elements, and it ends after {}",
            elements.len()
        )));
    }
    match take(1)?.is_empty() {
        true => Ok((shape, elements)),
        false => Err(broken(format!("it goes on after the {shape} elements that its header promises"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IDX file of bytes.
    fn idx(extents: &[u32], elements: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, UNSIGNED_BYTE, extents.len() as u8];
        file.extend(extents.iter().flat_map(|extent| extent.to_be_bytes()));
        file.extend(elements);
        file
    }

    fn problem(file: &[u8]) -> String {
        decode(file, "images").unwrap_err().to_string()
    }

    /// Writes a set of images of 2x1 pixels, of which image i has pixels i and 255.
    fn write_set(folder: &Path, prefix: &str, labels: &[u8], is_gzipped: bool) {
        let count = labels.len() as u32;
        let pixels: Vec<u8> = (0..labels.len() as u8).flat_map(|image| [image, 255]).collect();
        let write = |name: &str, file: &[u8]| match is_gzipped {
            true => std::fs::write(folder.join(format!("{name}.gz")), gzip::compress(file)).unwrap(),
            false => std::fs::write(folder.join(name), file).unwrap(),
        };
        write(&format!("{prefix}images-idx3-ubyte"), &idx(&[count, 2, 1], &pixels));
        write(&format!("{prefix}labels-idx1-ubyte"), &idx(&[count], labels));
    }

    fn read_error(folder: &Path) -> String {
        read(folder, "toy").unwrap_err().to_string()
    }

    #[test]
    fn a_folder_gives_its_two_sets_gzipped_or_not() {
        for is_gzipped in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            write_set(folder.path(), "train-", &[0, 1, 2], is_gzipped);
            write_set(folder.path(), "t10k-", &[2, 1], is_gzipped);
            let (train, test) = read(folder.path(), "toy").unwrap().split(0);
            assert_eq!(train.to_string(), "toy: 3 rows of [1, 2, 1], classes 0, 1, 2");
            assert_eq!((train.row(1), train.labels()), (&[1.0 / 255.0, 1.0][..], Some(&[0, 1, 2][..])));
            assert_eq!((test.len(), test.outputs(), test.labels()), (2, 3, Some(&[2, 1][..])));
        }
    }

    #[test]
    fn of_a_set_that_is_alone_a_fifth_is_for_testing() {
        for prefix in ["t10k-", "train-", "emnist-letters-train-", ""] {
            let folder = tempfile::tempdir().unwrap();
            write_set(folder.path(), prefix, &[0, 1, 2, 0, 1, 2, 0, 1, 2, 0], true);
            let (train, test) = read(folder.path(), "toy").unwrap().split(0);
            assert_eq!((train.len(), test.labels()), (8, Some(&[1, 0][..])));
        }
    }

    #[test]
    fn folders_that_hold_no_set_or_several_are_errors_that_list_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            read_error(folder.path())
                .contains("there are no IDX files in it, but nothing; give a folder with")
        );
        std::fs::write(folder.path().join("notes.txt"), b"").unwrap();
        assert!(read_error(folder.path()).contains("no IDX files in it, but notes.txt; "));
        write_set(folder.path(), "train-", &[0], false);
        write_set(folder.path(), "letters-train-", &[0], false);
        let several = read_error(folder.path());
        assert!(several.contains("several sets in it: letters-train-images-idx3-ubyte, "), "{several}");
        std::fs::remove_file(folder.path().join("train-labels-idx1-ubyte")).unwrap();
        assert!(
            read_error(folder.path())
                .contains("train-images-idx3-ubyte, but no train-labels-idx1-ubyte; put")
        );
        assert!(read_error(&folder.path().join("none")).contains("none: cannot read: "));
    }

    #[test]
    fn labels_out_of_range_are_errors_that_name_the_row() {
        let folder = tempfile::tempdir().unwrap();
        write_set(folder.path(), "train-", &[0, 1, 200, 2], false);
        let error = read_error(folder.path());
        assert!(
            error.contains("train-labels-idx1-ubyte: label 2 (from 0) is 200, and none is 3; "),
            "{error}"
        );
        write_set(folder.path(), "train-", &[0, 1, 3, 2], false);
        write_set(folder.path(), "t10k-", &[0, 4], false);
        let error = read_error(folder.path());
        assert!(
            error.contains("t10k-labels-idx1-ubyte: label 1 (from 0) is 4, and there are 4 classes"),
            "{error}"
        );
    }

    #[test]
    fn files_that_do_not_fit_each_other_are_errors_that_show_both() {
        let folder = tempfile::tempdir().unwrap();
        write_set(folder.path(), "train-", &[0, 1, 2], false);
        let labels = folder.path().join("train-labels-idx1-ubyte");
        std::fs::write(&labels, idx(&[2], &[0, 1])).unwrap();
        assert!(read_error(folder.path()).contains("its elements are [3, 2, 1], and there are 2 labels; "));
        std::fs::write(&labels, idx(&[3, 1], &[0, 1, 2])).unwrap();
        assert!(
            read_error(folder.path()).contains("labels-idx1-ubyte: its elements are [3, 1]; give one label")
        );
        write_set(folder.path(), "train-", &[0, 1, 2], false);
        write_set(folder.path(), "t10k-", &[0], false);
        std::fs::write(folder.path().join("t10k-images-idx3-ubyte"), idx(&[1, 1, 2], &[0; 2])).unwrap();
        let error = read_error(folder.path());
        assert!(
            error.contains(
                "to train on there are rows of [1, 2, 1] with 3 classes, to test on rows of [1, 1, 2]"
            ),
            "{error}"
        );
    }

    #[test]
    fn a_truncated_file_is_an_error_wherever_it_ends() {
        let whole = idx(&[2, 1, 3], &[9; 6]);
        for file in [whole.clone(), gzip::compress(&whole)] {
            assert_eq!(decode(&file, "a").unwrap(), ([2, 1, 3].into(), vec![9; 6]));
            for length in 0..file.len() {
                assert!(problem(&file[..length]).starts_with("images: "), "{length}");
            }
        }
        assert!(problem(&whole[..10]).contains("it ends within its header; get it again"));
        assert!(problem(&[whole, vec![0]].concat()).contains("it goes on after the [2, 1, 3] elements"));
    }

    #[test]
    fn a_header_that_promises_more_than_the_file_can_hold_is_an_error() {
        let header = idx(&[u32::MAX, u32::MAX, u32::MAX], &[0; 8]);
        assert!(problem(&header).contains("and it cannot hold more than 24; "), "{}", problem(&header));
        let gzipped = gzip::compress(&idx(&[1 << 20, 1, 1], &[0; 8]));
        assert!(problem(&gzipped).contains("and it cannot hold more than"), "{}", problem(&gzipped));
        let short = problem(&idx(&[9], &[0; 8]));
        assert!(short.contains("its header promises [9] elements, and it ends after 8"), "{short}");
    }

    #[test]
    fn files_of_other_formats_are_errors() {
        assert!(problem(b"PK\x03\x04").contains("this is no IDX file"));
        assert!(problem(b"").contains("this is no IDX file"));
        assert!(problem(&[0, 0, 0xd, 1]).contains("its elements are of type 0x0d, along 1 axes"));
        assert!(problem(&[0, 0, 8, 5]).contains("along 5 axes"));
    }
}
