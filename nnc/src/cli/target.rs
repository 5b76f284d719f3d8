//! What `nnc dump` works on: a model that nnc knows, a workload of `nnc bench`, or a file.

use std::path::Path;

use ir::Graph;
use ir::text::Module;
use nn::classifier::{inference_graph, training_graph};
use nn::{Adam, models};
use nnc::bench::{WORKLOADS, Workload};
use nnc::{Error, modules};

/// The models that have a name.
const MODELS: &[&str] = &["mlp"];

/// A model by its name, as a training step or as inference on batches of `batch`; a workload by its name; or the contents
/// of a `.nnir` file.
pub fn load(target: &str, train: bool, batch: usize) -> Result<Module, Error> {
    if MODELS.contains(&target) {
        return Ok(Module::Graph(model(target, train, batch)?));
    }
    if WORKLOADS.iter().any(|workload| workload.name == target) {
        return Ok(Module::Graph(Workload::find(target)?.model()?.graph));
    }
    let path = Path::new(target);
    if path.extension().is_none() && !path.exists() {
        let help = format!(
            "the models are {}; or give a workload of `nnc bench --list`, or a .nnir file",
            MODELS.join(", ")
        );
        return Err(Error::invalid(target, "there is no model or file of this name", help));
    }
    if train {
        let help = "leave it out: a file is printed as it is";
        return Err(Error::invalid(
            "--train",
            format!("{target} is a file, and only models have training steps"),
            help,
        ));
    }
    modules::read(path)
}

fn model(name: &str, train: bool, batch: usize) -> Result<Graph, Error> {
    let model = models::mlp();
    let features = model.sizes[0];
    Ok(if train {
        training_graph(name, &model, features, batch, &Adam::default())?
    } else {
        inference_graph(name, &model, features, batch)?
    })
}
