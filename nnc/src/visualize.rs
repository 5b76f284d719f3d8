//! What a layer of a trained model of images sees: feature maps, filters, and the patterns that excite each feature map
//! most, by deconvolution (M. D. Zeiler and R. Fergus, "Visualizing and understanding convolutional networks", 2014).

use ir::{Shape, Tensor};
use nn::deconvolution::deconvolution_graph;
use nn::{Network, Summary};
use runtime::Executable;

use crate::data::{Batch, Dataset, Examples};
use crate::report::{Tile, mosaic};
use crate::{Error, Model};

/// The number of rows that run at once.
const BATCH: usize = 64;

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The scope of the layer.
    pub layer: String,
    /// The greatest number of feature maps.
    pub maps: usize,
    /// The number of images whose feature maps are shown, and that excite each feature map most.
    pub images: usize,
}

/// PNG files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// A row for each of the first images: the image, and its feature maps from black to white.
    pub features: Vec<u8>,
    /// A row for each feature map: the images of the data set that excite it most, and beside each the pattern in it that
    /// does.
    pub patterns: Vec<u8>,
    /// A row for each filter of the convolution that the layer is or follows: its channels, blue below 0 and vermilion
    /// above. `None` where there is no such convolution.
    pub filters: Option<Vec<u8>>,
}

/// Looks at a layer of a trained model on images like those that it was trained on. `network` is what it was trained as (see
/// [`models::network_of`](crate::models::network_of)), which knows its layers.
///
/// # Errors
/// Where the rows are no images or do not fit, there is no such layer, it has no feature maps, or the network is another.
pub fn visualize(
    model: &Model,
    network: &dyn Network,
    data: &Dataset,
    wanted: &Wanted,
) -> Result<Pictures, Error> {
    let data = model.predictor().with_rows_that_fit(&model.normalised(data)?)?;
    let &[channels, height, width] = &data.row_shape()[..] else {
        let problem = format!("the model {} takes rows of {}", model.name(), data.row_shape());
        return Err(Error::invalid("visualize", problem, "give a model of images"));
    };
    let mut view = View::new(model, network, wanted)?;
    let maps = wanted.maps.min(view.maps());
    let image = |row: u32| Tile::image(data.row(row as usize), [channels, height, width]);

    let rows: Vec<u32> = (0..data.len() as u32).collect();
    let (mut features, mut excitements) = (Vec::new(), vec![Vec::new(); maps]);
    for rows in rows.chunks(BATCH) {
        view.run(model, &data, rows, &vec![0; rows.len()])?;
        for (index, &row) in rows.iter().enumerate() {
            let of_row: Vec<&[f32]> = (0..maps).map(|map| view.feature_map(index, map)).collect();
            if (row as usize) < wanted.images {
                let tiles = of_row.iter().map(|values| Tile::gray(values, view.sides()));
                features.push(vec![vec![image(row)], tiles.collect()]);
            }
            for (excitements, values) in excitements.iter_mut().zip(of_row) {
                excitements.push((row, values.iter().copied().fold(f32::NEG_INFINITY, f32::max)));
            }
        }
    }

    let mut patterns = Vec::new();
    for (map, mut excitements) in excitements.into_iter().enumerate() {
        excitements.sort_by(|a, b| b.1.total_cmp(&a.1));
        let strongest: Vec<u32> = excitements.iter().take(wanted.images.min(BATCH)).map(|it| it.0).collect();
        view.run(model, &data, &strongest, &vec![map as i64; strongest.len()])?;
        let pair = |(index, &row): (usize, &u32)| {
            let (pattern, places) = (view.pattern(index), height * width);
            let sum = |place| (0..channels).map(|channel| pattern[channel * places + place]).sum();
            let sums: Vec<f32> = (0..places).map(sum).collect();
            vec![image(row), Tile::signed(&sums, [height, width], greatest(&sums))]
        };
        patterns.push(strongest.iter().enumerate().map(pair).collect());
    }
    let filters = filters(model, network, wanted)?;
    let filters = filters.map(|rows| mosaic(&rows)).transpose()?;
    Ok(Pictures { features: mosaic(&features)?, patterns: mosaic(&patterns)?, filters })
}

/// The program that looks at a layer.
struct View {
    program: Executable,
    /// `[rows, maps, ..]`
    features: Shape,
}

impl View {
    fn new(model: &Model, network: &dyn Network, wanted: &Wanted) -> Result<View, Error> {
        let graph = deconvolution_graph(model.name(), network, BATCH, &wanted.layer)?;
        let features = graph.ty(graph.outputs[0].value).shape.clone();
        let program = model.predictor().compile(&graph)?;
        Ok(View { program, features })
    }

    fn maps(&self) -> usize {
        self.features[1]
    }

    /// The sides of a feature map; those of a dense layer are single values.
    fn sides(&self) -> [usize; 2] {
        let sides = &self.features[2..];
        [sides.first().copied().unwrap_or(1), sides.iter().skip(1).product()]
    }

    /// Runs it on up to [`BATCH`] rows, with a feature map for each to send back.
    fn run(&mut self, model: &Model, data: &Dataset, rows: &[u32], maps: &[i64]) -> Result<(), Error> {
        let data = data.arrays();
        let mut batch = Batch::zeros(&data, BATCH);
        let padded = |index: usize| rows.get(index).or(rows.first()).copied().unwrap_or(0);
        batch.gather(&data, &(0..BATCH).map(padded).collect::<Vec<u32>>());
        let maps = (0..BATCH).map(|index| maps.get(index).copied().unwrap_or(0)).collect();
        let maps = Tensor::new([BATCH], maps).expect("there is one for each row");
        Ok(self.program.infer(model.state(), &[batch.tensors()[0], &maps])?)
    }

    fn feature_map(&self, row: usize, map: usize) -> &[f32] {
        let places: usize = self.sides().iter().product();
        &self.output(0)[(row * self.maps() + map) * places..][..places]
    }

    fn pattern(&self, row: usize) -> &[f32] {
        let values = self.output(1);
        let width = values.len() / BATCH;
        &values[row * width..][..width]
    }

    fn output(&self, index: usize) -> &[f32] {
        self.program.outputs()[index].as_slice().expect("features and patterns are f32")
    }
}

/// The filters of the last convolution up to the layer: a row for each, with its channels.
fn filters(
    model: &Model,
    network: &dyn Network,
    wanted: &Wanted,
) -> Result<Option<Vec<Vec<Vec<Tile>>>>, Error> {
    let layers = Summary::new(network, 1)?.rows;
    let end = layers.iter().position(|layer| layer.scope == wanted.layer).map_or(layers.len(), |at| at + 1);
    let weights = layers[..end].iter().rev().filter_map(|layer| {
        let weight = model.state().get(&format!("{}.weight", layer.scope)).ok()?;
        (weight.shape().rank() == 4).then_some(weight)
    });
    let Some(weight) = weights.into_iter().next() else { return Ok(None) };
    let &[count, channels, height, width] = &weight.shape()[..] else { unreachable!("it has four axes") };
    let values = weight.as_slice::<f32>().expect("weights are f32");
    let greatest = greatest(values);
    let tile = |filter: usize, channel: usize| {
        let at = (filter * channels + channel) * height * width;
        Tile::signed(&values[at..][..height * width], [height, width], greatest)
    };
    let shown = channels.min(wanted.maps);
    let row = |filter| vec![(0..shown).map(|channel| tile(filter, channel)).collect()];
    Ok(Some((0..count.min(wanted.maps)).map(row).collect()))
}

/// The greatest magnitude.
fn greatest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |greatest, value| greatest.max(value.abs()))
}
