//! A model as a table: its layers with their parameters and arithmetic, and the memory that the compiler plans for it.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use ir::{Graph, Place, Plan};
use nn::network::{inference_graph, training_graph};
use nn::{Network, Optimizer, Summary};
use serde_json::{Value, json};

use crate::Error;

/// What a model is made of and what it takes to run it. It displays as a table.
///
/// ```
/// use nn::{Adam, Loss, Supervised, models};
/// use nnc::report::ModelSummary;
/// let network = Supervised::new([64], models::mlp(), Loss::cross_entropy());
/// let summary = ModelSummary::new(&network, 32)?.with_training(&network, &Adam::default())?;
/// let text = summary.to_string();
/// assert!(text.contains("Linear 64 -> 128") && text.contains("17,226"), "{text}");
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSummary {
    /// The layers, with the shapes that they have for a batch.
    pub layers: Summary,
    /// The number of rows of a batch.
    pub rows: usize,
    /// The memory of the model in use.
    pub inference: Memory,
    /// The memory of a training step, where one is asked for.
    pub training: Option<Memory>,
}

/// The memory of a program, as planned: the most that it has at any time, since all of it is there from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Parameters and buffers, and, of a step, the moments of the optimizer.
    pub states_bytes: usize,
    /// The arena and inputs and outputs. In the arena are values between kernels, which share places where they live at
    /// different times, and what is prepared once and kept from run to run, packed weights of inference among it.
    pub working_bytes: usize,
}

impl ModelSummary {
    /// The summary of a network on batches of so many rows.
    ///
    /// # Errors
    /// Where it cannot be built.
    pub fn new(network: &dyn Network, rows: usize) -> Result<ModelSummary, Error> {
        let graph = inference_graph("model", network, rows)?;
        let layers = Summary::new(network, rows)?;
        Ok(ModelSummary { layers, rows, inference: Memory::planned(graph)?, training: None })
    }

    /// With the memory of a step that trains the network, which this is the summary of.
    ///
    /// # Errors
    /// Where the step cannot be built.
    pub fn with_training(
        self,
        network: &dyn Network,
        optimizer: &dyn Optimizer,
    ) -> Result<ModelSummary, Error> {
        let graph = training_graph("model", network, self.rows, optimizer)?;
        Ok(ModelSummary { training: Some(Memory::planned(graph)?), ..self })
    }

    /// All of it as one JSON object.
    pub fn json(&self) -> Value {
        let layer = |row: &nn::summary::Row| {
            json!({
                "scope": row.scope,
                "layer": row.layer,
                "output": row.output.to_string(),
                "parameters": row.parameters,
                "multiply_adds": row.multiply_adds,
            })
        };
        let memory = |memory: Memory| json!({ "states_bytes": memory.states_bytes, "working_bytes": memory.working_bytes });
        json!({
            "batch": self.rows,
            "layers": self.layers.rows.iter().map(layer).collect::<Vec<Value>>(),
            "parameters": self.layers.parameters(),
            "multiply_adds": self.layers.multiply_adds(),
            "inference": memory(self.inference),
            "training": self.training.map(memory),
        })
    }
}

impl Memory {
    /// The memory that the passes plan for a graph.
    fn planned(graph: Graph) -> Result<Memory, Error> {
        Ok(Memory::of(&passes::run(graph, &passes::Options::default())?))
    }

    /// The memory of a plan.
    pub fn of(plan: &Plan) -> Memory {
        let bytes = |is: fn(&Place) -> bool| -> usize {
            plan.slots_where(is).map(|(_, slot)| slot.ty.size_bytes()).sum()
        };
        Memory {
            states_bytes: bytes(|place| matches!(place, Place::State { .. })),
            working_bytes: plan.arena_bytes + bytes(|place| matches!(place, Place::Input | Place::Output)),
        }
    }

    /// Both together.
    pub fn total_bytes(self) -> usize {
        self.states_bytes + self.working_bytes
    }
}

impl fmt::Display for ModelSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_BORDERS_ONLY);
        table.set_header(["scope", "layer", "output", "parameters", "multiply-adds"]);
        for row in &self.layers.rows {
            let counts = [row.parameters, row.multiply_adds].map(with_commas);
            let [parameters, multiply_adds] = counts;
            table.add_row([&row.scope, &row.layer, &row.output.to_string(), &parameters, &multiply_adds]);
        }
        let [parameters, multiply_adds] =
            [self.layers.parameters(), self.layers.multiply_adds()].map(with_commas);
        table.add_row(["total", "", "", &parameters, &multiply_adds]);
        for column in table.column_iter_mut().skip(3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{table}")?;
        write!(f, "peak memory in use       {}", self.inference)?;
        match self.training {
            None => Ok(()),
            Some(training) => write!(f, "\npeak memory in training  {training}"),
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [total, states, working] =
            [self.total_bytes(), self.states_bytes, self.working_bytes].map(with_unit);
        write!(f, "{total} ({states} of states, {working} to work in)")
    }
}

/// `1,234,567`
fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap_or_default()).collect();
    groups.join(",")
}

/// A number of bytes as people read it: `67.3 KiB`.
fn with_unit(bytes: usize) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, exponent)| bytes >= 1 << exponent) {
        Some((unit, exponent)) => format!("{:.1} {unit}", bytes as f64 / f64::from(1u32 << exponent)),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nn::models::Mlp;
    use nn::{Activation, Adam, Loss, Supervised};

    fn network() -> Supervised<Mlp> {
        let mlp = Mlp { batch_norm: true, ..Mlp::new(&[64, 128, 10], Activation::Relu) };
        Supervised::new([64], mlp, Loss::cross_entropy())
    }

    fn summary() -> ModelSummary {
        ModelSummary::new(&network(), 32).unwrap().with_training(&network(), &Adam::default()).unwrap()
    }

    #[test]
    fn the_table_has_a_row_per_layer_and_totals() {
        let text = summary().to_string();
        let cells: Vec<Vec<&str>> = (text.lines())
            .map(|line| line.split(['│', ' ']).filter(|cell| !cell.is_empty()).collect())
            .collect();
        for row in [
            vec!["fc1", "Linear", "64", "->", "128", "f32[32,", "128]", "8,192", "262,144"],
            vec!["bn1", "BatchNorm", "128", "f32[32,", "128]", "256", "0"],
            vec!["act1", "Relu", "f32[32,", "128]", "0", "0"],
            vec!["fc2", "Linear", "128", "->", "10", "f32[32,", "10]", "1,290", "40,960"],
            vec!["total", "9,738", "303,104"],
        ] {
            assert!(cells.contains(&row), "{row:?} is not in\n{text}");
        }
        assert!(text.contains("peak memory in use       ") && text.contains("peak memory in training  "));
    }

    /// The bytes of states, and of inputs and outputs, are counted here from the model; those of the arena are the plan's.
    #[test]
    fn memory_is_that_of_the_plan() {
        let plan = |graph: Graph| passes::run(graph, &passes::Options::default()).unwrap();
        let inference = plan(inference_graph("model", &network(), 32).unwrap());
        let training = plan(training_graph("model", &network(), 32, &Adam::default()).unwrap());
        let parameters = 64 * 128 + 2 * 128 + 128 * 10 + 10;
        let in_use = Memory {
            states_bytes: 4 * (parameters + 2 * 128),
            // Rows and scores.
            working_bytes: inference.arena_bytes + 4 * 32 * (64 + 10),
        };
        let in_training = Memory {
            // Each parameter with two moments, the buffers, the learning rate, and the number of steps.
            states_bytes: 4 * (3 * parameters + 2 * 128 + 1) + 8,
            // Rows and labels; the loss and the accuracy.
            working_bytes: training.arena_bytes + (4 * 32 * 64 + 8 * 32) + (4 + 4),
        };
        let summary = summary();
        assert_eq!((summary.inference, summary.training), (in_use, Some(in_training)));
    }

    #[test]
    fn packed_weights_are_counted_beside_what_kernels_keep() {
        let graph = inference_graph("model", &network(), 32).unwrap();
        let plan = passes::run(graph, &passes::Options::default()).unwrap();
        let prepared = plan.prepare.iter().flat_map(|step| plan.writes(step));
        let prepared_bytes = prepared.map(|slot| plan.slot(slot).ty.size_bytes()).sum::<usize>();
        // The weight of the first layer, and the result of that layer, which is in use while its packed weight is.
        assert!(prepared_bytes >= 4 * 64 * 128, "{prepared_bytes}");
        let working_bytes = summary().inference.working_bytes;
        assert!(
            working_bytes >= prepared_bytes + 4 * 32 * (64 + 128 + 10),
            "{working_bytes} {prepared_bytes}"
        );
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(with_commas), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [1023, 1536, 3 << 20, 1 << 31].map(with_unit),
            ["1023 B", "1.5 KiB", "3.0 MiB", "2.0 GiB"]
        );
    }
}
