//! An array in the bytes of a `.npy` file.

use std::fmt;

use ir::{DType, Shape, Tensor};
use runtime::buffer::advise_large_pages;

use super::element::{Element, unknown};
use super::header;
use crate::checkpoint::half::{from_bf16, from_f16};
use crate::error::quoted;
use crate::{Error, memory};

const DAMAGED: &str = "write it again with numpy.save or numpy.savez";

/// An array whose elements are still as the file has them.
///
/// ```
/// use nnc::ir::Tensor;
/// use nnc::npy::{Array, Element, encode};
/// let mut file = Vec::new();
/// encode(&Tensor::new([2, 1], vec![3i64, 5]).expect("two"), &mut file).expect("memory can be written");
/// let array = Array::of(&file, "a.npy")?;
/// assert_eq!((array.element(), array.to_string().as_str()), (Element::I64, "i64[2, 1]"));
/// assert_eq!(array.features()?, [3.0, 5.0]);
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Array<'a> {
    subject: String,
    element: Element,
    shape: Shape,
    is_big_endian: bool,
    is_fortran: bool,
    /// The bytes of all elements.
    data: &'a [u8],
}

impl<'a> Array<'a> {
    /// The array in the bytes of a file; `subject` is what an error calls it.
    ///
    /// # Errors
    /// Where it is no whole `.npy` file, or its elements are neither numbers nor texts.
    pub fn of(bytes: &'a [u8], subject: &str) -> Result<Array<'a>, Error> {
        let broken = |problem: String| Error::invalid(subject, problem, DAMAGED);
        let header = header::parse(bytes).map_err(broken)?;
        let Some((element, is_big_endian)) = Element::of_descriptor(&header.descriptor) else {
            let (problem, help) = unknown(&header.descriptor);
            return Err(Error::invalid(subject, problem, help));
        };
        let size = header.shape.elements().saturating_mul(element.size_bytes());
        let Some(data) = header.data.get(..size) else {
            let (ty, there) = (in_words(element, &header.shape), header.data.len());
            return Err(broken(format!("{ty} takes {size} bytes, but only {there} follow the header")));
        };
        let (shape, is_fortran) = (header.shape, header.is_fortran);
        Ok(Array { subject: subject.to_owned(), element, shape, is_big_endian, is_fortran, data })
    }

    /// The dtype of its elements in the file.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Its shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What errors call it.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The tensor of the dtype that has all its numbers.
    ///
    /// # Errors
    /// Where its elements are texts, one is too great for `i64`, or there is no memory for it.
    pub fn tensor(&self) -> Result<Tensor, Error> {
        let shape = self.shape.clone();
        let tensor = match self.element.dtype() {
            None => return Err(self.are_texts()),
            Some(DType::F32) => Tensor::new(shape, self.floats()?),
            Some(DType::F64) => Tensor::new(shape, self.numbers(f64::from_le_bytes)?),
            Some(DType::I32) => Tensor::new(shape, self.integers_as(|x| x as i32)?),
            Some(DType::I64) => Tensor::new(shape, self.integers_as(|x| x)?),
            Some(DType::Bool) => Tensor::new(shape, self.integers_as(|x| x != 0)?),
        };
        Ok(tensor.expect("there are as many elements as the shape has"))
    }

    /// Its numbers as features of rows, row-major. Those of `f64` are rounded to `f32`; integers are what they are.
    ///
    /// # Errors
    /// Where an integer is one that `f32` has not (some beyond 2^24), or one of `f64` is too great for it; the element is told. As
    /// [`Array::tensor`].
    pub fn features(&self) -> Result<Vec<f32>, Error> {
        let width = self.shape.iter().skip(1).product::<usize>().max(1);
        let place = |at: usize| format!("row {}, column {}", at / width, at % width);
        let invalid = |at: usize, problem: String, help: &str| {
            Error::invalid(&self.subject, format!("{} holds {problem}", place(at)), help)
        };
        if self.element.is_float() {
            let numbers = self.floats()?;
            let infinite = numbers.iter().position(|x| x.is_infinite());
            if let Some(at) = infinite.filter(|_| self.element == Element::F64) {
                let number = self.numbers(f64::from_le_bytes)?[at];
                if number.is_finite() {
                    let problem = format!("{number:?}, which is beyond the numbers of f32");
                    return Err(invalid(at, problem, "give numbers below 3.4e38"));
                }
            }
            return Ok(numbers);
        }
        if self.element.dtype().is_none() {
            return Err(self.are_texts());
        }
        // Of the integers that f32 has not, some take more bits than its fraction has.
        if self.element.size_bytes() >= size_of::<f32>() {
            let are_others = self.integers_as(|x| x as f32 as i128 != i128::from(x))?;
            if let Some(at) = are_others.iter().position(|&is_other| is_other) {
                let number = self.integers_as(|x| x)?[at];
                let problem =
                    format!("{number}, which f32 has not: the nearest that it has is {}", number as f32);
                let help = "give smaller numbers, such as differences, or rounded ones: astype(np.float32)";
                return Err(invalid(at, problem, help));
            }
        }
        self.integers_as(|x| x as f32)
    }

    /// Its numbers, row-major, where `f32` may not have them: those of `f64`, and integers of 32 bits and more. `None` of others, and where
    /// `f64` has not all of them.
    ///
    /// # Errors
    /// Where there is no memory for them.
    pub fn exact_features(&self) -> Result<Option<Vec<f64>>, Error> {
        const MOST: u64 = 1 << f64::MANTISSA_DIGITS;
        if self.element == Element::F64 {
            return self.numbers(f64::from_le_bytes).map(Some);
        }
        let is_integer = !self.element.is_float() && self.element.dtype().is_some();
        if !is_integer || self.element.size_bytes() < size_of::<f32>() {
            return Ok(None);
        }
        let integers = self.integers_as(|x| x)?;
        let are_exact = integers.iter().all(|x| x.unsigned_abs() <= MOST);
        Ok(are_exact.then(|| integers.iter().map(|&x| x as f64).collect()))
    }

    /// Its integers, row-major, with `False` as 0 and `True` as 1; `None` where its elements are others.
    ///
    /// # Errors
    /// Where one is too great for `i64`, or there is no memory for them.
    pub fn integers(&self) -> Result<Option<Vec<i64>>, Error> {
        let is_integer = !self.element.is_float() && self.element.dtype().is_some();
        is_integer.then(|| self.integers_as(|x| x)).transpose()
    }

    /// Its texts, row-major; `None` where its elements are numbers.
    ///
    /// # Errors
    /// Where one is no text: bytes that are not UTF-8, or numbers that are no characters.
    pub fn texts(&self) -> Result<Option<Vec<String>>, Error> {
        let size = self.element.size_bytes();
        let text = match self.element {
            Element::Bytes(_) => |bytes: &[u8], _| String::from_utf8(bytes.to_vec()).ok(),
            Element::Unicode(_) => |bytes: &[u8], is_big_endian: bool| {
                let number = if is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
                bytes.as_chunks().0.iter().map(|&chunk| char::from_u32(number(chunk))).collect()
            },
            _ => return Ok(None),
        };
        let mut texts = memory::vector(&self.subject, self.shape.elements())?;
        // Texts of no bytes have none to be cut into.
        let chunks = self.data.chunks_exact(size.max(1)).chain(std::iter::repeat(&[][..]));
        for (at, bytes) in chunks.take(self.shape.elements()).enumerate() {
            let text = text(bytes, self.is_big_endian).ok_or_else(|| {
                let problem = format!("element {at} is no text");
                Error::invalid(&self.subject, problem, "write texts as numpy does, in UTF-8")
            })?;
            // What is shorter than the longest is filled with zeros.
            texts.push(text.trim_end_matches('\0').to_owned());
        }
        Ok(Some(self.row_major(texts)))
    }

    fn are_texts(&self) -> Error {
        Error::invalid(&self.subject, format!("it holds texts, {self}"), "give numbers")
    }

    /// The floating-point numbers as `f32`, which those of `f64` are rounded to.
    fn floats(&self) -> Result<Vec<f32>, Error> {
        match self.element {
            Element::F16 => self.numbers(|bytes| from_f16(u16::from_le_bytes(bytes))),
            Element::BF16 => self.numbers(|bytes| from_bf16(u16::from_le_bytes(bytes))),
            Element::F32 => self.numbers(f32::from_le_bytes),
            Element::F64 => self.numbers(|bytes| f64::from_le_bytes(bytes) as f32),
            other => unreachable!("{other:?} is no floating-point number"),
        }
    }

    /// The integers, through `i64`.
    fn integers_as<T: Clone>(&self, make: impl Fn(i64) -> T) -> Result<Vec<T>, Error> {
        match self.element {
            Element::Bool => self.numbers(|[byte]: [u8; 1]| make(i64::from(byte != 0))),
            Element::U8 => self.numbers(|bytes| make(u8::from_le_bytes(bytes).into())),
            Element::I8 => self.numbers(|bytes| make(i8::from_le_bytes(bytes).into())),
            Element::U16 => self.numbers(|bytes| make(u16::from_le_bytes(bytes).into())),
            Element::I16 => self.numbers(|bytes| make(i16::from_le_bytes(bytes).into())),
            Element::U32 => self.numbers(|bytes| make(u32::from_le_bytes(bytes).into())),
            Element::I32 => self.numbers(|bytes| make(i32::from_le_bytes(bytes).into())),
            Element::I64 => self.numbers(|bytes| make(i64::from_le_bytes(bytes))),
            Element::U64 => {
                let numbers: Vec<u64> = self.numbers(u64::from_le_bytes)?;
                if let Some(number) = numbers.iter().find(|&&number| i64::try_from(number).is_err()) {
                    let problem = format!("it holds {number}, which is beyond the numbers of i64");
                    return Err(Error::invalid(&self.subject, problem, "give smaller numbers"));
                }
                let mut made = memory::vector(&self.subject, numbers.len())?;
                made.extend(numbers.into_iter().map(|number| make(number as i64)));
                Ok(made)
            }
            other => unreachable!("{other:?} is no integer"),
        }
    }

    /// The numbers of `SIZE` bytes each that `make` makes of little-endian bytes, row-major.
    fn numbers<const SIZE: usize, T: Clone>(&self, make: impl Fn([u8; SIZE]) -> T) -> Result<Vec<T>, Error> {
        let (chunks, _) = self.data.as_chunks::<SIZE>();
        let mut numbers: Vec<T> = memory::vector(&self.subject, chunks.len())?;
        advise_large_pages(numbers.as_ptr().cast(), size_of::<T>() * chunks.len());
        numbers.extend(chunks.iter().map(|&chunk| {
            let mut chunk = chunk;
            if self.is_big_endian {
                chunk.reverse();
            }
            make(chunk)
        }));
        if self.is_fortran {
            memory::check(&self.subject, size_of::<T>() * numbers.len())?;
        }
        Ok(self.row_major(numbers))
    }

    /// Elements that are in the order of the file, row-major.
    fn row_major<T: Clone>(&self, elements: Vec<T>) -> Vec<T> {
        if !self.is_fortran || self.shape.rank() < 2 {
            return elements;
        }
        let rank = self.shape.rank();
        let reversed: Shape = self.shape.iter().rev().copied().collect();
        let (strides, there) = (self.shape.strides(), reversed.strides());
        let place = |index: usize| -> usize {
            let along = |axis: usize| index / strides[axis] % self.shape[axis];
            (0..rank).map(|axis| along(axis) * there[rank - 1 - axis]).sum()
        };
        (0..elements.len()).map(|index| elements[place(index)].clone()).collect()
    }
}

impl fmt::Display for Array<'_> {
    /// `u8[60000, 28, 28]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_words(self.element, &self.shape))
    }
}

fn in_words(element: Element, shape: &Shape) -> String {
    format!("{element}{shape}")
}

/// The name of an array in an archive as errors have it.
pub(super) fn in_archive(subject: &str, name: &str) -> String {
    format!("{subject}, array {}", quoted(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::tests::{file, header};

    fn features(descriptor: &str, shape: &str, data: &[u8]) -> Result<Vec<f32>, String> {
        let file = file(&header(descriptor, "False", shape), data);
        Array::of(&file, "a.npy").unwrap().features().map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_that_f32_has_not_are_known_exactly() {
        let exact = |descriptor: &str, data: &[u8]| {
            let file = file(&header(descriptor, "False", "(1, 2)"), data);
            Array::of(&file, "a.npy").unwrap().exact_features().unwrap()
        };
        let seconds = [1.7e9f64, 1.7e9 + 1.0];
        assert_eq!(exact("<f8", &seconds.map(f64::to_le_bytes).concat()), Some(seconds.to_vec()));
        let integers = [1_700_000_000i64, 1_700_000_001].map(i64::to_le_bytes).concat();
        assert_eq!(exact("<i8", &integers), Some(seconds.to_vec()));
        assert_eq!(exact("<i8", &[i64::MAX, 1].map(i64::to_le_bytes).concat()), None);
        assert_eq!(exact("|u1", &[1, 2]), None);
        assert_eq!(exact("<f4", &[1.0f32, 2.0].map(f32::to_le_bytes).concat()), None);
    }

    #[test]
    fn every_dtype_becomes_one_that_has_all_its_numbers() {
        let decode = |descriptor: &str, data: &[u8]| {
            let file = file(&header(descriptor, "False", "(2,)"), data);
            Array::of(&file, "a.npy").unwrap().tensor().unwrap()
        };
        let of = |elements: Vec<i32>| Tensor::new([2], elements).unwrap();
        assert_eq!(decode("|u1", &[0, 255]), of(vec![0, 255]));
        assert_eq!(decode("|i1", &[0x80, 0x7f]), of(vec![-128, 127]));
        assert_eq!(decode("<u2", &[0xff, 0xff, 1, 0]), of(vec![65535, 1]));
        assert_eq!(decode(">i2", &[0x80, 0, 0, 1]), of(vec![-32768, 1]));
        let of = |elements: Vec<i64>| Tensor::new([2], elements).unwrap();
        assert_eq!(decode("<u4", &[0xff, 0xff, 0xff, 0xff, 7, 0, 0, 0]), of(vec![4_294_967_295, 7]));
        let number = [u64::MAX / 2, 7].map(u64::to_le_bytes).concat();
        assert_eq!(decode("<u8", &number), of(vec![i64::MAX, 7]));
        let of = |elements: Vec<f32>| Tensor::new([2], elements).unwrap();
        assert_eq!(decode("<f2", &[0, 0x3c, 0, 0xfc]), of(vec![1.0, f32::NEG_INFINITY]));
        assert_eq!(decode("<V2", &[0x80, 0x3f, 0x49, 0xc0]), of(vec![1.0, -3.140625]));
        assert_eq!(decode(">V2", &[0x3f, 0x80, 0xc0, 0x49]), of(vec![1.0, -3.140625]));
    }

    #[test]
    fn features_are_the_same_numbers_or_an_error_that_names_one() {
        let i64s = |numbers: [i64; 2]| features("<i8", "(2, 1)", &numbers.map(i64::to_le_bytes).concat());
        assert_eq!(i64s([1 << 24, -(1 << 40)]).unwrap(), [16_777_216.0, -1_099_511_627_776.0]);
        let expected = "a.npy: row 1, column 0 holds 16777217, which f32 has not: the nearest that it has is 16777216; \
                        give smaller numbers, such as differences, or rounded ones: astype(np.float32)";
        assert_eq!(i64s([0, (1 << 24) + 1]).unwrap_err(), expected);
        assert!(i64s([i64::MAX, 0]).unwrap_err().contains("row 0, column 0 holds 9223372036854775807"));
        let f64s = |numbers: [f64; 2]| features("<f8", "(1, 2)", &numbers.map(f64::to_le_bytes).concat());
        assert_eq!(f64s([0.1, f64::INFINITY]).unwrap(), [0.1, f32::INFINITY]);
        let expected = "a.npy: row 0, column 1 holds 1e60, which is beyond the numbers of f32; give numbers below 3.4e38";
        assert_eq!(f64s([0.0, 1e60]).unwrap_err(), expected);
        assert_eq!(features("|b1", "(2,)", &[0, 1]).unwrap(), [0.0, 1.0]);
        let expected = "a.npy: it holds texts, S1[2]; give numbers";
        assert_eq!(features("|S1", "(2,)", b"ab").unwrap_err(), expected);
    }

    #[test]
    fn numbers_beyond_i64_are_an_error() {
        let file = file(&header("<u8", "False", "(1,)"), &u64::MAX.to_le_bytes());
        let array = Array::of(&file, "a.npy").unwrap();
        let expected =
            "a.npy: it holds 18446744073709551615, which is beyond the numbers of i64; give smaller numbers";
        assert_eq!(array.tensor().unwrap_err().to_string(), expected);
        assert_eq!(array.features().unwrap_err().to_string(), expected);
    }

    #[test]
    fn texts_end_where_zeros_fill_them_up() {
        let texts = |descriptor: &str, fortran: &str, shape: &str, data: &[u8]| {
            let file = file(&header(descriptor, fortran, shape), data);
            let texts = Array::of(&file, "a.npy").unwrap().texts();
            texts.map(Option::unwrap).map_err(|error| error.to_string())
        };
        assert_eq!(texts("|S3", "False", "(3,)", b"a\0\0bcd\xc3\xa9\0").unwrap(), ["a", "bcd", "é"]);
        let unicode = |order: fn(u32) -> [u8; 4]| ['é', '\0', 'a', 'b'].map(|c| order(c.into())).concat();
        assert_eq!(texts("<U2", "False", "(2,)", &unicode(u32::to_le_bytes)).unwrap(), ["é", "ab"]);
        assert_eq!(texts(">U2", "False", "(2,)", &unicode(u32::to_be_bytes)).unwrap(), ["é", "ab"]);
        assert_eq!(texts("|S1", "True", "(2, 3)", b"adbecf").unwrap().concat(), "abcdef");
        assert_eq!(texts("|S0", "False", "(2,)", b"").unwrap(), ["", ""]);
        let help = "write texts as numpy does, in UTF-8";
        assert_eq!(
            texts("|S1", "False", "(2,)", b"a\xff").unwrap_err(),
            format!("a.npy: element 1 is no text; {help}")
        );
        assert!(texts("<U1", "False", "(1,)", &[0xff; 4]).unwrap_err().contains("element 0 is no text"));
        let numbers = file(&header("|u1", "False", "(1,)"), &[1]);
        assert_eq!(Array::of(&numbers, "a.npy").unwrap().texts().unwrap(), None);
    }

    #[test]
    fn elements_in_the_order_of_fortran_are_row_major_afterwards() {
        let file = file(&header("|u1", "True", "(2, 3, 2)"), &[0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11]);
        let features = Array::of(&file, "a.npy").unwrap().features().unwrap();
        assert_eq!(features, (0..12u8).map(f32::from).collect::<Vec<f32>>());
    }
}
