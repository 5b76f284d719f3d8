//! Weights and whole runs in files of the format safetensors.
//!
//! | file | what it holds |
//! |---|---|
//! | `MODEL.safetensors` | the states of a finished model: its parameters and buffers |
//! | `checkpoint-STEP.safetensors` | all states of a run after STEP steps, those of the optimizer included, the best weights so far, and where the run was |
//!
//! Both have a text beside the tensors, [`Metadata`], from which the model can be rebuilt, and in it a digest of all bytes of
//! the file: one that is damaged anywhere is an error. Files are written under a
//! temporary name, synced and renamed, so that there is never a part of one.

mod file;
mod folder;
pub(crate) mod half;
mod metadata;
mod reader;
mod template;

use std::path::Path;

use ir::{Tensor, Type};
use runtime::State;
use sha2::{Digest, Sha256};

use crate::Error;
pub(crate) use file::little_endian_bytes;
pub(crate) use file::write_plain;
pub use folder::Folder;
pub(crate) use metadata::hexadecimal;
pub use metadata::{Description, Identity, Metadata, Position, Settings, differences};
pub(crate) use reader::Reader;
pub use template::Template;

/// What stands before the names of the best weights so far; no state can be called so.
const BEST: &str = "best/";

/// A file that `nnc train` leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What it is of. [`Metadata::file_sha256`] is that of the file once it has been written.
    pub metadata: Metadata,
    /// The states by name.
    pub states: Vec<(String, Tensor)>,
    /// The parameters and buffers of the best epoch so far; none where that is not kept.
    pub best: Vec<(String, Tensor)>,
}

impl Checkpoint {
    /// Writes it to a file; one that was there is replaced whole or not at all.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let best: Vec<(String, &Tensor)> =
            self.best.iter().map(|(name, tensor)| (format!("{BEST}{name}"), tensor)).collect();
        let states = self.states.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let mut tensors: Vec<(&str, &Tensor)> =
            states.chain(best.iter().map(|(name, tensor)| (name.as_str(), *tensor))).collect();
        tensors.sort_by_key(|(name, _)| *name);
        let metadata = Metadata { file_sha256: file::NO_DIGEST.to_owned(), ..self.metadata.clone() };
        let text = serde_json::to_string(&metadata).expect("metadata are names, numbers and texts");
        file::write(path, tensors.into_iter(), text)
    }

    /// Reads a file that [`Checkpoint::write`] has written.
    ///
    /// # Errors
    /// Where it cannot be read, is cut off or damaged, or another program has written it.
    pub fn read(path: &Path) -> Result<Checkpoint, Error> {
        let contents = file::read(path)?;
        let metadata = metadata_of(path, contents.text.as_deref())?;
        let (best, states) = contents.tensors.into_iter().partition(|(name, _)| name.starts_with(BEST));
        let without_prefix = |(name, tensor): (String, Tensor)| (name[BEST.len()..].to_owned(), tensor);
        let best: Vec<(String, Tensor)> = best;
        Ok(Checkpoint { metadata, states, best: best.into_iter().map(without_prefix).collect() })
    }
}

/// What the text of a file says of its model.
pub(crate) fn metadata_of(path: &Path, text: Option<&str>) -> Result<Metadata, Error> {
    let invalid = |problem: &str, help| Error::invalid(path.display().to_string(), problem, help);
    let Some(text) = text else {
        let help = "give a checkpoint that `nnc train` has written";
        return Err(invalid("it holds tensors, and does not say of what model", help));
    };
    serde_json::from_str(text).map_err(|error| {
        let problem = format!("what it says of its model cannot be understood: {error}");
        invalid(&problem, "give a checkpoint that this version of nnc has written")
    })
}

/// Sets `state` to what `tensors` hold, all or nothing. `expected` are the states of the program as it was built; those that
/// no result depends on are not among the states that run.
///
/// # Errors
/// Where the tensors are not those of the program: one is missing, there is another one, or a type differs.
pub fn set_states(
    state: &mut State,
    tensors: &[(String, Tensor)],
    expected: &[(String, Type)],
) -> Result<(), Error> {
    let types: Vec<(&str, Type)> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.ty())).collect();
    check_states(state, &types, expected)?;
    for (name, tensor) in tensors {
        if state.contains(name) {
            state.set(name, tensor)?;
        }
    }
    Ok(())
}

/// Sets `state` to what a file holds of the states `expected`, a part of each at a time: the file is in memory at no time.
///
/// # Errors
/// As [`set_states`], and where the file cannot be read.
pub(crate) fn read_states(
    state: &mut State,
    file: &mut Reader,
    expected: &[(String, Type)],
) -> Result<(), Error> {
    let is_expected = |name: &str| expected.iter().any(|(known, _)| known == name);
    let tensors: Vec<(usize, String, Type)> = file
        .tensors()
        .enumerate()
        .filter(|(_, (name, _))| is_expected(name))
        .map(|(index, (name, ty))| (index, name.to_owned(), ty.clone()))
        .collect();
    let types: Vec<(&str, Type)> = tensors.iter().map(|(_, name, ty)| (name.as_str(), ty.clone())).collect();
    check_states(state, &types, expected)?;
    for (index, name, _) in &tensors {
        if state.contains(name) {
            state.set_in_parts(name, |elements| file.read_part(*index, elements))?;
        }
    }
    Ok(())
}

/// Checks that tensors of these names and types are the states of a program.
fn check_states(state: &State, tensors: &[(&str, Type)], expected: &[(String, Type)]) -> Result<(), Error> {
    let another_model = |problem: String| {
        Error::invalid("the checkpoint", problem, "give a checkpoint of the same model and optimizer")
    };
    let is_there = |name: &str| tensors.iter().any(|(known, _)| *known == name);
    if let Some((missing, _)) = state.iter().find(|(name, _)| !is_there(name)) {
        return Err(another_model(format!("it has no state `{missing}`, which this model has")));
    }
    for (name, given) in tensors {
        let Some((_, ty)) = expected.iter().find(|(known, _)| known == name) else {
            return Err(another_model(format!("it has a state `{name}`, which this model has not")));
        };
        if given != ty {
            return Err(another_model(format!("its state `{name}` is {given}, that of this model {ty}")));
        }
    }
    Ok(())
}

/// Copies of the states of these names.
///
/// # Errors
/// Where there is no state of one of the names.
pub fn states_of(state: &State, names: &[String]) -> Result<Vec<(String, Tensor)>, Error> {
    names.iter().map(|name| Ok((name.clone(), state.get(name)?))).collect()
}

/// The tensors of a safetensors file, by name in alphabetical order.
///
/// # Errors
/// Where the file cannot be read, is no whole safetensors file, is not what nnc has written to it, or holds elements of a dtype
/// that nnc has not.
pub fn load(path: &Path) -> Result<Vec<(String, Tensor)>, Error> {
    Ok(file::read(path)?.tensors)
}

/// The SHA-256, in hexadecimal digits, of the states of these names: of each, in order, its name, a zero byte, its
/// extents as little-endian 64-bit integers, and its elements, little-endian.
///
/// # Errors
/// Where there is no state of one of the names.
pub fn hash(state: &State, names: &[String]) -> Result<String, Error> {
    let tensors = states_of(state, names)?;
    Ok(checksum(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))))
}

/// The hash that [`hash`] describes, of these tensors.
fn checksum<'a>(tensors: impl Iterator<Item = (&'a str, &'a Tensor)>) -> String {
    let mut sha = Sha256::new();
    for (name, tensor) in tensors {
        sha.update(name.as_bytes());
        sha.update([0]);
        tensor.shape().iter().for_each(|&extent| sha.update((extent as u64).to_le_bytes()));
        sha.update(little_endian_bytes(tensor));
    }
    hexadecimal(sha)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Weights;
    use ir::{DType, Init, Place, Plan, Slot};

    /// Two states that start random, and one of each dtype.
    fn states() -> (State, Vec<String>) {
        let slot = |name: &str, ty: Type, init| {
            let place = Place::State { init, order: Default::default(), is_private: false };
            Slot { name: name.into(), ty, place }
        };
        let uniform = Init::Uniform { low: -1.0, high: 1.0, stream: 0 };
        let mut slots = vec![
            slot("fc1.weight", Type::new(DType::F32, [3, 2]), uniform),
            slot("fc1.bias", Type::new(DType::F32, [0]), uniform),
        ];
        slots.extend(DType::ALL.map(|dtype| slot(dtype.name(), Type::new(dtype, []), Init::Constant(1.0))));
        let names = slots.iter().map(|slot| slot.name.clone()).collect();
        let plan = Plan {
            name: "p".into(),
            kernels: vec![],
            slots,
            prepare: vec![],
            steps: vec![],
            arena_bytes: 0,
            updates: vec![],
        };
        let plan = ir::VerifiedPlan::new(plan).unwrap();
        (State::new(&plan, 3).unwrap(), names)
    }

    #[test]
    fn what_is_saved_is_what_is_restored() {
        let (saved, names) = states();
        let (mut state, _) = states();
        state.set("fc1.weight", &Tensor::zeros(&Type::new(DType::F32, [3, 2]))).unwrap();
        assert_ne!(hash(&saved, &names).unwrap(), hash(&state, &names).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        Weights::of_names(&saved, &names).unwrap().write(&path).unwrap();
        Weights::read(&path).unwrap().load_names(&mut state, &names).unwrap();
        assert_eq!(hash(&saved, &names).unwrap(), hash(&state, &names).unwrap());
        assert_eq!(load(&path).unwrap().len(), names.len());
    }

    /// The digest was computed with Python's hashlib from the definition.
    #[test]
    fn the_hash_is_the_documented_one() {
        let (state, _) = states();
        let names = ["i32".to_owned()];
        assert_eq!(
            hash(&state, &names).unwrap(),
            "846067209b7afb572c386524def9307d05d40f7a5e9a91fde23ff5a9cf3a8e7b"
        );
        assert!(
            hash(&state, &["none".to_owned()]).unwrap_err().to_string().contains("there is no state `none`")
        );
    }

    #[test]
    fn a_truncated_file_is_an_error_that_names_it() {
        let (state, names) = states();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        Weights::of_names(&state, &names).unwrap().write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for length in [0, 7, 20, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let error = load(&path).unwrap_err().to_string();
            assert!(
                error.contains("weights.safetensors: ") && error.contains("give a whole"),
                "{length}: {error}"
            );
        }
    }
}
