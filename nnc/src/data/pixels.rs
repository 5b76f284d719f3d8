//! What the numbers of images stand for: which is black, and which is white.

use serde::{Deserialize, Serialize};

use super::Dataset;
use crate::{Error, memory};

/// The numbers of black and of white. Those between are shades in even steps. A model keeps those of the images that it was
/// trained on, so that others, such as pictures in files, are given to it in these.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pixels {
    /// The number of black.
    pub black: f32,
    /// The number of white.
    pub white: f32,
}

impl Pixels {
    /// From 0 to 1.
    pub const UNIT: Pixels = Pixels { black: 0.0, white: 1.0 };
    /// From -1 to 1.
    pub const SIGNED: Pixels = Pixels { black: -1.0, white: 1.0 };
    /// Bytes: from 0 to 255.
    pub const BYTES: Pixels = Pixels { black: 0.0, white: 255.0 };

    /// The images of a data set in these numbers. Where it does not know what its own stand for, they stay as they are.
    ///
    /// ```
    /// use nnc::data::{Dataset, Pixels, Targets};
    /// let bytes = Dataset::new("image", [1, 1, 2], vec![0.0, 51.0], Targets::classes(vec![0], 1))?;
    /// let bytes = bytes.with_pixels(Some(Pixels::BYTES));
    /// assert_eq!(Pixels::UNIT.of(&bytes)?.rows(), [0.0, 0.2]);
    /// assert_eq!(Pixels::SIGNED.of(&bytes)?.rows(), [-1.0, -0.6]);
    /// # Ok::<(), nnc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where there is no memory for them.
    pub fn of(self, data: &Dataset) -> Result<Dataset, Error> {
        let Some(given) = data.pixels().filter(|&given| given != self) else { return Ok(data.clone()) };
        memory::check_rows(data.name(), data.rows().len(), 1, 2)?;
        let (from, to) =
            (f64::from(given.white) - f64::from(given.black), f64::from(self.white) - f64::from(self.black));
        let scaled =
            |&x: &f32| ((f64::from(x) - f64::from(given.black)) / from * to + f64::from(self.black)) as f32;
        let rows = data.rows().iter().map(scaled).collect();
        let data = Dataset::new(data.name(), data.row_shape().clone(), rows, data.targets().clone())?;
        Ok(data.with_pixels(Some(self)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Targets;

    #[test]
    fn numbers_that_nothing_is_known_of_stay_as_they_are() {
        let data = Dataset::new("toy", [2], vec![0.0, 51.0], Targets::classes(vec![0], 1)).unwrap();
        assert_eq!(Pixels::UNIT.of(&data).unwrap(), data);
        let pixels = data.with_pixels(Some(Pixels::UNIT));
        assert_eq!(Pixels::UNIT.of(&pixels).unwrap(), pixels);
        assert_eq!(Pixels::BYTES.of(&pixels).unwrap().row(0), [0.0, 13005.0]);
    }

    #[test]
    fn bytes_become_the_numbers_that_they_are_255ths_of() {
        let rows: Vec<f32> = (0..=255u8).map(f32::from).collect();
        let data = Dataset::new("toy", [256], rows, Targets::classes(vec![0], 1)).unwrap();
        let unit = Pixels::UNIT.of(&data.with_pixels(Some(Pixels::BYTES))).unwrap();
        assert!(unit.row(0).iter().zip(0..).all(|(&x, byte)| x == byte as f32 / 255.0));
    }
}
