//! What was done to rows and targets before a model saw them.

use serde::{Deserialize, Serialize};

use super::Normalisation;
#[cfg(feature = "data-csv")]
use super::csv::Encoding;

/// What was done to rows and targets before a model saw them, in this order. It is saved with the model, and done to all rows that it
/// is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preparation {
    /// How the rows of a table became numbers.
    #[cfg(feature = "data-csv")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// How rows were scaled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalisation: Option<Normalisation>,
    /// How target values were scaled, which what is predicted is scaled back from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_normalisation: Option<Normalisation>,
}
