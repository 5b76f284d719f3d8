//! Pictures in folders, PNG and JPEG: a folder for each class.
//!
//! `DIR/cat/1.png` is of class `cat`. Where `DIR` holds `train` and, for testing, `test`, `val`, `valid` or `validation`, these
//! have the folders of the classes. Pictures are read in the order of their names, by bytes. Their pixels become 0 to 1; one that is
//! transparent lies on white; the orientation in EXIF is respected; those of 16 bits keep them. Where all are grey there is one
//! channel, else there are three. A picture is stretched to the size that is asked for.
//!
//! | module | what it holds |
//! |---|---|
//! | `folder` | which files there are, and of which class |
//! | `layout` | the size and the channels that are asked for |
//! | `jpeg` | whether a JPEG is whole |
//! | `picture` | one picture |
//! | [`rows`] | pictures to predict these |

mod folder;
mod jpeg;
mod layout;
mod picture;
pub mod rows;

use std::path::Path;

use folder::Folder;
pub use layout::Layout;
use picture::Picture;

use super::{Dataset, Parts, Pixels, Targets};
use crate::{Error, files, memory};

/// The pictures of a folder for training and for testing. The data set is called `name`, and how many files were left out.
///
/// # Errors
/// Where there are no classes, one has no pictures, or one to test on is not among those to train on; a picture cannot be read, or is
/// damaged or too large; or they are of several sizes, and none is asked for.
pub fn read(path: &Path, layout: Layout, name: &str) -> Result<Parts, Error> {
    let folder = Folder::find(path)?;
    let name = match folder.left_out {
        0 => name.to_owned(),
        count => format!("{name} (left out as no pictures of a class: {count})"),
    };
    let parts = [Some(&folder.train), folder.test.as_ref()].into_iter().flatten();
    let mut pictures = Vec::new();
    for file in parts.clone().flat_map(|part| &part.files) {
        pictures.push(read_picture(&file.path, layout)?);
    }
    let files: Vec<&Path> =
        parts.clone().flat_map(|part| &part.files).map(|file| file.path.as_path()).collect();
    let labels = parts.flat_map(|part| &part.files).map(|file| file.label).collect();
    let targets = Targets::Classes { labels, names: folder.classes.clone() };
    let all = dataset(&name, &files, pictures, layout, targets)?;
    let train = folder.train.files.len();
    Ok(match folder.test {
        None => Parts::whole(all),
        Some(_) => Parts::apart(all.split(|row| row >= train)),
    })
}

/// The picture in a file, in the size that is asked for.
fn read_picture(path: &Path, layout: Layout) -> Result<Picture, Error> {
    let subject = path.display().to_string();
    let picture = picture::decode(&files::read(path)?, &subject)?;
    match layout.size {
        Some(size) => picture.resized(size, &subject),
        None => Ok(picture),
    }
}

/// The rows of these pictures, in the channels that are asked for, or that they have.
fn dataset(
    name: &str,
    files: &[&Path],
    pictures: Vec<Picture>,
    layout: Layout,
    targets: Targets,
) -> Result<Dataset, Error> {
    let size = pictures.first().map_or([0, 0], |picture| picture.size);
    if let Some(other) = pictures.iter().position(|picture| picture.size != size) {
        let shown = |[height, width]: [usize; 2]| format!("{height}x{width}");
        let problem = format!(
            "{} is of {} pixels, {} of {} (height x width)",
            files[0].display(),
            shown(size),
            files[other].display(),
            shown(pictures[other].size)
        );
        return Err(Error::invalid(name, problem, "give one size for all: `images:DIR#64x64`"));
    }
    let own = pictures.iter().map(|picture| picture.channels).max().unwrap_or(1);
    let channels = layout.channels.unwrap_or(own);
    let width = channels * size[0] * size[1];
    let count = pictures.len();
    memory::check_rows(name, count, width, 2)?; // they are split
    let mut numbers = memory::vector(name, count * width)?;
    pictures.into_iter().for_each(|picture| picture.write(channels, &mut numbers));
    let rows = Dataset::new(name, [channels, size[0], size[1]], numbers, targets)?;
    Ok(rows.with_pixels(Some(Pixels::UNIT)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder of PNG files, each `size` (height, width) and of one colour.
    struct Pictures(tempfile::TempDir);

    impl Pictures {
        fn new() -> Pictures {
            Pictures(tempfile::tempdir().unwrap())
        }

        fn with(self, name: &str, [height, width]: [u32; 2], colour: [u8; 3]) -> Pictures {
            let path = self.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let image = image::ImageBuffer::from_pixel(width, height, image::Rgb(colour));
            image.save_with_format(path, image::ImageFormat::Png).unwrap();
            self
        }

        fn with_file(self, name: &str, bytes: &[u8]) -> Pictures {
            let path = self.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
            self
        }

        fn read(&self, layout: &str) -> Result<(Dataset, Dataset), String> {
            let layout = if layout.is_empty() { Layout::default() } else { layout.parse().unwrap() };
            let prefix = self.0.path().display().to_string();
            let parts = read(self.0.path(), layout, "toy");
            Ok(parts.map_err(|error| error.to_string().replace(&prefix, "DIR"))?.split(0))
        }

        fn problem(&self) -> String {
            self.read("").unwrap_err()
        }
    }

    const GREY: [u8; 3] = [51; 3];
    const RED: [u8; 3] = [255, 0, 0];

    /// Five pictures of two classes, with one name that sorts by bytes alone.
    fn pets() -> Pictures {
        let pictures = Pictures::new().with("dog/a.png", [2, 3], GREY).with("dog/B.PNG", [2, 3], [0; 3]);
        let pictures = pictures.with("cat/10.png", [2, 3], [102; 3]).with("cat/9.png", [2, 3], [153; 3]);
        pictures.with("cat/é.jpeg", [2, 3], [204; 3]) // a PNG under another ending
    }

    #[test]
    fn folders_are_classes_and_pictures_are_in_the_order_of_their_names() {
        let (train, test) = pets().read("").unwrap();
        assert_eq!(train.to_string(), "toy: 4 rows of [1, 2, 3], classes cat, dog");
        assert_eq!((test.len(), test.row(0)[0], test.labels()), (1, 0.4, Some(&[0][..])));
        let firsts: Vec<f32> = (0..4).map(|row| train.row(row)[0]).collect();
        assert_eq!((firsts, train.labels().unwrap()), (vec![0.6, 0.8, 0.0, 0.2], &[0, 0, 1, 1][..]));
        assert_eq!(train.pixels(), Some(Pixels::UNIT));
    }

    #[test]
    fn one_picture_in_colours_makes_three_channels_for_all() {
        let pictures = pets().with("dog/red.png", [2, 3], RED);
        let (train, _) = pictures.read("").unwrap();
        assert_eq!(train.row_shape().to_string(), "[3, 2, 3]");
        let (grey, _) = pictures.read("2x3x1").unwrap();
        assert_eq!(grey.row_shape().to_string(), "[1, 2, 3]");
        let (colours, _) = pets().read("2x3x3").unwrap();
        assert_eq!(colours.row(0)[0..18], [0.6; 18]);
    }

    #[test]
    fn pictures_of_several_sizes_want_one() {
        let pictures = pets().with("dog/small.png", [4, 4], GREY);
        let expected = "toy: DIR/cat/10.png is of 2x3 pixels, DIR/dog/small.png of 4x4 (height x width); \
                        give one size for all: `images:DIR#64x64`";
        assert_eq!(pictures.problem(), expected);
        let (train, _) = pictures.read("5x6").unwrap();
        assert_eq!(train.row_shape().to_string(), "[1, 5, 6]");
    }

    #[test]
    fn folders_of_parts_are_the_parts() {
        let parts = |test: &str| {
            let pictures =
                Pictures::new().with("train/a/1.png", [1, 1], GREY).with("train/b/1.png", [1, 1], RED);
            pictures.with(&format!("{test}/b/2.png"), [1, 1], GREY)
        };
        for test in ["test", "val", "valid", "validation"] {
            let (train, test) = parts(test).read("").unwrap();
            assert_eq!((train.len(), test.len(), test.labels()), (2, 1, Some(&[1][..])));
            assert_eq!((test.row(0), test.outputs()), (&[0.2; 3][..], 2)); // as many channels as what is trained on
        }
        let unknown = parts("test").with("test/c/1.png", [1, 1], GREY).problem();
        let expected = "DIR/test/c: no pictures to train on are of class `c`; \
                        give pictures of classes that are trained on: a, b";
        assert_eq!(unknown, expected);
        let third = parts("test").with("val/a/1.png", [1, 1], GREY).problem();
        assert!(
            third.starts_with("DIR: beside train and test it holds val; leave the parts alone in it"),
            "{third}"
        );
        // Without what is tested on, it is a class like any other.
        let trains = Pictures::new().with("train/1.png", [1, 1], GREY).with("car/1.png", [1, 1], GREY);
        assert_eq!(trains.read("").unwrap().0.targets().names(), ["car", "train"]);
    }

    #[test]
    fn files_that_are_no_pictures_of_a_class_are_left_out_and_counted() {
        let pictures = pets().with_file("README.md", b"pets").with_file("cat/notes.txt", b"").with(
            "dog/old/1.png",
            [1, 1],
            RED,
        );
        let pictures = pictures
            .with("stray.png", [9, 9], RED)
            .with_file(".hidden/1.png", b"")
            .with_file("cat/.DS_Store", b"");
        let (train, test) = pictures.read("").unwrap();
        assert_eq!(train.name(), "toy (left out as no pictures of a class: 4)");
        assert_eq!(train.len() + test.len(), 5);
    }

    #[test]
    fn folders_without_classes_or_pictures_are_errors_that_list_what_is_there() {
        let problem = Pictures::new().problem();
        assert!(
            problem.starts_with("DIR: there are no folders in it, which classes are, but nothing; put"),
            "{problem}"
        );
        let problem = Pictures::new().with("1.png", [1, 1], GREY).with("2.png", [1, 1], GREY).problem();
        assert!(
            problem.contains("which classes are, but 1.png, 2.png; put the pictures of each class"),
            "{problem}"
        );
        let problem = pets().with_file("owl/a.webp", b"").problem();
        let expected = "DIR/owl: there are no pictures of class `owl` in it, but a.webp; \
                        put PNG or JPEG files into it, or take it away";
        assert_eq!(problem, expected);
        let problem = Pictures::new().with("train/a/1.png", [1, 1], GREY).problem();
        assert!(
            problem.starts_with("DIR/train: there are no pictures of class `train` in it, but a; "),
            "{problem}"
        );
        assert!(
            read(Path::new("/none"), Layout::default(), "toy")
                .unwrap_err()
                .to_string()
                .starts_with("/none: cannot read: ")
        );
    }

    #[test]
    fn a_picture_that_cannot_be_read_is_an_error_that_names_it() {
        assert!(
            pets().with_file("cat/x.png", b"").problem().starts_with("DIR/cat/x.png: the file is empty; ")
        );
        let text = pets().with_file("cat/x.jpg", b"a text").problem();
        assert!(text.starts_with("DIR/cat/x.jpg: this is no PNG or JPEG; "), "{text}");
    }

    #[test]
    fn one_class_is_enough_for_models_that_learn_no_classes() {
        let (train, test) =
            Pictures::new().with("all/1.png", [1, 1], GREY).with("all/2.png", [1, 1], GREY).read("").unwrap();
        assert_eq!((train.len(), test.len(), train.outputs()), (1, 1, 1));
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_in_a_circle_or_to_nothing_are_errors() {
        use std::os::unix::fs::symlink;
        let pictures = pets();
        symlink("loop", pictures.0.path().join("loop")).unwrap();
        assert!(pictures.problem().starts_with("DIR/loop: cannot read: "), "{}", pictures.problem());
        let pictures = pets();
        symlink("none", pictures.0.path().join("cat/a.png")).unwrap();
        assert!(pictures.problem().starts_with("DIR/cat/a.png: cannot read: "), "{}", pictures.problem());
        let pictures = pets();
        symlink("..", pictures.0.path().join("up")).unwrap();
        assert!(pictures.problem().starts_with("DIR/up: there are no pictures of class `up` in it, but "));
        let pictures = pets();
        symlink("cat", pictures.0.path().join("kitten")).unwrap();
        assert_eq!(pictures.read("").unwrap().0.targets().names(), ["cat", "dog", "kitten"]);
    }
}
