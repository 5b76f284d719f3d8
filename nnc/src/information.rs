//! What one thing tells of another, in bits: estimates from samples of discrete symbols, and of the values of a layer that are
//! put into bins.

use std::collections::BTreeMap;

/// The entropy of symbols, `-sum p log2 p` over the parts that they are of all.
///
/// ```
/// use nnc::information::entropy;
/// assert_eq!(entropy(&[0, 1, 2, 3]), 2.0);
/// assert_eq!(entropy(&[7, 7, 7]), 0.0);
/// ```
pub fn entropy<T: Ord>(symbols: &[T]) -> f64 {
    let mut counts: BTreeMap<&T, usize> = BTreeMap::new();
    symbols.iter().for_each(|symbol| *counts.entry(symbol).or_default() += 1);
    let all = symbols.len() as f64;
    counts.values().map(|&count| count as f64 / all).map(|p| -p * p.log2()).sum::<f64>() + 0.0
}

/// What symbols tell of others that came with them: `I(a; b) = H(a) + H(b) - H(a, b)` of the parts of all that symbols and pairs
/// are. With few samples for each pair it is too much, by about (pairs - symbols of a - symbols of b + 1) / (2 ln 2 samples) (G. Miller,
/// "Note on the bias of information estimates", 1955).
///
/// ```
/// use nnc::information::mutual_information;
/// assert_eq!(mutual_information(&[0, 0, 1, 1], &[5, 5, 6, 6]), 1.0);
/// assert_eq!(mutual_information(&[0, 0, 1, 1], &[5, 6, 5, 6]), 0.0);
/// ```
///
/// # Panics
/// Where there are not as many of the one as of the other.
pub fn mutual_information<A: Ord, B: Ord>(a: &[A], b: &[B]) -> f64 {
    assert_eq!(a.len(), b.len(), "each symbol has one beside it");
    let pairs: Vec<(&A, &B)> = a.iter().zip(b).collect();
    (entropy(a) + entropy(b) - entropy(&pairs)).max(0.0)
}

/// The values of a layer, row by row with `width` values each, as a symbol for each row: which of `bins` equal parts of the range from
/// `low` to `high` each value is in; what is outside is in the first or the last. So H of the symbols is an estimate of what
/// the layer tells of its input, which decides it, and I of symbols and labels one of what it tells of these (R. Shwartz-Ziv and
/// N. Tishby, "Opening the black box of deep neural networks via information", 2017).
///
/// ```
/// use nnc::information::binned;
/// let symbols = binned(&[-1.0, 0.9, -0.9, 1.0, 0.1, 0.9], 2, 4, (-1.0, 1.0));
/// assert_eq!(symbols, [[0, 3], [0, 3], [2, 3]]);
/// ```
///
/// # Panics
/// Where `width` or `bins` is 0.
pub fn binned(values: &[f32], width: usize, bins: usize, (low, high): (f64, f64)) -> Vec<Vec<usize>> {
    assert!(width > 0 && bins > 0, "a row has values, and a range parts");
    let bin = |&value: &f32| {
        let part = (f64::from(value) - low) / (high - low).max(f64::MIN_POSITIVE);
        ((part * bins as f64).max(0.0) as usize).min(bins - 1)
    };
    values.chunks(width).map(|row| row.iter().map(bin).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::Rng;

    /// A bit that is changed with probability p tells `1 - H(p)` of itself.
    #[test]
    fn a_noisy_channel_tells_what_shannon_says() {
        let mut draws = Rng::of_case(1, 0);
        for p in [0.0, 0.05, 0.11, 0.3, 0.5] {
            let sent: Vec<bool> = (0..200_000).map(|_| draws.unit() < 0.5).collect();
            let received: Vec<bool> = sent.iter().map(|&bit| bit ^ (draws.unit() < p)).collect();
            let h = |p: f64| if p == 0.0 { 0.0 } else { -p * p.log2() - (1.0 - p) * (1.0 - p).log2() };
            let (found, expected) = (mutual_information(&sent, &received), 1.0 - h(p));
            assert!((found - expected).abs() < 0.005, "{p}: {found} and {expected}");
        }
    }

    /// Normal values of correlation r tell `-log2(1 - r^2) / 2` bits of each other; bins lose a little of it.
    #[test]
    fn normal_values_tell_what_their_correlation_says() {
        let mut draws = Rng::of_case(2, 0);
        let mut normal = || (0..12).map(|_| draws.unit()).sum::<f64>() - 6.0;
        for r in [0.0, 0.5, 0.9] {
            let pairs: Vec<(f64, f64)> = (0..400_000)
                .map(|_| {
                    let (a, b) = (normal(), normal());
                    (a, r * a + f64::sqrt(1.0 - r * r) * b)
                })
                .collect();
            let symbols = |of: fn(&(f64, f64)) -> f64| {
                let values: Vec<f32> = pairs.iter().map(|pair| of(pair) as f32).collect();
                binned(&values, 1, 40, (-4.0, 4.0))
            };
            let found = mutual_information(&symbols(|pair| pair.0), &symbols(|pair| pair.1));
            let expected = -f64::log2(1.0 - r * r) / 2.0;
            assert!((found - expected).abs() < 0.03, "{r}: {found} and {expected}");
        }
    }
}
