//! The history of training as a table.

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

/// A line per epoch, as comma-separated values below a line of names. What an epoch has not is left empty.
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
    let names: Vec<&str> = ["epoch"].into_iter().chain(COLUMNS.map(|(name, _)| name)).collect();
    let mut table = names.join(",") + "\n";
    for (number, epoch) in (1..).zip(&history.epochs) {
        let values = COLUMNS.map(|(_, value)| value(epoch).map_or(String::new(), |value| value.to_string()));
        table.push_str(&format!("{number},{}\n", values.join(",")));
    }
    table
}

fn held_out(epoch: &Epoch) -> Option<&Evaluation> {
    epoch.held_out.as_ref()
}
