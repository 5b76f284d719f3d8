//! What is known of a checkpoint besides its tensors: what it takes to rebuild the model, and to tell whether a run that
//! is to go on from it is the one that wrote it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ir::names::printable;
use nn::Domain;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Template;
use crate::Error;
use crate::data::sequences::Tokens;
use crate::data::{Dataset, Examples, Pixels, Preparation};
use crate::trainer::Run;

/// Named values on which a run depends: the layers of the model, the learning rate, the size of batches. Their names are
/// those of the options of `nnc train`.
pub type Settings = BTreeMap<String, Value>;

/// The text in a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The version of nnc that wrote it.
    pub version: String,
    /// The name of the model.
    pub model: String,
    /// The graph by which it is used and evaluated, for any number of rows; `None` where it follows from no two of them.
    #[serde(serialize_with = "as_text", deserialize_with = "of_text")]
    pub graph: Option<Template>,
    /// Which outputs of the graph are its results; the others are the loss and metrics.
    pub results: Vec<String>,
    /// The number of elements of all parameters.
    pub parameters: usize,
    /// The numbers that its inputs are for, by name, where they are for some alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "domains")]
    pub domains: Vec<(String, Domain)>,
    /// What whoever trained it says of the run.
    pub description: Description,
    /// Where the run was. Without it, the file holds the finished model, and no run can go on from it.
    pub position: Option<Position>,
    /// The SHA-256 of the file, with zeros for these digits.
    pub file_sha256: String,
}

/// What a run was made with, as whoever started it says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// What the model and the run were made with, and their bits depend on.
    pub settings: Settings,
    /// What may change when a run goes on: the number of epochs, the file that the data are in.
    pub free: Settings,
    /// What was done to rows and targets before training, and has to be before use.
    #[serde(flatten)]
    pub preparation: Preparation,
    /// What it was trained on.
    pub data: Identity,
}

/// Where a run was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The SHA-256 of the program of a training step in the text form, the seed and what is done to images: that of another
    /// model, loss or optimizer is another.
    pub fingerprint: String,
    /// The target that code was made for: on another one, sums may be rounded otherwise.
    pub target: String,
    /// What has been trained, and what came of it.
    pub run: Run,
}

impl Description {
    /// That of a run on these examples, with no settings.
    pub fn of(data: &impl Examples) -> Description {
        let preparation = data.dataset().map(Dataset::preparation).cloned().unwrap_or_default();
        Description { preparation, data: Identity::of(data), ..Description::default() }
    }
}

/// Which data set it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// The number of rows.
    pub rows: usize,
    /// The shape of a row; empty where there are several arrays.
    pub row_shape: Vec<usize>,
    /// Whether its targets are classes; else they are values.
    pub is_classes: bool,
    /// The names of the classes, or of the values; none where there are several arrays.
    pub outputs: Vec<String>,
    /// The SHA-256 of its rows and targets.
    pub sha256: String,
    /// What its rows are made of, where they are sequences with a target at each step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Which numbers are black and white, where its rows are images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<Pixels>,
}

impl Metadata {
    /// What makes this the checkpoint of another run than the one that `here` describes, in words; `None` where it is one of
    /// the same run.
    pub fn difference(&self, here: &Metadata) -> Option<String> {
        if self.model != here.model {
            return Some(format!("it is of the model {}, not of {}", self.model, here.model));
        }
        let settings = differences(&self.description.settings, &here.description.settings);
        if !settings.is_empty() {
            return Some(format!("it was written with other settings: {}", settings.join("; ")));
        }
        if let Some(data) = self.description.data.difference(&here.description.data) {
            return Some(format!("it was trained on other data: {data}"));
        }
        let fingerprint = |metadata: &Metadata| metadata.position.as_ref().map(|at| at.fingerprint.clone());
        if self.version != here.version {
            return Some(format!("it was written by nnc {}, this is nnc {}", self.version, here.version));
        }
        (fingerprint(self) != fingerprint(here)).then(|| {
            "the program of its training step is another: the model, the loss, the optimizer or the seed differs".into()
        })
    }
}

impl Identity {
    /// That of a data set, or of named arrays.
    pub fn of(data: &impl Examples) -> Identity {
        if let Some(dataset) = data.dataset() {
            return Identity::of_dataset(dataset);
        }
        let arrays = data.arrays();
        let (name, rows) = (arrays.name().to_owned(), arrays.len());
        let all = Identity { name, rows, sha256: hexadecimal(arrays.digest()), ..Identity::default() };
        match data.sequences() {
            None => all,
            Some(sequences) => Identity {
                row_shape: vec![sequences.steps()],
                is_classes: true,
                outputs: sequences.names().to_vec(),
                tokens: Some(sequences.tokens()),
                ..all
            },
        }
    }

    fn of_dataset(data: &Dataset) -> Identity {
        let mut sha = Sha256::new();
        let mut bytes = Vec::with_capacity(4 * data.features());
        for index in 0..data.len() {
            bytes.clear();
            data.row(index).iter().for_each(|x| bytes.extend(x.to_le_bytes()));
            sha.update(&bytes);
        }
        data.labels().iter().copied().flatten().for_each(|label| sha.update(label.to_le_bytes()));
        data.values().iter().copied().flatten().for_each(|value| sha.update(value.to_le_bytes()));
        Identity {
            name: data.name().to_owned(),
            rows: data.len(),
            row_shape: data.row_shape().to_vec(),
            is_classes: data.labels().is_some(),
            outputs: data.targets().names().to_vec(),
            sha256: hexadecimal(sha),
            tokens: None,
            pixels: data.pixels(),
        }
    }

    /// What differs between two data sets, in words; `None` where nothing does but perhaps their names.
    pub fn difference(&self, other: &Identity) -> Option<String> {
        let same_values = || self.sha256 == other.sha256 && self.outputs == other.outputs;
        let has_same_types = self.row_shape == other.row_shape
            && self.is_classes == other.is_classes
            && self.tokens == other.tokens;
        if has_same_types && same_values() {
            return None;
        }
        let (this, that) = (self.to_string(), other.to_string());
        Some(if this == that {
            format!("its rows hold other values than those of {that}")
        } else {
            format!("it is of {this}, this is {that}")
        })
    }
}

impl fmt::Display for Identity {
    /// `digits (1437 rows of [1, 8, 8], 10 classes)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.outputs.is_empty() {
            return write!(f, "{} ({} rows)", printable(&self.name), self.rows);
        }
        let kind = if self.is_classes { "classes" } else { "values" };
        let (rows, shape, outputs) = (self.rows, &self.row_shape, self.outputs.len());
        write!(f, "{} ({rows} rows of {shape:?}, {outputs} {kind})", printable(&self.name))
    }
}

/// The settings that both have with other values, or one alone, in words: `lr is 0.005 there and 0.5 here`.
///
/// ```
/// use nnc::checkpoint::{Settings, differences};
/// use serde_json::json;
/// let saved = Settings::from([("lr".to_owned(), json!(0.005)), ("hidden".to_owned(), json!([128, 64]))]);
/// let given = Settings::from([("lr".to_owned(), json!(0.5)), ("hidden".to_owned(), json!([128, 64]))]);
/// assert_eq!(differences(&saved, &given), ["lr is 0.005 there and 0.5 here"]);
/// ```
pub fn differences(saved: &Settings, given: &Settings) -> Vec<String> {
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "not set".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let names: std::collections::BTreeSet<&String> = saved.keys().chain(given.keys()).collect();
    let differs = |name: &&String| text(saved.get(*name)) != text(given.get(*name));
    let in_words = |name: &String| {
        format!("{name} is {} there and {} here", text(saved.get(name)), text(given.get(name)))
    };
    names.into_iter().filter(differs).map(in_words).collect()
}

fn as_text<S: Serializer, T: fmt::Display>(it: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    it.as_ref().map(T::to_string).serialize(serializer)
}

fn of_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = Error>,
{
    let text: Option<String> = Option::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

/// Domains as what they display.
mod domains {
    use super::{BTreeMap, Deserialize, Deserializer, Domain, Serialize, Serializer};

    pub fn serialize<S: Serializer>(domains: &[(String, Domain)], serializer: S) -> Result<S::Ok, S::Error> {
        let texts = domains.iter().map(|(name, domain)| (name, domain.to_string()));
        texts.collect::<BTreeMap<_, _>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, Domain)>, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?.into_iter();
        let domain = |text: String| text.parse().map_err(serde::de::Error::custom);
        texts.map(|(name, text)| Ok((name, domain(text)?))).collect()
    }
}

/// A digest in hexadecimal digits.
pub fn hexadecimal(sha: Sha256) -> String {
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Targets;

    fn identity(rows: &[f32], labels: &[i64]) -> Identity {
        let targets = Targets::classes(labels.to_vec(), 3);
        Identity::of(&Dataset::new("toy", [2], rows.to_vec(), targets).unwrap())
    }

    #[test]
    fn a_data_set_is_known_by_its_values() {
        let toy = identity(&[0.0, 1.0], &[2]);
        assert_eq!(toy.difference(&Identity { name: "renamed".into(), ..toy.clone() }), None);
        let expected = "its rows hold other values than those of toy (1 rows of [2], 3 classes)";
        assert_eq!(toy.difference(&identity(&[0.0, 2.0], &[2])).as_deref(), Some(expected));
        assert_eq!(toy.difference(&identity(&[0.0, 1.0], &[1])).as_deref(), Some(expected));
        let expected = "it is of toy (1 rows of [2], 3 classes), this is toy (2 rows of [2], 3 classes)";
        assert_eq!(toy.difference(&identity(&[0.0; 4], &[1, 1])).as_deref(), Some(expected));
    }

    #[test]
    fn settings_that_one_side_lacks_differ() {
        let saved =
            Settings::from([("clip".to_owned(), Value::from(1.0)), ("patience".to_owned(), Value::Null)]);
        assert_eq!(differences(&saved, &Settings::new()), ["clip is 1.0 there and not set here"]);
    }
}
