//! What a model's outputs are worth beside the targets. All sums are in `f64`, rows ascending, so a metric has the same
//! bits on any number of threads.
//!
//! Outputs are `[rows, outputs]`, row-major. Of a classifier they are logits: a score per class, of which the greatest
//! is the prediction.

/// The part of the rows whose label is among the `k` classes of the greatest logits; of equal logits, the class with
/// the lower number comes first, as `argmax` has it. A row whose label has a NaN, or is no class, counts as wrong.
///
/// ```
/// use nnc::trainer::metrics::top_k_accuracy;
/// let logits = [0.1, 0.7, 0.2, 0.5, 0.3, 0.2];
/// assert_eq!(top_k_accuracy(&logits, &[2, 0], 1), 0.5);
/// assert_eq!(top_k_accuracy(&logits, &[2, 0], 2), 1.0);
/// ```
pub fn top_k_accuracy(logits: &[f32], labels: &[i64], k: usize) -> f64 {
    top_k_correct(logits, labels, k) as f64 / labels.len().max(1) as f64
}

/// The number of rows that [`top_k_accuracy`] counts.
pub fn top_k_correct(logits: &[f32], labels: &[i64], k: usize) -> usize {
    let is_among = |(row, &label): (&[f32], &i64)| {
        let Some(label) = usize::try_from(label).ok().filter(|&label| label < row.len()) else {
            return false;
        };
        let at_label = row[label];
        let (before, after) = row.split_at(label);
        let ahead = before.iter().filter(|&&x| x >= at_label).count()
            + after.iter().filter(|&&x| x > at_label).count();
        !at_label.is_nan() && ahead < k
    };
    rows(logits, labels.len()).zip(labels).filter(|&row| is_among(row)).count()
}

/// The class that each row of logits predicts: that of the greatest, the first of several; 0 where all are NaN.
///
/// ```
/// assert_eq!(nnc::trainer::metrics::predicted_classes(&[0.1, 0.7, 0.5, 0.5], 2), [1, 0]);
/// ```
pub fn predicted_classes(logits: &[f32], classes: usize) -> Vec<usize> {
    let greatest = |row: &[f32]| {
        let most = row.iter().fold(f32::NEG_INFINITY, |most, &x| most.max(x));
        row.iter().position(|&x| x == most).unwrap_or(0)
    };
    logits.chunks_exact(classes.max(1)).map(greatest).collect()
}

/// `exp(z_i - max z) / sum_j exp(z_j - max z)` of each row of logits, in `f64`.
///
/// ```
/// assert_eq!(nnc::trainer::metrics::probabilities(&[1.0, 1.0], 2), [0.5, 0.5]);
/// ```
pub fn probabilities(logits: &[f32], classes: usize) -> Vec<f64> {
    let mut all = Vec::with_capacity(logits.len());
    for row in logits.chunks_exact(classes.max(1)) {
        let most = row.iter().fold(f64::NEG_INFINITY, |most, &z| most.max(f64::from(z)));
        let first = all.len();
        all.extend(row.iter().map(|&z| (f64::from(z) - most).exp()));
        let sum: f64 = all[first..].iter().sum();
        all[first..].iter_mut().for_each(|p| *p /= sum);
    }
    all
}

/// The area under the ROC curve: how often a row that is positive has a greater score than one that is not, a tie
/// counting half. It is the rank statistic of H. B. Mann and D. R. Whitney, 1947, over the number of pairs. `None` where
/// one of the two kinds is missing.
///
/// ```
/// use nnc::trainer::metrics::area_under_curve;
/// let area = area_under_curve(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]);
/// assert_eq!(area, Some(0.75));
/// ```
pub fn area_under_curve(scores: &[f64], is_positive: &[bool]) -> Option<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let positives = is_positive.iter().filter(|&&positive| positive).count() as f64;
    let negatives = is_positive.len() as f64 - positives;
    let (mut rank_sum, mut ranked) = (0.0, 0);
    for tied in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        // Ranks count from 1; each of a tie has the mean of theirs.
        let rank = ranked as f64 + (tied.len() + 1) as f64 / 2.0;
        rank_sum += rank * tied.iter().filter(|&&row| is_positive[row]).count() as f64;
        ranked += tied.len();
    }
    let wins = rank_sum - positives * (positives + 1.0) / 2.0;
    (positives > 0.0 && negatives > 0.0).then(|| wins / (positives * negatives))
}

/// The area under the ROC curve of a classifier. Of two classes, the second is the positive one, and its score is the
/// difference of the logits; of more, it is the mean over the classes of the area of each against the rest by its
/// probability, as scikit-learn's `roc_auc_score(.., multi_class="ovr")` has it. `None` where a class has no rows.
///
/// ```
/// let logits = [0.0, -1.0, 0.0, 1.0, 2.0, 0.0];
/// assert_eq!(nnc::trainer::metrics::classifier_area(&logits, &[0, 1, 0], 2), Some(1.0));
/// ```
pub fn classifier_area(logits: &[f32], labels: &[i64], classes: usize) -> Option<f64> {
    let against_rest = |scores: Vec<f64>, class: usize| {
        let is_class: Vec<bool> = labels.iter().map(|&label| label == class as i64).collect();
        area_under_curve(&scores, &is_class)
    };
    if classes == 2 {
        let difference = |row: &[f32]| f64::from(row[1]) - f64::from(row[0]);
        return against_rest(rows(logits, labels.len()).map(difference).collect(), 1);
    }
    let probabilities = probabilities(logits, classes);
    let areas = (0..classes).map(|class| {
        against_rest(probabilities.iter().copied().skip(class).step_by(classes.max(1)).collect(), class)
    });
    let areas: Vec<f64> = areas.collect::<Option<_>>()?;
    (!areas.is_empty()).then(|| areas.iter().sum::<f64>() / areas.len() as f64)
}

/// The mean of |prediction - target| over all elements.
///
/// ```
/// assert_eq!(nnc::trainer::metrics::mean_absolute_error(&[1.0, 2.0], &[0.0, 4.0]), 1.5);
/// ```
pub fn mean_absolute_error(predictions: &[f32], targets: &[f32]) -> f64 {
    let errors = predictions.iter().zip(targets).map(|(&p, &t)| (f64::from(p) - f64::from(t)).abs());
    errors.sum::<f64>() / targets.len().max(1) as f64
}

/// The coefficient of determination, `1 - sum (prediction - target)^2 / sum (target - mean target)^2`, the mean over the
/// outputs: 1 is perfect, 0 as good as the mean. `None` where the targets of an output are all alike.
///
/// ```
/// use nnc::trainer::metrics::r2;
/// assert_eq!(r2(&[1.0, 2.0, 4.0], &[1.0, 2.0, 3.0], 1), Some(0.5));
/// assert_eq!(r2(&[2.0, 2.0, 2.0], &[1.0, 2.0, 3.0], 1), Some(0.0));
/// ```
pub fn r2(predictions: &[f32], targets: &[f32], outputs: usize) -> Option<f64> {
    let of_output = |output: usize| {
        let column = |values: &[f32]| -> Vec<f64> {
            values.iter().skip(output).step_by(outputs).map(|&x| f64::from(x)).collect()
        };
        let (predictions, targets) = (column(predictions), column(targets));
        let mean = targets.iter().sum::<f64>() / targets.len() as f64;
        let residual: f64 = predictions.iter().zip(&targets).map(|(p, t)| (p - t).powi(2)).sum();
        let total: f64 = targets.iter().map(|t| (t - mean).powi(2)).sum();
        (total > 0.0).then(|| 1.0 - residual / total)
    };
    let all: Vec<f64> = (0..outputs).map(of_output).collect::<Option<_>>()?;
    (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
}

/// The rows of outputs, of which there are `count`.
fn rows(outputs: &[f32], count: usize) -> impl Iterator<Item = &[f32]> {
    outputs.chunks_exact((outputs.len() / count.max(1)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_logits_the_first_is_the_prediction() {
        let logits = [1.0, 1.0, 0.0, 1.0, 1.0, 0.0];
        assert_eq!(predicted_classes(&logits, 3), [0, 0]);
        assert_eq!(top_k_correct(&logits, &[0, 1], 1), 1);
        assert_eq!(top_k_correct(&logits, &[0, 1], 2), 2);
    }

    #[test]
    fn nan_is_never_right() {
        assert_eq!(top_k_correct(&[f32::NAN, 0.0], &[0], 2), 0);
        assert_eq!(top_k_correct(&[f32::NAN, 0.0], &[1], 1), 1);
        assert_eq!(predicted_classes(&[f32::NAN, f32::NAN], 2), [0]);
    }

    /// By the definition: over all pairs of a positive and a negative row.
    #[test]
    fn the_area_is_the_part_of_pairs_in_the_right_order() {
        let scores: Vec<f64> = (0..60).map(|i| f64::from(i * 37 % 11)).collect();
        let is_positive: Vec<bool> = (0..60).map(|i| (i * 29 + 3) % 7 < 3).collect();
        let (mut wins, mut pairs) = (0.0, 0.0);
        let of = |kind: bool| scores.iter().zip(&is_positive).filter(move |(_, is)| **is == kind);
        for (a, _) in of(true) {
            for (b, _) in of(false) {
                wins += if a > b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                };
                pairs += 1.0;
            }
        }
        let area = area_under_curve(&scores, &is_positive).unwrap();
        assert!((area - wins / pairs).abs() < 1e-12, "{area} instead of {}", wins / pairs);
        assert_eq!(area_under_curve(&scores, &[true; 60]), None);
    }

    #[test]
    fn the_area_of_many_classes_is_the_mean_against_the_rest() {
        let logits = [2.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 3.0, 0.0, 2.0, 1.0, 0.0, 0.5, 0.0];
        let labels = [0, 1, 2, 2, 1];
        // Rows by falling probability, those of the class marked: class 0: 0* 4 1 3 2, all 4 pairs in order; class 1:
        // 3 1* 4* 0 2, 4 of 6; class 2: 2* 4 3* 1 0, 5 of 6.
        let area = classifier_area(&logits, &labels, 3).unwrap();
        assert!((area - (1.0 + 4.0 / 6.0 + 5.0 / 6.0) / 3.0).abs() < 1e-12, "{area}");
        assert_eq!(classifier_area(&logits[..9], &[0, 1, 1], 3), None);
    }

    #[test]
    fn targets_that_are_all_alike_have_no_r2() {
        assert_eq!(r2(&[1.0, 2.0], &[1.0, 1.0], 1), None);
        assert_eq!(r2(&[1.0, 5.0, 2.0, 5.0], &[1.0, 4.0, 2.0, 6.0], 2), Some(0.5));
    }
}
