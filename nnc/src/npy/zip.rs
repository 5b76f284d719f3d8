//! As much of the zip format as `.npz` files use: entries that are stored or deflated, below 4 GiB, one disk, no
//! encryption. The layout is that of PKWARE's APPNOTE 6.3, sections 4.3.7 to 4.3.16.
//!
//! The crate `zip` in the version that `npyz` takes links two C libraries, and reads what an archive claims rather
//! than what it has; this reader works on the bytes of the file alone.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use crate::error::quoted;

const LOCAL_HEADER: u32 = 0x0403_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const END_OF_DIRECTORY: u32 = 0x0605_4b50;
const LOCAL_HEADER_BYTES: usize = 30;
const CENTRAL_HEADER_BYTES: usize = 46;
const END_OF_DIRECTORY_BYTES: usize = 22;
/// The longest comment that can follow the end of the directory.
const MAX_COMMENT_BYTES: usize = 0xffff;
/// Entries are stored, or deflated.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// No deflated byte stands for more bytes than this (zlib's technical details, "maximum compression factor").
const MAX_RATIO: usize = 1032;
/// The first of January 1980, the earliest date: archives of the same data are the same bytes.
const DATE: u16 = 0x21;
/// The version of the format that a reader needs: 2.0.
const VERSION: u16 = 20;

/// The name and the content of an entry.
pub type Entry<'a> = (String, Cow<'a, [u8]>);

/// The names and contents of the entries of an archive, in the order of its directory.
pub fn read(archive: &[u8]) -> Result<Vec<Entry<'_>>, String> {
    let end = end_of_directory(archive).ok_or("this is no zip archive, or its end is missing")?;
    let count = u16_at(archive, end + 10).ok_or("its end is cut")?;
    let mut at = u32_at(archive, end + 16).ok_or("its end is cut")? as usize;
    let (mut entries, mut unread) = (Vec::new(), archive.len());
    for _ in 0..count {
        let header = archive.get(at..).unwrap_or_default();
        if u32_at(header, 0) != Some(CENTRAL_HEADER) {
            return Err("its directory is broken".into());
        }
        let length = |offset: usize| u16_at(header, offset).map_or(0, usize::from);
        let (name_length, extra_length, comment_length) = (length(28), length(30), length(32));
        let name = header
            .get(CENTRAL_HEADER_BYTES..CENTRAL_HEADER_BYTES + name_length)
            .ok_or("its directory is cut")?;
        let name = String::from_utf8_lossy(name).into_owned();
        // Entries that share their bytes could stand for more memory than there is.
        let packed_size = u32_at(header, 20).ok_or("its directory is cut")? as usize;
        unread = unread.checked_sub(packed_size).ok_or("its entries overlap")?;
        let contents =
            contents(archive, header).map_err(|problem| format!("entry {}: {problem}", quoted(&name)))?;
        entries.push((name, contents));
        at += CENTRAL_HEADER_BYTES + name_length + extra_length + comment_length;
    }
    Ok(entries)
}

/// The contents of the entry that a header of the directory describes.
fn contents<'a>(archive: &'a [u8], header: &[u8]) -> Result<Cow<'a, [u8]>, String> {
    let size_of = |offset: usize| u32_at(header, offset).ok_or("its header is cut");
    let method = u16_at(header, 10).ok_or("its header is cut")?;
    let (checksum, packed_size, size, offset) =
        (size_of(16)?, size_of(20)?, size_of(24)? as usize, size_of(42)?);
    if [packed_size, size as u32, offset].contains(&u32::MAX) {
        return Err("it is of 4 GiB or more, which nnc does not read".into());
    }
    let local = archive.get(offset as usize..).unwrap_or_default();
    if u32_at(local, 0) != Some(LOCAL_HEADER) {
        return Err("its header is missing".into());
    }
    let length = |offset: usize| u16_at(local, offset).map_or(0, usize::from);
    let start = LOCAL_HEADER_BYTES + length(26) + length(28);
    let packed = local.get(start..).and_then(|rest| rest.get(..packed_size as usize)).ok_or("it is cut")?;
    let contents = match method {
        STORED => Cow::Borrowed(packed),
        DEFLATED if size <= packed.len().saturating_mul(MAX_RATIO) => {
            let mut contents = Vec::new();
            let inflated =
                flate2::read::DeflateDecoder::new(packed).take(size as u64 + 1).read_to_end(&mut contents);
            inflated.map_err(|error| format!("it cannot be inflated: {error}"))?;
            Cow::Owned(contents)
        }
        DEFLATED => return Err("it claims to be larger than it can be".into()),
        other => return Err(format!("compression method {other} is not known; store or deflate it")),
    };
    if contents.len() != size || checksum_of(&contents) != checksum {
        return Err("its contents are damaged: size or checksum do not agree".into());
    }
    Ok(contents)
}

/// Writes an archive of these entries, stored.
pub fn write(entries: &[(String, Vec<u8>)], writer: &mut dyn Write) -> io::Result<()> {
    let too_large =
        || io::Error::new(io::ErrorKind::FileTooLarge, "archives of 4 GiB or more are not written");
    let mut directory = Vec::new();
    let mut offset = 0u32;
    for (name, contents) in entries {
        let size =
            u32::try_from(contents.len()).ok().filter(|&size| size < u32::MAX).ok_or_else(too_large)?;
        let name_length = u16::try_from(name.len()).map_err(|_| too_large())?;
        // What both headers of an entry share: version, flags, method, time, date, checksum, sizes, lengths.
        let mut common = Vec::new();
        for field in [VERSION, 0, STORED, 0, DATE] {
            common.extend(field.to_le_bytes());
        }
        for field in [checksum_of(contents), size, size] {
            common.extend(field.to_le_bytes());
        }
        common.extend(name_length.to_le_bytes());
        common.extend(0u16.to_le_bytes());
        writer.write_all(&LOCAL_HEADER.to_le_bytes())?;
        writer.write_all(&common)?;
        writer.write_all(name.as_bytes())?;
        writer.write_all(contents)?;
        directory.extend(CENTRAL_HEADER.to_le_bytes());
        directory.extend(VERSION.to_le_bytes());
        directory.extend(&common);
        directory.extend([0; 10]); // comment length, disk, attributes within and outside
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
        let bytes = LOCAL_HEADER_BYTES + name.len() + contents.len();
        offset =
            u32::try_from(bytes).ok().and_then(|bytes| offset.checked_add(bytes)).ok_or_else(too_large)?;
    }
    let count = u16::try_from(entries.len()).map_err(|_| too_large())?;
    writer.write_all(&directory)?;
    writer.write_all(&END_OF_DIRECTORY.to_le_bytes())?;
    writer.write_all(&[0; 4])?;
    writer.write_all(&count.to_le_bytes())?;
    writer.write_all(&count.to_le_bytes())?;
    writer.write_all(&u32::try_from(directory.len()).map_err(|_| too_large())?.to_le_bytes())?;
    writer.write_all(&offset.to_le_bytes())?;
    writer.write_all(&[0; 2])
}

/// Where the record at the end of the directory starts: it is the last thing in an archive but for a comment.
fn end_of_directory(archive: &[u8]) -> Option<usize> {
    let last = archive.len().checked_sub(END_OF_DIRECTORY_BYTES)?;
    (last.saturating_sub(MAX_COMMENT_BYTES)..=last)
        .rev()
        .find(|&at| u32_at(archive, at) == Some(END_OF_DIRECTORY))
}

fn checksum_of(bytes: &[u8]) -> u32 {
    let mut checksum = flate2::Crc::new();
    checksum.update(bytes);
    checksum.sum()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_le_bytes(*chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let owned: Vec<_> =
            entries.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        let mut bytes = Vec::new();
        write(&owned, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let bytes = archive(&[("a.npy", b"hello"), ("b.npy", b"")]);
        let entries = read(&bytes).unwrap();
        assert_eq!(
            entries,
            [("a.npy".to_owned(), b"hello"[..].into()), ("b.npy".to_owned(), b""[..].into())]
        );
    }

    #[test]
    fn deflated_entries_are_inflated() {
        let mut deflated = Vec::new();
        flate2::read::DeflateEncoder::new(&b"abababababababababab"[..], flate2::Compression::best())
            .read_to_end(&mut deflated)
            .unwrap();
        let mut bytes = archive(&[("a", &deflated)]);
        let directory = bytes.len() - END_OF_DIRECTORY_BYTES - CENTRAL_HEADER_BYTES - 1;
        bytes[directory + 10] = DEFLATED as u8;
        bytes[directory + 16..directory + 20]
            .copy_from_slice(&checksum_of(b"abababababababababab").to_le_bytes());
        bytes[directory + 24..directory + 28].copy_from_slice(&20u32.to_le_bytes());
        assert_eq!(*read(&bytes).unwrap()[0].1, *b"abababababababababab");
        bytes[directory + 27] = 0x7f; // claims two gigabytes
        assert_eq!(read(&bytes).unwrap_err(), "entry \"a\": it claims to be larger than it can be");
    }

    #[test]
    fn entries_that_share_their_bytes_are_an_error() {
        let bytes = archive(&[("a", &[7; 100])]);
        let (start, end) = (bytes.len() - END_OF_DIRECTORY_BYTES - CENTRAL_HEADER_BYTES - 1, bytes.len());
        let (entry, mut end) =
            (&bytes[start..end - END_OF_DIRECTORY_BYTES], bytes[end - END_OF_DIRECTORY_BYTES..].to_vec());
        end[10] = 9;
        let overlapping = [&bytes[..start], &entry.repeat(9), &end].concat();
        assert_eq!(read(&overlapping).unwrap_err(), "its entries overlap");
    }

    #[test]
    fn a_truncated_or_damaged_archive_is_an_error() {
        let whole = archive(&[("a.npy", b"hello")]);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        let mut damaged = whole.clone();
        damaged[LOCAL_HEADER_BYTES + 5] ^= 1;
        let expected = "entry \"a.npy\": its contents are damaged: size or checksum do not agree";
        assert_eq!(read(&damaged).unwrap_err(), expected);
    }

    #[test]
    fn any_single_byte_can_be_wrong_without_a_panic() {
        let whole = archive(&[("a.npy", b"hello")]);
        for at in 0..whole.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                let _ = read(&bytes);
            }
        }
    }
}
