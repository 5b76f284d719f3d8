//! The data of a run: what is held out of the training rows, and normalisation.

use nnc::Error;
use nnc::data::{Dataset, Normalisation};

use super::settings::Settings;

/// Rows to train on, to choose the best weights by, and to test on.
pub struct Prepared {
    pub train: Dataset,
    pub held_out: Option<Dataset>,
    pub test: Dataset,
    pub normalisation: Option<Normalisation>,
}

/// Holds out the part of the rows that `--validation` says, chosen by the seed, and normalises all by what is then left to
/// train on.
///
/// # Errors
/// Where nothing is left to train on, or nothing is held out.
pub fn prepare(settings: &Settings, all: &Dataset, test: Dataset) -> Result<Prepared, Error> {
    let (train, held_out) = match settings.validation {
        0.0 => (all.clone(), None),
        part => {
            let (train, held_out) = all.split_validation(part, settings.seed)?;
            if train.is_empty() || held_out.is_empty() {
                let problem = format!("it is {part}, which is {} of {} rows", held_out.len(), all.len());
                let help = "give a part that leaves rows on both sides";
                return Err(Error::invalid("--validation", problem, help));
            }
            (train, Some(held_out))
        }
    };
    let Some(normalisation) = settings.normalise.of(&train) else {
        return Ok(Prepared { train, held_out, test, normalisation: None });
    };
    Ok(Prepared {
        train: normalisation.apply(&train)?,
        held_out: held_out.map(|held_out| normalisation.apply(&held_out)).transpose()?,
        test: normalisation.apply(&test)?,
        normalisation: Some(normalisation),
    })
}
