//! Random networks of convolutions that Winograd's algorithm is for: filters of three by three, channels that fill vectors, and
//! images of some tiles. They are built from a recipe like other random graphs, and trained for a step.

use ir::ops::Windows;
use ir::{Builder, DType, Error, Graph, Init, Value};

use super::Rng;

/// What follows from a convolution.
#[derive(Clone, Copy, Debug)]
enum Epilogue {
    None,
    /// A bias and a smooth rectifier.
    Layer,
    /// What the layer has read is added, where it is as large.
    Residual,
    /// A number for all.
    Factor,
    /// Where another image is above a limit.
    Mask,
    /// Twice its size in one of two outputs.
    Outputs,
}

/// Channels fill vectors.
const CHANNELS: [usize; 3] = [32, 48, 64];

const EPILOGUES: [Epilogue; 6] = [
    Epilogue::None,
    Epilogue::Layer,
    Epilogue::Residual,
    Epilogue::Factor,
    Epilogue::Mask,
    Epilogue::Outputs,
];

/// A layer.
#[derive(Clone, Debug)]
struct Layer {
    columns: usize,
    /// The zeros before and after the lines and the places of a line; what is cut off, where it is transposed.
    sides: [[usize; 2]; 2],
    is_transposed: bool,
    epilogue: Epilogue,
    /// Whether its filters are trained.
    is_trained: bool,
    /// Whether it has the filters of the layer before, where they fit.
    is_shared: bool,
}

/// What a random network is built from.
#[derive(Clone, Debug)]
pub struct Network {
    images: usize,
    image: [usize; 2],
    channels: usize,
    layers: Vec<Layer>,
    /// Whether a step of training is done.
    is_trained: bool,
}

impl Network {
    /// One or two layers. Images are as large as Winograd's algorithm needs to pay, and not much larger.
    pub fn draw(rng: &mut Rng) -> Network {
        let (images, least, range) = if rng.one_in(4) { (2, 24, 5) } else { (1, 16, 9) };
        let image = [least + rng.below(range), least + rng.below(range)];
        let channels = rng.pick(&CHANNELS);
        let layers = (0..1 + rng.below(2)).map(|_| Layer::draw(rng)).collect();
        Network { images, image, channels, layers, is_trained: rng.one_in(2) }
    }
}

impl Layer {
    fn draw(rng: &mut Rng) -> Layer {
        Layer {
            columns: rng.pick(&CHANNELS),
            sides: [0; 2].map(|_| [0; 2].map(|_| rng.below(3))),
            is_transposed: rng.one_in(2),
            epilogue: rng.pick(&EPILOGUES),
            is_trained: rng.one_in(2),
            is_shared: rng.one_in(2),
        }
    }
}

/// Filters, with what is known of them.
struct Filters {
    value: Value,
    shape: [usize; 2],
    is_trained: bool,
}

/// Builds a network: its outputs, a loss, the gradients for the image and for all filters, and a step of gradient descent with
/// momentum for those that are trained.
///
/// # Errors
/// Where layers do not fit: a mistake of this module.
pub fn network(recipe: &Network) -> Result<Graph, Error> {
    let mut b = Builder::new("network");
    let [height, width] = recipe.image;
    let x = b.input("x", DType::F32, [recipe.images, recipe.channels, height, width])?;
    let mut all: Vec<Filters> = Vec::new();
    let mut y = x;
    for (number, layer) in recipe.layers.iter().enumerate() {
        y = convolution(&mut b, y, (number, layer), &mut all)?;
    }
    b.output("y", y)?;
    if !recipe.is_trained {
        return Ok(b.finish());
    }
    let wave = b.sin(y)?;
    let loss = b.reduce_sum(wave, &[0, 1, 2, 3], false)?;
    b.output("loss", loss)?;
    let wanted: Vec<Value> = std::iter::once(x).chain(all.iter().map(|filters| filters.value)).collect();
    let gradients = b.grad(loss, &wanted)?;
    b.output("gradient", gradients[0])?;
    for (number, (filters, &gradient)) in all.iter().zip(&gradients[1..]).enumerate() {
        match filters.is_trained {
            true => descend(&mut b, number, filters.value, gradient)?,
            false => b.output(&format!("gradient{number}"), gradient)?,
        }
    }
    Ok(b.finish())
}

/// A layer after `x`, with its epilogue.
fn convolution(
    b: &mut Builder,
    x: Value,
    (number, layer): (usize, &Layer),
    all: &mut Vec<Filters>,
) -> Result<Value, Error> {
    let [images, channels, height, width] = extents(b, x);
    let shape = if layer.is_transposed { [channels, layer.columns] } else { [layer.columns, channels] };
    if !(layer.is_shared && all.last().is_some_and(|filters| filters.shape == shape)) {
        // Sums of as many random terms are about as large as what is summed.
        let high = 1.7 / (9.0 * channels as f64).sqrt();
        let init = Init::Uniform { low: -high, high, stream: number as u32 + 1 };
        let value = b.state(&format!("w{number}"), DType::F32, [shape[0], shape[1], 3, 3], init)?;
        all.push(Filters { value, shape, is_trained: layer.is_trained });
    }
    let w = all.last().expect("there is one now").value;
    let w = b.reshape(w, [1, shape[0], shape[1], 3, 3])?;
    let x5 = b.reshape(x, [images, 1, channels, height, width])?;
    let windows = Windows::new(2).low(&layer.sides.map(|side| side[0] as i64));
    let around = layer.sides.map(|side| side[0] + side[1]);
    let result = [height, width].into_iter().zip(around);
    let result: Vec<usize> = match layer.is_transposed {
        false => result.map(|(extent, around)| extent + around - 2).collect(),
        true => result.map(|(extent, around)| extent + 2 - around).collect(),
    };
    let y = match layer.is_transposed {
        false => b.conv(x5, w, &windows, &result)?,
        true => b.conv_transpose(x5, w, &windows, &result)?,
    };
    let y = b.reshape(y, [images, layer.columns, result[0], result[1]])?;
    follow(b, y, x, (number, layer))
}

fn follow(b: &mut Builder, y: Value, x: Value, (number, layer): (usize, &Layer)) -> Result<Value, Error> {
    let shape = extents(b, y);
    match layer.epilogue {
        Epilogue::None => Ok(y),
        Epilogue::Layer => {
            let init = Init::Uniform { low: -1.0, high: 1.0, stream: 10 + number as u32 };
            let bias = b.state(&format!("b{number}"), DType::F32, [layer.columns, 1, 1], init)?;
            let y = b.add(y, bias)?;
            let gate = b.sigmoid(y)?;
            b.mul(y, gate)
        }
        Epilogue::Residual if shape == extents(b, x) => b.add(y, x),
        Epilogue::Residual => Ok(y),
        Epilogue::Factor => {
            let factor = b.input(&format!("factor{number}"), DType::F32, [])?;
            b.mul(y, factor)
        }
        Epilogue::Mask => {
            let other = b.input(&format!("other{number}"), DType::F32, shape)?;
            let limit = b.float(DType::F32, 0.25);
            let is_more = b.gt(other, limit)?;
            b.select(is_more, y, other)
        }
        Epilogue::Outputs => {
            let twice = b.add(y, y)?;
            b.output(&format!("twice{number}"), twice)?;
            Ok(y)
        }
    }
}

/// Gradient descent with momentum.
fn descend(b: &mut Builder, number: usize, filters: Value, gradient: Value) -> Result<(), Error> {
    let shape = extents(b, filters);
    let momentum = b.state(&format!("momentum{number}"), DType::F32, shape, Init::Constant(0.5))?;
    let decay = b.float(DType::F32, 0.875);
    let kept = b.mul(momentum, decay)?;
    let next = b.add(kept, gradient)?;
    b.update(momentum, next)?;
    let rate = b.float(DType::F32, 0.125);
    let step = b.mul(next, rate)?;
    let next = b.sub(filters, step)?;
    b.update(filters, next)
}

fn extents(b: &Builder, value: Value) -> [usize; 4] {
    std::array::from_fn(|axis| b.shape(value)[axis])
}
