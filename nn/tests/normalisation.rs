//! Batch and layer normalisation against PyTorch, and what their statistics are.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{DType, Tensor};
use nn::{BatchNorm, Context, Layer, LayerNorm, Mode};
use support::{assert_close, differentiate, draw, floats, tensor, torch};

/// The weight and the bias that PyTorch was given.
fn parameters() -> BTreeMap<String, Tensor> {
    let list = |name: &str| (name.to_owned(), tensor(&[3], torch(&format!("norm.{name}"))));
    BTreeMap::from([list("weight"), list("bias")])
}

/// Compares outputs with PyTorch's; returns the states after the step.
fn assert_as_torch(name: &str, layer: &dyn Layer, shape: &[usize]) -> BTreeMap<String, Tensor> {
    let [x, weights] = ["x", "out_weights"].map(|list| tensor(shape, torch(&format!("{name}.{list}"))));
    let evaluation = differentiate(layer, Mode::Train, &x, &weights, &parameters());
    for output in ["y", "dx", "dweight", "dbias"] {
        let expected = torch(&format!("{name}.{output}"));
        assert_close(&format!("{name}.{output}"), &floats(&evaluation.outputs[output]), &expected);
    }
    evaluation.states
}

#[test]
fn batch_norm_is_that_of_pytorch_with_and_without_spatial_axes() {
    for (name, shape) in [("batch_norm_2", &[4, 3][..]), ("batch_norm_4", &[2, 3, 2, 2])] {
        let layer = BatchNorm::new(3);
        let states = assert_as_torch(name, &layer, shape);
        for buffer in ["running_mean", "running_var"] {
            assert_close(buffer, &floats(&states[buffer]), &torch(&format!("{name}.{buffer}")));
        }
        let x = tensor(shape, torch(&format!("{name}.x")));
        let in_use = differentiate(&layer, Mode::Infer, &x, &x, &states);
        assert_close(name, &floats(&in_use.outputs["y"]), &torch(&format!("{name}.y_in_use")));
        assert_eq!(in_use.states, states, "use changes no state");
    }
}

#[test]
fn layer_norm_is_that_of_pytorch() {
    let states = assert_as_torch("layer_norm", &LayerNorm::new(3), &[4, 3]);
    assert_eq!(states.len(), 2);
}

/// After many steps on the same batch, the buffers are its mean and its unbiased variance, and the layer in use gives what
/// it gave in training, but for the bias of the variance.
#[test]
fn running_statistics_converge_to_those_of_the_batch() {
    let x = draw(&[7, 2], 4);
    let ones = tensor(&[7, 2], vec![1.0; 14]);
    let layer = BatchNorm::new(2);
    let mut states = BTreeMap::new();
    for _ in 0..400 {
        states = differentiate(&layer, Mode::Train, &x, &ones, &states).states;
    }
    let elements = floats(&x);
    for channel in 0..2 {
        let column: Vec<f64> = elements.iter().copied().skip(channel).step_by(2).collect();
        let mean = column.iter().sum::<f64>() / 7.0;
        let variance = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 6.0;
        assert_close("mean", &[floats(&states["running_mean"])[channel]], &[mean]);
        assert_close("variance", &[floats(&states["running_var"])[channel]], &[variance]);
    }
}

/// The mean of squares less the square of the mean would be all rounding here.
#[test]
fn a_large_mean_does_not_spoil_the_variance() {
    let cases: [(&dyn Layer, [usize; 2]); 2] = [
        (&BatchNorm { eps: 0.0, ..BatchNorm::new(1) }, [4, 1]),
        (&LayerNorm { eps: 0.0, ..LayerNorm::new(4) }, [1, 4]),
    ];
    for (layer, shape) in cases {
        let offsets = [-1.5, -0.5, 0.5, 1.5];
        let x = tensor(&shape, offsets.map(|offset| 1e9 + offset).to_vec());
        let y = floats(&differentiate(layer, Mode::Train, &x, &x, &BTreeMap::new()).outputs["y"]);
        assert_close(&layer.description(), &y, &offsets.map(|offset| offset / 1.25f64.sqrt()));
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let message = |mode: Mode, layer: &dyn Layer, shape: &[usize]| {
        let mut cx = Context::with("g", mode, DType::F32);
        let x = cx.input("x", DType::F32, shape).unwrap();
        cx.layer("n", layer, x).unwrap_err().to_string()
    };
    assert_eq!(
        message(Mode::Infer, &BatchNorm::new(3), &[4, 5]),
        "batch_norm n.weight: x is f32[4, 5], and there are 3 channels; give x of [batch, channels, ..]"
    );
    assert_eq!(
        message(Mode::Train, &BatchNorm::new(3), &[1, 3]),
        "batch_norm n.weight: x is f32[1, 3], one value per channel, which has no variance; \
         choose a batch that leaves no row alone"
    );
    assert_eq!(
        message(Mode::Infer, &LayerNorm::new(3), &[4, 5]),
        "layer_norm n.weight: x is f32[4, 5], and there are 3 features; give x of [.., features]"
    );
}
