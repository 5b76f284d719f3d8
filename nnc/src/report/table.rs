//! The history of training as a table.

use crate::trainer::History;

/// A line per epoch, as comma-separated values below a line of names. Held-out columns are empty where nothing was
/// held out.
///
/// ```
/// use nnc::trainer::{Epoch, History};
/// let epoch = Epoch { loss: 0.25, accuracy: 0.9, held_out: None };
/// let history = History { epochs: vec![epoch], ..History::default() };
/// let table = "epoch,loss,accuracy,held_out_loss,held_out_accuracy\n1,0.25,0.9,,\n";
/// assert_eq!(nnc::report::history_csv(&history), table);
/// ```
pub fn history_csv(history: &History) -> String {
    let mut table = String::from("epoch,loss,accuracy,held_out_loss,held_out_accuracy\n");
    for (number, epoch) in (1..).zip(&history.epochs) {
        let held_out = epoch
            .held_out
            .map_or(",".to_owned(), |held_out| format!("{},{}", held_out.loss, held_out.accuracy));
        table.push_str(&format!("{number},{},{},{held_out}\n", epoch.loss, epoch.accuracy));
    }
    table
}
