//! Arrays of NumPy as they come from elsewhere: bytes of pixels, texts, other orders, in archives like that of Keras.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use ir::Tensor;
use nnc::data::{Dataset, Pixels, Source, digits, idx};
use nnc::npy;

/// An array with its name: the descriptor, whether it is in the order of Fortran, the shape, and the bytes.
type Stored<'a> = (&'a str, &'a str, bool, &'a [usize], Vec<u8>);

/// A `.npy` file as NumPy writes it.
fn file(descriptor: &str, is_fortran: bool, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let order = if is_fortran { "True" } else { "False" };
    let shape: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
    let header = format!("{{'descr': '{descriptor}', 'fortran_order': {order}, 'shape': ({shape}), }}\n");
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
}

/// An archive of these arrays, stored (PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16).
fn write_archive(path: &Path, arrays: &[Stored<'_>]) {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, descriptor, is_fortran, shape, data) in arrays {
        let (name, contents) = (format!("{name}.npy"), file(descriptor, *is_fortran, shape, data));
        let mut crc = flate2::Crc::new();
        crc.update(&contents);
        let size = (contents.len() as u32).to_le_bytes();
        let mut common = [20u16, 0, 0, 0, 0x21].map(u16::to_le_bytes).concat();
        common.extend([crc.sum().to_le_bytes(), size, size].concat());
        common.extend([(name.len() as u16).to_le_bytes(), [0; 2]].concat());
        let offset = (archive.len() as u32).to_le_bytes();
        archive.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &contents].concat());
        directory.extend([b"PK\x01\x02\x14\0", &common[..], &[0; 10], &offset, name.as_bytes()].concat());
    }
    let count = (arrays.len() as u16).to_le_bytes();
    let (length, start) = ((directory.len() as u32).to_le_bytes(), (archive.len() as u32).to_le_bytes());
    let end = [b"PK\x05\x06\0\0\0\0", &count[..], &count, &length, &start, &[0; 2]].concat();
    fs::write(path, [archive, directory, end].concat()).unwrap();
}

/// The archive of Keras, of these images and labels: `x_train`, `y_train`, `x_test` and `y_test`, all of bytes.
fn write_keras(path: &Path, [train, test]: [(&[u8], &[u8]); 2], [height, width]: [usize; 2]) {
    let images = |labels: &[u8]| [labels.len(), height, width];
    write_archive(
        path,
        &[
            ("x_train", "|u1", false, &images(train.1), train.0.to_vec()),
            ("y_train", "|u1", false, &[train.1.len()], train.1.to_vec()),
            ("x_test", "|u1", false, &images(test.1), test.0.to_vec()),
            ("y_test", "|u1", false, &[test.1.len()], test.1.to_vec()),
        ],
    );
}

fn load(path: &Path) -> (Dataset, Dataset) {
    format!("npz:{}", path.display()).parse::<Source>().unwrap().load().unwrap()
}

fn problem(path: &Path) -> String {
    let error = format!("npz:{}", path.display()).parse::<Source>().unwrap().load().unwrap_err().to_string();
    error.rsplit_once('/').map_or(error.clone(), |(_, error)| error.to_owned())
}

fn nnc(folder: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nnc"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap()
}

fn done(folder: &Path, arguments: &str) -> String {
    let output = nnc(folder, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn failed(folder: &Path, arguments: &str) -> String {
    let output = nnc(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments}");
    String::from_utf8(output.stderr).unwrap()
}

/// Rows of 0 to 1 as bytes.
fn bytes(data: &Dataset) -> (Vec<u8>, Vec<u8>) {
    let pixels = data.rows().iter().map(|x| (x * 255.0).round() as u8).collect();
    (pixels, data.labels().unwrap().iter().map(|&label| label as u8).collect())
}

fn accuracy(json: &str) -> f64 {
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    json["evaluation"]["accuracy"].as_f64().unwrap_or_else(|| panic!("{json}"))
}

#[test]
fn an_archive_like_that_of_keras_is_learned_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("digits.npz");
    let (train, test) = digits();
    let (train, test) = (bytes(&train), bytes(&test));
    write_keras(&path, [(&train.0, &train.1), (&test.0, &test.1)], [8, 8]);
    let (loaded, _) = load(&path);
    assert!(
        loaded
            .to_string()
            .ends_with("digits.npz: 1437 rows of [1, 8, 8], classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9")
    );
    assert_eq!((loaded.pixels(), loaded.row(3)[1]), (Some(Pixels::BYTES), f32::from(train.0[3 * 64 + 1])));
    done(folder.path(), "train lenet --data npz:digits.npz --epochs 4 --out run");
    let of_bytes = accuracy(&done(folder.path(), "eval run/lenet.safetensors --data npz:digits.npz --json"));
    assert!(of_bytes > 0.9, "{of_bytes}");
    // The same pixels from 0 to 1, as another source has them, are the same pixels.
    let of_floats =
        accuracy(&done(folder.path(), "eval run/lenet.safetensors --data digits --part test --json"));
    assert!((of_bytes - of_floats).abs() < 0.01, "{of_bytes} {of_floats}");
}

#[test]
fn the_archive_of_mnist_is_learned_from() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let data = env::var_os("NNC_DATA").map_or(beside, PathBuf::from);
    let read = |name: &str| idx::decode(&fs::read(data.join(name)).ok()?, name).ok();
    let (Some((shape, images)), Some((_, labels))) =
        (read("t10k-images-idx3-ubyte.gz"), read("t10k-labels-idx1-ubyte.gz"))
    else {
        eprintln!("skipped: MNIST is not at {}; set NNC_DATA to the folder that holds it", data.display());
        return;
    };
    assert_eq!(shape[1..], [28, 28]);
    let folder = tempfile::tempdir().unwrap();
    let part = |rows: std::ops::Range<usize>| (&images[rows.start * 784..rows.end * 784], &labels[rows]);
    write_keras(&folder.path().join("mnist.npz"), [part(0..3000), part(3000..4000)], [28, 28]);
    done(folder.path(), "train lenet --data npz:mnist.npz --epochs 2 --out run");
    let accuracy = accuracy(&done(folder.path(), "eval run/lenet.safetensors --data npz:mnist.npz --json"));
    assert!(accuracy > 0.88, "{accuracy}");
}

#[test]
fn rows_to_predict_may_be_bytes_or_the_same_numbers_as_floats() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    done(folder.path(), "train mlp --hidden 16 --epochs 2 --out unit");
    let (train, test) = digits();
    let (train, (pixels, labels)) = (bytes(&train), bytes(&test));
    write_keras(&path("a.npz"), [(&train.0, &train.1), (&pixels, &labels)], [8, 8]);
    done(folder.path(), "train mlp --data npz:a.npz --hidden 16 --epochs 2 --out bytes");
    let rows = pixels[..64 * 20].to_vec();
    fs::write(path("bytes.npy"), file("|u1", false, &[20, 8, 8], &rows)).unwrap();
    let as_floats =
        |scale: f32| rows.iter().flat_map(|&x| (f32::from(x) / scale).to_le_bytes()).collect::<Vec<u8>>();
    fs::write(path("bytes-as-floats.npy"), file("<f4", false, &[20, 8, 8], &as_floats(1.0))).unwrap();
    fs::write(path("unit.npy"), file("<f4", false, &[20, 8, 8], &as_floats(255.0))).unwrap();
    let predict = |model: &str, rows: &str| {
        done(folder.path(), &format!("predict {model}/mlp.safetensors --input {rows} --out out.npy"));
        npy::read(&path("out.npy")).unwrap()
    };
    // Bytes are pixels to both; floats are the numbers that the model was trained on.
    assert_eq!(predict("bytes", "bytes.npy"), predict("bytes", "bytes-as-floats.npy"));
    let (bytes, unit) = (predict("unit", "bytes.npy"), predict("unit", "unit.npy"));
    assert_eq!(bytes, unit);
}

#[test]
fn targets_are_texts_booleans_columns_and_single_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let x = |rows: usize| ("x", "<f2", false, vec![rows, 2], vec![0u8; 4 * rows]);
    let set = |y: Stored<'_>, rows: usize| {
        let (name, descriptor, is_fortran, shape, data) = x(rows);
        write_archive(&path, &[(name, descriptor, is_fortran, &shape, data), y]);
        let (train, _) = load(&path);
        train.to_string().rsplit_once(", ").map(|_| train.to_string()).unwrap()
    };
    let texts = set(("y", "|S3", false, &[6], b"dogcatowldogcatowl".to_vec()), 6);
    assert!(texts.ends_with("4 rows of [2], classes cat, dog, owl"), "{texts}");
    let unicode: Vec<u8> = "aébaéb".chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
    assert!(set(("y", ">U1", false, &[6, 1], unicode), 6).ends_with("classes a, b, é"));
    assert!(set(("y", "|b1", false, &[5], vec![0, 1, 1, 0, 1]), 5).ends_with("classes False, True"));
    assert!(
        set(("y", "<i2", false, &[5, 1], [[0, 0], [1, 0]].repeat(5)[..5].concat()), 5)
            .ends_with("classes 0, 1")
    );
    // Columns in the order of Fortran: rows 0 1 0, 1 0 0, 0 0 1, ..
    let hot = vec![0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0];
    assert!(set(("y", "|u1", true, &[5, 3], hot), 5).ends_with("classes 0, 1, 2"));
    assert!(set(("y", "<f4", false, &[5, 1], vec![0; 20]), 5).ends_with("values 0"));
}

#[test]
fn classes_and_numbers_that_do_not_fit_are_errors_that_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let x: Stored<'_> = ("x_train", "|i1", false, &[2, 1], vec![1, 0xff]);
    let parts = |y_test: &[u8]| {
        let (x_test, y) =
            (("x_test", x.1, false, x.3, x.4.clone()), ("y_train", "|S1", false, &[2][..], b"ab".to_vec()));
        write_archive(&path, &[x.clone(), y, x_test, ("y_test", "|S1", false, &[2], y_test.to_vec())]);
    };
    parts(b"ba");
    assert_eq!((load(&path).1.labels(), load(&path).0.row(1)), (Some(&[1, 0][..]), &[-1.0][..]));
    parts(b"bc");
    let expected = "a.npz, array \"y_test\": row 1 is of class \"c\", which no row to train on is of; \
                    give rows of these classes: a, b";
    assert_eq!(problem(&path), expected);
    let large = [1u64, (1 << 53) + 1].map(u64::to_le_bytes).concat();
    let y: Stored<'_> = ("y", "|u1", false, &[2], vec![0, 1]);
    write_archive(&path, &[("x", "<u8", false, &[2], large), y.clone()]);
    assert!(
        problem(&path)
            .starts_with("a.npz, array \"x\": row 1, column 0 holds 9007199254740993, which f32 has not")
    );
    write_archive(&path, &[("x", "|V2", false, &[2], vec![0; 4]), y.clone()]);
    assert!(
        problem(&path)
            .contains("array \"x\": the elements are |V2: plain bytes, which may stand for anything")
    );
    // What nobody asks for may be anything.
    write_archive(
        &path,
        &[("x", "<V2", false, &[2], vec![0x80, 0x3f, 0, 0]), y, ("meta", "|O", false, &[1], vec![0; 8])],
    );
    let (train, test) = load(&path);
    assert_eq!((test.row(0), train.row(0)), (&[0.0][..], &[1.0][..]));
}

#[test]
fn programs_take_arrays_of_any_dtype_that_have_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, contents: &[u8]| fs::write(folder.path().join(name), contents).unwrap();
    write("g.nnir", b"graph @g { %x = input : f32[2]  %y = add %x, %x  output y = %y }");
    let run = "run g.nnir --input x=x.npy --output y=y.npy";
    for (descriptor, data) in [
        ("|u1", vec![1, 255]),
        (">i2", vec![0, 1, 0, 255]),
        ("<f8", [1f64, 255.0].map(f64::to_le_bytes).concat()),
        ("<f2", vec![0, 0x3c, 0xf8, 0x5b]),
        ("<u8", [1u64, 255].map(u64::to_le_bytes).concat()),
    ] {
        write("x.npy", &file(descriptor, false, &[2], &data));
        done(folder.path(), run);
        let y = npy::read(&folder.path().join("y.npy")).unwrap();
        assert_eq!(y, Tensor::new([2], vec![2.0f32, 510.0]).unwrap(), "{descriptor}");
    }
    write("x.npy", &file("<f8", false, &[2], &[1.0, 0.1].map(f64::to_le_bytes).concat()));
    let expected = "x.npy, `x`: element 1 is 0.1, which f32 has not; give numbers that it has: numpy's astype rounds to them";
    assert!(failed(folder.path(), run).contains(expected), "{}", failed(folder.path(), run));
    write("x.npy", &file("|S1", false, &[2], b"ab"));
    assert!(failed(folder.path(), run).contains("x.npy: it holds texts, S1[2]; give numbers"));
}
