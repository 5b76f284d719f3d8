//! The copy problem.

use super::{NO_TARGET, Sequences};
use crate::data::synthetic::Draws;
use crate::{Error, memory};

/// The number of these draws among the kinds of drawn data.
const KIND: u32 = 5;
/// How many symbols are to be remembered, and of how many kinds.
const REMEMBERED: usize = 10;
const SYMBOLS: usize = 8;
/// The tokens after those of the symbols.
const BLANK: i64 = SYMBOLS as i64;
const NOW: i64 = BLANK + 1;
const TOKENS: usize = SYMBOLS + 2;

/// The copy problem of S. Hochreiter and J. Schmidhuber, 1997, in the form of M. Arjovsky, A. Shah and Y. Bengio, "Unitary
/// evolution recurrent neural networks", 2016: ten symbols of eight kinds, then `delay` blanks of which the last says "now",
/// then ten blanks, at which the symbols are to be told in their order. The other steps have no target. Who guesses is right
/// once in eight times.
///
/// ```
/// let rows = nnc::data::sequences::copying(10, 20, 0)?;
/// assert_eq!(rows.to_string(), "copy:20: 10 sequences of 40 steps, 10 tokens, classes a, b, c, d, e, f, g, h");
/// assert_eq!(rows.row(0)[..10], rows.targets(0)[30..]);
/// # Ok::<(), nnc::Error>(())
/// ```
///
/// # Errors
/// Where there is no delay: a step has to say "now".
pub fn copying(rows: usize, delay: usize, seed: u64) -> Result<Sequences, Error> {
    let name = format!("copy:{delay}");
    if delay == 0 {
        return Err(Error::invalid(name, "no step says when to begin", "give a delay of at least 1"));
    }
    let mut draws = Draws::new(seed, KIND);
    let steps = delay + 2 * REMEMBERED;
    // Tokens and targets of 8 bytes, which are split.
    memory::check_rows(&name, rows, steps, 8)?;
    let (mut x, mut y) = (Vec::with_capacity(rows * steps), Vec::with_capacity(rows * steps));
    for _ in 0..rows {
        let symbols: Vec<i64> = (0..REMEMBERED).map(|_| draws.below(SYMBOLS) as i64).collect();
        x.extend(&symbols);
        x.extend(std::iter::repeat_n(BLANK, delay - 1).chain([NOW]));
        x.extend([BLANK; REMEMBERED]);
        y.extend(std::iter::repeat_n(NO_TARGET, delay + REMEMBERED));
        y.extend(symbols);
    }
    let names = ('a'..).take(SYMBOLS).map(String::from).collect();
    Sequences::new(&name, steps, x, y, TOKENS, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_symbols_are_told_after_the_delay() {
        let data = copying(50, 3, 1).unwrap();
        for row in 0..data.len() {
            let (x, y) = (data.row(row), data.targets(row));
            assert_eq!(x[10..13], [BLANK, BLANK, NOW]);
            assert!(x[13..].iter().all(|&token| token == BLANK));
            assert!(y[..13].iter().all(|&target| target == NO_TARGET));
            assert_eq!(x[..10], y[13..]);
        }
        assert_ne!(data.row(0), data.row(1));
        assert_eq!(data, copying(50, 3, 1).unwrap());
        let error = copying(1, 0, 0).unwrap_err().to_string();
        assert_eq!(error, "copy:0: no step says when to begin; give a delay of at least 1");
    }
}
