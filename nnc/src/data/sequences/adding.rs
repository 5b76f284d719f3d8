//! The adding problem.

use crate::data::synthetic::Draws;
use crate::data::{Dataset, Targets};
use crate::{Error, memory};

/// The number of these draws among the kinds of drawn data.
const KIND: u32 = 4;
/// Two channels: values and markers.
const CHANNELS: usize = 2;

/// The adding problem of S. Hochreiter and J. Schmidhuber, "Long short-term memory", 1997 (experiment 4): rows
/// `f32[steps, 2]`, in which the first channel is uniform on `[0, 1)` and the second is 1 at two steps, one in each half of
/// the row, and 0 elsewhere. The target is the sum of the two marked values. Who always says 1 is wrong by 1/6 in the mean
/// square.
///
/// ```
/// let rows = nnc::data::sequences::adding(10, 100, 0)?;
/// assert_eq!(rows.to_string(), "adding:100: 10 rows of [100, 2], values sum");
/// let row = rows.row(0);
/// let sum: f32 = row.chunks(2).map(|step| step[0] * step[1]).sum();
/// assert_eq!(rows.values().unwrap()[0], sum);
/// # Ok::<(), nnc::Error>(())
/// ```
///
/// # Errors
/// Where there are fewer than two steps.
pub fn adding(rows: usize, steps: usize, seed: u64) -> Result<Dataset, Error> {
    let name = format!("adding:{steps}");
    if steps < 2 {
        return Err(Error::invalid(name, "a row has no two steps to mark", "give at least 2 steps"));
    }
    memory::check_rows(&name, rows, steps.saturating_mul(CHANNELS), 2)?; // they are split
    let mut draws = Draws::new(seed, KIND);
    let (mut values, mut sums) = (Vec::with_capacity(rows * steps * CHANNELS), Vec::with_capacity(rows));
    for _ in 0..rows {
        let first = values.len();
        values.extend((0..steps).flat_map(|_| [draws.uniform() as f32, 0.0]));
        let half = steps / 2;
        let marked = [draws.below(half), half + draws.below(steps - half)];
        let mut sum = 0.0;
        for step in marked {
            values[first + CHANNELS * step + 1] = 1.0;
            sum += values[first + CHANNELS * step];
        }
        sums.push(sum);
    }
    Dataset::new(
        &name,
        [steps, CHANNELS],
        values,
        Targets::Values { values: sums, names: vec!["sum".into()] },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_are_marked_one_in_each_half() {
        for steps in [2, 3, 100] {
            let data = adding(200, steps, 1).unwrap();
            let mut seen = vec![false; steps];
            for row in 0..data.len() {
                let marked: Vec<usize> =
                    (0..steps).filter(|step| data.row(row)[CHANNELS * step + 1] == 1.0).collect();
                assert!(marked.len() == 2 && marked[0] < steps / 2 && marked[1] >= steps / 2, "{marked:?}");
                marked.iter().for_each(|&step| seen[step] = true);
                let sum: f32 = marked.iter().map(|step| data.row(row)[CHANNELS * step]).sum();
                assert_eq!(data.values().unwrap()[row], sum);
            }
            assert!(seen.iter().filter(|&&seen| seen).count() > steps / 2, "{steps}");
        }
    }

    #[test]
    fn the_rows_depend_on_the_seed_alone() {
        assert_eq!(adding(5, 20, 1).unwrap(), adding(5, 20, 1).unwrap());
        assert_ne!(adding(5, 20, 1).unwrap().rows(), adding(5, 20, 2).unwrap().rows());
        let error = adding(5, 1, 0).unwrap_err().to_string();
        assert_eq!(error, "adding:1: a row has no two steps to mark; give at least 2 steps");
    }
}
