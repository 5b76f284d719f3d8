//! The data that a trained model is used on.

use nnc::data::sequences::Vocabulary;
use nnc::data::{Loaded, Loading, Source};
use nnc::{Error, Model};

use super::output::Output;
use super::table::TableArgs;

/// The data, which of their rows, and how tables among them are written.
#[derive(clap::Args)]
pub struct DataArgs {
    /// A data set, as for `nnc train` [default: what the model was trained on]
    #[arg(long, value_name = "SOURCE")]
    pub data: Option<String>,
    /// Which of its rows [default: test; of other data than the model was trained on, all]
    #[arg(long, value_enum)]
    part: Option<Part>,
    #[command(flatten)]
    pub table: TableArgs,
}

/// Which rows of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Those for training
    Train,
    /// Those for testing
    Test,
    /// All of them
    All,
}

impl Part {
    /// What its rows are called.
    pub fn name(self) -> &'static str {
        match self {
            Part::Train => "training rows",
            Part::Test => "test rows",
            Part::All => "rows",
        }
    }
}

impl DataArgs {
    /// The data in the form in which the model was trained on such, and which part they are. What there is to say of how they were read
    /// is reported.
    ///
    /// # Errors
    /// Where none are given and the model does not say what it was trained on, or they cannot be read.
    pub fn load(&self, model: &Model, output: &Output) -> Result<(Loaded, Part), Error> {
        let trained_on = setting(model, "data");
        let is_other = self.data.is_some() && self.data != trained_on;
        let part = self.part.unwrap_or(if is_other { Part::All } else { Part::Test });
        let Some(data) = self.data.clone().or(trained_on) else {
            let problem = "the model does not say what it was trained on";
            return Err(Error::invalid(model.name(), problem, "give --data SOURCE; see `nnc list datasets`"));
        };
        let test_data = setting(model, "test-data").filter(|_| !is_other);
        let there = &model.description().data;
        let steps = there.row_shape.first().copied().unwrap_or(0);
        let settings = &model.description().settings;
        let loading = Loading {
            steps: steps.max(1),
            split_seed: settings.get("split-seed").and_then(|seed| seed.as_u64()).unwrap_or(0),
            format: self.table.format_for(model.encoding())?,
            encoding: model.encoding(),
            ..Loading::default()
        };
        let source = |text: &str| Ok::<_, Error>(text.parse::<Source>()?.like_rows(&there.row_shape));
        if there.tokens.is_some_and(|tokens| tokens.is_text) {
            let text = source(&data)?.text()?;
            let text = text.with_vocabulary(Vocabulary::of_names(model.name(), &there.outputs)?)?;
            let windows = match part {
                Part::All => text.all_windows(steps)?,
                part => text.windows(steps, part == Part::Test)?,
            };
            return Ok((Loaded::Sequences(windows), part));
        }
        let loaded = match (part, test_data) {
            (Part::Test, Some(test)) => source(&test)?.load_all(&loading)?,
            (Part::Train, Some(_)) => source(&data)?.load_all(&loading)?,
            (Part::Test, None) => source(&data)?.load_with(&loading)?.1,
            (Part::Train, None) => source(&data)?.load_with(&loading)?.0,
            (Part::All, _) => source(&data)?.load_all(&loading)?,
        };
        remarks(&loaded).iter().for_each(|remark| output.report(remark));
        Ok((loaded, part))
    }
}

/// What there is to say of how data were read.
pub fn remarks(data: &Loaded) -> &[String] {
    if let Loaded::Rows(rows) = data { rows.remarks() } else { &[] }
}

/// A setting of the run that has made the model.
fn setting(model: &Model, name: &str) -> Option<String> {
    let description = model.description();
    let setting = description.free.get(name).or_else(|| description.settings.get(name));
    Some(setting?.as_str()?.to_owned())
}
