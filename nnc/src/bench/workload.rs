//! The table of workloads.

use std::time::Duration;

use nn::Activation;

use super::model::{Model, model};
use crate::Error;

/// A program whose time of a step is measured.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name on the command line and in the peers' results.
    pub name: &'static str,
    /// What it computes.
    pub kind: Kind,
}

/// What a workload computes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A multilayer perceptron.
    Network {
        /// The sizes of input, hidden layers and output.
        sizes: &'static [usize],
        /// The number of samples in a step.
        batch: usize,
        /// What follows each layer; the last only where the step is `Reconstruct`.
        activation: Activation,
        /// What a step does.
        mode: Mode,
    },
    /// `tanh(1.1 x + 0.3) sigmoid(0.7 x) + exp(-x x)` of this many elements.
    Elementwise(usize),
    /// Softmax over the last axis.
    Softmax([usize; 2]),
    /// Layer normalisation over the last axis.
    LayerNorm([usize; 2]),
    /// The sum over an axis.
    Sum {
        /// The shape of the operand.
        shape: [usize; 2],
        /// The axis that goes away.
        axis: usize,
    },
    /// `x[m, k] @ y0[k, n]`.
    Product {
        /// Rows of the result.
        m: usize,
        /// Columns of the result.
        n: usize,
        /// The terms of each sum.
        k: usize,
    },
}

/// What a step of a network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The forward pass.
    Infer,
    /// Softmax cross entropy against class indices, its gradients, and Adam.
    TrainAdam,
    /// The same with SGD with momentum.
    TrainMomentum,
    /// Mean square error against the input itself, its gradients, and Adam.
    Reconstruct,
}

const MLP: &[usize] = &[784, 512, 256, 10];
const SMALL_MLP: &[usize] = &[64, 64, 32, 10];
const AUTOENCODER: &[usize] = &[784, 256, 64, 256, 784];

/// All workloads, in the order of `nnc list workloads`.
pub const WORKLOADS: &[Workload] = &[
    network("mlp_train_b128", MLP, 128, Activation::Relu, Mode::TrainAdam),
    network("mlp_infer_b1", MLP, 1, Activation::Relu, Mode::Infer),
    network("mlp_infer_b128", MLP, 128, Activation::Relu, Mode::Infer),
    network("mlp_small_train_b32", SMALL_MLP, 32, Activation::Tanh, Mode::TrainMomentum),
    network("autoencoder_train_b128", AUTOENCODER, 128, Activation::Sigmoid, Mode::Reconstruct),
    Workload { name: "ew_chain_1m", kind: Kind::Elementwise(1 << 20) },
    Workload { name: "ew_chain_16m", kind: Kind::Elementwise(1 << 24) },
    Workload { name: "softmax_4096x1024", kind: Kind::Softmax([4096, 1024]) },
    Workload { name: "layernorm_4096x1024", kind: Kind::LayerNorm([4096, 1024]) },
    Workload { name: "sum_axis0_4096x4096", kind: Kind::Sum { shape: [4096, 4096], axis: 0 } },
    Workload { name: "sum_axis1_4096x4096", kind: Kind::Sum { shape: [4096, 4096], axis: 1 } },
    product("sgemm_64", 64, 64, 64),
    product("sgemm_128", 128, 128, 128),
    product("sgemm_256", 256, 256, 256),
    product("sgemm_512", 512, 512, 512),
    product("sgemm_1024", 1024, 1024, 1024),
    product("sgemm_2048", 2048, 2048, 2048),
    product("sgemm_m1_n4096_k4096", 1, 4096, 4096),
    product("sgemm_m32_n1024_k1024", 32, 1024, 1024),
];

const fn network(
    name: &'static str,
    sizes: &'static [usize],
    batch: usize,
    activation: Activation,
    mode: Mode,
) -> Workload {
    Workload { name, kind: Kind::Network { sizes, batch, activation, mode } }
}

const fn product(name: &'static str, m: usize, n: usize, k: usize) -> Workload {
    Workload { name, kind: Kind::Product { m, n, k } }
}

impl Workload {
    /// The workload of this name; the error lists the names.
    pub fn find(name: &str) -> Result<&'static Workload, Error> {
        WORKLOADS.iter().find(|workload| workload.name == name).ok_or_else(|| {
            let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
            Error::invalid(
                name,
                "there is no workload of this name",
                format!("the workloads are {}", names.join(", ")),
            )
        })
    }

    /// Its graph, and the names of its parameters.
    pub fn model(&self) -> Result<Model, Error> {
        Ok(model(self.name, &self.kind)?)
    }

    /// How long it is measured.
    pub fn budget(&self) -> Duration {
        Duration::from_millis(if matches!(self.kind, Kind::Network { .. }) { 3000 } else { 1200 })
    }

    /// The additions and multiplications of its matrix products in one step; `None` where it has none. A training
    /// step has three products per layer, of which the first layer lacks the gradient of its input.
    pub fn flops(&self) -> Option<f64> {
        match self.kind {
            Kind::Network { sizes, batch, mode, .. } => {
                let layer = |pair: &[usize]| 2.0 * (batch * pair[0] * pair[1]) as f64;
                let forward: f64 = sizes.windows(2).map(layer).sum();
                Some(if mode == Mode::Infer { forward } else { 3.0 * forward - layer(&sizes[..2]) })
            }
            Kind::Product { m, n, k } => Some(2.0 * (m * n * k) as f64),
            _ => None,
        }
    }

    /// The bytes that must come from memory and go there in one step; `None` where arithmetic is what takes time.
    pub fn bytes(&self) -> Option<f64> {
        let elements = match self.kind {
            Kind::Elementwise(n) => 2 * n,
            Kind::Softmax([m, n]) | Kind::LayerNorm([m, n]) => 2 * m * n,
            Kind::Sum { shape: [m, n], .. } => m * n,
            Kind::Product { m: 1, n, k } => n * k,
            Kind::Network { .. } | Kind::Product { .. } => return None,
        };
        Some(4.0 * elements as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flops_are_counted_as_the_peers_count_them() {
        // 2 * 128 * (784*512 + 512*256 + 256*10) forward, three times that less the first layer for training.
        assert_eq!(Workload::find("mlp_train_b128").unwrap().flops(), Some(308_150_272.0));
        assert_eq!(Workload::find("mlp_infer_b1").unwrap().flops(), Some(1_070_080.0));
        assert_eq!(Workload::find("sgemm_64").unwrap().flops(), Some(524_288.0));
        assert_eq!(Workload::find("sum_axis0_4096x4096").unwrap().flops(), None);
    }

    #[test]
    fn an_unknown_workload_lists_the_names() {
        let error = Workload::find("mlp").unwrap_err().to_string();
        assert!(
            error.starts_with("mlp: there is no workload of this name; the workloads are mlp_train_b128, ")
        );
    }

    #[test]
    fn every_graph_builds_and_has_one_output() {
        for workload in WORKLOADS {
            assert_eq!(workload.model().unwrap().graph.outputs.len(), 1, "{}", workload.name);
        }
    }
}
