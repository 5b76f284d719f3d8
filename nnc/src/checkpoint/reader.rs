//! A file of the format safetensors whose tensors are read one at a time, or a part of one at a time: so that who puts them
//! elsewhere needs no second copy of them all.
//!
//! A file that is sealed by a digest is read through once when it is opened, so nothing of a damaged one is given out.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ir::{DType, Tensor, Type};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, Metadata, SafeTensors};
use sha2::{Digest, Sha256};

use super::file::{HELP, KEY, NO_DIGEST, Seal, dtype_in_file, in_words, of_little_endian, place_of_digest};
use crate::{Error, files, memory};

/// The length of the header comes first in a file, as an integer of so many bytes.
const LENGTH_BYTES: usize = size_of::<u64>();
/// No header is longer, as the format says.
const MOST_HEADER_BYTES: u64 = 100_000_000;
/// So many bytes are read at a time where all of them are read through.
const CHUNK_BYTES: usize = 1 << 20;

/// What a file is read from: pipes cannot be gone through twice.
trait Source: Read + Seek {}
impl<T: Read + Seek> Source for T {}

/// A file that is open.
pub struct Reader {
    path: PathBuf,
    source: Box<dyn Source>,
    /// The length that the header has, and the header.
    head: Vec<u8>,
    size_bytes: u64,
    /// In alphabetical order.
    tensors: Vec<Entry>,
    /// The text beside the tensors; `None` in files that other programs have written.
    pub text: Option<String>,
}

struct Entry {
    name: String,
    ty: Type,
    dtype_in_file: Dtype,
    /// The first of its bytes in the file.
    start: u64,
}

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// Where it cannot be read, is no whole safetensors file, is not what was written, or holds elements of a dtype that nnc has not.
    pub fn open(path: &Path) -> Result<Reader, Error> {
        let failed = |source| Error::io(path, "read", source);
        let malformed = |problem: String| Error::invalid(path.display().to_string(), problem, HELP);
        let (mut source, size_bytes) = open_source(path)?;
        let head = read_head(&mut source).map_err(failed)?;
        let wrong = |error: SafeTensorError| malformed(in_words(&error, size_bytes));
        let header = metadata(&head, size_bytes).map_err(wrong)?;
        let mut tensors = Vec::new();
        for (name, info) in header.tensors() {
            let dtype = dtype_of(info.dtype).ok_or_else(|| {
                let problem = format!("its elements are of type {:?}", info.dtype);
                let subject = format!("{}, `{name}`", path.display());
                Error::invalid(subject, problem, "save it as float32, or as another type that nnc has")
            })?;
            let (ty, start) = (Type::new(dtype, &info.shape[..]), (head.len() + info.data_offsets.0) as u64);
            tensors.push(Entry { name, ty, dtype_in_file: info.dtype, start });
        }
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        let text = header.metadata().as_ref().and_then(|texts| texts.get(KEY).cloned());
        let mut reader = Reader { path: path.to_owned(), source, head, size_bytes, tensors, text };
        reader.check_seal()?;
        Ok(reader)
    }

    /// Names and types of the tensors, in alphabetical order. Numbers of 16 bits are `f32`.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = (&str, &Type)> {
        self.tensors.iter().map(|entry| (entry.name.as_str(), &entry.ty))
    }

    /// The tensor of this number.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read(&mut self, index: usize) -> Result<Tensor, Error> {
        let ty = self.tensors[index].ty.clone();
        self.read_as(index, 0, &ty)
    }

    /// Elements of the tensor of this number, counted in row-major order, as a tensor of rank 1.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read_part(&mut self, index: usize, elements: Range<usize>) -> Result<Tensor, Error> {
        let ty = Type::new(self.tensors[index].ty.dtype, [elements.len()]);
        self.read_as(index, elements.start, &ty)
    }

    /// Elements from `first` on as a tensor of this type.
    fn read_as(&mut self, index: usize, first: usize, ty: &Type) -> Result<Tensor, Error> {
        let Entry { name, dtype_in_file, start, .. } = &self.tensors[index];
        let subject = format!("{}, `{name}`", self.path.display());
        let (dtype_in_file, size) = (*dtype_in_file, dtype_in_file.bitsize() / 8);
        let (start, count) = (start + (first * size) as u64, ty.shape.elements() * size);
        // Numbers become at most four times as wide.
        memory::check(&subject, count.saturating_mul(5))?;
        let bytes = self.bytes(start, count)?;
        of_little_endian(dtype_in_file, &ty.shape, &bytes)
            .map_err(|(problem, help)| Error::invalid(subject, problem, help))
    }

    fn bytes(&mut self, start: u64, count: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; count];
        let read = self.source.seek(SeekFrom::Start(start)).and_then(|_| self.source.read_exact(&mut bytes));
        read.map_err(|source| Error::io(&self.path, "read", source))?;
        Ok(bytes)
    }

    /// Checks that the bytes are those that were written, where the text says their digest.
    fn check_seal(&mut self) -> Result<(), Error> {
        let seal = self.text.as_deref().and_then(|text| serde_json::from_str::<Seal>(text).ok());
        let Some(Seal { file_sha256 }) = seal else { return Ok(()) };
        let is_whole = match place_of_digest(&self.head) {
            Some(place) => {
                self.head[place.clone()] == *file_sha256.as_bytes() && self.digest(&place)? == file_sha256
            }
            None => false,
        };
        if is_whole {
            return Ok(());
        }
        let problem = "its bytes are not those that were written: it is damaged";
        Err(Error::invalid(self.path.display().to_string(), problem, "give another"))
    }

    /// The SHA-256 of the file with [`NO_DIGEST`] at this place.
    fn digest(&mut self, place: &Range<usize>) -> Result<String, Error> {
        let mut sha = Sha256::new();
        sha.update(&self.head[..place.start]);
        sha.update(NO_DIGEST);
        sha.update(&self.head[place.end..]);
        let mut at = self.head.len() as u64;
        while at < self.size_bytes {
            let count = (self.size_bytes - at).min(CHUNK_BYTES as u64) as usize;
            sha.update(self.bytes(at, count)?);
            at += count as u64;
        }
        Ok(super::hexadecimal(sha))
    }
}

/// What elements of a dtype become that a file has: floating-point numbers of 16 bits `f32`; integers `i32` or `i64`, whichever has all of
/// them. `None` where nnc has no such.
fn dtype_of(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F16 | Dtype::BF16 => DType::F32,
        Dtype::U8 | Dtype::I8 | Dtype::U16 | Dtype::I16 => DType::I32,
        Dtype::U32 | Dtype::U64 => DType::I64,
        other => return DType::ALL.into_iter().find(|&dtype| dtype_in_file(dtype) == other),
    })
}

/// The file, or its bytes where it is a pipe; and its size.
fn open_source(path: &Path) -> Result<(Box<dyn Source>, u64), Error> {
    let failed = |source| Error::io(path, "read", source);
    let mut file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if about.is_file() {
        return Ok((Box::new(file), about.len()));
    }
    let bytes = files::read_stream(&mut file, path)?;
    let size_bytes = bytes.len() as u64;
    Ok((Box::new(Cursor::new(bytes)), size_bytes))
}

/// The length of the header and the header, or as much of them as there is; no header that is too long.
fn read_head(source: &mut dyn Source) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    source.take(LENGTH_BYTES as u64).read_to_end(&mut head)?;
    if let Ok(length) = <[u8; LENGTH_BYTES]>::try_from(&head[..]) {
        let length = u64::from_le_bytes(length);
        if length <= MOST_HEADER_BYTES {
            source.take(length).read_to_end(&mut head)?;
        }
    }
    Ok(head)
}

/// What a header says, where it is that of a file of so many bytes.
fn metadata(head: &[u8], size_bytes: u64) -> Result<Metadata, SafeTensorError> {
    // Everything is checked before the size, which is that of the file.
    match SafeTensors::read_metadata(head) {
        Ok(_) | Err(SafeTensorError::MetadataIncompleteBuffer) => {}
        Err(error) => return Err(error),
    }
    let header = &head[LENGTH_BYTES..];
    let metadata: Metadata =
        serde_json::from_slice(header).map_err(SafeTensorError::InvalidHeaderDeserialization)?;
    match (head.len() + metadata.data_len()) as u64 == size_bytes {
        true => Ok(metadata),
        false => Err(SafeTensorError::MetadataIncompleteBuffer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::file::write_plain;

    #[test]
    fn parts_of_tensors_are_those_of_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let tensors = [
            ("b", Tensor::new([2, 3], vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap()),
            ("a", Tensor::new([3], vec![true, false, true]).unwrap()),
        ];
        write_plain(&path, tensors.iter().map(|(name, tensor)| (*name, tensor))).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        let names: Vec<&str> = reader.tensors().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(reader.read(1).unwrap(), tensors[0].1);
        assert_eq!(reader.read_part(1, 2..5).unwrap(), Tensor::new([3], vec![3.0f32, 4.0, 5.0]).unwrap());
        assert_eq!(reader.read_part(0, 1..3).unwrap(), Tensor::new([2], vec![false, true]).unwrap());
        assert_eq!(reader.read(0).unwrap(), tensors[1].1);
    }

    /// `nnc predict <(zcat model.gz)`
    #[cfg(unix)]
    #[test]
    fn a_pipe_is_read_as_a_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let [path, pipe] = ["a.safetensors", "pipe"].map(|name| folder.path().join(name));
        let tensor = Tensor::new([2], vec![1i64, 2]).unwrap();
        write_plain(&path, [("x", &tensor)].into_iter()).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let bytes = std::fs::read(&path).unwrap();
        let writer = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::write(pipe, bytes).unwrap()
        });
        assert_eq!(Reader::open(&pipe).unwrap().read(0).unwrap(), tensor);
        writer.join().unwrap();
    }
}
