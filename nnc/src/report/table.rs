//! The history of training as a table.

use std::collections::{BTreeMap, BTreeSet};

use nn::supervised::ACCURACY;

use crate::trainer::{Epoch, Evaluation, History};

/// A column: its name, and what an epoch has there.
type Column = (&'static str, fn(&Epoch) -> Option<f64>);

/// The columns.
const COLUMNS: [Column; 9] = [
    ("loss", |epoch| Some(epoch.loss)),
    ("accuracy", Epoch::accuracy),
    ("held_out_loss", |epoch| held_out(epoch).map(|it| it.loss)),
    ("held_out_accuracy", |epoch| held_out(epoch)?.accuracy),
    ("held_out_top_3_accuracy", |epoch| held_out(epoch)?.top_3_accuracy),
    ("held_out_area_under_curve", |epoch| held_out(epoch)?.area_under_curve),
    ("held_out_mean_absolute_error", |epoch| held_out(epoch)?.mean_absolute_error),
    ("held_out_r2", |epoch| held_out(epoch)?.r2),
    ("learning_rate", |epoch| epoch.learning_rate),
];

/// A line per epoch, as comma-separated values below a line of names. What an epoch has not is left empty. The network's own metrics
/// come last, each in training and on the held-out rows, in the order of their names.
///
/// ```
/// use nnc::trainer::{Epoch, History};
/// let epoch = Epoch { loss: 0.25, metrics: [("accuracy".into(), 0.9)].into(), learning_rate: Some(0.01), ..Epoch::default() };
/// let table = nnc::report::history_csv(&History { epochs: vec![epoch], ..History::default() });
/// let (names, values) = table.split_once('\n').unwrap_or_default();
/// assert!(names.starts_with("epoch,loss,accuracy,held_out_loss,held_out_accuracy,"));
/// assert_eq!(values, "1,0.25,0.9,,,,,,,0.01\n");
/// ```
pub fn history_csv(history: &History) -> String {
    let in_training = own_metrics(history, |epoch| Some(&epoch.metrics));
    let on_held_out = own_metrics(history, |epoch| held_out(epoch).map(|it| &it.metrics));
    let names = ["epoch"].into_iter().chain(COLUMNS.map(|(name, _)| name)).map(str::to_owned);
    let names = names.chain(in_training.iter().map(|name| (*name).to_owned()));
    let names = names.chain(on_held_out.iter().map(|name| format!("held_out_{name}")));
    let mut table = names.collect::<Vec<String>>().join(",") + "\n";
    for (number, epoch) in (1..).zip(&history.epochs) {
        let known = COLUMNS.iter().map(|(_, value)| value(epoch));
        let own = in_training.iter().map(|name| epoch.metrics.get(*name).copied());
        let of_held_out = on_held_out.iter().map(|name| held_out(epoch)?.metrics.get(*name).copied());
        let values = known.chain(own).chain(of_held_out);
        let values = values.map(|value| value.map_or(String::new(), |value| value.to_string()));
        table.push_str(&format!("{number},{}\n", values.collect::<Vec<String>>().join(",")));
    }
    table
}

/// The names of metrics of epochs that have no column of their own.
fn own_metrics(history: &History, of: fn(&Epoch) -> Option<&BTreeMap<String, f64>>) -> BTreeSet<&str> {
    let names = history.epochs.iter().filter_map(of).flat_map(BTreeMap::keys).map(String::as_str);
    names.filter(|name| *name != ACCURACY).collect()
}

fn held_out(epoch: &Epoch) -> Option<&Evaluation> {
    epoch.held_out.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_that_some_epochs_have_are_columns_at_the_end() {
        let metrics = |name: &str, value: f64| [(name.to_owned(), value)].into();
        let evaluation = Evaluation { metrics: metrics("kl", 3.0), ..Evaluation::default() };
        let first = Epoch { metrics: metrics("layer1_loss", 2.0), ..Epoch::default() };
        let second =
            Epoch { metrics: metrics("accuracy", 0.5), held_out: Some(evaluation), ..Epoch::default() };
        let table = history_csv(&History { epochs: vec![first, second], ..History::default() });
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].ends_with(",learning_rate,layer1_loss,held_out_kl"), "{table}");
        assert!(lines[1].ends_with(",2,") && lines[2].ends_with(",,3"), "{table}");
    }
}
