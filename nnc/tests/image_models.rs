//! Models of images: the same bits however they are trained, and images that they do not take.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use ir::{Lowering, Tensor};
use nn::network::training_graph;
use nn::{Adam, Conv2d, Flatten, Layer, Linear, Loss, MaxPool2d, Sequential, Supervised};
use nnc::checkpoint::{Checkpoint, Description};
use nnc::data::{Dataset, Targets, digits};
use nnc::models::{Architecture, ModelOptions};
use nnc::trainer::{Event, FitOptions, silent};
use nnc::{Options, Trainer, TrainerOptions, npy};

/// The first digits.
fn few_digits(rows: u32) -> Dataset {
    digits().0.subset(&(0..rows).collect::<Vec<u32>>())
}

fn trainer(model: &str, batch: usize, threads: usize, augment: &str) -> Trainer {
    let model = Architecture::find(model).unwrap();
    let row = model.row_of(&[1, 8, 8].into()).unwrap();
    let network = model.network(&row, 10, &ModelOptions::default(), None);
    let compile = Options { threads, ..Options::default() };
    let augment = augment.parse().unwrap();
    let options = TrainerOptions { batch, seed: 3, augment, compile };
    Trainer::new(model.name, network, Adam::default(), options).unwrap()
}

/// The hash of the weights after two epochs.
fn hash(mut trainer: Trainer, data: &Dataset) -> String {
    trainer.fit(data, None, &FitOptions::epochs(2), &mut silent).unwrap();
    trainer.weights_hash().unwrap()
}

/// The same where the run is broken off after so many steps and goes on, through a file, on two threads.
fn resumed_hash(trainers: [Trainer; 2], data: &Dataset, steps: u64) -> String {
    let [mut first, mut second] = trainers;
    let mut stop = |event: &Event, trainer: &Trainer| match event {
        Event::Step(_) if trainer.run().steps == steps => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    first.fit(data, None, &FitOptions::epochs(2), &mut stop).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    first.run_checkpoint().unwrap().write(&path).unwrap();
    second.describe(Description::of(data));
    second.resume(&Checkpoint::read(&path).unwrap()).unwrap();
    hash(second, data)
}

fn check_same_bits(model: &str, rows: u32, batch: usize, break_after: u64) {
    let data = few_digits(rows);
    let new = |threads| trainer(model, batch, threads, "shift,flip");
    let expected = hash(new(1), &data);
    assert_eq!(hash(new(2), &data), expected, "{model} on two threads");
    assert_eq!(resumed_hash([new(1), new(2)], &data, break_after), expected, "{model} resumed");
}

/// With batches so large that kernels are shared among threads.
#[test]
fn lenet_has_the_same_bits_on_two_threads_and_after_a_resume() {
    check_same_bits("lenet", 700, 256, 4);
}

#[test]
fn resnet18_has_the_same_bits_on_two_threads_and_after_a_resume() {
    check_same_bits("resnet18", 4, 2, 1);
}

#[test]
fn changes_of_images_are_a_part_of_a_run() {
    let data = few_digits(40);
    assert_ne!(hash(trainer("lenet", 20, 1, "shift"), &data), hash(trainer("lenet", 20, 1, "none"), &data));
    let checkpoint = trainer("lenet", 20, 1, "shift").run_checkpoint().unwrap();
    assert!(trainer("lenet", 20, 1, "shift").resume(&checkpoint).is_ok());
    assert!(trainer("lenet", 20, 1, "none").resume(&checkpoint).is_err());
}

/// Outside of the groups that become kernels there are views, which cost nothing.
#[test]
fn no_elementwise_op_of_resnet18_is_outside_of_a_kernel() {
    let model = Architecture::find("resnet18").unwrap();
    let row = model.row_of(&[1, 8, 8].into()).unwrap();
    let network = model.network(&row, 10, &ModelOptions::default(), None);
    let graph = training_graph("resnet18", &network, 2, &Adam::default()).unwrap();
    let last = passes::Pass::last_of(ir::Stage::Fused).unwrap();
    let options = Options::default().for_passes();
    let passes::Program::Graph(graph) = passes::run_until(graph, &options, last).unwrap() else {
        panic!("fused programs are graphs")
    };
    for (id, node) in graph.nodes() {
        let lowering = passes::access::lowering(&graph, node);
        let is_free = matches!(lowering, Lowering::Leaf | Lowering::Alias | Lowering::View(_));
        assert!(is_free || matches!(lowering, Lowering::Fused), "{id:?} is {}", node.op.name());
    }
    let groups = graph.nodes().filter(|(_, node)| node.op.name() == "fused").count();
    assert!(groups > 50, "{groups} groups");
}

fn problem(model: impl Layer + 'static, row: &[usize]) -> String {
    let network = Supervised::new(row, model, Loss::cross_entropy());
    Trainer::new("net", network, Adam::default(), TrainerOptions::default()).err().unwrap().to_string()
}

#[test]
fn layers_that_do_not_fit_are_errors_that_name_the_layer_and_both_shapes() {
    let stem = || Sequential::new().add(Conv2d::new(1, 6, 3)).add(MaxPool2d::new(2));
    let with = |layer: Conv2d| stem().add(layer).add(Flatten).add(Linear::new(1, 10));
    let large = problem(with(Conv2d::new(6, 8, 7).padding(1)), &[1, 8, 8]);
    let expected = "conv2d layers.2.weight: filters that span [7, 7] are larger than an image of [5, 5] with its padding";
    assert!(large.starts_with(expected), "{large}");
    let groups = problem(with(Conv2d::new(6, 8, 3).groups(4)), &[1, 8, 8]);
    assert!(groups.starts_with("conv2d layers.2.weight: 6 channels to 8 in 4 groups"), "{groups}");
    let channels = problem(with(Conv2d::new(4, 8, 3)), &[1, 8, 8]);
    let expected = "conv2d layers.2.weight: x is f32[1, 6, 3, 3], the layer takes f32[.., 4, .., ..]";
    assert!(channels.starts_with(expected), "{channels}");
    let dense = problem(with(Conv2d::new(6, 8, 3)), &[1, 8, 8]);
    assert!(
        dense.starts_with("linear layers.4.weight: x is f32[1, 8], the layer takes f32[.., 1]"),
        "{dense}"
    );
}

#[test]
fn images_of_another_size_are_errors_that_name_the_first_layer_and_both_shapes() {
    let images = |row: &[usize]| {
        let elements: usize = row.iter().product();
        Dataset::new("toy", row, vec![0.0; 2 * elements], Targets::classes(vec![0; 2], 10)).unwrap()
    };
    let mut lenet = trainer("lenet", 2, 1, "none");
    for (row, shown) in [(&[1, 9, 9][..], "[1, 9, 9]"), (&[1, 4, 16], "[1, 4, 16]"), (&[65], "[65]")] {
        let expected = format!(
            "toy: its rows are of {shown}, layer `conv1` of lenet takes [1, 8, 8]; \
             give images of this size, or make the model for theirs"
        );
        assert_eq!(lenet.evaluate(&images(row)).unwrap_err().to_string(), expected);
        let fitted = lenet.fit(&images(row), None, &FitOptions::epochs(1), &mut silent);
        assert_eq!(fitted.unwrap_err().to_string(), expected);
    }
    assert!(lenet.evaluate(&images(&[8, 8])).is_ok() && lenet.evaluate(&images(&[64])).is_ok());
    let shifted = |model: &str, row| {
        trainer(model, 2, 1, "shift").fit(&images(row), None, &FitOptions::epochs(1), &mut silent)
    };
    assert!(shifted("lenet", &[64]).is_ok() && shifted("mlp", &[8, 8]).is_ok());
    let error = shifted("mlp", &[64]).unwrap_err().to_string();
    assert!(error.starts_with("augment shift: rows are of [64], which are no images"), "{error}");
}

/// What the program says of bad input: it exits with 2, prints nothing on stdout, and does not panic.
fn refusal(arguments: &str, folder: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
    let output = command.args(arguments.split_whitespace()).current_dir(folder).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
    assert!(!stderr.contains("panicked") && output.stdout.is_empty(), "{arguments}: {stderr}");
    stderr
}

/// Writes eight images of this shape with their classes as an archive.
fn write_images(path: &Path, row: &[usize]) {
    let shape: Vec<usize> = [8].into_iter().chain(row.iter().copied()).collect();
    let x = vec![0.5f32; shape.iter().product()];
    let x = Tensor::new(shape.as_slice(), x).unwrap();
    let y = Tensor::new([8], (0..8i64).map(|row| row % 2).collect()).unwrap();
    npy::npz::write(path, [("x", &x), ("y", &y)]).unwrap();
}

#[test]
fn the_program_names_layers_and_shapes_and_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (name, row) in [("eight.npz", &[1, 8, 8][..]), ("nine.npz", &[1, 9, 9]), ("one.npz", &[1, 1])] {
        write_images(&path.join(name), row);
    }
    write_images(&path.join("vectors.npz"), &[5]);
    let refused = |arguments: &str, message: &str| {
        let stderr = refusal(arguments, path);
        assert!(stderr.contains(message), "{arguments}: {stderr}");
    };
    refused(
        "train lenet --data npz:vectors.npz --batch 2",
        "error: lenet: rows are of [5], the model takes images of [channels, height, width]; give images",
    );
    refused(
        "train lenet --data npz:one.npz --batch 2",
        "error: max_pool2d pool1: windows of [2, 2] are larger than x of f32[1, 6, 1, 1]",
    );
    refused("train agz19", "error: agz19: it has several results, and data have one target per row");
    refused("train lenet --augment turn", "turn: images cannot be changed so");
    refused("train lenet --augment shift=8", "augment shift=8: images are of [1, 8, 8]; shift by fewer");
    refused(
        "train mlp --data npz:vectors.npz --augment flip --batch 2",
        "rows are of [5], which are no images",
    );

    let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
    let train = "train lenet --data npz:eight.npz --batch 2 --epochs 1 --out run --checkpoint-every 1";
    let output = command.args(train.split_whitespace()).current_dir(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sizes = "its rows are of [1, 9, 9], and layer `conv1` of lenet was trained on rows of [1, 8, 8]";
    refused("eval run/lenet.safetensors --data npz:nine.npz", sizes);
    refused("predict run/lenet.safetensors --input nine.npz", sizes);
    let resumed = "train lenet --resume run";
    refused(&format!("{resumed} --data npz:nine.npz"), "[1, 9, 9]");
    refused(&format!("{resumed} --augment shift,flip"), "augment");
}

/// Convolutions in a file: the op is named with what it was given.
#[test]
fn convolutions_of_files_that_do_not_fit_are_errors_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let text = "graph @g {
  %x = input : f32[2, 2, 3, 8, 8]
  %w = input : f32[4, 5, 3, 3, 3]
  %y = conv %x, %w extents=[6, 6] : f32[2, 2, 5, 6, 6]
  output y = %y
}
";
    std::fs::write(folder.path().join("groups.nnir"), text).unwrap();
    let stderr = refusal("dump groups.nnir --stage fused", folder.path());
    for part in ["groups.nnir:4:", "conv", "f32[2, 2, 3, 8, 8]", "f32[4, 5, 3, 3, 3]"] {
        assert!(stderr.contains(part), "{part} is not in {stderr}");
    }
}

#[test]
fn the_program_draws_what_a_layer_sees() {
    let folder = tempfile::tempdir().unwrap();
    let nnc = |arguments: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nnc"));
        command.args(arguments.split_whitespace()).current_dir(folder.path()).output().unwrap()
    };
    assert!(nnc("train lenet --epochs 1 --out run").status.success());
    assert!(nnc("train resnet8 --epochs 1 --out deep").status.success());
    // The last two layers are behind shortcuts, and one of them is on a shortcut.
    for (run, model, layer) in
        [("run", "lenet", "relu2"), ("deep", "resnet8", "layer3.0.downsample.1"), ("deep", "resnet8", "fc")]
    {
        let look =
            format!("visualize {run}/{model}.safetensors --layer {layer} --maps 3 --images 2 --out seen");
        let looked = nnc(&look);
        assert!(looked.status.success(), "{}", String::from_utf8_lossy(&looked.stderr));
        for name in ["features", "patterns", "filters"] {
            let png = std::fs::read(folder.path().join(format!("seen/{layer}-{name}.png"))).unwrap();
            assert!(png.starts_with(b"\x89PNG"), "{layer} {name}");
            assert!(String::from_utf8_lossy(&looked.stdout).contains(&format!("{layer}-{name}.png: ")));
        }
    }
    let stderr = refusal("visualize run/lenet.safetensors --layer relu9", folder.path());
    assert!(
        stderr.contains(
            "relu9: the model has no layer of this name; did you mean `relu1`? the layers are conv1, relu1"
        ),
        "{stderr}"
    );
    assert!(nnc("train mlp --epochs 1 --out vectors").status.success());
    let stderr = refusal("visualize vectors/mlp.safetensors --layer act1", folder.path());
    assert!(stderr.contains("the model mlp takes rows of [64]; give a model of images"), "{stderr}");
}
