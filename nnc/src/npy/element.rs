//! The dtypes of the elements of NumPy's files, and what they become.

use std::fmt;

use ir::DType;

/// A dtype of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// `bool`
    Bool,
    /// `uint8`
    U8,
    /// `int8`
    I8,
    /// `uint16`
    U16,
    /// `int16`
    I16,
    /// `uint32`
    U32,
    /// `int32`
    I32,
    /// `uint64`
    U64,
    /// `int64`
    I64,
    /// `float16`
    F16,
    /// `bfloat16` of the package `ml_dtypes`
    BF16,
    /// `float32`
    F32,
    /// `float64`
    F64,
    /// `S7`: texts of so many bytes at most
    Bytes(usize),
    /// `U7`: texts of so many characters at most
    Unicode(usize),
}

impl Element {
    /// That of NumPy's descriptor, and whether its bytes have to be swapped.
    ///
    /// `ml_dtypes` writes `bfloat16` as `<V2`: plain bytes that have an order. Plain bytes that have none, `|V2`, are no numbers.
    pub fn of_descriptor(descriptor: &str) -> Option<(Element, bool)> {
        let (order, kind) = descriptor.split_at_checked(1)?;
        let is_text = |letter: char| kind.strip_prefix(letter)?.parse::<usize>().ok();
        let element = match kind {
            "b1" => Element::Bool,
            "u1" => Element::U8,
            "i1" => Element::I8,
            "u2" => Element::U16,
            "i2" => Element::I16,
            "u4" => Element::U32,
            "i4" => Element::I32,
            "u8" => Element::U64,
            "i8" => Element::I64,
            "f2" => Element::F16,
            "V2" if order != "|" => Element::BF16,
            "f4" => Element::F32,
            "f8" => Element::F64,
            _ => match (is_text('S'), is_text('U')) {
                (Some(bytes), _) => Element::Bytes(bytes),
                (_, Some(characters)) => Element::Unicode(characters),
                _ => return None,
            },
        };
        Some((element, order == ">"))
    }

    /// The bytes of an element in a file.
    pub fn size_bytes(self) -> usize {
        match self {
            Element::Bool | Element::U8 | Element::I8 => 1,
            Element::U16 | Element::I16 | Element::F16 | Element::BF16 => 2,
            Element::U32 | Element::I32 | Element::F32 => 4,
            Element::U64 | Element::I64 | Element::F64 => 8,
            Element::Bytes(bytes) => bytes,
            Element::Unicode(characters) => characters.saturating_mul(4),
        }
    }

    /// The least dtype that has all its numbers, but for those of `U64` beyond `i64`; `None` of texts.
    pub fn dtype(self) -> Option<DType> {
        Some(match self {
            Element::Bool => DType::Bool,
            Element::U8 | Element::I8 | Element::U16 | Element::I16 | Element::I32 => DType::I32,
            Element::U32 | Element::U64 | Element::I64 => DType::I64,
            Element::F16 | Element::BF16 | Element::F32 => DType::F32,
            Element::F64 => DType::F64,
            Element::Bytes(_) | Element::Unicode(_) => return None,
        })
    }

    /// Whether its elements are floating-point numbers.
    pub fn is_float(self) -> bool {
        self.dtype().is_some_and(DType::is_float)
    }
}

impl fmt::Display for Element {
    /// `u8`, `f32`; of texts, `S7` and `U7`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Element::Bytes(bytes) => write!(f, "S{bytes}"),
            Element::Unicode(characters) => write!(f, "U{characters}"),
            number => f.write_str(&format!("{number:?}").to_lowercase()),
        }
    }
}

/// What the elements of a descriptor are, where they cannot be read, and what to do.
pub fn unknown(descriptor: &str) -> (String, &'static str) {
    let kind = descriptor.get(1..2).unwrap_or_default();
    let (what, help) = match kind {
        _ if descriptor.starts_with('[') => {
            ("records of several fields", "give each field as an array of its own")
        }
        "O" => ("Python's objects, which only Python reads", "give numbers or texts, with numpy's astype"),
        "V" => (
            "plain bytes, which may stand for anything",
            "say what they are with numpy's view, such as view(np.uint16)",
        ),
        "c" => ("complex numbers", "give their parts, real and imag, as numbers"),
        "M" | "m" => ("dates or times", "give numbers, with numpy's astype(np.int64)"),
        _ => (
            "of a dtype that nnc does not have",
            "convert to numbers that it has, such as float32 or int64, with numpy's astype",
        ),
    };
    (format!("the elements are {descriptor}: {what}"), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_without_an_order_are_no_numbers() {
        assert_eq!(Element::of_descriptor("<V2"), Some((Element::BF16, false)));
        assert_eq!(Element::of_descriptor(">V2"), Some((Element::BF16, true)));
        for none in ["|V2", "<V4", "|O", "", "é", "<c8", "<f16", "|S", "<U-1", "<M8[D]"] {
            assert_eq!(Element::of_descriptor(none), None, "{none}");
        }
        assert_eq!(Element::of_descriptor("<U12").unwrap().0.size_bytes(), 48);
        assert_eq!(Element::of_descriptor("|S12").unwrap().0.dtype(), None);
    }
}
