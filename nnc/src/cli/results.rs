//! What `nnc predict` does for models that take several arrays, and where all results are asked for.

use std::path::Path;

use ir::Tensor;
use ir::names::printable;
use nnc::data::rows::Reading;
use nnc::data::{Arrays, Dataset, images};
use nnc::{Error, Model, data, npy};
use serde_json::{Map, Value, json};

use super::output::Output;
use super::{Status, shown_path, streams};

/// The most values of a result that are shown.
const SHOWN_VALUES: usize = 8;

/// Whether a model takes anything but rows called `x`.
pub fn takes_arrays(model: &Model) -> bool {
    !model.inputs().map(|(name, _)| name).eq(["x"])
}

/// Computes all results: of named arrays of an archive (.npz), or of rows.
///
/// # Errors
/// Where the input is no archive and the model takes several arrays, or one is missing or of another type.
pub fn run(
    model: &Model,
    input: &Path,
    reading: &Reading<'_>,
    out: Option<&Path>,
    output: &Output,
) -> Result<Status, Error> {
    let results = if takes_arrays(model) {
        let (bytes, name) = (streams::read(input)?, streams::name(input));
        let arrays = npy::npz::decode(&bytes, &name).map_err(|error| {
            let names: Vec<&str> = model.inputs().map(|(name, _)| name).collect();
            let help = format!("give an archive (.npz) with the arrays {}", names.join(", "));
            Error::invalid(&name, error.to_string(), help)
        })?;
        let of_its_type = |(array, tensor): (String, Tensor)| {
            let known = model.inputs().find(|(input, _)| *input == array);
            let dtype = known.map_or(tensor.dtype(), |(_, ty)| ty.dtype);
            Ok((array.clone(), npy::converted(&tensor, dtype, &format!("{name}, `{array}`"))?))
        };
        let arrays = arrays.into_iter().map(of_its_type).collect::<Result<Vec<_>, Error>>()?;
        model.results(&Arrays::new(&name, arrays)?)?
    } else {
        model.results(&read_rows(model, input, reading, output)?.0)?
    };
    if let Some(out) = out {
        let named = results.iter().map(|(name, tensor)| (name.as_str(), tensor));
        npy::npz::write(out, named)?;
    }
    let as_json = || {
        let of = |(name, tensor): &(String, Tensor)| (name.clone(), values(tensor));
        let results: Map<String, Value> = results.iter().map(of).collect();
        json!({ "model": super::model_json(model), "results": results })
    };
    let as_text = || match out {
        Some(out) => format!("{} results written to {}", results.len(), shown_path(out)),
        None => results.iter().map(line).collect::<Vec<String>>().join("\n"),
    };
    output.result(as_json, as_text)?;
    Ok(Status::Done)
}

/// The rows in a file, or on stdin, and, where they are pictures in files, the names of these. What there is to say of how they were read
/// is reported.
pub fn read_rows(
    model: &Model,
    input: &Path,
    reading: &Reading<'_>,
    output: &Output,
) -> Result<(Dataset, Vec<String>), Error> {
    if streams::is_stream(input) {
        let bytes = streams::read(input)?;
        let picture = images::rows::decode(&bytes, "stdin", model)?;
        let rows = picture.map_or_else(|| data::rows::decode(&bytes, reading, "stdin"), Ok)?;
        rows.remarks().iter().for_each(|remark| output.report(remark));
        return Ok((rows, Vec::new()));
    }
    if images::rows::is_pictures(input) {
        let (rows, files) = images::rows::read(input, model)?;
        return Ok((rows, files.iter().map(|file| file.display().to_string()).collect()));
    }
    let rows = data::rows::read(input, reading)?;
    rows.remarks().iter().for_each(|remark| output.report(remark));
    Ok((rows, Vec::new()))
}

/// A tensor as a .npy file.
pub fn npy_bytes(tensor: &Tensor) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    npy::encode(tensor, &mut bytes).map_err(|source| Error::io(Path::new("memory"), "write", source))?;
    Ok(bytes)
}

/// The elements of a tensor, row-major, with its type.
fn values(tensor: &Tensor) -> Value {
    let elements = (0..tensor.shape().elements()).map(|at| tensor.get(at).as_f64());
    json!({ "type": tensor.ty().to_string(), "values": elements.collect::<Vec<f64>>() })
}

/// `distance f32[3]: 0.5, 0.25, 1`
fn line((name, tensor): &(String, Tensor)) -> String {
    let count = tensor.shape().elements();
    let shown: Vec<String> =
        (0..count.min(SHOWN_VALUES)).map(|at| tensor.get(at).as_f64().to_string()).collect();
    let more = if count > SHOWN_VALUES { ", .." } else { "" };
    format!("{} {}: {}{more}", printable(name), tensor.ty(), shown.join(", "))
}
