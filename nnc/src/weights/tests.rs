//! Files and states whose names differ as those of PyTorch and of a model here do.

use super::*;
use ir::DType;
use safetensors::tensor::{Dtype, TensorView};
use tempfile::TempDir;

/// What PyTorch calls the parts of a network, and what this one calls them.
const RULES: [(&str, &str); 2] = [("conv1.*", "stem.*"), ("layer*.*.bn*.*", "blocks.*.*.norm*.*")];

const NAMES: [&str; 4] =
    ["stem.weight", "blocks.1.0.norm1.weight", "blocks.1.0.norm1.running_mean", "fc.weight"];

/// States of these names, all `dtype[2]` of zeros.
fn zeros(dtype: &str, names: &[&str]) -> (State, Vec<String>) {
    let slots: String =
        names.iter().map(|name| format!("slot %{name} : {dtype}[2] = state constant(0)\n")).collect();
    let plan = ir::text::parse_plan(&format!("plan @p {{ arena 0 {slots} }}")).unwrap();
    let state = State::new(&ir::VerifiedPlan::new(plan).unwrap(), 0).unwrap();
    (state, names.iter().map(|&name| name.to_owned()).collect())
}

fn pair(first: f32) -> Tensor {
    Tensor::new([2], vec![first, first + 0.5]).unwrap()
}

/// Tensors of these names: pairs that begin with 1, 2, ..
fn weights(names: &[&str]) -> Weights {
    let tensors = names.iter().zip(1u8..).map(|(&name, first)| (name.to_owned(), pair(f32::from(first))));
    Weights { origin: "weights".into(), tensors: tensors.collect() }
}

/// A file of one tensor, whose name is `fc.weight`.
fn file_of(dtype: Dtype, shape: &[usize], bytes: &[u8]) -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let view = TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
    std::fs::write(&path, safetensors::serialize([("fc.weight", view)], None).unwrap()).unwrap();
    (folder, path)
}

#[test]
fn names_of_pytorch_go_to_the_model_and_back() {
    let (mut state, names) = zeros("f32", &NAMES);
    let theirs = ["conv1.weight", "layer1.0.bn1.weight", "layer1.0.bn1.running_mean", "fc.weight"];
    let mut given = weights(&theirs);
    let count = Tensor::scalar(ir::Scalar::I64(7));
    given.tensors.insert("layer1.0.bn1.num_batches_tracked".into(), count);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs.safetensors");
    given.write(&path).unwrap();

    let read = Weights::read(&path).unwrap();
    assert_eq!(read.tensors, given.tensors);
    let report = read.rename(&RULES).unwrap().load(&mut state).unwrap();
    assert_eq!(report.loaded, names);
    assert_eq!(report.passed_over, ["blocks.1.0.norm1.num_batches_tracked"]);
    assert_eq!(report.to_string(), "4 loaded");
    for (name, first) in names.iter().zip([1.0, 2.0, 3.0, 4.0]) {
        assert_eq!(state.get(name).unwrap(), pair(first), "{name}");
    }

    let exported = Weights::of(&state).rename_back(&RULES).unwrap();
    assert_eq!(exported.tensors, weights(&theirs).tensors);
    let some = Weights::of_names(&state, &names[3..]).unwrap();
    assert_eq!(some.names().collect::<Vec<_>>(), ["fc.weight"]);
    assert_eq!(some.get("fc.weight"), Some(&pair(4.0)));
}

#[test]
fn all_that_differs_is_listed_and_nothing_is_set() {
    let (mut state, names) = zeros("f32", &NAMES);
    let mut given = weights(&["stem.weight", "head.weight", "head.bias", "fc.weight"]);
    given.tensors.insert("fc.weight".into(), Tensor::new([3], vec![0.0f64; 3]).unwrap());
    let expected = "weights: these are not the weights of the model:
2 missing: blocks.1.0.norm1.weight, blocks.1.0.norm1.running_mean
2 unexpected: head.bias, head.weight
1 of another type: fc.weight is f64[3], the model's f32[2]
rename the tensors (`Weights::rename`), or load those that fit (`Weights::load_partial`)";
    let stamp = state.clone();
    let error = given.load(&mut state).unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert!(matches!(error, Error::Weights(error) if error.report.loaded == ["stem.weight"]));
    for name in &names {
        assert_eq!(state.get(name).unwrap(), stamp.get(name).unwrap(), "{name}");
    }

    let report = given.load_partial(&mut state, &names).unwrap();
    assert_eq!(report.loaded, ["stem.weight"]);
    assert!(report.to_string().starts_with("1 loaded\n2 missing: "), "{report}");
    assert_eq!(state.get("stem.weight").unwrap(), pair(1.0));
    assert_eq!(state.get("fc.weight").unwrap(), stamp.get("fc.weight").unwrap());
}

#[test]
fn states_of_the_optimizer_can_be_left_out() {
    let (mut state, names) = zeros("f32", &["fc.weight", "fc.weight.exp_avg"]);
    let given = weights(&["fc.weight"]);
    assert!(given.load(&mut state).is_err());
    given.load_names(&mut state, &names[..1]).unwrap();
    assert_eq!(state.get("fc.weight").unwrap(), pair(1.0));
    let unknown = ["fc.bias".to_owned()];
    let expected = "there is no state `fc.bias`; the states are fc.weight, fc.weight.exp_avg";
    for error in [
        given.load_names(&mut state, &unknown).unwrap_err(),
        given.load_partial(&mut state, &unknown).unwrap_err(),
        Weights::of_names(&state, &unknown).unwrap_err(),
    ] {
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn numbers_of_16_and_32_bits_become_wider_ones_and_no_narrower_ones() {
    let (mut state, _) = zeros("f32", &["fc.weight"]);
    let (mut wide, _) = zeros("f64", &["fc.weight"]);
    let f16 = file_of(Dtype::F16, &[2], &[0x00, 0x3c, 0x00, 0x3e]);
    let bf16 = file_of(Dtype::BF16, &[2], &[0x80, 0x3f, 0xc0, 0x3f]);
    let f32 = file_of(Dtype::F32, &[2], &[0, 0, 0x80, 0x3f, 0, 0, 0xc0, 0x3f]);
    for (_folder, path) in [&f16, &bf16, &f32] {
        let given = Weights::read(path).unwrap();
        given.load(&mut state).unwrap();
        assert_eq!(state.get("fc.weight").unwrap(), pair(1.0));
        given.load(&mut wide).unwrap();
        assert_eq!(wide.get("fc.weight").unwrap(), Tensor::new([2], vec![1.0f64, 1.5]).unwrap());
    }
    let (_folder, path) = file_of(Dtype::F64, &[2], &[0; 16]);
    let error = Weights::read(&path).unwrap().load(&mut state).unwrap_err().to_string();
    assert!(error.contains("1 of another type: fc.weight is f64[2], the model's f32[2]"), "{error}");
    // As many elements in another shape are not the same weights.
    let (_folder, path) = file_of(Dtype::F32, &[1, 2], &[0; 8]);
    let error = Weights::read(&path).unwrap().load(&mut wide).unwrap_err().to_string();
    assert!(error.contains("fc.weight is f32[1, 2], the model's f64[2]"), "{error}");
}

#[test]
fn integers_become_those_that_have_all_of_them() {
    let read = |dtype, bytes: &[u8]| {
        let (_folder, path) = file_of(dtype, &[2], bytes);
        Weights::read(&path).unwrap().get("fc.weight").unwrap().clone()
    };
    assert_eq!(read(Dtype::U8, &[255, 0]), Tensor::new([2], vec![255, 0]).unwrap());
    assert_eq!(read(Dtype::I8, &[255, 0]), Tensor::new([2], vec![-1, 0]).unwrap());
    assert_eq!(read(Dtype::U16, &[255, 255, 1, 0]), Tensor::new([2], vec![65535, 1]).unwrap());
    assert_eq!(read(Dtype::I16, &[255, 255, 1, 0]), Tensor::new([2], vec![-1, 1]).unwrap());
    let large = [[255; 4], [1, 0, 0, 0]].concat();
    assert_eq!(read(Dtype::U32, &large), Tensor::new([2], vec![4_294_967_295i64, 1]).unwrap());
    assert_eq!(read(Dtype::U64, &[[1, 0, 0, 0, 0, 0, 0, 0x7f], [0; 8]].concat()).dtype(), DType::I64);
}

#[test]
fn a_file_of_other_numbers_or_of_none_is_an_error_that_names_it() {
    let (_folder, path) = file_of(Dtype::F8_E5M2, &[2], &[1, 2]);
    let error = Weights::read(&path).unwrap_err().to_string();
    let expected =
        "other.safetensors, `fc.weight`: its elements are of type F8_E5M2; save it as float32, or as another";
    assert!(error.contains(expected), "{error}");
    let (_folder, path) = file_of(Dtype::U64, &[1], &[0xff; 8]);
    let error = Weights::read(&path).unwrap_err().to_string();
    assert!(
        error.contains("`fc.weight`: it holds 18446744073709551615, which is beyond the numbers of i64"),
        "{error}"
    );
    std::fs::write(&path, b"no tensors").unwrap();
    let error = Weights::read(&path).unwrap_err().to_string();
    assert!(error.contains("other.safetensors: "), "{error}");
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(Weights::read(&path), Err(Error::Io { .. })));
    assert!(weights(&NAMES).write(&path.join("none")).is_err());
}

#[test]
fn rules_that_name_two_tensors_alike_or_lose_what_stars_stand_for_are_errors() {
    let error = |rules: &[(&str, &str)]| weights(&NAMES).rename(rules).unwrap_err().to_string();
    assert_eq!(
        error(&[("fc.*", "head.*.*")]),
        "fc.*: it has 1 `*`, its new name `head.*.*` 2; write as many in both"
    );
    assert_eq!(
        error(&[("fc.*", "stem.*")]),
        "weights: with `fc.*` as `stem.*`, two tensors are called `stem.weight`; give each a name of its own"
    );
    let renamed = weights(&NAMES).rename(&[("fc.*", "head.*"), ("head.*", "top.*")]).unwrap();
    assert!(renamed.names().any(|name| name == "top.weight"), "one rule after the other");
}

#[test]
fn averages_take_the_places_of_their_parameters_and_nothing_else_changes() {
    let (mut state, _) = zeros("f32", &["fc.weight", "fc.weight.average", "pool.average", "fc.bias"]);
    state.set("fc.weight.average", &pair(1.0)).unwrap();
    state.set("pool.average", &pair(2.0)).unwrap();
    let averaged = averaged(&state);
    assert_eq!(averaged.get("fc.weight").unwrap(), pair(1.0));
    assert_eq!(averaged.get("pool.average").unwrap(), pair(2.0));
    for name in ["fc.bias", "fc.weight.average"] {
        assert_eq!(averaged.get(name).unwrap(), state.get(name).unwrap(), "{name}");
    }
    assert_eq!(state.get("fc.weight").unwrap(), Tensor::new([2], vec![0.0f32; 2]).unwrap());
}
