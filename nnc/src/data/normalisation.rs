//! The scaling of features: chosen from the rows to train on, and saved with the model, so that every row that the model
//! sees is scaled as these were.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Normalisation {
    shift: Vec<f64>,
    scale: Vec<f64>,
}

impl Normalisation {
    /// To mean 0 and deviation 1 over the rows of `train`.
    pub fn standardise(train: &Dataset) -> Normalisation {
        Normalisation::of_runs(train, mean_and_deviation)
    }

    /// To 0..1, from the least to the greatest value in the rows of `train`.
    pub fn to_unit_range(train: &Dataset) -> Normalisation {
        Normalisation::of_runs(train, |values| {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            (least, values.iter().copied().fold(f64::NEG_INFINITY, f64::max) - least)
        })
    }

    /// Target values to mean 0 and deviation 1, each for itself; `None` where the targets are classes.
    ///
    /// ```
    /// use nnc::data::{Dataset, Normalisation, Targets};
    /// let data = Dataset::new("toy", [1], vec![0.0; 2], Targets::values(vec![100.0, 300.0], 1))?;
    /// let scaled = Normalisation::of_targets(&data).expect("values").apply_to_targets(&data)?;
    /// assert_eq!(scaled.values(), Some([-1.0, 1.0].as_slice()));
    /// # Ok::<(), nnc::Error>(())
    /// ```
    pub fn of_targets(train: &Dataset) -> Option<Normalisation> {
        train.values()?;
        let width = train.outputs();
        let column = |column| -> Vec<f64> { train.exact_values().skip(column).step_by(width).collect() };
        let columns = (0..width).map(|at| shift_and_scale(&column(at), mean_and_deviation));
        let (shift, scale) = columns.unzip();
        Some(Normalisation { shift, scale })
    }

    /// The normalisation that takes each run's values to `(value - shift) / range`; those that are the same in each row,
    /// to 0.
    fn of_runs(train: &Dataset, shift_and_range: impl Fn(&[f64]) -> (f64, f64)) -> Normalisation {
        let runs = match train.row_shape()[..] {
            [channels, _, _] => channels,
            _ => train.features(),
        };
        let run_len = train.features() / runs.max(1);
        let (mut shift, mut scale, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for run in 0..runs {
            values.clear();
            let run = run * run_len..(run + 1) * run_len;
            for row in 0..train.len() {
                values.extend(train.exact_row(row, run.clone()));
            }
            let (run_shift, run_scale) = shift_and_scale(&values, &shift_and_range);
            shift.push(run_shift);
            scale.push(run_scale);
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
        let run_len = (data.features() / self.shift.len().max(1)).max(1);
        let mut rows = Vec::with_capacity(data.len() * data.features());
        for row in 0..data.len() {
            let numbers = data.exact_row(row, 0..data.features()).enumerate();
            rows.extend(numbers.map(|(at, number)| self.scaled(at / run_len, number)));
        }
        data.with_rows(rows, self.clone())
    }

    /// The data set with its target values scaled, which knows that they are: what models that are trained on it predict is
    /// [scaled back](Normalisation::undo).
    ///
    /// # Errors
    /// Where its targets are classes, or not as many values.
    pub fn apply_to_targets(&self, data: &Dataset) -> Result<Dataset, Error> {
        if data.values().is_none() || data.outputs() != self.shift.len() {
            let problem = format!("it scales {} target values, and {data} has others", self.shift.len());
            return Err(Error::invalid(
                "normalisation",
                problem,
                "give targets like those that it was made for",
            ));
        }
        let scaled = |(at, value)| self.scaled(at % self.shift.len(), value);
        data.with_values(data.exact_values().enumerate().map(scaled).collect(), self.clone())
    }

    /// What numbers `[rows, runs]` were before they were scaled, rounded to `f32`.
    pub fn undo(&self, numbers: &[f32]) -> Vec<f32> {
        let runs = self.shift.iter().zip(&self.scale).cycle();
        let undone = |(&number, (&shift, &scale)): (&f32, (&f64, &f64))| match scale {
            0.0 => shift as f32, // what was the same in each row
            _ => (f64::from(number) / scale + shift) as f32,
        };
        numbers.iter().zip(runs).map(undone).collect()
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
        let numbers = row.iter_mut().enumerate();
        numbers.for_each(|(at, number)| *number = self.scaled(at / run_len, (*number).into()));
    }

    /// A number of a run, scaled.
    fn scaled(&self, run: usize, number: f64) -> f32 {
        ((number - self.shift[run]) * self.scale[run]) as f32
    }

    fn check_fits(&self, features: usize) -> Result<(), Error> {
        if features.is_multiple_of(self.shift.len()) && (features == 0 || !self.shift.is_empty()) {
            return Ok(());
        }
        let problem = format!("it scales rows of {} runs, and a row has {features} values", self.shift.len());
        Err(Error::invalid("normalisation", problem, "give rows like those that the model was trained on"))
    }
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let mean_of = |number: &dyn Fn(f64) -> f64| {
        values.iter().map(|&value| number(value)).sum::<f64>() / values.len() as f64
    };
    let mean = mean_of(&|value| value);
    (mean, mean_of(&|value| (value - mean).powi(2)).sqrt())
}

/// What takes values to `(value - shift) * scale`, by their shift and range; those that are all the same, to 0.
fn shift_and_scale(values: &[f64], shift_and_range: impl Fn(&[f64]) -> (f64, f64)) -> (f64, f64) {
    if values.windows(2).all(|pair| pair[0] == pair[1]) {
        return (values.first().copied().unwrap_or_default(), 0.0);
    }
    let (shift, range) = shift_and_range(values);
    (shift, (1.0 / range).min(f32::MAX.into()))
}

impl fmt::Display for Normalisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", json!({ "shift": self.shift, "scale": self.scale }))
    }
}

impl From<Normalisation> for String {
    fn from(normalisation: Normalisation) -> String {
        normalisation.to_string()
    }
}

impl TryFrom<String> for Normalisation {
    type Error = Error;

    fn try_from(text: String) -> Result<Normalisation, Error> {
        text.parse()
    }
}

impl FromStr for Normalisation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Normalisation, Error> {
        let numbers = |json: &Value, name: &str| -> Option<Vec<f64>> {
            let number = |number: &Value| number.as_f64().filter(|number| (*number as f32).is_finite());
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
        let shift = vec![0.1f64, 1.0e-40, -3.402_823_5e38, 16_777_217.0, 1.0 / 3.0];
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
