//! Folders of pictures through the program: trained on, evaluated, predicted.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use nnc::data::digits;
use serde_json::Value;

/// Writes the digits as pictures, `train/CLASS/` and `test/CLASS/`, every third as a JPEG.
fn write_digits(folder: &Path) {
    let (train, test) = digits();
    for (part, data) in [("train", &train), ("test", &test)] {
        for row in 0..data.len() {
            let class = folder.join(part).join(&data.targets().names()[data.labels().unwrap()[row] as usize]);
            fs::create_dir_all(&class).unwrap();
            let pixel = |x: u32, y: u32| Luma([(255.0 * data.row(row)[(8 * y + x) as usize]).round() as u8]);
            let image = GrayImage::from_fn(8, 8, pixel);
            let (ending, format) =
                if row % 3 == 0 { ("jpg", ImageFormat::Jpeg) } else { ("png", ImageFormat::Png) };
            image.save_with_format(class.join(format!("{row:04}.{ending}")), format).unwrap();
        }
    }
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

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn folders_of_digits_are_learned_from_and_predicted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_digits(&path.join("digits"));
    done(path, "train lenet --data images:digits --epochs 3 --out run");
    let evaluation = json(&done(path, "eval run/lenet.safetensors --data images:digits --json"));
    let accuracy = evaluation["evaluation"]["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.85, "{evaluation}");
    assert_eq!(evaluation["dataset"], "images:digits#8x8x1");
    // The embedded digits are the same pixels.
    let same = json(&done(path, "eval run/lenet.safetensors --data digits --json"));
    assert!((same["evaluation"]["accuracy"].as_f64().unwrap() - accuracy).abs() < 0.03, "{same}");

    // A folder, by its name or as a data set, gives the files in their order.
    let predicted = json(&done(path, "predict run/lenet.safetensors --input images:digits/test --json"));
    let all = predicted["predictions"].as_array().unwrap();
    assert_eq!((all.len(), predicted["rows"].as_u64()), (360, Some(360)));
    let is_right = |one: &&Value| {
        one["file"].as_str().unwrap().contains(&format!("/{}/", one["class"].as_str().unwrap()))
    };
    assert_eq!(all.iter().filter(is_right).count() as f64 / 360.0, accuracy);
    assert!(all.is_sorted_by_key(|one| one["file"].as_str()));
    done(path, "predict run/lenet.safetensors --input digits/test --out all.csv");
    let table = fs::read_to_string(path.join("all.csv")).unwrap();
    assert!(table.starts_with("file,class,probability\ndigits/test/0/"), "{table}");

    // One picture, in a file and from stdin; another size and colours.
    let first = all[0]["file"].as_str().unwrap();
    let alone = done(path, &format!("predict run/lenet.safetensors --input {first}"));
    let class = all[0]["class"].as_str().unwrap();
    assert!(alone.starts_with(&format!("{first}: {class} (")), "{alone}");
    let mut child = Command::new(env!("CARGO_BIN_EXE_nnc"));
    child.args(["predict", "run/lenet.safetensors", "--input", "-"]).current_dir(path);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(path.join(first)).unwrap()).unwrap();
    let piped = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(piped, alone.replace(first, "row 0"));
    let large =
        image::open(path.join(first)).unwrap().resize_exact(32, 32, image::imageops::FilterType::Nearest);
    large.to_rgba16().save(path.join("large.png")).unwrap();
    let large = done(path, "predict run/lenet.safetensors --input large.png");
    assert!(large.starts_with(&format!("large.png: {class} (")), "{large}");
}

#[test]
fn pictures_that_cannot_be_used_are_errors_that_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let save = |name: &str, side: u32, colour: [u8; 3]| {
        fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
        RgbImage::from_pixel(side, side, Rgb(colour)).save(path.join(name)).unwrap();
    };
    (0..5).for_each(|n| save(&format!("pets/cat/{n}.png"), 8 + n / 4, [200, 0, 0]));
    (0..5).for_each(|n| save(&format!("pets/dog/{n}.png"), 8, [0, 0, 200]));
    let error = failed(path, "train mlp --data images:pets --out run");
    assert!(
        error.contains("pets/cat/4.png of 9x9 (height x width); give one size for all: `images:DIR#64x64`"),
        "{error}"
    );
    assert!(
        failed(path, "train mlp --data images:pets#9 --out run")
            .contains("size `9`: it is no size of pictures")
    );
    done(path, "train mlp --data images:pets#6x7 --hidden 4 --batch 4 --epochs 1 --out run");
    // The size of the model is taken where none is given.
    done(path, "eval run/mlp.safetensors --data images:pets");
    let predicted = done(path, "predict run/mlp.safetensors --input pets/dog/1.png --out a.npy");
    assert!(predicted.contains("1 predictions written"), "{predicted}");
    fs::write(path.join("pets/cat/5.jpg"), &fs::read(path.join("pets/cat/1.png")).unwrap()[..40]).unwrap();
    let error = failed(path, "predict run/mlp.safetensors --input pets");
    assert!(error.contains("pets/cat/5.jpg: it cannot be read: "), "{error}");
    fs::create_dir(path.join("empty")).unwrap();
    assert!(
        failed(path, "predict run/mlp.safetensors --input empty")
            .contains("empty: there are no pictures in it; give")
    );
    assert!(failed(path, "predict run/mlp.safetensors --input none.png").contains("none.png: cannot read: "));
    // Of a model of other rows it is not known what a pixel would be.
    done(path, "train mlp --data synthetic:blobs --hidden 4 --epochs 1 --out blobs");
    let error = failed(path, "predict blobs/mlp.safetensors --input pets/dog/1.png");
    assert!(
        error.contains("mlp: it was trained on rows of [16] of synthetic:blobs, and which numbers are black"),
        "{error}"
    );
}
