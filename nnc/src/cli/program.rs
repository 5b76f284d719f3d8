//! What `nnc dump` works on: a model that nnc knows, a workload of `nnc bench`, or a file.

use std::path::Path;

use ir::Graph;
use ir::text::Module;
use nn::supervised::{Batch, inference_graph, training_graph};
use nn::{Adam, Loss, models};
use nnc::bench::{WORKLOADS, Workload};
use nnc::{Error, modules};

/// The models that have a name, and what they are.
pub const MODELS: &[(&str, &str)] =
    &[("mlp", "a multilayer perceptron, 64-128-64-10, for the embedded handwritten digits")];

/// A model by its name, as a training step or as inference on batches of `batch`; a workload by its name; or the contents
/// of a `.nnir` file.
pub fn load(program: &str, train: bool, batch: usize) -> Result<Module, Error> {
    if MODELS.iter().any(|(name, _)| *name == program) {
        return Ok(Module::Graph(model(program, train, batch)?));
    }
    if WORKLOADS.iter().any(|workload| workload.name == program) {
        return Ok(Module::Graph(Workload::find(program)?.model()?.graph));
    }
    let path = Path::new(program);
    if path.extension().is_none() && !path.exists() {
        let help = format!(
            "the models are {}; or give a workload of `nnc list workloads`, or a .nnir file",
            MODELS.iter().map(|(name, _)| *name).collect::<Vec<&str>>().join(", ")
        );
        return Err(Error::invalid(program, "there is no model or file of this name", help));
    }
    if train {
        let help = "leave it out: a file is printed as it is";
        return Err(Error::invalid(
            "--train",
            format!("{program} is a file, and only models have training steps"),
            help,
        ));
    }
    modules::read(path)
}

fn model(name: &str, train: bool, batch: usize) -> Result<Graph, Error> {
    let model = models::mlp();
    let batch = Batch::new(batch, [model.sizes[0]]);
    Ok(if train {
        training_graph(name, &model, &batch, &Loss::cross_entropy(), &Adam::default())?
    } else {
        inference_graph(name, &model, &batch)?
    })
}
