//! What scores are worth: how often they are right, and what a portfolio that follows them would have earned.

use nnc::data::prices::Date;
use nnc::trainer::metrics::area_under_curve;

use crate::features::Observation;

/// What it costs to trade, as a part of what is traded: 5 basis points.
pub const COST: f64 = 5e-4;
/// The trading days of a year.
pub const YEAR: f64 = 252.0;

/// How often scores are right.
pub struct Quality {
    /// The part of the directions that are predicted right.
    pub accuracy: f64,
    /// Its standard error, from the spread of the days' accuracies: shares move together, so that a day is one draw.
    pub standard_error: f64,
    /// The area under the ROC curve.
    pub area: f64,
}

impl Quality {
    /// That of the scores of these observations, which are in the order of days.
    pub fn new(observations: &[Observation], scores: &[f64]) -> Quality {
        let rises: Vec<bool> = observations.iter().map(|it| it.next_return > 0.0).collect();
        let (mut rows, mut days) = (scores.iter().zip(&rises), Vec::new());
        for day in observations.chunk_by(|a, b| a.date == b.date) {
            let right =
                rows.by_ref().take(day.len()).filter(|&(&score, &rises)| (score > 0.0) == rises).count();
            days.push((right as f64, day.len() as f64));
        }
        let all = scores.len() as f64;
        let accuracy = days.iter().map(|(right, _)| right).sum::<f64>() / all;
        let spread = days.iter().map(|(right, rows)| (right - accuracy * rows).powi(2)).sum::<f64>();
        let area = area_under_curve(scores, &rises).unwrap_or(0.5);
        Quality { accuracy, standard_error: spread.sqrt() / all, area }
    }
}

/// What a portfolio earns on each day, as a part of the capital.
pub struct Returns {
    /// The days that the returns are known on.
    pub dates: Vec<Date>,
    /// As if trading cost nothing.
    pub before_costs: Vec<f64>,
    /// Less [`COST`] of what is traded.
    pub after_costs: Vec<f64>,
}

/// At the close of each day, half of the capital buys the third of the shares with the greatest scores, and as much is
/// sold short of the third with the least, in equal parts; all is held to the next close. The market as a whole hardly
/// counts then. Days with fewer than three shares earn nothing.
pub fn long_short(observations: &[Observation], scores: &[f64]) -> Returns {
    let mut first = 0;
    returns(observations, |day| {
        let scores = &scores[first..first + day.len()];
        first += day.len();
        let mut order: Vec<usize> = (0..day.len()).collect();
        order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        let third = day.len() / 3;
        let mut parts = vec![0.0; day.len()];
        order[..third].iter().for_each(|&low| parts[low] = -0.5 / third as f64);
        order[day.len() - third..].iter().for_each(|&high| parts[high] = 0.5 / third as f64);
        parts
    })
}

/// All shares in equal parts: what one earns without a prediction.
pub fn all_shares(observations: &[Observation]) -> Returns {
    returns(observations, |day| vec![1.0 / day.len() as f64; day.len()])
}

/// The returns of a portfolio of which `parts` says, for the shares of a day, how much of the capital is in each.
fn returns(observations: &[Observation], mut parts: impl FnMut(&[Observation]) -> Vec<f64>) -> Returns {
    let shares = observations.iter().map(|it| it.share).max().map_or(0, |last| last + 1);
    let mut held = vec![0.0; shares];
    let mut returns = Returns { dates: Vec::new(), before_costs: Vec::new(), after_costs: Vec::new() };
    for day in observations.chunk_by(|a, b| a.date == b.date) {
        let parts = parts(day);
        let mut wanted = vec![0.0; shares];
        day.iter().zip(&parts).for_each(|(it, part)| wanted[it.share] = *part);
        let earned: f64 = day.iter().zip(&parts).map(|(it, part)| part * it.next_return).sum();
        let traded: f64 =
            wanted.iter().zip(&held).map(|(wanted, held): (&f64, &f64)| (wanted - held).abs()).sum();
        held = wanted;
        returns.dates.push(day[0].next_date);
        returns.before_costs.push(earned);
        returns.after_costs.push(earned - COST * traded);
    }
    returns
}

/// What a capital of 1 has become after each day.
pub fn growth(returns: &[f64]) -> impl Iterator<Item = f64> {
    returns.iter().scan(1.0, |capital, earned| {
        *capital *= 1.0 + earned;
        Some(*capital)
    })
}

/// The mean of daily returns over their deviation, of a year (W. F. Sharpe, "The Sharpe ratio", 1994).
pub fn sharpe(returns: &[f64]) -> f64 {
    let mean = returns.iter().sum::<f64>() / returns.len() as f64;
    let variance = returns.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / returns.len() as f64;
    if variance > 0.0 { mean / variance.sqrt() * YEAR.sqrt() } else { 0.0 }
}
