//! The patterns that deconvolution finds behind shortcuts, by plain loops and by hand.

#![allow(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod support;

use std::collections::BTreeMap;

use ir::{Error, Op, Tensor, Value, ops::ConvOf};
use nn::deconvolution::deconvolution_graph;
use nn::{BatchNorm, Context, Conv2d, Layer, Loss, MaxPool2d, Relu, Residual, Sequential, Supervised};
use support::{draw, floats, run};

/// A convolution of one row that keeps the size: `y = w * x`, and `x = transposed(w) * y`.
struct Conv {
    /// The numbers of feature maps that come out and in.
    maps: [usize; 2],
    kernel: usize,
    weight: Vec<f32>,
}

impl Conv {
    /// With -1, 0 and 1 as weights.
    fn new(maps: [usize; 2], kernel: usize, stream: u32) -> Conv {
        let weight = draw(&[maps[0], maps[1], kernel, kernel], stream);
        Conv { maps, kernel, weight: floats(&weight).iter().map(|w| (w * 0.75).round() as f32).collect() }
    }

    fn layer(&self) -> Conv2d {
        let [outputs, inputs] = self.maps;
        Conv2d::new(inputs, outputs, self.kernel).padding(self.kernel / 2).without_bias()
    }

    fn state(&self) -> Tensor {
        let [outputs, inputs] = self.maps;
        Tensor::new([outputs, inputs, self.kernel, self.kernel], self.weight.clone()).unwrap()
    }

    fn forward(&self, x: &[f32], sides: [usize; 2]) -> Vec<f32> {
        let mut y = vec![0.0; self.maps[0] * sides[0] * sides[1]];
        self.for_each_product(sides, |to, w, from| y[to] += self.weight[w] * x[from]);
        y
    }

    fn back(&self, y: &[f32], sides: [usize; 2]) -> Vec<f32> {
        let mut x = vec![0.0; self.maps[1] * sides[0] * sides[1]];
        self.for_each_product(sides, |from, w, to| x[to] += self.weight[w] * y[from]);
        x
    }

    /// Places in y, in the weight and in x.
    fn for_each_product(&self, [height, width]: [usize; 2], mut visit: impl FnMut(usize, usize, usize)) {
        let ([outputs, inputs], kernel) = (self.maps, self.kernel);
        for (out, row, column) in places([outputs, height, width]) {
            for (into, i, j) in places([inputs, kernel, kernel]) {
                let (y, x) = (row + i, column + j);
                let inside = kernel / 2..height + kernel / 2;
                if inside.contains(&y) && (kernel / 2..width + kernel / 2).contains(&x) {
                    let from = (into * height + y - kernel / 2) * width + x - kernel / 2;
                    let w = ((out * inputs + into) * kernel + i) * kernel + j;
                    visit((out * height + row) * width + column, w, from);
                }
            }
        }
    }
}

fn places([a, b, c]: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a * b * c).map(move |at| (at / (b * c), at / c % b, at % c))
}

fn relu(x: &[f32]) -> Vec<f32> {
    x.iter().map(|x| x.max(0.0)).collect()
}

fn add(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// Where the maxima of windows of 2 by 2 are, the first of equal ones.
fn maxima(x: &[f32], maps: usize, [height, width]: [usize; 2]) -> Vec<usize> {
    let greatest = |(map, row, column): (usize, usize, usize)| {
        let at = (map * height + 2 * row) * width + 2 * column;
        let window = [at, at + 1, at + width, at + width + 1];
        window.into_iter().rev().max_by(|&a, &b| x[a].total_cmp(&x[b])).unwrap()
    };
    places([maps, height / 2, width / 2]).map(greatest).collect()
}

const SIDES: [usize; 2] = [4, 6];
const POOLED: [usize; 2] = [2, 3];

/// A network with a shortcut that is the identity, around normalisation too, and one with a projection, a pool between
/// them. All its numbers are integers, so that every order of sums has the same bits.
struct Network {
    first: Conv,
    body: [Conv; 2],
    /// Mean, factor and bias of the normalisation, by channel.
    norm: [(f32, f32, f32); 3],
    wider: [Conv; 2],
    projection: Conv,
    last: Conv,
}

/// All that a row gives on its way.
struct Activations {
    /// Features by layer.
    features: BTreeMap<&'static str, Vec<f32>>,
    maxima: Vec<usize>,
}

impl Network {
    fn new() -> Network {
        Network {
            first: Conv::new([2, 1], 3, 1),
            body: [Conv::new([3, 2], 3, 2), Conv::new([2, 3], 3, 3)],
            norm: [(1.0, 2.0, -1.0), (-2.0, -2.0, 3.0), (0.0, 4.0, 1.0)],
            wider: [Conv::new([3, 2], 3, 4), Conv::new([4, 3], 1, 5)],
            projection: Conv::new([4, 2], 1, 6),
            last: Conv::new([3, 4], 3, 7),
        }
    }

    fn model(&self) -> Sequential {
        let norm = BatchNorm { eps: 0.0, ..BatchNorm::new(3) };
        let body = Sequential::new().add(self.body[0].layer()).add(norm).add(Relu).add(self.body[1].layer());
        let wider = Sequential::new().add(self.wider[0].layer()).add(Relu).add(self.wider[1].layer());
        Sequential::new()
            .add(self.first.layer())
            .add(Relu)
            .add(Residual::new(body))
            .add(Relu)
            .add(MaxPool2d::new(2))
            .add(Residual::new(wider).projection(self.projection.layer()))
            .add(Relu)
            .add(self.last.layer())
    }

    fn states(&self) -> BTreeMap<String, Tensor> {
        let vector = |values: [f32; 3]| Tensor::new([3], values.to_vec()).unwrap();
        let norm = "layers.2.body.1";
        [
            ("layers.0.weight".into(), self.first.state()),
            ("layers.2.body.0.weight".into(), self.body[0].state()),
            (format!("{norm}.running_mean"), vector(self.norm.map(|(mean, _, _)| mean))),
            (format!("{norm}.running_var"), vector([0.25; 3])), // a deviation of 1/2
            (format!("{norm}.weight"), vector(self.norm.map(|(_, factor, _)| factor / 2.0))),
            (format!("{norm}.bias"), vector(self.norm.map(|(_, _, bias)| bias))),
            ("layers.2.body.3.weight".into(), self.body[1].state()),
            ("layers.5.body.0.weight".into(), self.wider[0].state()),
            ("layers.5.body.2.weight".into(), self.wider[1].state()),
            ("layers.5.shortcut.weight".into(), self.projection.state()),
            ("layers.7.weight".into(), self.last.state()),
        ]
        .into()
    }

    fn forward(&self, x: &[f32]) -> Activations {
        let filtered = self.first.forward(x, SIDES);
        let rectified = relu(&filtered);
        let mut inner = self.body[0].forward(&rectified, SIDES);
        let per_map = inner.len() / 3;
        for (map, &(mean, factor, bias)) in inner.chunks_mut(per_map).zip(&self.norm) {
            map.iter_mut().for_each(|value| *value = (*value - mean) * factor + bias);
        }
        let body = self.body[1].forward(&relu(&inner), SIDES);
        let sum = add(&body, &rectified);
        let maxima = maxima(&relu(&sum), 2, SIDES);
        let pooled: Vec<f32> = maxima.iter().map(|&at| sum[at].max(0.0)).collect();
        let widened = self.wider[0].forward(&pooled, POOLED);
        let projected = self.projection.forward(&pooled, POOLED);
        let wide = add(&self.wider[1].forward(&relu(&widened), POOLED), &projected);
        let last = self.last.forward(&relu(&wide), POOLED);
        let features = [
            ("layers.0", filtered),
            ("layers.1", rectified),
            ("layers.2.body.1", inner),
            ("layers.2.body", body),
            ("layers.2", sum),
            ("layers.4", pooled),
            ("layers.5.body.0", widened),
            ("layers.5.shortcut", projected),
            ("layers.5", wide.clone()),
            ("layers.6", relu(&wide)),
            ("", last),
        ];
        Activations { features: features.into(), maxima }
    }

    /// What `signal` at a layer is at x.
    fn back(&self, maxima: &[usize], layer: &str, signal: &[f32]) -> Vec<f32> {
        let then = |layer: &str, signal: &[f32]| self.back(maxima, layer, signal);
        match layer {
            "" => then("layers.6", &self.last.back(signal, POOLED)),
            "layers.6" => then("layers.5", &relu(signal)),
            "layers.5" => {
                let body = relu(&self.wider[1].back(signal, POOLED));
                let body = self.wider[0].back(&body, POOLED);
                then("layers.4", &add(&body, &self.projection.back(signal, POOLED)))
            }
            "layers.5.shortcut" => then("layers.4", &self.projection.back(signal, POOLED)),
            "layers.5.body.0" => then("layers.4", &self.wider[0].back(signal, POOLED)),
            "layers.4" => {
                let mut unpooled = vec![0.0; 2 * SIDES[0] * SIDES[1]];
                maxima.iter().zip(signal).for_each(|(&at, &value)| unpooled[at] = value);
                then("layers.2", &relu(&unpooled))
            }
            "layers.2" => then("layers.1", &add(&self.back_through_body(signal), signal)),
            "layers.2.body" => then("layers.1", &self.back_through_body(signal)),
            "layers.2.body.1" => then("layers.1", &self.back_through_norm(signal)),
            "layers.1" => then("layers.0", &relu(signal)),
            "layers.0" => self.first.back(signal, SIDES),
            other => panic!("there is no {other}"),
        }
    }

    fn back_through_body(&self, signal: &[f32]) -> Vec<f32> {
        self.back_through_norm(&relu(&self.body[1].back(signal, SIDES)))
    }

    fn back_through_norm(&self, signal: &[f32]) -> Vec<f32> {
        let per_map = signal.len() / 3;
        let factor = |at: usize| self.norm[at / per_map].1;
        let scaled: Vec<f32> = signal.iter().enumerate().map(|(at, value)| value * factor(at)).collect();
        self.body[0].back(&scaled, SIDES)
    }
}

/// The first of the strongest activations in a feature map, and 0 for all others.
fn strongest(features: &[f32], maps: usize, map: usize) -> Vec<f32> {
    let per_map = features.len() / maps;
    let range = map * per_map..(map + 1) * per_map;
    let at = range.rev().max_by(|&a, &b| features[a].total_cmp(&features[b])).unwrap();
    let mut signal = vec![0.0; features.len()];
    signal[at] = features[at];
    signal
}

fn exactly(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

/// Layers before, within and behind shortcuts: sums, relus, branches, a pool, and the whole model.
#[test]
fn patterns_behind_shortcuts_are_those_of_plain_loops() {
    let network = Network::new();
    let (model, states) = (network.model(), network.states());
    let x: Vec<f32> =
        floats(&draw(&[1, 1, SIDES[0], SIDES[1]], 8)).iter().map(|x| x.round() as f32).collect();
    let activations = network.forward(&x);
    let trained = Supervised::new([1, SIDES[0], SIDES[1]], model, Loss::SquaredError);
    let mut patterns = Vec::new();
    for (layer, features) in &activations.features {
        let graph = deconvolution_graph("model", &trained, 1, layer).unwrap();
        let maps = graph.ty(graph.outputs[0].value).shape[1];
        for map in 0..maps {
            let inputs = [
                ("x", Tensor::new([1, 1, SIDES[0], SIDES[1]], x.clone()).unwrap()),
                ("map", Tensor::new([1], vec![map as i64]).unwrap()),
            ];
            let outputs = run(&graph, &inputs, &states).outputs;
            assert_eq!(floats(&outputs["features"]), exactly(features), "features of {layer:?}");
            let expected = network.back(&activations.maxima, layer, &strongest(features, maps, map));
            assert_eq!(floats(&outputs["pattern"]), exactly(&expected), "pattern of {layer:?}, map {map}");
            patterns.push(expected);
        }
    }
    let found = patterns.iter().filter(|pattern| pattern.iter().any(|&value| value != 0.0)).count();
    assert!(found > patterns.len() / 2, "{found} of {} patterns have something in them", patterns.len());
}

/// `y + w relu(y)`, so that the shortcut passes no relu.
fn relu_first(channels: usize) -> Residual {
    Residual::new(Sequential::new().add(Relu).add(Conv2d::new(channels, channels, 1).without_bias()))
}

/// ```text
/// x = 2    y = x + 3 relu(x) = 8             z = y - 0.5 relu(y) = 4
///          back: 4 + 3 relu(4) = 16 at x     back: 4 + relu(-0.5 (4)) = 4 at y
/// ```
#[test]
fn a_shortcut_past_all_relus_sends_back_the_whole_signal() {
    let model = Sequential::new().add(relu_first(1)).add(relu_first(1));
    let weight = |value: f32| Tensor::new([1, 1, 1, 1], vec![value]).unwrap();
    let states =
        [("layers.0.body.1.weight".into(), weight(3.0)), ("layers.1.body.1.weight".into(), weight(-0.5))];
    assert_eq!(pattern(&model, 2.0, &states.into()), [16.0]);
}

/// Each of many relus is reached from all that follow, over shortcuts; yet there is one way back through each filter.
#[test]
fn the_way_back_is_linear_in_the_layers() {
    const BLOCKS: usize = 20;
    let model = (0..BLOCKS).fold(Sequential::new(), |model, _| model.add(relu_first(2)));
    let network = Supervised::new([2, 3, 3], model, Loss::SquaredError);
    let graph = deconvolution_graph("model", &network, 1, "").unwrap();
    let graph = passes::dce::dce(&passes::autodiff::autodiff(&graph).unwrap()).unwrap();
    let count = |wanted: ConvOf| {
        let is_wanted = |op: &Op| matches!(op, Op::Conv(conv) if conv.of == wanted);
        graph.nodes().filter(|(_, node)| is_wanted(&node.op)).count()
    };
    assert_eq!([count(ConvOf::Output), count(ConvOf::Input)], [BLOCKS, BLOCKS]);
}

/// `4 x^3`, as the gradient of `sum (x^2)^2`.
struct Slope;

impl Layer for Slope {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let square = cx.mul(x, x)?;
        let fourth = cx.mul(square, square)?;
        let axes: Vec<usize> = (0..cx.shape(fourth).rank()).collect();
        let sum = cx.reduce_sum(fourth, &axes, false)?;
        Ok(cx.grad(sum, &[x])?[0])
    }
}

/// `4 (2 x)^3 = 32` at 1, of which the derivative is `24 (2 x)^2 = 96`.
#[test]
fn a_model_with_a_gradient_of_its_own_is_differentiated_there() {
    let model = Sequential::new().add(Conv2d::new(1, 1, 1).without_bias()).add(Relu).add(Slope).add(Relu);
    let states = [("layers.0.weight".into(), Tensor::new([1, 1, 1, 1], vec![2.0f32]).unwrap())];
    assert_eq!(pattern(&model, 1.0, &states.into()), [32.0 * 96.0]);
}

/// Ones, whatever comes in.
struct Ones;

impl Layer for Ones {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let zeros = cx.zeros_like(x)?;
        cx.exp(zeros)
    }
}

#[test]
fn features_that_do_not_depend_on_the_image_have_no_pattern() {
    assert_eq!(pattern(&Sequential::new().add(Relu).add(Ones), 3.0, &BTreeMap::new()), [0.0]);
}

/// The features themselves, where they are the image.
#[test]
fn no_layers_send_back_the_strongest_activation() {
    assert_eq!(pattern(&Sequential::new(), -3.0, &BTreeMap::new()), [-3.0]);
}

/// What a model of images of one element sends back.
fn pattern(model: &dyn Layer, x: f32, states: &BTreeMap<String, Tensor>) -> Vec<f64> {
    let network = Supervised::new([1, 1, 1], model, Loss::SquaredError);
    let graph = deconvolution_graph("model", &network, 1, "").unwrap();
    let inputs =
        [("x", Tensor::new([1, 1, 1, 1], vec![x]).unwrap()), ("map", Tensor::new([1], vec![0i64]).unwrap())];
    floats(&run(&graph, &inputs, states).outputs["pattern"])
}
