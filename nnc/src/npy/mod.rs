//! Tensors in NumPy's files: `.npy` (one array) and `.npz` (an archive of named arrays).
//!
//! Any bytes may come in: a file that is truncated, or no such file at all, gives an error that names it, and no more
//! memory is taken than the file has bytes, but for the numbers that become wider.
//!
//! | module | what it holds |
//! |---|---|
//! | [`array`](Array) | an array in the bytes of a file: its numbers or texts |
//! | [`convert`](converted) | tensors of another dtype with the same numbers |
//! | `header` | what is in front of the elements |
//! | `element` | the dtypes of elements |
//! | [`npz`] | archives |
//! | `zip` | as much of the zip format as these use |

mod array;
mod convert;
mod element;
mod header;
pub mod npz;
mod zip;

use std::path::Path;

use ir::Tensor;

pub use array::Array;
pub use convert::converted;
pub use element::Element;

use crate::{Error, files};

/// Reads a `.npy` file.
pub fn read(path: &Path) -> Result<Tensor, Error> {
    decode(&files::read(path)?, &path.display().to_string())
}

/// Writes a `.npy` file.
pub fn write(path: &Path, tensor: &Tensor) -> Result<(), Error> {
    files::write_atomically(path, |file| encode(tensor, file))
}

/// The tensor that the bytes of a `.npy` file hold, of the dtype that has all its numbers: `u8`, `i8`, `i16` and `u16` become `i32`,
/// `u32` and `u64` become `i64`, `f16` and `bfloat16` become `f32`. `subject` is what an error calls it.
///
/// # Errors
/// Where they are no such file, the elements are no numbers, or one of `u64` is greater than `i64` has.
pub fn decode(bytes: &[u8], subject: &str) -> Result<Tensor, Error> {
    Array::of(bytes, subject)?.tensor()
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file of version 1.0 with this header and these bytes after it.
    pub fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    /// A header as NumPy writes it.
    pub fn header(descriptor: &str, fortran: &str, shape: &str) -> String {
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
        let problem = |descriptor: &str| problem(&file(&header(descriptor, "False", "(1,)"), &[0; 16]));
        let expected =
            "a.npy: the elements are <c8: complex numbers; give their parts, real and imag, as numbers";
        assert_eq!(problem("<c8"), expected);
        let expected = "a.npy: the elements are |V2: plain bytes, which may stand for anything; \
                        say what they are with numpy's view, such as view(np.uint16)";
        assert_eq!(problem("|V2"), expected);
        assert!(
            problem("|O").contains("|O: Python's objects, which only Python reads; give numbers or texts")
        );
        assert!(
            problem("<M8[D]").contains("<M8[D]: dates or times; give numbers, with numpy's astype(np.int64)")
        );
        assert!(problem("<f16").contains("<f16: of a dtype that nnc does not have; convert to numbers"));
        let records =
            file("{'descr': [('a', '<f4'), ('b', '<i2')], 'fortran_order': False, 'shape': (1,), }", &[0; 6]);
        assert!(decode(&records, "a").unwrap_err().to_string().contains("records of several fields"));
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
