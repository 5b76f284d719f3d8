//! How a model is trained.

use std::path::PathBuf;

use nn::schedule::{Plateau, Schedule};

use crate::Options;
use crate::data::Augment;

/// What a trainer is made with. All of it but the threads belongs to what a run is: the same gives the same bits.
#[derive(Clone, Debug)]
pub struct TrainerOptions {
    /// The number of rows in a batch.
    pub batch: usize,
    /// What the initial weights and the order of rows depend on.
    pub seed: u64,
    /// How images are changed each time they are trained on.
    pub augment: Augment,
    /// How programs are compiled, and on how many threads they run.
    pub compile: Options,
}

impl Default for TrainerOptions {
    /// Batches of 32, seed 0, images as they are, one thread.
    fn default() -> TrainerOptions {
        TrainerOptions { batch: 32, seed: 0, augment: Augment::default(), compile: Options::default() }
    }
}

/// How long a run goes on, and what it leaves.
#[derive(Clone, Debug, Default)]
pub struct FitOptions {
    /// The number of epochs in all; those that a run has behind it count.
    pub epochs: usize,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Whether and how the learning rate falls when [`Epoch::value`](super::Epoch::value) has stopped falling.
    pub plateau: Option<Plateau>,
    /// Ends the run when no epoch of so many was the best so far, by [`Epoch::value`](super::Epoch::value).
    pub patience: Option<usize>,
    /// Whether the run ends with the weights of the best epoch instead of the last.
    pub keep_best: bool,
    /// Whether, where and how often checkpoints are written.
    pub checkpoints: Option<CheckpointOptions>,
}

impl FitOptions {
    /// So many epochs at a constant learning rate, without checkpoints.
    ///
    /// ```
    /// let options = nnc::trainer::FitOptions::epochs(30);
    /// assert_eq!((options.epochs, options.patience), (30, None));
    /// ```
    pub fn epochs(epochs: usize) -> FitOptions {
        FitOptions { epochs, ..FitOptions::default() }
    }
}

/// Where and how often checkpoints are written. The last three and the best are kept.
#[derive(Clone, Debug)]
pub struct CheckpointOptions {
    /// The folder for files `checkpoint-STEP.safetensors`.
    pub folder: PathBuf,
    /// After so many steps each; where the best epoch is kept, after each epoch that is the best so far, too; and at the
    /// end.
    pub every: u64,
    /// Whether the checkpoints of another run that has not ended are replaced.
    pub overwrite: bool,
}
