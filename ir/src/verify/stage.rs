//! The stages of the compiler, in order.

use std::fmt;
use std::str::FromStr;

use crate::names::choices;

/// What the passes so far have established. Later stages are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// A graph as its author wrote it.
    Source,
    /// A graph without `grad`.
    Differentiated,
    /// A graph without ops that others stand for, and without nodes that nothing needs.
    Canonical,
    /// A graph whose computing ops are in groups, each of which becomes one kernel.
    Fused,
    /// A plan whose memory has no places yet.
    Kernels,
    /// A plan with every slot placed and every update done by a step.
    Plan,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Stage; 6] =
        [Stage::Source, Stage::Differentiated, Stage::Canonical, Stage::Fused, Stage::Kernels, Stage::Plan];

    /// The stages of graphs, in order; the others are those of plans.
    pub const OF_GRAPHS: [Stage; 4] = [Stage::Source, Stage::Differentiated, Stage::Canonical, Stage::Fused];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Source => "source",
            Stage::Differentiated => "differentiated",
            Stage::Canonical => "canonical",
            Stage::Fused => "fused",
            Stage::Kernels => "kernels",
            Stage::Plan => "plan",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Stage {
    type Err = String;

    /// The stage of this name; the error lists the names.
    fn from_str(name: &str) -> Result<Stage, String> {
        Stage::ALL.into_iter().find(|stage| stage.name() == name).ok_or_else(|| {
            let help = choices(name, "the stages are", Stage::ALL.map(Stage::name));
            format!("there is no stage `{name}`; {help}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_found_by_its_name() {
        for stage in Stage::ALL {
            assert_eq!(stage.to_string().parse(), Ok(stage));
        }
    }

    #[test]
    fn an_unknown_stage_lists_the_names() {
        assert_eq!(
            "fuse".parse::<Stage>(),
            Err("there is no stage `fuse`; did you mean `fused`? the stages are source, differentiated, canonical, fused, kernels, plan".into())
        );
    }
}
