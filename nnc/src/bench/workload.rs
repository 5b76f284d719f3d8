//! What a workload is, and what its arithmetic and its bytes amount to.

use std::time::Duration;

use ir::names::choices;
use ir::{Graph, NodeId};
use nn::Context;
use nn::summary::multiply_adds;

use super::WORKLOADS;
use crate::Error;

/// A program whose time of a step is measured.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name on the command line and in the peers' results.
    pub name: &'static str,
    /// How long it is measured.
    pub budget: Duration,
    /// The bytes that must come from memory and go there in one step; `None` where arithmetic is what takes time.
    pub bytes: Option<usize>,
    /// Builds its graph, which has this name.
    pub build: fn(&str) -> Result<Context, ir::Error>,
    /// The additions and multiplications of its products, where these do not follow from what is computed forward.
    pub flops: Option<fn() -> f64>,
}

/// What a workload runs.
pub struct Model {
    /// Its inputs are `x` and, where it has more, `y0`, `y1`; its first output is the loss, or the result.
    pub graph: Graph,
    /// The names of the states that the peers' archives call `p0`, `p1`, ..
    pub parameters: Vec<String>,
    /// Its additions and multiplications, where they are known.
    known_flops: Option<f64>,
}

impl Workload {
    /// The workload of this name; the error lists the names.
    pub fn find(name: &str) -> Result<&'static Workload, Error> {
        WORKLOADS.iter().find(|workload| workload.name == name).ok_or_else(|| {
            let names = WORKLOADS.iter().map(|workload| workload.name);
            let help = choices(name, "the workloads are", names);
            Error::invalid(name, "there is no workload of this name", help)
        })
    }

    /// Its graph, and the names of its parameters.
    pub fn model(&self) -> Result<Model, Error> {
        let cx = (self.build)(self.name)?;
        let parameters = cx.parameters().iter().map(|parameter| parameter.name.clone()).collect();
        Ok(Model { graph: cx.finish(), parameters, known_flops: self.flops.map(|flops| flops()) })
    }
}

impl Model {
    /// The additions and multiplications of the products and convolutions in one step, padding included; `None` where
    /// there are none. A training step has three products per layer, of which the first layer lacks the gradient of its
    /// input.
    pub fn flops(&self) -> Option<f64> {
        if self.known_flops.is_some() {
            return self.known_flops;
        }
        let nodes = (0..self.graph.len() as u32).map(NodeId);
        let layers: Vec<f64> = nodes
            .map(|id| 2.0 * multiply_adds(&self.graph, id) as f64)
            .filter(|&flops| flops > 0.0)
            .collect();
        let forward: f64 = layers.iter().sum();
        let is_trained = !self.graph.updates.is_empty();
        layers.first().map(|first| if is_trained { 3.0 * forward - first } else { forward })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_workload_lists_the_names() {
        let error = Workload::find("mlp").unwrap_err().to_string();
        assert!(
            error.starts_with("mlp: there is no workload of this name; the workloads are mlp_train_b128, ")
        );
    }
}
