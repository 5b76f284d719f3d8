//! Tensors with a text beside them in a file of the format safetensors, sealed by a digest of the whole file: how one is
//! written, and read as a whole.

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use ir::{DType, Tensor};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::half;
use super::reader::Reader;
use crate::{Error, files, memory};

/// The key of our text among the metadata of a file: one key, so that a file has the same bytes each time.
pub const KEY: &str = "nnc";
/// How the digest begins in the header of a file: a field of the text, which is JSON within JSON.
const DIGEST_FIELD: &str = r#"\"file_sha256\":\""#;
/// What stands for the digest where there is none yet: as many digits as it has.
pub const NO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
pub const HELP: &str = "give a whole safetensors file, as `nnc train` writes them";

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
pub struct Seal {
    /// The SHA-256 of the file as it is with [`NO_DIGEST`] in the place of this.
    pub file_sha256: String,
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
/// As [`Reader::open`].
pub fn read(path: &Path) -> Result<Contents, Error> {
    let mut reader = Reader::open(path)?;
    let names: Vec<String> = reader.tensors().map(|(name, _)| name.to_owned()).collect();
    let tensors = names.into_iter().enumerate().map(|(index, name)| Ok((name, reader.read(index)?)));
    Ok(Contents { tensors: tensors.collect::<Result<_, Error>>()?, text: reader.text })
}

/// Where the digits of the digest are in a file.
pub fn place_of_digest(file: &[u8]) -> Option<Range<usize>> {
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
pub fn in_words(error: &SafeTensorError, size_bytes: u64) -> String {
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

pub fn dtype_in_file(dtype: DType) -> Dtype {
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
pub fn of_little_endian(
    dtype: Dtype,
    shape: &[usize],
    bytes: &[u8],
) -> Result<Tensor, (String, &'static str)> {
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
