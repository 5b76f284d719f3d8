//! Weights in files of the format safetensors, and their hash.

use std::io::Write;
use std::path::Path;

use ir::{DType, Tensor, Type};
use runtime::State;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};

use crate::{Error, files};

/// Writes the states of these names to a safetensors file; a file that was there is replaced whole or not at all.
///
/// # Errors
/// Where there is no state of one of the names, or the file cannot be written.
pub fn save(path: &Path, state: &State, names: &[String]) -> Result<(), Error> {
    let tensors: Vec<Tensor> = names.iter().map(|name| state.get(name)).collect::<Result<_, _>>()?;
    let bytes: Vec<Vec<u8>> = tensors.iter().map(little_endian_bytes).collect();
    let views = names.iter().zip(tensors.iter().zip(&bytes)).map(|(name, (tensor, bytes))| {
        let view = TensorView::new(dtype_in_file(tensor.dtype()), tensor.shape().to_vec(), bytes);
        (name, view.expect("a tensor has as many bytes as its type says"))
    });
    let file = safetensors::serialize(views, None).map_err(|error| {
        Error::invalid(path.display().to_string(), error.to_string(), "save fewer weights")
    })?;
    files::write_atomically(path, |writer| writer.write_all(&file))
}

/// The tensors of a safetensors file, by name in alphabetical order.
///
/// # Errors
/// Where the file cannot be read, is no safetensors file, or holds elements of a dtype that nnc has not.
pub fn load(path: &Path) -> Result<Vec<(String, Tensor)>, Error> {
    let bytes = files::read(path)?;
    let malformed = |problem: String| {
        Error::invalid(
            path.display().to_string(),
            problem,
            "give a whole safetensors file, as `nnc train` writes them",
        )
    };
    let file = SafeTensors::deserialize(&bytes).map_err(|error| malformed(error.to_string()))?;
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        let dtype = DType::ALL.into_iter().find(|&dtype| dtype_in_file(dtype) == view.dtype());
        let Some(dtype) = dtype else {
            return Err(malformed(format!("`{name}` has elements of type {:?}", view.dtype())));
        };
        tensors.push((name.to_owned(), from_little_endian(&Type::new(dtype, view.shape()), view.data())));
    }
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(tensors)
}

/// Sets the states of the names that a safetensors file holds.
///
/// # Errors
/// As [`load`]; and where there is no state of a name, or it is of another type. Then some states may have been set.
pub fn restore(path: &Path, state: &mut State) -> Result<(), Error> {
    for (name, tensor) in load(path)? {
        state.set(&name, &tensor)?;
    }
    Ok(())
}

/// The SHA-256, in hexadecimal digits, of the states of these names: of each, in order, its name, a zero byte, its
/// extents as little-endian 64-bit integers, and its elements, little-endian.
///
/// # Errors
/// Where there is no state of one of the names.
pub fn hash(state: &State, names: &[String]) -> Result<String, Error> {
    let mut sha = Sha256::new();
    for name in names {
        let tensor = state.get(name)?;
        sha.update(name.as_bytes());
        sha.update([0]);
        tensor.shape().iter().for_each(|&extent| sha.update((extent as u64).to_le_bytes()));
        sha.update(little_endian_bytes(&tensor));
    }
    Ok(sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn dtype_in_file(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::I32 => Dtype::I32,
        DType::I64 => Dtype::I64,
        DType::Bool => Dtype::BOOL,
    }
}

/// The elements as the file has them on every machine.
fn little_endian_bytes(tensor: &Tensor) -> Vec<u8> {
    let size = tensor.dtype().size_bytes();
    let elements = (0..tensor.shape().elements()).map(|index| tensor.get(index).bits());
    elements.flat_map(|bits| bits.to_le_bytes().into_iter().take(size)).collect()
}

/// The tensor of type `ty` with these elements.
fn from_little_endian(ty: &Type, bytes: &[u8]) -> Tensor {
    let mut tensor = Tensor::zeros(ty);
    /// Reads each element from as many bytes as it has.
    macro_rules! fill {
        ($elements:ident, $from:expr) => {
            for (element, bytes) in $elements.iter_mut().zip(bytes.chunks_exact(ty.dtype.size_bytes())) {
                *element = $from(bytes.try_into().expect("chunks have the size of an element"));
            }
        };
    }
    match tensor.elements_mut() {
        ir::Elements::F32(x) => fill!(x, f32::from_le_bytes),
        ir::Elements::F64(x) => fill!(x, f64::from_le_bytes),
        ir::Elements::I32(x) => fill!(x, i32::from_le_bytes),
        ir::Elements::I64(x) => fill!(x, i64::from_le_bytes),
        ir::Elements::Bool(x) => fill!(x, |[byte]: [u8; 1]| byte != 0),
    }
    tensor
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::{Init, Place, Plan, Slot};

    /// Two states that start random, and one of each dtype.
    fn states() -> (State, Vec<String>) {
        let slot = |name: &str, ty: Type, init| Slot {
            name: name.into(),
            ty,
            place: Place::State { init, order: Default::default() },
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
        save(&path, &saved, &names).unwrap();
        restore(&path, &mut state).unwrap();
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
        save(&path, &state, &names).unwrap();
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

    #[test]
    fn weights_of_another_model_are_an_error_that_names_the_state() {
        let (state, _) = states();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        save(&path, &state, &["f32".to_owned()]).unwrap();
        let error = restore(&path, &mut State::empty()).unwrap_err().to_string();
        assert!(error.starts_with("there is no state `f32`"), "{error}");
    }
}
