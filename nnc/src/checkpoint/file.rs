//! Tensors with a text beside them in a file of the format safetensors, sealed by a digest of the whole file.

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use ir::{DType, Tensor};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::half;
use crate::{Error, files, memory};

/// The key of our text among the metadata of a file: one key, so that a file has the same bytes each time.
const KEY: &str = "nnc";
/// How the digest begins in the header of a file: a field of the text, which is JSON within JSON.
const DIGEST_FIELD: &str = r#"\"file_sha256\":\""#;
/// What stands for the digest where there is none yet: as many digits as it has.
pub const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const HELP: &str = "give a whole safetensors file, as `nnc train` writes them";

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// Tensors by name, in alphabetical order.
    pub tensors: Vec<(String, Tensor)>,
    /// The text; `None` in files that other programs have written.
    pub text: Option<String>,
}

/// The part of a text that is known here.
#[derive(Serialize, Deserialize)]
struct Seal {
    /// The SHA-256 of the file as it is with [`NO_DIGEST`] in the place of this.
    file_sha256: String,
}

/// Writes a file; one that was there is replaced whole or not at all. `text` is that of a JSON object with [`NO_DIGEST`] in
/// the field `file_sha256`, which becomes the digest of the file.
pub fn write<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (&'a str, &'a Tensor)>,
    text: String,
) -> Result<(), Error> {
    let tensors: Vec<(&str, &Tensor)> = tensors.collect();
    let size: usize = tensors.iter().map(|(_, tensor)| tensor.ty().size_bytes()).sum();
    memory::check(&path.display().to_string(), size.saturating_mul(2))?; // the bytes of each, and the file
    let bytes: Vec<(&str, &Tensor, Vec<u8>)> =
        tensors.into_iter().map(|(name, tensor)| (name, tensor, little_endian_bytes(tensor))).collect();
    let views = bytes.iter().map(|(name, tensor, bytes)| {
        let view = TensorView::new(dtype_in_file(tensor.dtype()), tensor.shape().to_vec(), bytes);
        (*name, view.expect("a tensor has as many bytes as its type says"))
    });
    let text = HashMap::from([(KEY.to_owned(), text)]);
    let mut file = safetensors::serialize(views, Some(text)).map_err(|error| {
        Error::invalid(path.display().to_string(), error.to_string(), "save fewer weights")
    })?;
    let place = place_of_digest(&file).expect("the text has a digest");
    let digest = digest(&file, &place);
    file[place].copy_from_slice(digest.as_bytes());
    files::write_atomically(path, |writer| writer.write_all(&file))
}

/// Writes a file without more text than its digest.
pub fn write_plain<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (&'a str, &'a Tensor)>,
) -> Result<(), Error> {
    let seal = Seal { file_sha256: NO_DIGEST.to_owned() };
    write(path, tensors, serde_json::to_string(&seal).expect("a digest is a text"))
}

/// Reads a file. Floating-point numbers of 16 bits become `f32`; integers become `i32` or `i64`, whichever has all of them.
///
/// # Errors
/// Where it cannot be read, is no whole safetensors file, is not what was written, or holds elements of a dtype that nnc has not.
pub fn read(path: &Path) -> Result<Contents, Error> {
    let bytes = files::read(path)?;
    let malformed = |problem: String| Error::invalid(path.display().to_string(), problem, HELP);
    let (header_bytes, header) =
        SafeTensors::read_metadata(&bytes).map_err(|error| malformed(in_words(&error, bytes.len())))?;
    let text = header.metadata().as_ref().and_then(|texts| texts.get(KEY).cloned());
    let seal = text.as_deref().and_then(|text| serde_json::from_str::<Seal>(text).ok());
    if let Some(Seal { file_sha256 }) = seal {
        let place = place_of_digest(&bytes);
        let is_whole = place.is_some_and(|place| {
            bytes[place.clone()] == *file_sha256.as_bytes() && digest(&bytes, &place) == file_sha256
        });
        if !is_whole {
            let problem = "its bytes are not those that were written: it is damaged";
            return Err(Error::invalid(path.display().to_string(), problem, "give another"));
        }
    }
    let data = &bytes[size_of::<u64>() + header_bytes..];
    let mut tensors = Vec::new();
    for (name, info) in header.tensors() {
        // `read_metadata` has checked that the offsets are within the data and as far apart as the shape says.
        let (begin, end) = info.data_offsets;
        let bytes = &data[begin..end];
        let subject = || format!("{}, `{name}`", path.display());
        // Numbers become at most four times as wide.
        memory::check(&subject(), bytes.len().saturating_mul(4))?;
        let tensor = of_little_endian(info.dtype, &info.shape, bytes)
            .map_err(|(problem, help)| Error::invalid(subject(), problem, help))?;
        tensors.push((name, tensor));
    }
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(Contents { tensors, text })
}

/// Where the digits of the digest are in a file.
fn place_of_digest(file: &[u8]) -> Option<Range<usize>> {
    let header = file.windows(DIGEST_FIELD.len()).position(|window| window == DIGEST_FIELD.as_bytes())?;
    let start = header + DIGEST_FIELD.len();
    let place = start..start + NO_DIGEST.len();
    file.get(place.clone()).map(|_| place)
}

/// The SHA-256 of a file with [`NO_DIGEST`] at this place: of every byte but those of the digest itself.
fn digest(file: &[u8], place: &Range<usize>) -> String {
    let mut sha = Sha256::new();
    [&file[..place.start], NO_DIGEST.as_bytes(), &file[place.end..]].iter().for_each(|part| sha.update(part));
    super::hexadecimal(sha)
}

/// What is wrong with a file, for its user.
fn in_words(error: &SafeTensorError, size_bytes: usize) -> String {
    match error {
        SafeTensorError::HeaderTooSmall | SafeTensorError::InvalidHeaderLength => {
            format!("it ends after {size_bytes} bytes, within its header")
        }
        SafeTensorError::MetadataIncompleteBuffer => {
            format!("its {size_bytes} bytes are not those that its header describes: it is cut off")
        }
        SafeTensorError::HeaderTooLarge => "this is no safetensors file".into(),
        other => other.to_string(),
    }
}

fn dtype_in_file(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::I32 => Dtype::I32,
        DType::I64 => Dtype::I64,
        DType::Bool => Dtype::BOOL,
    }
}

/// The elements as the file has them on every machine.
pub fn little_endian_bytes(tensor: &Tensor) -> Vec<u8> {
    let size = tensor.dtype().size_bytes();
    let elements = (0..tensor.shape().elements()).map(|index| tensor.get(index).bits());
    elements.flat_map(|bits| bits.to_le_bytes().into_iter().take(size)).collect()
}

/// The tensor of these elements, of the dtype that has all their numbers, or what is wrong with them, and what to do.
fn of_little_endian(dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Result<Tensor, (String, &'static str)> {
    /// The elements, each made of as many bytes as it has.
    fn read<const SIZE: usize, T>(bytes: &[u8], make: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
        bytes.as_chunks().0.iter().map(|&chunk| make(chunk)).collect()
    }
    let tensor = match dtype {
        Dtype::F32 => Tensor::new(shape, read(bytes, f32::from_le_bytes)),
        Dtype::F64 => Tensor::new(shape, read(bytes, f64::from_le_bytes)),
        Dtype::F16 => Tensor::new(shape, read(bytes, |bits| half::from_f16(u16::from_le_bytes(bits)))),
        Dtype::BF16 => Tensor::new(shape, read(bytes, |bits| half::from_bf16(u16::from_le_bytes(bits)))),
        Dtype::I32 => Tensor::new(shape, read(bytes, i32::from_le_bytes)),
        Dtype::U8 => Tensor::new(shape, read(bytes, |byte| i32::from(u8::from_le_bytes(byte)))),
        Dtype::I8 => Tensor::new(shape, read(bytes, |byte| i32::from(i8::from_le_bytes(byte)))),
        Dtype::U16 => Tensor::new(shape, read(bytes, |bytes| i32::from(u16::from_le_bytes(bytes)))),
        Dtype::I16 => Tensor::new(shape, read(bytes, |bytes| i32::from(i16::from_le_bytes(bytes)))),
        Dtype::I64 => Tensor::new(shape, read(bytes, i64::from_le_bytes)),
        Dtype::U32 => Tensor::new(shape, read(bytes, |bytes| i64::from(u32::from_le_bytes(bytes)))),
        Dtype::U64 => {
            let numbers = read(bytes, u64::from_le_bytes);
            if let Some(number) = numbers.iter().find(|&&number| i64::try_from(number).is_err()) {
                return Err((
                    format!("it holds {number}, which is beyond the numbers of i64"),
                    "save smaller numbers",
                ));
            }
            Tensor::new(shape, numbers.into_iter().map(|number| number as i64).collect())
        }
        Dtype::BOOL => Tensor::new(shape, read(bytes, |[byte]: [u8; 1]| byte != 0)),
        other => {
            return Err((
                format!("its elements are of type {other:?}"),
                "save it as float32, or as another type that nnc has",
            ));
        }
    };
    Ok(tensor.expect("there are the bytes of as many elements as the type has"))
}
