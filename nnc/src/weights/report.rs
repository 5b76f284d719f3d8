//! What came of loading weights.

use std::fmt;

use ir::Type;
use ir::names::printable;
use thiserror::Error;

/// Which states were set from which tensors, and what was left. `Display` is a line for each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The states that were set.
    pub loaded: Vec<String>,
    /// States for which there is no tensor.
    pub missing: Vec<String>,
    /// Tensors for which there is no state.
    pub unexpected: Vec<String>,
    /// States whose tensor is of another type.
    pub other_types: Vec<OtherType>,
    /// Tensors that no model needs: PyTorch's `num_batches_tracked`.
    pub passed_over: Vec<String>,
}

/// A state and a tensor of its name that is not of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherType {
    /// The name of both.
    pub name: String,
    /// The type of the tensor.
    pub given: Type,
    /// The type of the state.
    pub expected: Type,
}

/// Weights that are not all those of a model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{}: these are not the weights of the model:{}\nrename the tensors (`Weights::rename`), or load those that fit \
     (`Weights::load_partial`)",
    printable(.origin),
    Left(report)
)]
pub struct NotLoaded {
    /// Where they are from.
    pub(super) origin: String,
    /// All that differs; `loaded` is what would have been set.
    pub report: Report,
}

impl Report {
    /// Whether each state has its tensor, and each tensor its state.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.other_types.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} loaded{}", self.loaded.len(), Left(self))
    }
}

/// What was not loaded: a line for each kind that there is.
struct Left<'a>(&'a Report);

impl fmt::Display for Left<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { missing, unexpected, other_types, .. } = self.0;
        for (kind, names) in [("missing", missing), ("unexpected", unexpected)] {
            if !names.is_empty() {
                write!(f, "\n{} {kind}: {}", names.len(), printable(&names.join(", ")))?;
            }
        }
        if !other_types.is_empty() {
            let list: Vec<String> = other_types.iter().map(OtherType::to_string).collect();
            write!(f, "\n{} of another type: {}", list.len(), list.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for OtherType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, the model's {}", printable(&self.name), self.given, self.expected)
    }
}
