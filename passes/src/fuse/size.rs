//! How much is in a group, and how much may be.
//!
//! A kernel is compiled as a whole and its statements share registers, so beyond some size another kernel costs less than a
//! longer one. The limits are far above what layers, losses and optimizers need; they make the work of `fuse`, `lower` and
//! code generation linear in the graph, and their depth bounded, however deep it is.

use std::collections::BTreeSet;

use ir::Value;

/// How much is in a group.
#[derive(Clone, Debug, Default)]
pub struct Size {
    /// The work of its members per element, and one for each of them.
    pub work: usize,
    /// What they read that others compute.
    pub operands: BTreeSet<Value>,
    /// How many of its reductions wait for each other. Each is a loop along the row, and may compute again what those
    /// before it have computed.
    pub stages: usize,
}

impl Size {
    const MOST_WORK: usize = 2048;
    const MOST_OPERANDS: usize = 64;
    const MOST_STAGES: usize = 8;

    /// Both, one beside the other.
    pub fn with(&self, other: &Size) -> Size {
        Size {
            work: self.work + other.work,
            operands: self.operands.union(&other.operands).copied().collect(),
            stages: self.stages.max(other.stages),
        }
    }

    /// Whether a group may be as large.
    pub fn is_within_limits(&self) -> bool {
        self.work <= Size::MOST_WORK
            && self.operands.len() <= Size::MOST_OPERANDS
            && self.stages <= Size::MOST_STAGES
    }
}
