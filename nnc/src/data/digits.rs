//! The embedded data set: 1,797 handwritten digits of 8x8 pixels. `data/README.md` says where they come from.

use super::records::Records;
use super::{Dataset, Pixels, Targets};
use crate::Error;
use crate::error::quoted;

/// Lines of 64 pixels, 0..16, and the digit.
static DIGITS: &[u8] = include_bytes!("../../data/digits.csv.gz");

/// The channels, rows and columns of a digit.
const SHAPE: [usize; 3] = [1, 8, 8];
const PIXELS: usize = SHAPE[1] * SHAPE[2];
/// The greatest value of a pixel.
const WHITE: f32 = 16.0;
const CLASSES: usize = 10;

/// The digits for training and those held out for testing: of all rows of the file, counted from 0, those whose number
/// is a multiple of 5 are held out (360; 1,437 remain). Pixels are scaled to 0..1.
///
/// ```
/// let (train, test) = nnc::data::digits();
/// assert_eq!((train.len(), test.len(), train.features(), train.outputs()), (1437, 360, 64, 10));
/// ```
pub fn digits() -> (Dataset, Dataset) {
    let all = read(DIGITS).expect("the embedded file is sound, as the tests have checked");
    all.split_off_every_fifth()
}

/// Reads lines of 64 pixels and a digit.
fn read(file: &[u8]) -> Result<Dataset, Error> {
    let mut records = Records::new(file, "digits", None)?;
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    while let Some(record) = records.next_record()? {
        let malformed = |problem: String| {
            let help = "give 64 numbers and a digit, separated by commas";
            Error::invalid(format!("digits, line {}", record.line), problem, help)
        };
        if record.len() != PIXELS + 1 {
            return Err(malformed(format!("there are {} fields", record.len())));
        }
        for (index, field) in record.fields().enumerate() {
            if index < PIXELS {
                let pixel: f32 =
                    field.parse().map_err(|_| malformed(format!("{} is no number", quoted(field))))?;
                pixels.push(pixel / WHITE);
            } else {
                labels.push(field.parse().map_err(|_| malformed(format!("{} is no digit", quoted(field))))?);
            }
        }
    }
    let digits = Dataset::new("digits", SHAPE, pixels, Targets::classes(labels, CLASSES))?;
    Ok(digits.with_pixels(Some(Pixels::UNIT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_digits_are_whole() {
        let (train, test) = digits();
        assert_eq!(train.len() + test.len(), 1797);
        // The counts that scikit-learn's description of the set gives.
        let count = |digit: i64| {
            let of = |part: &Dataset| part.labels().unwrap().iter().filter(|&&label| label == digit).count();
            of(&train) + of(&test)
        };
        let counts: Vec<usize> = (0..10).map(count).collect();
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        let most =
            |part: &Dataset| (0..part.len()).flat_map(|i| part.row(i)).fold(0.0, |a: f32, &b| a.max(b));
        assert_eq!((most(&train), most(&test)), (1.0, 1.0));
        assert_eq!((&test.labels().unwrap()[..2], train.labels().unwrap()[0]), (&[0, 5][..], 1));
    }

    #[test]
    fn malformed_lines_are_errors_that_name_the_line() {
        let good = vec!["0"; 65].join(",");
        let message = |line: &str| read(format!("{good}\n{line}\n").as_bytes()).unwrap_err().to_string();
        assert!(message(&good[2..]).starts_with("digits, line 2: "), "{}", message(&good[2..]));
        assert!(message(&format!("{}x", &good[..good.len() - 1])).contains("\"x\" is no digit"));
        assert!(message(&format!("x{}", &good[1..])).contains("\"x\" is no number"));
        let error = read("1,2\n".as_bytes()).unwrap_err().to_string();
        assert_eq!(
            error,
            "digits, line 1: there are 2 fields; give 64 numbers and a digit, separated by commas"
        );
    }
}
