//! The pictures of models that learn codes of images: what they make of rows, and what they make by themselves.

use std::io::Write;
use std::path::PathBuf;

use ir::{DType, Scalar, Tensor, Type};
use nn::models::latent::RECONSTRUCTION;
use nnc::data::Dataset;
use nnc::generative::{CHAIN_STEPS, code_size, decode, draw, draws, sample};
use nnc::report::pictures::{filters, grid, image_shape, lines};
use nnc::{Error, Model, Options, files};

use super::outcome::OutFiles;

/// So many rows are shown with what becomes of them.
const SHOWN: usize = 20;
/// The number of samples.
const SAMPLES: usize = 100;
/// A code is moved along each of its first so many axes, over so many places, from -2 to 2 standard deviations.
const AXES: usize = 10;
const PLACES: usize = 11;
/// The weights of the first layer of models whose units look at whole images, `[hidden, values]`.
const FILTERS: [&str; 2] = ["weight", "layer1.weight"];
/// Chains are shown after 1, 2, 4, .. steps, up to 2 to this power.
const DOUBLINGS: u32 = 10;

/// Draws what there is to be seen of a finished model on rows for testing, which are scaled as it takes them; the files.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(
    model: &Model,
    test: &Dataset,
    out: &OutFiles,
    options: &Options,
) -> Result<Vec<PathBuf>, Error> {
    let Some(image) = image_shape(test.row_shape()) else { return Ok(Vec::new()) };
    let [reconstructions, samples, traversals, units, chains] = &out.pictures;
    let mut written = Vec::new();
    let mut save = |path: &PathBuf, picture: Vec<u8>| {
        written.push(path.clone());
        files::write_atomically(path, |file| file.write_all(&picture))
    };
    let shown: Vec<u32> = (0..SHOWN.min(test.len()) as u32).collect();
    let rows = model.predictor().with_rows_that_fit(&test.subset(&shown))?;
    if model.result_types().any(|(name, _)| name == RECONSTRUCTION) {
        let results = model.predictor().results(model.state(), &rows)?;
        if let Some((_, made)) = results.iter().find(|(name, _)| name == RECONSTRUCTION) {
            save(reconstructions, lines(&[&rows.tensor(), made], image)?)?;
        }
    }
    if let Ok(size) = code_size(model) {
        save(samples, grid(&sample(model, SAMPLES, 0, None, options)?, image)?)?;
        let rows: Vec<Tensor> = (0..size.min(AXES))
            .map(|axis| decode(model, &along(axis, size), Some(0).filter(|_| knows_labels(model)), options))
            .collect::<Result<_, Error>>()?;
        save(traversals, lines(&rows.iter().collect::<Vec<_>>(), image)?)?;
    }
    let pixels = image.iter().product::<usize>();
    let weights = FILTERS.iter().filter_map(|name| model.state().get(name).ok());
    if let Some(weights) = weights.into_iter().find(|it| it.shape().get(1) == Some(&pixels)) {
        let all = model.predictor().with_rows_that_fit(test)?.tensor();
        save(units, filters(&weights, &all, SAMPLES, image)?)?;
    }
    if draws(model) {
        save(samples, grid(&draw(model, SAMPLES, CHAIN_STEPS, 0, options)?, image)?)?;
        let after = |doublings| draw(model, SHOWN, 1_usize << doublings, 0, options);
        let states: Vec<Tensor> = (0..=DOUBLINGS).map(after).collect::<Result<_, Error>>()?;
        save(chains, lines(&states.iter().collect::<Vec<_>>(), image)?)?;
    }
    Ok(written)
}

/// Whether rows of a class can be asked for.
fn knows_labels(model: &Model) -> bool {
    model.inputs().any(|(name, _)| name == nn::supervised::TARGETS)
}

/// Codes along an axis through the middle.
fn along(axis: usize, size: usize) -> Tensor {
    let place = |place: usize| 4.0 * place as f64 / (PLACES - 1) as f64 - 2.0;
    let value = |index: usize| if index % size == axis { place(index / size) } else { 0.0 };
    Tensor::from_fn(&Type::new(DType::F32, [PLACES, size]), |index| Scalar::F32(value(index) as f32))
}
