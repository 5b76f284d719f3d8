//! As much of the zip format as `.npz` files use: entries that are stored or deflated, of any size (zip64), one disk, no
//! encryption. The layout is that of PKWARE's APPNOTE 6.3, sections 4.3.7 to 4.3.16 and 4.5.3.
//!
//! The crate `zip` in the version that `npyz` takes links two C libraries, and reads what an archive claims rather
//! than what it has; this reader works on the bytes of the file alone.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use crate::error::quoted;
use crate::files::inflation;
use crate::memory;

const LOCAL_HEADER: u32 = 0x0403_4b50;
const CENTRAL_HEADER: u32 = 0x0201_4b50;
const END_OF_DIRECTORY: u32 = 0x0605_4b50;
const ZIP64_END_OF_DIRECTORY: u32 = 0x0606_4b50;
const ZIP64_LOCATOR: u32 = 0x0706_4b50;
const LOCAL_HEADER_BYTES: usize = 30;
const CENTRAL_HEADER_BYTES: usize = 46;
const END_OF_DIRECTORY_BYTES: usize = 22;
const ZIP64_END_OF_DIRECTORY_BYTES: usize = 56;
const ZIP64_LOCATOR_BYTES: usize = 20;
/// The kind of the extra field of a header that holds what does not fit 32 bits.
const ZIP64_EXTRA: u16 = 1;
/// From this number on, sizes and places stand in 64 bits elsewhere, and this stands for them. Python's `zipfile` does so
/// from 2 GiB on.
const ZIP64_FROM: u64 = u32::MAX as u64;
/// The same of the number of entries.
const ZIP64_COUNT_FROM: u64 = u16::MAX as u64;
/// The longest comment that can follow the end of the directory.
const MAX_COMMENT_BYTES: usize = 0xffff;
/// Entries are stored, or deflated.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// No deflated byte stands for more bytes than this (zlib's technical details, "maximum compression factor").
const MAX_RATIO: usize = 1032;
/// The first of January 1980, the earliest date: archives of the same data are the same bytes.
const DATE: u16 = 0x21;
/// The versions of the format that a reader needs: 2.0, and 4.5 for what is in 64 bits.
const VERSION: u16 = 20;
const ZIP64_VERSION: u16 = 45;

/// The name and the content of an entry.
pub type Entry<'a> = (String, Cow<'a, [u8]>);

/// The names and contents of the entries of an archive, in the order of its directory.
pub fn read(archive: &[u8]) -> Result<Vec<Entry<'_>>, String> {
    let (count, mut at) = directory(archive)?;
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
        let in_entry = |problem: String| format!("entry {}: {problem}", quoted(&name));
        let place = Place::of(header).map_err(in_entry)?;
        // Entries that share their bytes could stand for more memory than there is.
        unread = unread.checked_sub(place.packed_size).ok_or("its entries overlap")?;
        let contents = contents(archive, header, &place).map_err(in_entry)?;
        entries.push((name, contents));
        at += CENTRAL_HEADER_BYTES + name_length + extra_length + comment_length;
    }
    Ok(entries)
}

/// The number of entries, and where the directory starts.
fn directory(archive: &[u8]) -> Result<(u64, usize), String> {
    let end = end_of_directory(archive).ok_or("this is no zip archive, or its end is missing")?;
    let mut count = u16_at(archive, end + 10).ok_or("its end is cut")?.into();
    let mut start = u32_at(archive, end + 16).ok_or("its end is cut")?.into();
    if count == ZIP64_COUNT_FROM || start == ZIP64_FROM {
        // Where there is no such record, the numbers are what they say.
        let locator = end.checked_sub(ZIP64_LOCATOR_BYTES);
        if let Some(locator) = locator.filter(|&at| u32_at(archive, at) == Some(ZIP64_LOCATOR)) {
            let record = u64_at(archive, locator + 8).and_then(|at| archive.get(usize::try_from(at).ok()?..));
            let record = record.filter(|record| u32_at(record, 0) == Some(ZIP64_END_OF_DIRECTORY));
            let record = record.ok_or("its end is broken")?;
            count = u64_at(record, 32).ok_or("its end is cut")?;
            start = u64_at(record, 48).ok_or("its end is cut")?;
        }
    }
    Ok((count, usize::try_from(start).map_err(|_| "its directory is broken")?))
}

/// The sizes of an entry and where its local header is, in bytes.
struct Place {
    size: usize,
    packed_size: usize,
    offset: usize,
}

impl Place {
    /// What a header of the directory says; of numbers that do not fit 32 bits, what its extra field does.
    fn of(header: &[u8]) -> Result<Place, String> {
        let length = |offset: usize| u16_at(header, offset).map_or(0, usize::from);
        let start = CENTRAL_HEADER_BYTES + length(28);
        let mut extra = header.get(start..start + length(30)).ok_or("its header is cut")?;
        let mut large: &[u8] = &[];
        while let (Some(kind), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
            let field = extra.get(4..4 + usize::from(length)).ok_or("its header is broken")?;
            if kind == ZIP64_EXTRA {
                large = field;
            }
            extra = &extra[4 + field.len()..];
        }
        // The extra field has those that are not in the header, in this order.
        let mut number = |offset: usize| -> Result<usize, String> {
            let mut number = u32_at(header, offset).ok_or("its header is cut")?.into();
            if number == ZIP64_FROM && !large.is_empty() {
                number = u64_at(large, 0).ok_or("its header is broken")?;
                large = &large[size_of::<u64>()..];
            }
            usize::try_from(number).map_err(|_| "it is larger than the memory can be".into())
        };
        Ok(Place { size: number(24)?, packed_size: number(20)?, offset: number(42)? })
    }
}

/// The contents of the entry that a header of the directory describes.
fn contents<'a>(archive: &'a [u8], header: &[u8], place: &Place) -> Result<Cow<'a, [u8]>, String> {
    let method = u16_at(header, 10).ok_or("its header is cut")?;
    let checksum = u32_at(header, 16).ok_or("its header is cut")?;
    let &Place { size, packed_size, offset } = place;
    let local = archive.get(offset..).unwrap_or_default();
    if u32_at(local, 0) != Some(LOCAL_HEADER) {
        return Err("its header is missing".into());
    }
    let length = |offset: usize| u16_at(local, offset).map_or(0, usize::from);
    let start = LOCAL_HEADER_BYTES + length(26) + length(28);
    let packed = local.get(start..).and_then(|rest| rest.get(..packed_size)).ok_or("it is cut")?;
    let contents = match method {
        STORED => Cow::Borrowed(packed),
        DEFLATED if size > packed.len().saturating_mul(MAX_RATIO) => {
            return Err("it claims to be larger than it can be".into());
        }
        DEFLATED => {
            if let Some(problem) = inflation::excess(size, packed.len()) {
                return Err(format!("{problem}; if you trust it, store it uncompressed"));
            }
            memory::check("", size).map_err(|_| {
                format!("it holds {}, more than there is memory for", memory::in_words(size as u64))
            })?;
            let mut contents = Vec::new();
            let inflated =
                flate2::read::DeflateDecoder::new(packed).take(size as u64 + 1).read_to_end(&mut contents);
            inflated.map_err(|error| format!("it cannot be inflated: {error}"))?;
            Cow::Owned(contents)
        }
        other => return Err(format!("compression method {other} is not known; store or deflate it")),
    };
    if contents.len() != size || checksum_of(&contents) != checksum {
        return Err("its contents are damaged: size or checksum do not agree".into());
    }
    Ok(contents)
}

/// Writes an archive of these entries, stored.
pub fn write(entries: &[(String, Vec<u8>)], writer: &mut dyn Write) -> io::Result<()> {
    write_with(entries, writer, ZIP64_FROM)
}

/// Writes an archive in which sizes and places are in 64 bits from `zip64_from` on.
fn write_with(entries: &[(String, Vec<u8>)], writer: &mut dyn Write, zip64_from: u64) -> io::Result<()> {
    let mut directory = Vec::new();
    let mut offset = 0u64;
    for (name, contents) in entries {
        let size = contents.len() as u64;
        let is_large = size >= zip64_from || offset >= zip64_from;
        let version = if is_large { ZIP64_VERSION } else { VERSION };
        let in_header = |number: u64| if is_large { u32::MAX } else { number as u32 };
        let name_length = u16::try_from(name.len()).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "the name of an array has more than 65,000 bytes")
        })?;
        // What does not fit 32 bits: both sizes, and in the directory the place of the local header, too.
        let extra = |numbers: &[u64]| -> Vec<u8> {
            let length = size_of_val(numbers) as u16;
            let head = [ZIP64_EXTRA, length].into_iter().flat_map(u16::to_le_bytes);
            let all = head.chain(numbers.iter().flat_map(|number| number.to_le_bytes()));
            if is_large { all.collect() } else { Vec::new() }
        };
        let (local_extra, central_extra) = (extra(&[size, size]), extra(&[size, size, offset]));
        // What both headers of an entry share: version, flags, method, time, date, checksum, sizes, length of the name.
        let mut common = Vec::new();
        for field in [version, 0, STORED, 0, DATE] {
            common.extend(field.to_le_bytes());
        }
        for field in [checksum_of(contents), in_header(size), in_header(size)] {
            common.extend(field.to_le_bytes());
        }
        common.extend(name_length.to_le_bytes());
        writer.write_all(&LOCAL_HEADER.to_le_bytes())?;
        writer.write_all(&common)?;
        writer.write_all(&(local_extra.len() as u16).to_le_bytes())?;
        writer.write_all(name.as_bytes())?;
        writer.write_all(&local_extra)?;
        writer.write_all(contents)?;
        directory.extend(CENTRAL_HEADER.to_le_bytes());
        directory.extend(version.to_le_bytes());
        directory.extend(&common);
        directory.extend((central_extra.len() as u16).to_le_bytes());
        directory.extend([0; 10]); // comment length, disk, attributes within and outside
        directory.extend(in_header(offset).to_le_bytes());
        directory.extend(name.as_bytes());
        directory.extend(&central_extra);
        offset += (LOCAL_HEADER_BYTES + name.len() + local_extra.len()) as u64 + size;
    }
    writer.write_all(&directory)?;
    write_end(entries.len() as u64, directory.len() as u64, offset, writer, zip64_from)
}

/// Writes what follows a directory of so many entries and bytes that starts at `start`.
fn write_end(count: u64, bytes: u64, start: u64, writer: &mut dyn Write, zip64_from: u64) -> io::Result<()> {
    let is_large = count >= ZIP64_COUNT_FROM || bytes >= zip64_from || start >= zip64_from;
    if is_large {
        writer.write_all(&ZIP64_END_OF_DIRECTORY.to_le_bytes())?;
        writer.write_all(&(ZIP64_END_OF_DIRECTORY_BYTES as u64 - 12).to_le_bytes())?; // less what is before it
        [ZIP64_VERSION; 2].iter().try_for_each(|version| writer.write_all(&version.to_le_bytes()))?;
        writer.write_all(&[0; 8])?; // the numbers of disks
        [count, count, bytes, start].iter().try_for_each(|field| writer.write_all(&field.to_le_bytes()))?;
        // The locator: the disk and the place of the record above, and the number of disks.
        writer.write_all(&ZIP64_LOCATOR.to_le_bytes())?;
        writer.write_all(&[0; 4])?;
        writer.write_all(&(start + bytes).to_le_bytes())?;
        writer.write_all(&1u32.to_le_bytes())?;
    }
    let (count, [bytes, start]) = match is_large {
        true => (u16::MAX, [u32::MAX; 2]),
        false => (count as u16, [bytes as u32, start as u32]),
    };
    writer.write_all(&END_OF_DIRECTORY.to_le_bytes())?;
    writer.write_all(&[0; 4])?;
    [count; 2].iter().try_for_each(|count| writer.write_all(&count.to_le_bytes()))?;
    [bytes, start].iter().try_for_each(|field| writer.write_all(&field.to_le_bytes()))?;
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

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
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
    fn entries_that_fill_memory_are_refused_before_they_are_inflated() {
        let zeros = vec![0; 33 << 20];
        let mut deflated = Vec::new();
        flate2::read::DeflateEncoder::new(&zeros[..], flate2::Compression::fast())
            .read_to_end(&mut deflated)
            .unwrap();
        let mut bytes = archive(&[("a", &deflated)]);
        let directory = bytes.len() - END_OF_DIRECTORY_BYTES - CENTRAL_HEADER_BYTES - 1;
        bytes[directory + 10] = DEFLATED as u8;
        bytes[directory + 24..directory + 28].copy_from_slice(&(33u32 << 20).to_le_bytes());
        let expected = "entry \"a\": it holds more than 32 MiB and 100 times its size, as files do that are made to \
                        fill memory; if you trust it, store it uncompressed";
        assert_eq!(read(&bytes).unwrap_err(), expected);
    }

    /// With 64 bits from 10 bytes on: no entry, or the second, which begins beyond, or both.
    #[test]
    fn what_does_not_fit_32_bits_is_read_as_it_was_written() {
        let entries = |first: &[u8]| vec![("a".to_owned(), first.to_vec()), ("b".to_owned(), vec![7, 8])];
        for entries in [Vec::new(), entries(b"1"), entries(b"0123456789")] {
            for zip64_from in [0, 10, 34, ZIP64_FROM] {
                let mut bytes = Vec::new();
                write_with(&entries, &mut bytes, zip64_from).unwrap();
                let read: Vec<_> =
                    read(&bytes).unwrap().into_iter().map(|(n, c)| (n, c.into_owned())).collect();
                assert_eq!(read, entries, "{zip64_from}");
                for length in 0..bytes.len() {
                    assert!(super::read(&bytes[..length]).is_err(), "{zip64_from}, {length}");
                }
            }
        }
    }

    #[test]
    fn numbers_of_64_bits_that_no_archive_has_are_errors() {
        let mut whole = Vec::new();
        write_with(&[("a".to_owned(), vec![7; 20])], &mut whole, 0).unwrap();
        let extra = whole.windows(4).rposition(|window| window == [1, 0, 24, 0]).unwrap() + 4;
        for (at, problem) in [(0, "do not agree"), (8, "its entries overlap"), (16, "its header is missing")]
        {
            for number in [u64::MAX, 1 << 63, 1 << 32, u64::from(u32::MAX)] {
                let mut bytes = whole.clone();
                bytes[extra + at..][..8].copy_from_slice(&number.to_le_bytes());
                assert!(read(&bytes).unwrap_err().contains(problem), "{at}, {number}");
            }
        }
        let record =
            whole.windows(4).position(|window| window == ZIP64_END_OF_DIRECTORY.to_le_bytes()).unwrap();
        for (at, problem) in
            [(32, "its directory is broken"), (48, "its directory is broken"), (64, "its end is broken")]
        {
            let mut bytes = whole.clone();
            bytes[record + at..][..8].copy_from_slice(&u64::MAX.to_le_bytes());
            assert_eq!(read(&bytes).unwrap_err(), problem, "{at}");
        }
    }

    /// 4.1 GiB of zeros in one entry, and another behind it.
    #[test]
    #[ignore = "it takes 8.4 GB of memory"]
    fn entries_of_more_than_4_gib_are_read_as_they_were_written() {
        let entries = [("a".to_owned(), vec![0; 4_400_000_000]), ("b".to_owned(), vec![7, 8])];
        let mut bytes = Vec::new();
        write(&entries, &mut bytes).unwrap();
        let read = read(&bytes).unwrap();
        assert!(read.iter().zip(&entries).all(|(read, entry)| read.0 == entry.0 && *read.1 == *entry.1));
        assert_eq!(read.len(), 2);
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
