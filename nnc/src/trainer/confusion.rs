//! Which classes a classifier takes for which.

use std::fmt;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use ir::names::printable;

use super::metrics::predicted_classes;

/// How many rows of each class were predicted to be of each class. `Display` is a table with a line per true class,
/// its recall (the part of its rows that were found) at the end, and the precision of each prediction (the part of them
/// that is right) below.
///
/// ```
/// use nnc::trainer::ConfusionMatrix;
/// let names = ["cat".to_owned(), "dog".to_owned()];
/// let matrix = ConfusionMatrix::new(&[1.0, 0.0, 0.2, 0.8, 0.6, 0.4], &[0, 1, 1], &names);
/// assert_eq!((matrix.count(1, 0), matrix.count(1, 1)), (1, 1));
/// assert_eq!((matrix.recall(1), matrix.precision(0)), (Some(0.5), Some(0.5)));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ConfusionMatrix {
    names: Vec<String>,
    /// By true class, then by prediction.
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// More classes than these make a matrix that nobody looks at, and that may not fit the memory.
    pub const MAX_CLASSES: usize = 4096;

    /// Of the predictions that these logits, `[rows, classes]`, make for rows of these labels. Rows whose label is no class
    /// are left out.
    pub fn new(logits: &[f32], labels: &[i64], names: &[String]) -> ConfusionMatrix {
        let classes = names.len();
        let mut counts = vec![0; classes * classes];
        for (&label, predicted) in labels.iter().zip(predicted_classes(logits, classes)) {
            if let Some(label) = usize::try_from(label).ok().filter(|&label| label < classes) {
                counts[label * classes + predicted] += 1;
            }
        }
        ConfusionMatrix { names: names.to_vec(), counts }
    }

    /// The names of the classes.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.names.len()
    }

    /// How many rows of class `label` were predicted to be of class `predicted`.
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        self.counts[label * self.classes() + predicted]
    }

    /// The number of rows of a class.
    pub fn rows_of(&self, label: usize) -> u64 {
        (0..self.classes()).map(|predicted| self.count(label, predicted)).sum()
    }

    /// The part of the rows of a class that was found; `None` where it has none.
    pub fn recall(&self, class: usize) -> Option<f64> {
        ratio(self.count(class, class), self.rows_of(class))
    }

    /// The part of the predictions of a class that is right; `None` where there are none.
    pub fn precision(&self, class: usize) -> Option<f64> {
        let predictions = (0..self.classes()).map(|label| self.count(label, class)).sum();
        ratio(self.count(class, class), predictions)
    }

    /// The part of all rows that is right; `None` where there are none.
    pub fn accuracy(&self) -> Option<f64> {
        let right = (0..self.classes()).map(|class| self.count(class, class)).sum();
        ratio(right, self.counts.iter().sum())
    }

    /// Whether its table is narrow enough to be printed.
    pub fn is_printable(&self) -> bool {
        self.classes() <= PRINTED_CLASSES
    }

    /// The counts, by true class and then by prediction.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.counts.chunks_exact(self.classes().max(1))
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Tables of more classes are too wide to be read.
const PRINTED_CLASSES: usize = 16;

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        let percent = |part: Option<f64>| right(part.map_or("-".into(), |x| format!("{:.1} %", 100.0 * x)));
        let header = self.names.iter().map(|name| right(printable(name).into_owned()));
        table.set_header(
            [Cell::new("true \\ predicted")].into_iter().chain(header).chain([Cell::new("recall")]),
        );
        for (class, row) in self.rows().enumerate() {
            // A zero off the diagonal is the usual case: without it, the errors stand out.
            let count = |(column, &count): (usize, &u64)| {
                right(if count == 0 && column != class { String::new() } else { count.to_string() })
            };
            let cells = row.iter().enumerate().map(count);
            table.add_row(
                [Cell::new(printable(&self.names[class]))]
                    .into_iter()
                    .chain(cells)
                    .chain([percent(self.recall(class))]),
            );
        }
        let precisions = (0..self.classes()).map(|class| percent(self.precision(class)));
        table.add_row(
            [Cell::new("precision")].into_iter().chain(precisions).chain([percent(self.accuracy())]),
        );
        write!(f, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> ConfusionMatrix {
        let names = ["cat", "dog", "owl"].map(str::to_owned);
        let logits = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0];
        ConfusionMatrix::new(&logits, &[0, 1, 1, 1], &names)
    }

    #[test]
    fn classes_without_rows_or_predictions_have_no_ratio() {
        let matrix = matrix();
        assert_eq!((matrix.recall(2), matrix.precision(2)), (None, None));
        assert_eq!((matrix.recall(1), matrix.precision(0)), (Some(2.0 / 3.0), Some(0.5)));
        assert_eq!(matrix.accuracy(), Some(0.75));
        assert_eq!(ConfusionMatrix::new(&[], &[], &[]).accuracy(), None);
    }

    #[test]
    fn rows_whose_label_is_no_class_are_left_out() {
        let names = ["cat", "dog"].map(str::to_owned);
        let labels = [0, -1, 2, 1 << 32, i64::MIN];
        let matrix = ConfusionMatrix::new(&[1.0, 0.0].repeat(5), &labels, &names);
        assert_eq!(matrix.counts, [1, 0, 0, 0]);
    }

    #[test]
    fn the_table_has_a_line_per_class_and_hides_zeros_off_the_diagonal() {
        let expected = "\
┌──────────────────┬────────┬─────────┬─────┬─────────┐
│ true \\ predicted ┆    cat ┆     dog ┆ owl ┆ recall  │
╞══════════════════╪════════╪═════════╪═════╪═════════╡
│ cat              ┆      1 ┆         ┆     ┆ 100.0 % │
│ dog              ┆      1 ┆       2 ┆     ┆  66.7 % │
│ owl              ┆        ┆         ┆   0 ┆       - │
│ precision        ┆ 50.0 % ┆ 100.0 % ┆   - ┆  75.0 % │
└──────────────────┴────────┴─────────┴─────┴─────────┘";
        assert_eq!(matrix().to_string(), expected);
    }
}
