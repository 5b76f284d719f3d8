//! What is known of a share at the close of a day, and what one would like to know: the direction of the next.

use std::collections::BTreeMap;

use nnc::data::prices::{DailyPrice, Date};

/// The names of the features, all of them without unit. Returns are logarithms of ratios of adjusted closing prices,
/// over the deviation of the last 20 days' returns.
pub const FEATURES: [&str; 9] = [
    "return of the day",
    "return of 5 days",
    "return of 20 days",
    "deviation of 5 days over that of 20",
    "volume over the mean of 20 days",
    "close over open",
    "high over low",
    "place in the range of 20 days",
    "mean return of all shares",
];

/// The longest window.
const WINDOW: usize = 20;
/// Features beyond this are cut off: one crash shall not outweigh a year.
const MOST: f64 = 4.0;

/// A share at the close of a day.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The share, by its place in the alphabet.
    pub share: usize,
    /// The day.
    pub date: Date,
    /// What is known: of this day and the 20 before it.
    pub features: [f32; FEATURES.len()],
    /// The day on which the next return is known.
    pub next_date: Date,
    /// The next day's adjusted close over this day's, less 1: what is to be predicted is whether it is above 0.
    pub next_return: f64,
}

/// The observations in prices, which are ordered by share and day, by day and share. The first 20 days of a share have
/// none, and neither has its last.
pub fn observations(prices: &[DailyPrice]) -> Vec<Observation> {
    let shares: Vec<&[DailyPrice]> = prices.chunk_by(|a, b| a.name == b.name).collect();
    let market = mean_returns(&shares);
    let mut all = Vec::new();
    for (share, days) in shares.iter().enumerate() {
        let returns = log_returns(days);
        for today in WINDOW..days.len().saturating_sub(1) {
            all.push(Observation {
                share,
                date: days[today].date,
                features: features(&days[today - WINDOW..=today], &returns[today - WINDOW..today], &market),
                next_date: days[today + 1].date,
                next_return: days[today + 1].adjusted_close / days[today].adjusted_close - 1.0,
            });
        }
    }
    all.sort_by_key(|observation| (observation.date, observation.share));
    all
}

/// The features of the last of these 21 days, between which are these 20 returns.
fn features(days: &[DailyPrice], returns: &[f64], market: &BTreeMap<Date, f64>) -> [f32; FEATURES.len()] {
    let today = &days[days.len() - 1];
    let deviation = deviation(returns).max(1e-6);
    let sum_of = |count: usize| returns[WINDOW - count..].iter().sum::<f64>();
    let mean_volume = days.iter().map(|day| day.volume).sum::<f64>() / days.len() as f64;
    let closes = days.iter().map(|day| day.adjusted_close);
    let (low, high) = closes.fold((f64::INFINITY, 0.0), |(l, h): (f64, f64), x| (l.min(x), h.max(x)));
    let all = [
        sum_of(1) / deviation,
        sum_of(5) / (deviation * 5f64.sqrt()),
        sum_of(20) / (deviation * 20f64.sqrt()),
        (self::deviation(&returns[WINDOW - 5..]).max(1e-6) / deviation).ln(),
        (today.volume.max(1.0) / mean_volume.max(1.0)).ln(),
        (today.close / today.open).ln() / deviation,
        (today.high / today.low).ln() / deviation,
        2.0 * (today.adjusted_close - low) / (high - low).max(1e-9) - 1.0,
        market[&today.date] / deviation,
    ];
    all.map(|feature| feature.clamp(-MOST, MOST) as f32)
}

fn log_returns(days: &[DailyPrice]) -> Vec<f64> {
    days.windows(2).map(|pair| (pair[1].adjusted_close / pair[0].adjusted_close).ln()).collect()
}

/// The root of the mean square.
fn deviation(returns: &[f64]) -> f64 {
    (returns.iter().map(|x| x * x).sum::<f64>() / returns.len() as f64).sqrt()
}

/// Of each day, the mean return of all shares that were traded on it and before.
fn mean_returns(shares: &[&[DailyPrice]]) -> BTreeMap<Date, f64> {
    let mut sums: BTreeMap<Date, (f64, f64)> = BTreeMap::new();
    for days in shares {
        for (day, change) in days[1..].iter().zip(log_returns(days)) {
            let (sum, count) = sums.entry(day.date).or_default();
            *sum += change;
            *count += 1.0;
        }
    }
    sums.into_iter().map(|(date, (sum, count))| (date, sum / count)).collect()
}
