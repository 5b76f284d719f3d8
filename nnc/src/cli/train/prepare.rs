//! The data of a run: what is held out of the training rows, and normalisation; and the network for them.

use std::sync::Arc;

use nn::Network;
use nnc::data::{Dataset, Examples, Loaded, Preparation, Sequences, few_labels};
use nnc::models::Architecture;
use nnc::trainer::shuffle::permutation;
use nnc::{Error, memory};

use super::names::Normalise;
use super::settings::Settings;

/// The number of the epoch whose order chooses the rows that are held out; training does not come that far.
const EPOCH: u64 = u64::MAX;

/// Rows to train on, to choose the best weights by, and to test on.
pub struct Prepared {
    pub train: Loaded,
    pub held_out: Option<Loaded>,
    pub test: Loaded,
    pub preparation: Preparation,
    pub network: Arc<dyn Network>,
}

/// What a model is trained and tested on, and the model for it.
///
/// # Errors
/// Where nothing is left to train on, or nothing is held out; the model cannot take such rows; or an option has no meaning for
/// them.
pub fn prepare(
    model: &Architecture,
    settings: &mut Settings,
    all: &Loaded,
    test: Loaded,
) -> Result<Prepared, Error> {
    match (all, test) {
        (Loaded::Rows(all), Loaded::Rows(test)) => of_rows(model, settings, all, test),
        (Loaded::Sequences(all), test) => of_sequences(model, settings, all, test),
        (_, test) => {
            let problem = "to train on and to test on there are other kinds of rows";
            Err(Error::invalid(test.name(), problem, "give data of one kind"))
        }
    }
}

/// Holds out the part of the rows that `--validation` says, chosen by the seed, and normalises all by what is then left to
/// train on.
fn of_rows(
    model: &Architecture,
    settings: &mut Settings,
    all: &Dataset,
    test: Dataset,
) -> Result<Prepared, Error> {
    let row = model.row_of(all.row_shape())?;
    // Images without an axis of channels have one channel, which is normalised as a whole.
    let as_images = |rows: &Dataset| match (rows.row_shape().rank(), row.rank()) {
        (2, 3) => rows.reshaped(row.clone()),
        _ => Ok(rows.clone()),
    };
    let (all, test) = (&as_images(all)?, as_images(&test)?);
    let loss = settings.loss(model, all)?;
    // Rows that are held out or normalised are copies, and what normalises looks at another.
    let copies =
        usize::from(settings.validation > 0.0) + 2 * usize::from(settings.normalise != Normalise::None);
    memory::check_rows(all.name(), all.len(), all.features(), copies)?;
    let (train, held_out) = match settings.validation {
        0.0 => (all.clone(), None),
        part => {
            let (train, held_out) = all.split_validation(part, settings.seed)?;
            check_parts(part, train.len(), held_out.len())?;
            (train, Some(held_out))
        }
    };
    let normalisation = settings.normalise.of(&train);
    let of_targets = settings.target_normalisation(&train)?;
    let normalised = |rows: Dataset| {
        let rows = normalisation.as_ref().map_or(Ok(rows.clone()), |it| it.apply(&rows))?;
        of_targets.as_ref().map_or(Ok(rows.clone()), |it| it.apply_to_targets(&rows))
    };
    let train = normalised(train)?;
    let held_out = held_out.map(normalised).transpose()?.map(Loaded::Rows);
    let test = Loaded::Rows(normalised(test)?);
    settings.choose_likelihood(model, &train)?;
    let preparation = train.preparation().clone();
    let network = model.network(&row, train.outputs(), &settings.model, loss);
    let train = match settings.model.labels {
        None => Loaded::Rows(train),
        Some(count) => {
            let rows = few_labels::balanced_rows(&train, count, settings.seed)?;
            Loaded::FewLabels(few_labels::with_labels_of(&train, &rows)?)
        }
    };
    Ok(Prepared { train, held_out, test, preparation, network })
}

fn of_sequences(
    model: &Architecture,
    settings: &mut Settings,
    all: &Sequences,
    test: Loaded,
) -> Result<Prepared, Error> {
    settings.check_sequences()?;
    let (tokens, steps) = (all.tokens(), all.steps());
    let network = model.sequence_network(&tokens, all.names().len(), steps, &settings.model)?;
    let (train, held_out) = match settings.validation {
        0.0 => (all.clone(), None),
        _ if all.is_continued() => {
            let problem = "rows of a text go on from one another, and none can be taken out";
            let help = "leave it out, and --patience, too: what the text is tested on is held out";
            return Err(Error::invalid("--validation", problem, help));
        }
        part => {
            let count = (all.len() as f64 * part).round() as usize;
            let mut is_held_out = vec![false; all.len()];
            let order = permutation(all.len(), settings.seed, EPOCH);
            order.iter().take(count).for_each(|&row| is_held_out[row as usize] = true);
            let (train, held_out) = all.split(|row| is_held_out[row])?;
            check_parts(part, train.len(), held_out.len())?;
            (train, Some(held_out))
        }
    };
    let (train, held_out) = (Loaded::Sequences(train), held_out.map(Loaded::Sequences));
    Ok(Prepared { train, held_out, test, preparation: Preparation::default(), network })
}

fn check_parts(part: f64, train: usize, held_out: usize) -> Result<(), Error> {
    if train > 0 && held_out > 0 {
        return Ok(());
    }
    let problem = format!("it is {part}, which is {held_out} of {} rows", train + held_out);
    Err(Error::invalid("--validation", problem, "give a part that leaves rows on both sides"))
}

/// The names of the classes that are to be told, where there are some, and the labels of the rows.
pub fn labels(data: &Loaded) -> Option<(&[i64], &[String])> {
    let dataset = data.dataset()?;
    Some((dataset.labels()?, dataset.targets().names()))
}
