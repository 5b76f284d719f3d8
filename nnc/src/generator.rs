//! Writing with a model of a text: a character is drawn from what the model expects next, and read by it in turn.

use ir::{DType, Tensor, scalar};
use nn::sequence::LOGITS;
use nn::supervised::ROWS;
use runtime::{Executable, State};

use crate::data::sequences::Vocabulary;
use crate::model::states_for;
use crate::models::step_of;
use crate::{Error, Model, Options, compile};

/// The stream of the draws, far from those of initial weights and of drawn data.
const STREAM: u32 = 0x7E87_0000;

/// How the next character is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// What logits are divided by: below 1, likely characters become likelier; at 0 the likeliest is taken.
    pub temperature: f64,
    /// Only so many of the likeliest characters can be drawn; `None` for all.
    pub top_k: Option<usize>,
    /// The same seed gives the same text.
    pub seed: u64,
}

impl Default for Sampling {
    /// Temperature 1, all characters, seed 0.
    fn default() -> Sampling {
        Sampling { temperature: 1.0, top_k: None, seed: 0 }
    }
}

impl Sampling {
    /// Checks the settings.
    ///
    /// # Errors
    /// Where the temperature is negative or not finite, or there is nothing to draw from.
    pub fn check(&self) -> Result<(), Error> {
        if !self.temperature.is_finite() || self.temperature < 0.0 {
            let problem = format!("it is {}", self.temperature);
            return Err(Error::invalid("the temperature", problem, "give a finite number of at least 0"));
        }
        if self.top_k == Some(0) {
            return Err(Error::invalid("top-k", "it is 0", "give at least 1"));
        }
        Ok(())
    }

    /// The class that is drawn from logits by `draw`, from 0 to below 1.
    ///
    /// ```
    /// let logits = [0.0, 2.0, 1.0];
    /// let sampling = nnc::generator::Sampling { temperature: 0.0, ..Default::default() };
    /// assert_eq!(sampling.choose(&logits, 0.9), 1);
    /// let two = nnc::generator::Sampling { top_k: Some(2), ..Default::default() };
    /// assert_eq!([0.0, 0.7, 0.99].map(|draw| two.choose(&logits, draw)), [1, 1, 2]);
    /// ```
    pub fn choose(&self, logits: &[f32], draw: f64) -> usize {
        // Likeliest first; of equal ones the first, as `argmax` has it.
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        let count = if self.temperature == 0.0 { 1 } else { self.top_k.unwrap_or(order.len()) };
        order.truncate(count.max(1));
        let Some(&first) = order.first() else { return 0 };
        let weight =
            |class: usize| ((f64::from(logits[class]) - f64::from(logits[first])) / self.temperature).exp();
        if order.len() == 1 {
            return first;
        }
        let weights: Vec<f64> = order.iter().map(|&class| weight(class)).collect();
        let mut left = draw * weights.iter().sum::<f64>();
        for (&class, weight) in order.iter().zip(weights) {
            left -= weight;
            if left < 0.0 {
                return class;
            }
        }
        first // where rounding has left something of the draw
    }
}

/// A model of a text that writes. It is an iterator over characters, without end.
///
/// The step of one character is a program of its own, whose states hold what has been read so far.
pub struct Generator {
    program: Executable,
    state: State,
    vocabulary: Vocabulary,
    sampling: Sampling,
    token: Tensor,
    drawn: u32,
    has_read: bool,
}

impl Generator {
    /// A model that `nnc train rnn --data text` has written, before it has read anything.
    ///
    /// # Errors
    /// Where it is another model, or a setting is out of range.
    pub fn new(model: &Model, sampling: Sampling, options: &Options) -> Result<Generator, Error> {
        sampling.check()?;
        let graph = step_of(model.name(), model.description())?;
        let program = compile(&graph, options)?;
        let state = states_for(&program, model.state(), 0)?;
        let vocabulary = Vocabulary::of_names(model.name(), &model.description().data.outputs)?;
        let token = Tensor::zeros(&ir::Type::new(DType::I64, [1]));
        Ok(Generator { program, state, vocabulary, sampling, token, drawn: 0, has_read: false })
    }

    /// The characters that it knows.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Reads a text, which what is written goes on from.
    ///
    /// # Errors
    /// Where it is empty, or a character is not in the vocabulary.
    pub fn read(&mut self, text: &str) -> Result<(), Error> {
        let tokens = self.vocabulary.encode("the prompt", text)?;
        if tokens.is_empty() {
            let help = "give at least one character to go on from";
            return Err(Error::invalid("the prompt", "it is empty", help));
        }
        tokens.into_iter().try_for_each(|token| self.step(token))
    }

    /// Writes the next character.
    ///
    /// # Errors
    /// Where nothing has been read, or what the model returns is not finite.
    pub fn write(&mut self) -> Result<char, Error> {
        if !self.has_read {
            let help = "let it read a prompt of at least one character";
            return Err(Error::invalid("the generator", "it has read nothing to go on from", help));
        }
        let logits =
            self.program.output(LOGITS).and_then(|logits| logits.as_slice::<f32>()).unwrap_or_default();
        if let Some(logit) = logits.iter().find(|logit| !logit.is_finite()) {
            let help = "train it with a lower learning rate";
            return Err(Error::invalid("the model", format!("it returns {logit}"), help));
        }
        let draw = scalar::uniform(self.sampling.seed, STREAM, self.drawn, DType::F64);
        self.drawn = self.drawn.wrapping_add(1);
        let token = self.sampling.choose(logits, draw) as i64;
        self.step(token)?;
        Ok(self.vocabulary.character(token).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn step(&mut self, token: i64) -> Result<(), Error> {
        debug_assert_eq!(self.program.inputs().next().map(|(name, _)| name), Some(ROWS));
        if let Some(slot) = self.token.as_mut_slice::<i64>() {
            slot[0] = token;
        }
        self.program.run(&mut self.state, &[&self.token])?;
        self.has_read = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 4] = [1.0, 3.0, 2.0, 3.0];

    fn share(sampling: Sampling, class: usize) -> f64 {
        let draws = 0..10_000;
        let chosen = draws.clone().filter(|&at| sampling.choose(&LOGITS, f64::from(at) / 1e4) == class);
        chosen.count() as f64 / draws.len() as f64
    }

    #[test]
    fn classes_are_drawn_as_often_as_the_softmax_says() {
        for temperature in [0.5, 1.0, 3.0] {
            let sampling = Sampling { temperature, ..Sampling::default() };
            let powers = LOGITS.map(|logit| (f64::from(logit) / temperature).exp());
            let sum: f64 = powers.iter().sum();
            for (class, power) in powers.iter().enumerate() {
                assert!((share(sampling, class) - power / sum).abs() < 2e-4, "{temperature}");
            }
        }
    }

    #[test]
    fn no_other_than_the_k_likeliest_is_drawn() {
        let sampling = Sampling { top_k: Some(2), ..Sampling::default() };
        assert_eq!([0, 1, 2, 3].map(|class| share(sampling, class)), [0.0, 0.5, 0.0, 0.5]);
        let all = Sampling { top_k: Some(99), ..Sampling::default() };
        assert!(share(all, 0) > 0.0);
    }

    #[test]
    fn at_temperature_0_the_likeliest_is_taken() {
        assert_eq!(share(Sampling { temperature: 0.0, ..Sampling::default() }, 1), 1.0);
        assert_eq!(share(Sampling { temperature: 1e-300, ..Sampling::default() }, 1), 0.5);
    }

    #[test]
    fn settings_out_of_range_are_errors() {
        let message = |sampling: Sampling| sampling.check().unwrap_err().to_string();
        for (temperature, text) in [(-1.0, "-1"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
            let expected = format!("the temperature: it is {text}; give a finite number of at least 0");
            assert_eq!(message(Sampling { temperature, ..Sampling::default() }), expected);
        }
        let none = Sampling { top_k: Some(0), ..Sampling::default() };
        assert_eq!(message(none), "top-k: it is 0; give at least 1");
    }
}
