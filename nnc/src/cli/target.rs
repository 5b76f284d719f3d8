//! What a command works on: a model that nnc knows, or a file.

use std::path::Path;

use ir::text::Module;
use nnc::{Error, modules};

/// A model by its name, or a `.nnir` file.
pub fn load(target: &str, train: bool, batch: usize) -> Result<Module, Error> {
    if target.ends_with(".nnir") || Path::new(target).exists() {
        if train {
            let help = "leave out --train; a file is printed as it is";
            return Err(Error::invalid("--train", "only a model has a training step to be built", help));
        }
        return modules::read(Path::new(target));
    }
    todo!()
}
