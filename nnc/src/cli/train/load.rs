//! What is trained on and tested on, as it is read.

use nnc::Error;
use nnc::data::parts::absent_classes;
use nnc::data::{Dataset, Examples, Loaded, Loading, Source};

use super::settings::Settings;
use crate::cli::data::remarks;
use crate::cli::output::Output;

/// What is trained and what is tested on. What there is to say of how it was read is reported.
pub fn load(source: &Source, settings: &Settings, output: &Output) -> Result<(Loaded, Loaded), Error> {
    let Settings { batch, split_seed, .. } = *settings;
    let loading = Loading {
        batch,
        steps: settings.model.steps,
        split_seed,
        format: settings.table.format(),
        encoding: None,
    };
    let (all, test) = match &settings.test_data {
        None => source.load_with(&loading)?,
        Some(test) => {
            let all = source.load_all(&loading)?;
            let encoding = all.dataset().and_then(Dataset::encoding);
            let test = test.parse::<Source>()?.load_all(&Loading { encoding, ..loading.clone() })?;
            check_targets(&all, &test)?;
            (all, test)
        }
    };
    if let Some(encoding) = all.dataset().and_then(Dataset::encoding) {
        output.report(&format!("{}: {encoding}", all.name()));
    }
    let of_test = settings.test_data.iter().flat_map(|_| remarks(&test));
    remarks(&all).iter().chain(of_test).for_each(|remark| output.report(remark));
    if let Some(absent) = all.dataset().zip(test.dataset()).and_then(|(all, test)| absent_classes(all, test))
    {
        output.report(&format!("warning: {absent}"));
    }
    Ok((all, test))
}

/// Checks that what is tested on has the targets of what is trained on.
fn check_targets(train: &Loaded, test: &Loaded) -> Result<(), Error> {
    let Some((train, test)) = train.dataset().zip(test.dataset()) else { return Ok(()) };
    let is_alike = train.labels().is_some() == test.labels().is_some();
    if is_alike && train.targets().names() == test.targets().names() {
        return Ok(());
    }
    let problem = format!("it is {test}, and what is trained on is {train}");
    Err(Error::invalid("--test-data", problem, "give data with the same classes or values"))
}

/// The source that `--test-data` names: a data set, or a table with the columns of the one that is trained on.
pub fn test_source(text: &str, trained_on: &Source) -> Result<String, Error> {
    let has_ending = |ending: &str| text.to_ascii_lowercase().ends_with(ending);
    match trained_on {
        Source::Csv { columns, .. } if has_ending(".csv") || has_ending(".csv.gz") => {
            let path = text.strip_prefix("csv:").unwrap_or(text).into();
            Ok(Source::Csv { path, columns: columns.clone() }.to_string())
        }
        _ => Ok(text.parse::<Source>()?.to_string()),
    }
}
