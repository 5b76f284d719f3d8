//! Pictures without classes, to predict these: a file, or all that a folder and those in it hold.

use std::path::{Path, PathBuf};

use super::folder::{Entries, is_named_as_picture};
use super::picture::{self, is_picture};
use super::{Layout, dataset, read_picture};
use crate::data::{Dataset, Targets};
use crate::{Error, Model};

/// How a folder is written where a data set is named.
const PREFIX: &str = "images:";

/// Whether a path is that of a picture or of a folder of pictures: by the ending of its name, `images:` in front of it, or because it
/// is a folder.
///
/// ```
/// use nnc::data::images::rows::is_pictures;
/// assert!(is_pictures("a/b.JPG".as_ref()) && is_pictures("images:a".as_ref()));
/// assert!(!is_pictures("a.npy".as_ref()));
/// ```
pub fn is_pictures(path: &Path) -> bool {
    is_named_as_picture(path) || folder_of(path).is_some() || path.is_dir()
}

/// The pictures at a path as rows for a model, and the files that they are in, in the order of their names. What is in folders of a
/// folder comes after what is in it; links to folders are not followed, and files with other endings are passed over.
///
/// # Errors
/// Where there are no pictures, one cannot be read, or the model was not trained on pictures.
pub fn read(path: &Path, model: &Model) -> Result<(Dataset, Vec<PathBuf>), Error> {
    let path = folder_of(path).unwrap_or(path);
    let layout = layout_of(model)?;
    let mut files = Vec::new();
    if path.is_dir() {
        collect(path, &mut files)?
    } else {
        files.push(path.to_owned())
    }
    if files.is_empty() {
        let problem = "there are no pictures in it";
        return Err(Error::invalid(
            path.display().to_string(),
            problem,
            "give a folder of PNG or JPEG files",
        ));
    }
    let pictures = files.iter().map(|file| read_picture(file, layout)).collect::<Result<_, _>>()?;
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let rows = dataset(&path.display().to_string(), &paths, pictures, layout, unknown(files.len()))?;
    Ok((rows, files))
}

/// The picture in some bytes as a row for a model; `None` where they are none. `subject` is what an error calls them.
///
/// # Errors
/// As [`read`].
pub fn decode(bytes: &[u8], subject: &str, model: &Model) -> Result<Option<Dataset>, Error> {
    if !is_picture(bytes) {
        return Ok(None);
    }
    let layout = layout_of(model)?;
    let picture = picture::decode(bytes, subject)?;
    let picture = layout.size.map_or(Ok(picture.clone()), |size| picture.resized(size, subject))?;
    dataset(subject, &[Path::new(subject)], vec![picture], layout, unknown(1)).map(Some)
}

/// The folder that is named as a data set.
fn folder_of(path: &Path) -> Option<&Path> {
    path.to_str()?.strip_prefix(PREFIX).filter(|folder| !folder.is_empty()).map(Path::new)
}

/// The size and the channels of the pictures that a model was trained on.
fn layout_of(model: &Model) -> Result<Layout, Error> {
    let data = &model.description().data;
    let layout = Layout::of_row(&data.row_shape).filter(|_| data.pixels.is_some());
    layout.ok_or_else(|| {
        let problem = format!(
            "it was trained on rows of {:?} of {}, and which numbers are black and white in them is not known",
            data.row_shape, data.name
        );
        let help = "give rows of numbers (.npy), or a model that was trained on grey or coloured pictures: images:, idx:, ..";
        Error::invalid(model.name(), problem, help)
    })
}

/// Rows of which no class is known.
fn unknown(rows: usize) -> Targets {
    Targets::classes(vec![0; rows], 1)
}

/// Appends the pictures in a folder and in those in it.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = Entries::of(&folder)?;
        files.extend(entries.pictures);
        let own = entries.folders.into_iter().map(|(_, path)| path).filter(|path| !path.is_symlink());
        let own: Vec<PathBuf> = own.collect();
        folders.extend(own.into_iter().rev());
    }
    Ok(())
}
