//! Files that are not what they should be: every reader gets 10,000, made from good ones by cutting, flipping, splicing
//! and changing numbers, within what is compressed and in the compressed bytes. Each is read, or is an error that names the
//! file; none is a panic, and all of them together take less than 256 MB.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use flate2::Compression;
use flate2::bufread::GzEncoder;
use ir::Tensor;
use ir::scalar::philox4x32_10;
use nnc::bench::measure::peak_memory_mb;
use nnc::data::{Source, prices};
use nnc::{Error, checkpoint, npy};
use safetensors::tensor::{Dtype, TensorView};

const FILES: u32 = 10_000;
const MAX_MEMORY_MB: f64 = 256.0;

/// A good file, to be mutated.
struct Base {
    name: &'static str,
    content: Vec<u8>,
    /// Whether it may be gzipped.
    is_compressible: bool,
}

impl Base {
    fn new(name: &'static str, content: impl Into<Vec<u8>>, is_compressible: bool) -> Base {
        Base { name, content: content.into(), is_compressible }
    }
}

/// Reads, with `read`, as many folders of files as there are to be, one of which is mutated. `read` is given the folder.
fn check<T>(reader: &str, bases: &[Base], read: impl Fn(&Path) -> Result<T, Error>) {
    let folder = tempfile::tempdir().unwrap();
    let path = |base: &Base| folder.path().join(base.name);
    // File systems that guard against lost contents flush a file that is written over to disk; a new one they do not.
    let write = |base: &Base, content: &[u8]| {
        let _ = fs::remove_file(path(base));
        fs::write(path(base), content).unwrap();
    };
    let write_good = |base: &Base| write(base, &base.content);
    bases.iter().for_each(write_good);
    assert!(read(folder.path()).is_ok(), "{reader}: the good files cannot be read");
    let (mut errors, mut read_well) = (0, 0);
    for number in 0..FILES {
        let random = &mut Random::new(number);
        let base = &bases[random.below(bases.len())];
        let mutated = match base.is_compressible.then(|| random.below(3)) {
            Some(0) => random.mutated(&gzipped(&base.content)),
            Some(1) => gzipped(&random.mutated(&base.content)),
            _ => random.mutated(&base.content),
        };
        write(base, &mutated);
        match catch_unwind(AssertUnwindSafe(|| read(folder.path()).map(drop))) {
            Ok(Ok(())) => read_well += 1,
            Ok(Err(error)) => {
                let message = error.to_string();
                let place = folder.path().display().to_string();
                assert!(message.contains(&place), "{reader}, file {number}: {message}");
                assert!(!message.contains('\n'), "{reader}, file {number}: {message:?}");
                assert!(message.len() < 1000, "{reader}, file {number}: {message}");
                errors += 1;
            }
            Err(_) => panic!("{reader}: it panics on file {number}"),
        }
        write_good(base);
    }
    // Some mutations hurt, and some change what is read and not how.
    assert!(errors >= FILES / 10 && read_well >= FILES / 100, "{reader}: {errors} errors, {read_well} read");
    if let Some(peak) = peak_memory_mb() {
        println!("{reader}: {errors} errors, {read_well} read, {peak} MB at most in all");
        assert!(peak < MAX_MEMORY_MB, "{reader}: {peak} MB");
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    GzEncoder::new(bytes, Compression::fast()).read_to_end(&mut compressed).unwrap();
    compressed
}

/// Random numbers of a file.
struct Random {
    file: u32,
    next: u32,
}

impl Random {
    fn new(file: u32) -> Random {
        Random { file, next: 0 }
    }

    fn word(&mut self) -> u32 {
        self.next += 1;
        philox4x32_10([self.next, self.file, 0, 0], [0, 0])[0]
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        self.word() as usize % bound
    }

    /// A place in the file: half of them among the first bytes, where headers are.
    fn place(&mut self, len: usize) -> usize {
        let most = if self.below(2) == 0 { len.min(64) } else { len };
        self.below(most.max(1))
    }

    /// The bytes with one to three things wrong.
    fn mutated(&mut self, good: &[u8]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        for _ in 0..=self.below(3) {
            self.mutate(&mut bytes);
        }
        bytes
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let at = self.place(bytes.len());
        let end = (at + 1 + self.below(64)).min(bytes.len());
        match self.below(9) {
            0 => bytes.truncate(at),
            1 if at < end => bytes[at] ^= 1 << self.below(8),
            2 if at < end => bytes[at] = [0, 1, 9, b' ', b'"', 0x7f, 0x80, 0xff][self.below(8)],
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copied = bytes[at..end].to_vec();
                let to = self.place(bytes.len());
                bytes.splice(to..to, copied);
            }
            5 => {
                let strange = (0..self.below(16)).map(|_| self.word() as u8).collect::<Vec<u8>>();
                bytes.splice(at..at, strange);
            }
            6 => self.change_binary_number(bytes, at),
            7 => self.change_decimal_number(bytes, at),
            _ => {
                let copied = bytes[at..end].repeat(1 + self.below(200));
                bytes.splice(at..at, copied);
            }
        }
    }

    /// Sets 2, 4 or 8 bytes to a number that headers do not expect, of either order.
    fn change_binary_number(&mut self, bytes: &mut [u8], at: usize) {
        let numbers = [0, 1, 0xffff, 0x1_0000, 0x7fff_ffff, 0xffff_ffff, 1 << 40, u64::MAX >> 1, u64::MAX];
        let number = numbers[self.below(numbers.len())];
        let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
        let width = [2, 4, 8][self.below(3)];
        let number = if self.below(2) == 0 { &little[..width] } else { &big[8 - width..] };
        bytes.iter_mut().skip(at).zip(number).for_each(|(byte, number)| *byte = *number);
    }

    /// Sets the next number that is written in digits to one that is not expected there.
    fn change_decimal_number(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let Some(start) = (at..bytes.len()).find(|&at| bytes[at].is_ascii_digit()) else { return };
        let end = (start..bytes.len()).find(|&at| !bytes[at].is_ascii_digit()).unwrap_or(bytes.len());
        let numbers =
            ["", "0", "-1", "256", "99999999", "4294967296", "18446744073709551616", "1e60", "NaN", "0.5"];
        let number = numbers[self.below(numbers.len())];
        bytes.splice(start..end, number.bytes());
    }
}

/// 40 MiB of short lines, each of which takes twice its bytes in a table, in 40 KiB.
#[test]
fn tables_that_inflate_without_end_are_errors_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let lines = b"1,2\n".repeat(1 << 20);
    let mut member = Vec::new();
    GzEncoder::new(&lines[..], Compression::best()).read_to_end(&mut member).unwrap();
    assert!(member.len() < lines.len() / 500);
    fs::write(folder.path().join("a.csv.gz"), [gzipped(b"a,b\n"), member.repeat(10)].concat()).unwrap();
    let error = load("csv", folder.path(), "a.csv.gz").unwrap_err().to_string();
    assert!(error.contains("it holds more than 32 MiB and 100 times its size"), "{error}");
    assert!(peak_memory_mb().is_none_or(|peak| peak < MAX_MEMORY_MB));
}

/// Small files that inflate to 256 MiB of one byte, after a good start.
#[test]
fn files_that_inflate_without_end_are_errors_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = |name: &str, start: &[u8], byte: u8| {
        let good = start.chain(std::io::repeat(byte).take(1 << 28));
        let mut compressed = Vec::new();
        GzEncoder::new(std::io::BufReader::new(good), Compression::fast())
            .read_to_end(&mut compressed)
            .unwrap();
        assert!(compressed.len() < 1 << 22);
        fs::write(folder.path().join(name), compressed).unwrap();
    };
    bomb("train-images-idx3-ubyte.gz", &idx(&[1, 1, 1], vec![]), 0);
    fs::write(folder.path().join("train-labels-idx1-ubyte"), idx(&[1], vec![0])).unwrap();
    bomb("zip.train.gz", b"6.0 ", b'1');
    bomb("a.csv.gz", b"a,b\n1,2\n", b'1');
    let message = |result: Result<(), Error>| result.unwrap_err().to_string();
    assert!(message(load("idx", folder.path(), "")).contains("it goes on after the [1, 1, 1] elements"));
    assert!(message(load("zip", folder.path(), "zip.train.gz")).contains("line 1: it is longer than 16384"));
    let csv = message(load("csv", folder.path(), "a.csv.gz"));
    assert!(csv.contains("line 3: the record that is there has more than 4194304 bytes"), "{csv}");
    let prices = message(prices::read(&folder.path().join("a.csv.gz")).map(drop));
    assert!(prices.contains("it has no column `date`"), "{prices}");
    assert!(peak_memory_mb().is_none_or(|peak| peak < MAX_MEMORY_MB));
}

fn load(source: &str, folder: &Path, file: &str) -> Result<(), Error> {
    let source: Source = format!("{source}:{}", folder.join(file).display()).parse()?;
    source.load().map(drop)
}

fn idx(extents: &[u32], elements: Vec<u8>) -> Vec<u8> {
    let mut file = vec![0, 0, 8, extents.len() as u8];
    file.extend(extents.iter().flat_map(|extent| extent.to_be_bytes()));
    file.extend(elements);
    file
}

#[test]
fn mutated_idx_files_are_read_or_are_errors() {
    let labels = |count: u8| idx(&[u32::from(count)], (0..count).map(|label| label % 3).collect());
    let images = |count: u8| idx(&[u32::from(count), 4, 3], (0..12 * count).collect());
    let bases = [
        Base::new("train-images-idx3-ubyte.gz", images(10), true),
        Base::new("train-labels-idx1-ubyte.gz", labels(10), true),
        Base::new("t10k-images-idx3-ubyte.gz", images(4), true),
        Base::new("t10k-labels-idx1-ubyte.gz", labels(4), true),
    ];
    check("idx", &bases, |folder| load("idx", folder, ""));
}

#[test]
fn mutated_zip_files_are_read_or_are_errors() {
    let line = |digit: usize| format!("{digit}.0000{} 0.25 -1\n", " -1.0000".repeat(254));
    let lines = |count| (0..count).map(line).collect::<String>();
    let bases = [Base::new("zip.train.gz", lines(5), true), Base::new("zip.test.gz", lines(2), true)];
    check("zip", &bases, |folder| load("zip", folder, "zip.train.gz"));
}

#[test]
fn mutated_csv_files_are_read_or_are_errors() {
    let row = |row: usize| format!("{row},{}.5,\"text {}\",{}\n", row * row, row % 4, row % 3);
    let table = "a,b,\"c \"\"d\"\"\",y\n".to_owned() + &(0..30).map(row).collect::<String>();
    check("csv", &[Base::new("a.csv", table, true)], |folder| load("csv", folder, "a.csv"));
}

#[test]
fn mutated_prices_are_read_or_are_errors() {
    let prices = prices::to_csv(&prices::draw(2, 10, 0));
    check("prices", &[Base::new("a.csv", prices, true)], |folder| prices::read(&folder.join("a.csv")));
}

#[test]
fn mutated_npz_files_are_read_or_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let stored = folder.path().join("stored.npz");
    let x = Tensor::new([10, 2], (0..20).map(f64::from).collect()).unwrap();
    let y = Tensor::new([10], (0..10).map(|row| row % 2).collect::<Vec<i64>>()).unwrap();
    npy::npz::write(&stored, [("x", &x), ("y", &y)]).unwrap();
    // numpy.savez_compressed of x = numpy.arange(60, dtype=numpy.float32).reshape(10, 1, 2, 3) / 60 and
    // y = numpy.arange(10) % 3
    let compressed = include_bytes!("data/compressed.npz");
    for (reader, base) in [("npz, stored", fs::read(stored).unwrap()), ("npz, deflated", compressed.to_vec())]
    {
        check(reader, &[Base::new("a.npz", base, false)], |folder| load("npz", folder, "a.npz"));
    }
}

#[test]
fn mutated_npy_files_are_read_or_are_errors() {
    let mut file = Vec::new();
    npy::encode(&Tensor::new([2, 3, 2], vec![0.5f32; 12]).unwrap(), &mut file).unwrap();
    check("npy", &[Base::new("a.npy", file, false)], |folder| npy::read(&folder.join("a.npy")));
}

#[test]
fn mutated_checkpoints_are_read_or_are_errors() {
    let bytes: Vec<u8> = (0..60).collect();
    let weight = TensorView::new(Dtype::F32, vec![3, 5], &bytes).unwrap();
    let step = TensorView::new(Dtype::I64, vec![], &bytes[..8]).unwrap();
    let metadata = HashMap::from([("model".to_owned(), "mlp 3-5".to_owned())]);
    let file = safetensors::serialize([("fc1.weight", weight), ("adam.step", step)], Some(metadata)).unwrap();
    check("safetensors", &[Base::new("a.safetensors", file, false)], |folder| {
        checkpoint::load(&folder.join("a.safetensors"))
    });
}
