//! Tensors in NumPy's files: `.npy` (one array) and `.npz` (an archive of named arrays).
//!
//! Any bytes may come in: a file that is truncated, or no such file at all, gives an error that names it, and no more
//! memory is taken than the file has bytes. The header is checked for what the parser of `npyz` does not survive (sizes that
//! overflow, nesting without end) before it gets to see it.

pub mod npz;
mod zip;

use std::path::Path;

use ir::{DType, Shape, Tensor, Type};
use runtime::buffer::advise_large_pages;

use crate::{Error, files};

/// The greatest length of a header; those that NumPy writes have some hundred bytes.
const MAX_HEADER_BYTES: usize = 1 << 16;
/// No header holds integers whose product is greater than this.
const MAX_PRODUCT: u64 = 1 << 48;
/// How deep brackets can be nested in a header.
const MAX_NESTING: usize = 8;

/// Reads a `.npy` file.
pub fn read(path: &Path) -> Result<Tensor, Error> {
    decode(&files::read(path)?, &path.display().to_string())
}

/// Writes a `.npy` file.
pub fn write(path: &Path, tensor: &Tensor) -> Result<(), Error> {
    files::write_atomically(path, |file| encode(tensor, file))
}

/// The tensor that the bytes of a `.npy` file hold; `subject` is what an error calls it.
pub fn decode(bytes: &[u8], subject: &str) -> Result<Tensor, Error> {
    let broken =
        |problem: String| Error::invalid(subject, problem, "write it again with numpy.save or numpy.savez");
    check_header(bytes).map_err(broken)?;
    let mut rest = bytes;
    let header = npyz::NpyHeader::from_reader(&mut rest).map_err(|error| {
        let message = error.to_string(); // the first line, without the drawing that follows
        broken(format!("this is no .npy file: {}", message.lines().next().unwrap_or_default()))
    })?;
    let descriptor = header.dtype().descr();
    let descriptor = descriptor.trim_matches('\'');
    let (dtype, is_big_endian) = dtype_of(descriptor).ok_or_else(|| {
        let problem = format!("the elements are {descriptor}, which nnc does not have");
        Error::invalid(
            subject,
            problem,
            "convert to float32, float64, int32, int64 or bool with numpy's astype",
        )
    })?;
    let shape: Shape = header.shape().iter().map(|&n| n as usize).collect();
    let ty = Type { dtype, shape };
    if rest.len() < ty.size_bytes() {
        return Err(broken(format!(
            "{ty} takes {} bytes, but only {} follow the header",
            ty.size_bytes(),
            rest.len()
        )));
    }
    let elements = &rest[..ty.size_bytes()];
    Ok(match header.order() {
        npyz::Order::C => tensor_of(&ty, elements, is_big_endian),
        npyz::Order::Fortran => {
            let reversed = Type { dtype, shape: ty.shape.iter().rev().copied().collect() };
            transposed(&tensor_of(&reversed, elements, is_big_endian))
        }
    })
}

/// Writes a tensor in the format of a `.npy` file.
pub fn encode(tensor: &Tensor, writer: impl std::io::Write) -> std::io::Result<()> {
    use npyz::WriterBuilder;
    let shape: Vec<u64> = tensor.shape().iter().map(|&n| n as u64).collect();
    ir::with_elements!(tensor.elements(), elements => {
        let mut npy = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(writer).begin_nd()?;
        npy.extend(elements.iter())?;
        npy.finish()
    })
}

/// Refuses headers that would make the parser overflow, or take more memory or stack than the file justifies.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    let no_npy = || "this is no .npy file: it does not start with its magic number".to_owned();
    let version = bytes.strip_prefix(b"\x93NUMPY").and_then(|rest| rest.get(..2)).ok_or_else(no_npy)?;
    let cut = || "the file ends within its header".to_owned();
    let length_bytes = if version[0] == 1 { 2 } else { 4 };
    let length = bytes.get(8..8 + length_bytes).ok_or_else(cut)?;
    let length = length.iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte));
    if length > MAX_HEADER_BYTES {
        return Err(format!("its header has {length} bytes, more than {MAX_HEADER_BYTES}"));
    }
    let header = bytes.get(8 + length_bytes..).and_then(|rest| rest.get(..length)).ok_or_else(cut)?;
    let (mut nesting, mut product, mut number) = (0usize, 1u64, 0u64);
    for &byte in header.iter().chain(b" ") {
        if byte.is_ascii_digit() {
            number = number.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
            continue;
        }
        product = product.saturating_mul(number.max(1));
        number = 0;
        nesting += usize::from(b"([{".contains(&byte));
    }
    if product > MAX_PRODUCT || nesting > MAX_NESTING {
        return Err("its header describes an array that cannot be".into());
    }
    Ok(())
}

/// The dtype of NumPy's descriptor, and whether its bytes have to be swapped.
fn dtype_of(descriptor: &str) -> Option<(DType, bool)> {
    let (order, kind) = descriptor.split_at_checked(1)?;
    let dtype = match kind {
        "f4" => DType::F32,
        "f8" => DType::F64,
        "i4" => DType::I32,
        "i8" => DType::I64,
        "b1" => DType::Bool,
        _ => return None,
    };
    Some((dtype, order == ">"))
}

/// The tensor of these elements, row-major.
fn tensor_of(ty: &Type, bytes: &[u8], is_big_endian: bool) -> Tensor {
    macro_rules! numbers {
        ($rust:ty) => {{
            const SIZE: usize = size_of::<$rust>();
            let element = |chunk: &[u8; SIZE]| {
                if is_big_endian { <$rust>::from_be_bytes(*chunk) } else { <$rust>::from_le_bytes(*chunk) }
            };
            let (chunks, _) = bytes.as_chunks::<SIZE>();
            let mut elements: Vec<$rust> = Vec::with_capacity(chunks.len());
            advise_large_pages(elements.as_ptr().cast(), ty.size_bytes());
            elements.extend(chunks.iter().map(element));
            Tensor::new(ty.shape.clone(), elements)
        }};
    }
    let tensor = match ty.dtype {
        DType::F32 => numbers!(f32),
        DType::F64 => numbers!(f64),
        DType::I32 => numbers!(i32),
        DType::I64 => numbers!(i64),
        DType::Bool => {
            Tensor::new(ty.shape.clone(), bytes.iter().map(|&byte| byte != 0).collect::<Vec<bool>>())
        }
    };
    tensor.expect("there are as many bytes as the type has")
}

/// The tensor with its axes in reverse order.
fn transposed(tensor: &Tensor) -> Tensor {
    let strides = tensor.shape().strides();
    let ty = Type { dtype: tensor.dtype(), shape: tensor.shape().iter().rev().copied().collect() };
    let own = ty.shape.strides();
    Tensor::from_fn(&ty, |index| {
        // Index along axis `a` of the result, which is axis `rank - 1 - a` of the source.
        let along = |axis: usize| index / own[axis] % ty.shape[axis];
        let rank = ty.shape.rank();
        tensor.get((0..rank).map(|axis| along(axis) * strides[rank - 1 - axis]).sum())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of version 1.0 with this header and these bytes after it.
    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn header(descriptor: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{descriptor}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
    }

    fn problem(bytes: &[u8]) -> String {
        decode(bytes, "a.npy").unwrap_err().to_string()
    }

    #[test]
    fn tensors_of_every_dtype_and_of_odd_shapes_come_back() {
        let tensors = [
            Tensor::new([2, 3], vec![1.5f32, -0.0, f32::INFINITY, 1e-40, 2.0, 3.0]).unwrap(),
            Tensor::new([1], vec![0.1f64]).unwrap(),
            Tensor::new([], vec![i32::MIN]).unwrap(),
            Tensor::new([3, 0], Vec::<i64>::new()).unwrap(),
            Tensor::new([3], vec![true, false, true]).unwrap(),
        ];
        for tensor in tensors {
            let mut bytes = Vec::new();
            encode(&tensor, &mut bytes).unwrap();
            assert_eq!(decode(&bytes, "t").unwrap(), tensor);
        }
    }

    #[test]
    fn big_endian_and_fortran_order_are_converted() {
        let bytes = file(&header(">i4", "False", "(2,)"), &[0, 0, 0, 1, 0, 0, 1, 0]);
        assert_eq!(decode(&bytes, "t").unwrap(), Tensor::new([2], vec![1, 256]).unwrap());
        let bytes = file(&header("|b1", "True", "(2, 3)"), &[0, 1, 1, 0, 0, 1]);
        let expected = vec![false, true, false, true, false, true];
        assert_eq!(decode(&bytes, "t").unwrap(), Tensor::new([2, 3], expected).unwrap());
    }

    #[test]
    fn a_truncated_file_is_an_error_wherever_it_ends() {
        let whole = file(&header("<f4", "False", "(5,)"), &[0; 20]);
        for length in 0..whole.len() {
            assert!(problem(&whole[..length]).starts_with("a.npy: "), "{length}");
        }
        let help = "write it again with numpy.save or numpy.savez";
        let expected = format!("a.npy: f32[5] takes 20 bytes, but only 19 follow the header; {help}");
        assert_eq!(problem(&whole[..whole.len() - 1]), expected);
        assert!(problem(b"PK\x03\x04").contains("it does not start with its magic number"));
        assert!(problem(&whole[..20]).contains("the file ends within its header"));
    }

    #[test]
    fn elements_of_other_dtypes_say_what_to_convert_to() {
        let bytes = file(&header("<u2", "False", "(1,)"), &[0; 2]);
        let expected = "a.npy: the elements are <u2, which nnc does not have; \
                        convert to float32, float64, int32, int64 or bool with numpy's astype";
        assert_eq!(problem(&bytes), expected);
        assert!(problem(&file(&header("|O", "False", "(1,)"), &[0; 8])).contains("|O"));
    }

    #[test]
    fn headers_that_overflow_or_nest_are_refused_without_parsing_them() {
        let huge = header("<f4", "False", "(4294967296, 4294967296, 4294967296)");
        let nested = header("<f4", "False", &"(".repeat(60_000));
        for header in [huge, nested] {
            assert!(problem(&file(&header, &[])).contains("describes an array that cannot be"));
        }
        assert!(problem(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{").contains("more than 65536"));
    }

    #[test]
    fn garbage_after_the_magic_number_is_an_error_and_no_panic() {
        // A linear congruential generator (Numerical Recipes) is random enough to reach the parser.
        let mut seed = 1u32;
        for _ in 0..2000 {
            let mut bytes = file(&header("<f4", "False", "(2, 2)"), &[0; 16]);
            for _ in 0..3 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = 8 + (seed >> 8) as usize % (bytes.len() - 8);
                bytes[at] = seed as u8;
            }
            let _ = decode(&bytes, "t");
        }
    }
}
