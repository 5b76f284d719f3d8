//! What is in front of the elements of a `.npy` file. It is checked for what the parser of `npyz` does not survive (sizes that
//! overflow, nesting without end) before that gets to see it.

use ir::Shape;

/// The greatest length of a header; those that NumPy writes have some hundred bytes.
const MAX_HEADER_BYTES: usize = 1 << 16;
/// No header holds integers whose product is greater than this.
const MAX_PRODUCT: u64 = 1 << 48;
/// How deep brackets can be nested in a header.
const MAX_NESTING: usize = 8;

/// What a header says.
pub struct Header<'a> {
    /// How the elements are written: `<f4`.
    pub descriptor: String,
    pub shape: Shape,
    /// Whether the first axis is the one along which elements are neighbours.
    pub is_fortran: bool,
    /// What follows the header.
    pub data: &'a [u8],
}

/// The header of a file.
///
/// # Errors
/// Where there is none, in words.
pub fn parse(bytes: &[u8]) -> Result<Header<'_>, String> {
    check(bytes)?;
    let mut data = bytes;
    let header = npyz::NpyHeader::from_reader(&mut data).map_err(|error| {
        let message = error.to_string(); // the first line, without the drawing that follows
        format!("this is no .npy file: {}", message.lines().next().unwrap_or_default())
    })?;
    let descriptor = header.dtype().descr().trim_matches('\'').to_owned();
    let shape = header.shape().iter().map(|&n| n as usize).collect();
    let is_fortran = header.order() == npyz::Order::Fortran;
    Ok(Header { descriptor, shape, is_fortran, data })
}

/// Refuses headers that would make the parser overflow, or take more memory or stack than the file justifies.
fn check(bytes: &[u8]) -> Result<(), String> {
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
