//! The scaling of features: chosen from the rows to train on, and saved with the model, so that every row that the model
//! sees is scaled as these were.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use super::Dataset;
use crate::{Error, memory};

/// `y = (x - shift) * scale`. A row is cut into as many equal runs as there are shifts, each of which has its own: a row of
/// `[features]` has one per feature, one of `[channels, height, width]` one per channel.
///
/// As text it is JSON, and comes back as the same bits:
///
/// ```
/// use nnc::data::{Normalisation, digits};
/// let (train, test) = digits();
/// let normalisation = Normalisation::standardise(&train);
/// let (train, test) = (normalisation.apply(&train)?, normalisation.apply(&test)?);
/// let text = normalisation.to_string();
/// assert!(text.starts_with("{\"scale\":[2.6"));
/// assert_eq!(text.parse::<Normalisation>()?, normalisation);
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Normalisation {
    shift: Vec<f32>,
    scale: Vec<f32>,
}

impl Normalisation {
    /// To mean 0 and deviation 1 over the rows of `train`.
    pub fn standardise(train: &Dataset) -> Normalisation {
        Normalisation::of_runs(train, |values| {
            let mean_of = |number: &dyn Fn(f32) -> f64| {
                values.iter().map(|&value| number(value)).sum::<f64>() / values.len() as f64
            };
            let mean = mean_of(&|value| f64::from(value));
            (mean, mean_of(&|value| (f64::from(value) - mean).powi(2)).sqrt())
        })
    }

    /// To 0..1, from the least to the greatest value in the rows of `train`.
    pub fn to_unit_range(train: &Dataset) -> Normalisation {
        Normalisation::of_runs(train, |values| {
            let least = values.iter().copied().fold(f32::INFINITY, f32::min);
            let greatest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            (f64::from(least), f64::from(greatest) - f64::from(least))
        })
    }

    /// The normalisation that takes each run's values to `(value - shift) / range`; those that are the same in each row,
    /// to 0.
    fn of_runs(train: &Dataset, shift_and_range: impl Fn(&[f32]) -> (f64, f64)) -> Normalisation {
        let runs = match train.row_shape()[..] {
            [channels, _, _] => channels,
            _ => train.features(),
        };
        let run_len = train.features() / runs.max(1);
        let (mut shift, mut scale, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for run in 0..runs {
            values.clear();
            for row in 0..train.len() {
                values.extend_from_slice(&train.row(row)[run * run_len..][..run_len]);
            }
            let is_constant = values.windows(2).all(|pair| pair[0] == pair[1]);
            let (run_shift, range) = match (is_constant, values.first()) {
                (true, first) => (first.copied().unwrap_or_default().into(), f64::INFINITY),
                (false, _) => shift_and_range(&values),
            };
            shift.push(run_shift as f32);
            scale.push((1.0 / range).min(f32::MAX.into()) as f32);
        }
        Normalisation { shift, scale }
    }

    /// The data set with its features scaled, which knows that they are: models that are trained on it scale what they are
    /// given to predict.
    ///
    /// # Errors
    /// Where its rows cannot be cut into as many runs, or a scaled number is not finite.
    pub fn apply(&self, data: &Dataset) -> Result<Dataset, Error> {
        self.check_fits(data.features())?;
        memory::check_rows(data.name(), data.len(), data.features(), 1)?;
        let mut rows = data.rows().to_vec();
        if data.features() > 0 {
            rows.chunks_exact_mut(data.features()).for_each(|row| self.scale_row(row));
        }
        data.with_rows(rows, self.clone())
    }

    /// `(x - 0.5) * 2, the first of 64`
    pub(crate) fn in_words(&self) -> String {
        match (self.shift.first(), self.scale.first()) {
            (Some(shift), Some(scale)) => {
                format!("(x - {shift}) * {scale}, the first of {}", self.shift.len())
            }
            _ => "by nothing".to_owned(),
        }
    }

    /// Scales one row.
    ///
    /// # Errors
    /// Where it cannot be cut into as many runs.
    pub fn apply_to_row(&self, row: &mut [f32]) -> Result<(), Error> {
        self.check_fits(row.len())?;
        self.scale_row(row);
        Ok(())
    }

    fn scale_row(&self, row: &mut [f32]) {
        let run_len = (row.len() / self.shift.len().max(1)).max(1);
        for ((run, shift), scale) in row.chunks_exact_mut(run_len).zip(&self.shift).zip(&self.scale) {
            run.iter_mut().for_each(|value| *value = (*value - shift) * scale);
        }
    }

    fn check_fits(&self, features: usize) -> Result<(), Error> {
        if features.is_multiple_of(self.shift.len()) && (features == 0 || !self.shift.is_empty()) {
            return Ok(());
        }
        let problem = format!("it scales rows of {} runs, and a row has {features} values", self.shift.len());
        Err(Error::invalid("normalisation", problem, "give rows like those that the model was trained on"))
    }
}

impl fmt::Display for Normalisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", json!({ "shift": self.shift, "scale": self.scale }))
    }
}

impl FromStr for Normalisation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Normalisation, Error> {
        let numbers = |json: &Value, name: &str| -> Option<Vec<f32>> {
            let number = |number: &Value| Some(number.as_f64()? as f32).filter(|number| number.is_finite());
            json.get(name)?.as_array()?.iter().map(number).collect()
        };
        let parse = || {
            let json: Value = serde_json::from_str(text).ok()?;
            let (shift, scale) = (numbers(&json, "shift")?, numbers(&json, "scale")?);
            (shift.len() == scale.len()).then_some(Normalisation { shift, scale })
        };
        parse().ok_or_else(|| {
            let help =
                "give what `nnc train` has saved: {\"scale\":[..],\"shift\":[..]}, of as many finite numbers";
            Error::invalid("normalisation", format!("{text:?} is none"), help)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Targets;

    fn dataset(row_shape: &[usize], rows: &[f32]) -> Dataset {
        let row_shape = ir::Shape::new(row_shape);
        let count = rows.len() / row_shape.elements();
        Dataset::new("toy", row_shape, rows.to_vec(), Targets::classes(vec![0; count], 1)).unwrap()
    }

    #[test]
    fn each_feature_gets_mean_0_and_deviation_1() {
        let train = dataset(&[2], &[1.0, 10.0, 3.0, 50.0]);
        let normalisation = Normalisation::standardise(&train);
        assert_eq!(normalisation, Normalisation { shift: vec![2.0, 30.0], scale: vec![1.0, 0.05] });
        let scaled = normalisation.apply(&train).unwrap();
        assert_eq!(scaled.rows(), [-1.0, -1.0, 1.0, 1.0]);
        let mut row = [4.0, 30.0];
        normalisation.apply_to_row(&mut row).unwrap();
        assert_eq!(row, [2.0, 0.0]);
    }

    #[test]
    fn each_channel_of_an_image_is_scaled_to_0_to_1() {
        let train = dataset(&[2, 1, 2], &[0.0, 4.0, 10.0, 20.0, 1.0, 2.0, 15.0, 30.0]);
        let normalisation = Normalisation::to_unit_range(&train);
        assert_eq!(normalisation, Normalisation { shift: vec![0.0, 10.0], scale: vec![0.25, 0.05] });
        assert_eq!(normalisation.apply(&train).unwrap().row(0), [0.0, 1.0, 0.0, 0.5]);
    }

    #[test]
    fn what_is_the_same_in_each_row_becomes_0() {
        let train = dataset(&[2], &[0.1, 1.0, 0.1, 2.0, 0.1, 3.0]);
        for normalisation in [Normalisation::standardise(&train), Normalisation::to_unit_range(&train)] {
            let scaled = normalisation.apply(&train).unwrap();
            assert!((0..3).all(|row| scaled.row(row)[0] == 0.0), "{normalisation}");
            let mut other = [7.0, 1.0];
            normalisation.apply_to_row(&mut other).unwrap();
            assert_eq!(other[0], 0.0);
        }
        let empty = dataset(&[2], &[]);
        assert!(Normalisation::standardise(&empty).apply(&empty).unwrap().is_empty());
    }

    #[test]
    fn text_brings_the_same_bits_back() {
        let shift = vec![0.1f32, 1.0e-40, -3.402_823_5e38, 16_777_217.0, 1.0 / 3.0];
        let normalisation = Normalisation { scale: shift.iter().rev().copied().collect(), shift };
        assert_eq!(normalisation.to_string().parse::<Normalisation>().unwrap(), normalisation);
    }

    #[test]
    fn rows_and_texts_that_do_not_fit_are_errors() {
        let normalisation = Normalisation::standardise(&dataset(&[3], &[0.0; 6]));
        let error = normalisation.apply(&dataset(&[4], &[0.0; 4])).unwrap_err().to_string();
        assert!(
            error.starts_with("normalisation: it scales rows of 3 runs, and a row has 4 values; "),
            "{error}"
        );
        let texts = ["", "{}", r#"{"scale":[1],"shift":[]}"#, r#"{"scale":[1e99],"shift":[0]}"#];
        for text in texts.into_iter().chain([r#"{"scale":["1"],"shift":[0]}"#]) {
            let error = text.parse::<Normalisation>().unwrap_err().to_string();
            assert!(error.contains("is none; give what `nnc train` has saved"), "{error}");
        }
    }
}
