//! The pictures of models that learn codes: what they make of rows, what they make by themselves, and codes of two values as a plane.

use std::io::Write;
use std::path::{Path, PathBuf};

use ir::{DType, Scalar, Tensor, Type};
use nn::models::latent::{CODE, RECONSTRUCTION};
use nnc::checkpoint::Description;
use nnc::data::Dataset;
use nnc::generative::plane::{SIDE, codes_of_plane};
use nnc::generative::{CHAIN_STEPS, Chains, Decoder, Sampling};
use nnc::models::Architecture;
use nnc::report::pictures::{filters, grid_of, image_shape, lines};
use nnc::report::scatter_plot;
use nnc::{Error, Options, Trainer, files};

/// So many rows are shown with what becomes of them.
const SHOWN: usize = 20;
/// The number of samples, and of those in a line.
const SAMPLES: usize = 100;
const SAMPLES_PER_LINE: usize = 10;
/// A code is moved along each of its first so many axes, over so many places, from -2 to 2 standard deviations.
const AXES: usize = 10;
const PLACES: usize = 11;
/// The weights of the first layer of models whose units look at whole images, `[hidden, values]`.
const FILTERS: [&str; 2] = ["weight", "layer1.weight"];
/// Chains are shown after 1, 2, 4, .. steps, up to 2 to this power.
const DOUBLINGS: u32 = 10;

/// The pictures of a finished model.
pub const PICTURES: [&str; 7] = [
    "reconstructions.png",
    "samples.png",
    "traversals.png",
    "plane.png",
    "codes.svg",
    "filters.png",
    "chains.png",
];
/// What is drawn after epochs, too, before their numbers.
const OF_EPOCHS: [&str; 2] = ["reconstructions-epoch-", "samples-epoch-"];

/// Whether a run leaves a picture of this name.
pub fn is_picture(name: &str) -> bool {
    let number = OF_EPOCHS.iter().find_map(|start| name.strip_prefix(start)?.strip_suffix(".png"));
    PICTURES.contains(&name) || number.is_some_and(|number| number.parse::<u64>().is_ok())
}

/// What is drawn of a model in training and at its end, with the programs for it, each of which is compiled once.
pub struct Pictures<'a> {
    title: String,
    folder: PathBuf,
    test: Dataset,
    shown: Dataset,
    /// The shape of rows that are images.
    image: Option<[usize; 3]>,
    description: &'a Description,
    samples: Option<Decoder>,
    options: &'a Options,
    written: Vec<PathBuf>,
}

impl<'a> Pictures<'a> {
    /// Those of a model that is trained as described, on rows for testing, which are scaled as it takes them.
    ///
    /// # Errors
    /// Where rows do not fit the model, or it cannot be compiled.
    pub fn new(
        trainer: &Trainer,
        description: &'a Description,
        test: &Dataset,
        folder: &Path,
        options: &'a Options,
    ) -> Result<Pictures<'a>, Error> {
        let shown: Vec<u32> = (0..SHOWN.min(test.len()) as u32).collect();
        let image = image_shape(test.row_shape());
        let title = format!("{} on {}", trainer.predictor().name(), test.name());
        let test = trainer.predictor().with_rows_that_fit(test)?;
        let mut pictures = Pictures {
            title,
            folder: folder.to_owned(),
            shown: test.subset(&shown),
            test,
            image,
            description,
            samples: None,
            options,
            written: Vec::new(),
        };
        if image.is_some() {
            pictures.samples = pictures.decoder(trainer, SAMPLES)?.filter(Decoder::has_prior);
        }
        Ok(pictures)
    }

    /// Whether there is something to be drawn after an epoch.
    pub fn has_some_of_epochs(&self, trainer: &Trainer) -> bool {
        self.image.is_some() && (self.samples.is_some() || has_result(trainer, RECONSTRUCTION))
    }

    /// Whether the file at `path` is one of those that have been written.
    pub fn has_written(&self, path: &Path) -> bool {
        self.written.iter().any(|written| written == path)
    }

    /// Draws what the model makes after this epoch.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn of_epoch(&mut self, trainer: &Trainer, epoch: usize) -> Result<(), Error> {
        let [reconstructions, samples] = OF_EPOCHS.map(|start| format!("{start}{epoch:04}.png"));
        self.reconstructions(trainer, &reconstructions)?;
        self.samples(trainer, &samples)
    }

    /// Draws what there is to be seen of the finished model; the files.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn of_model(&mut self, trainer: &Trainer) -> Result<Vec<PathBuf>, Error> {
        let [reconstructions, samples, traversals, plane, codes, filters, chains] = PICTURES;
        let of_epochs = self.written.len();
        self.reconstructions(trainer, reconstructions)?;
        self.samples(trainer, samples)?;
        self.traversals(trainer, traversals)?;
        self.plane(trainer, (plane, codes))?;
        self.filters(trainer, filters)?;
        self.chains(trainer, (samples, chains))?;
        Ok(self.written[of_epochs..].to_vec())
    }

    /// What makes so many rows of codes, where the model can.
    fn decoder(&self, trainer: &Trainer, rows: usize) -> Result<Option<Decoder>, Error> {
        let name = trainer.predictor().name();
        match Architecture::find(name)?.generative {
            None => Ok(None),
            Some(_) => Decoder::new(name, self.description, rows, self.options).map(Some),
        }
    }

    /// Rows, and what the model makes of them below.
    fn reconstructions(&mut self, trainer: &Trainer, name: &str) -> Result<(), Error> {
        let Some(image) = self.image.filter(|_| has_result(trainer, RECONSTRUCTION)) else { return Ok(()) };
        let made = result(trainer, &self.shown, RECONSTRUCTION)?;
        let picture = lines(&[&self.shown.tensor(), &made], image)?;
        self.save(name, &picture)
    }

    /// What the model makes of codes that are drawn, always the same.
    fn samples(&mut self, trainer: &Trainer, name: &str) -> Result<(), Error> {
        let (Some(image), Some(decoder)) = (self.image, &mut self.samples) else { return Ok(()) };
        let made = decoder.sample(trainer.state_in_use(), &Sampling::default())?;
        let picture = grid_of(&made, image, SAMPLES_PER_LINE)?;
        self.save(name, &picture)
    }

    /// A line for each axis of the code, along which it is moved.
    fn traversals(&mut self, trainer: &Trainer, name: &str) -> Result<(), Error> {
        let (Some(image), Some(samples)) = (self.image, &self.samples) else { return Ok(()) };
        let size = samples.code_size();
        let axes = size.min(AXES);
        let Some(mut decoder) = self.decoder(trainer, axes * PLACES)? else { return Ok(()) };
        let label = decoder.knows_labels().then_some(0);
        let made = decoder.decode(trainer.state_in_use(), &along_axes(axes, size), label)?;
        let picture = grid_of(&made, image, PLACES)?;
        self.save(name, &picture)
    }

    /// Of codes of two values: those of the test rows as points, and what the model makes of codes of the plane.
    fn plane(&mut self, trainer: &Trainer, (plane, points): (&str, &str)) -> Result<(), Error> {
        let types = trainer.predictor().result_types();
        let has_codes = types.iter().any(|(name, ty)| name == CODE && ty.shape[1..] == [2]);
        let codes = if has_codes { Some(result(trainer, &self.test, CODE)?) } else { None };
        if let Some(codes) = &codes {
            let values = codes.as_slice::<f32>().unwrap_or_default();
            let codes: Vec<(f64, f64)> =
                values.chunks_exact(2).map(|code| (code[0].into(), code[1].into())).collect();
            let labels = self.test.labels().map(|labels| (labels, self.test.targets().names()));
            let axes = ["first value of the code", "second value of the code"];
            let svg = scatter_plot(&self.title, axes, &codes, labels);
            self.save(points, svg.as_bytes())?;
        }
        let Some(image) = self.image else { return Ok(()) };
        let Some(mut decoder) = self.decoder(trainer, SIDE * SIDE)? else { return Ok(()) };
        if decoder.code_size() != 2 {
            return Ok(());
        }
        let seen = codes.as_ref().filter(|_| !decoder.has_prior());
        let label = decoder.knows_labels().then_some(0);
        let made = decoder.decode(trainer.state_in_use(), &codes_of_plane(seen), label)?;
        let picture = grid_of(&made, image, SIDE)?;
        self.save(plane, &picture)
    }

    /// What the units of a first layer that looks at whole images respond to.
    fn filters(&mut self, trainer: &Trainer, name: &str) -> Result<(), Error> {
        let Some(image) = self.image else { return Ok(()) };
        let pixels = image.iter().product::<usize>();
        let weights = FILTERS.iter().filter_map(|name| trainer.state().get(name).ok());
        let Some(weights) = weights.into_iter().find(|it| it.shape().get(1) == Some(&pixels)) else {
            return Ok(());
        };
        let picture = filters(&weights, &self.test.tensor(), SAMPLES, image)?;
        self.save(name, &picture)
    }

    /// What chains draw, at their ends and on the way.
    fn chains(&mut self, trainer: &Trainer, (samples, chains): (&str, &str)) -> Result<(), Error> {
        let Some(image) = self.image else { return Ok(()) };
        let drawn = Chains::of(trainer.predictor().name(), self.description, self.options);
        let Some(drawn) = drawn? else { return Ok(()) };
        let weights = trainer.state_in_use();
        let picture = grid_of(&drawn.draw(weights, SAMPLES, CHAIN_STEPS, 0)?, image, SAMPLES_PER_LINE)?;
        self.save(samples, &picture)?;
        let after = |doublings| drawn.draw(weights, SHOWN, 1_usize << doublings, 0);
        let states: Vec<Tensor> = (0..=DOUBLINGS).map(after).collect::<Result<_, Error>>()?;
        let picture = lines(&states.iter().collect::<Vec<_>>(), image)?;
        self.save(chains, &picture)
    }

    fn save(&mut self, name: &str, picture: &[u8]) -> Result<(), Error> {
        let path = self.folder.join(name);
        files::write_atomically(&path, |file| file.write_all(picture))?;
        self.written.push(path);
        Ok(())
    }
}

fn has_result(trainer: &Trainer, name: &str) -> bool {
    trainer.predictor().result_types().iter().any(|(known, _)| known == name)
}

/// The result of this name of all rows.
fn result(trainer: &Trainer, rows: &Dataset, name: &str) -> Result<Tensor, Error> {
    let results = trainer.predictor().results(trainer.state_in_use(), rows)?;
    let found = results.into_iter().find(|(known, _)| known == name).map(|(_, result)| result);
    Ok(found.expect("it is one of the results"))
}

/// Codes along each of the first axes through the middle, one axis after the other.
fn along_axes(axes: usize, size: usize) -> Tensor {
    let place = |place: usize| 4.0 * place as f64 / (PLACES - 1) as f64 - 2.0;
    let value = |row: usize, at: usize| if at == row / PLACES { place(row % PLACES) } else { 0.0 };
    let ty = Type::new(DType::F32, [axes * PLACES, size]);
    Tensor::from_fn(&ty, |index| Scalar::F32(value(index / size, index % size) as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_known_by_their_names() {
        for name in ["samples.png", "codes.svg", "samples-epoch-0010.png", "reconstructions-epoch-12345.png"]
        {
            assert!(is_picture(name), "{name}");
        }
        for name in ["mine.png", "samples-epoch-.png", "plane-epoch-0001.png", "samples-epoch-1.svg"] {
            assert!(!is_picture(name), "{name}");
        }
    }

    #[test]
    fn a_code_is_moved_along_one_axis_at_a_time() {
        let codes = along_axes(2, 3);
        let row = |row: usize| codes.as_slice::<f32>().unwrap()[3 * row..][..3].to_vec();
        assert_eq!([row(0), row(10), row(11)], [[-2.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, -2.0, 0.0]]);
    }
}
