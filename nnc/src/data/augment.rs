//! Images that are changed a little each time they are trained on, so that a model learns what does not matter in them.
//!
//! What happens to an image is a function of the seed, the number of the step and the place of the image in the batch
//! alone, so that training that is resumed goes on with the same images, whoever gathers them.

use std::fmt;
use std::str::FromStr;

use ir::Shape;
use ir::scalar::philox4x32_10;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The last word of the counter: the order of rows has 1 there, initial weights and `random` have 0.
const COUNTER_DOMAIN: u32 = 2;

/// Which changes images undergo. As text, `none`, or what there is of `shift`, `shift=2` and `flip`, with commas in
/// between.
///
/// ```
/// use nnc::data::augment::{Augment, Shift};
/// let augment: Augment = "shift=2,flip".parse()?;
/// assert_eq!(augment, Augment { shift: Shift::Pixels(2), flip: true });
/// assert_eq!((augment.to_string(), Augment::default().to_string()), ("shift=2,flip".into(), "none".into()));
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Augment {
    /// By how much they are shifted.
    pub shift: Shift,
    /// Whether half of them are mirrored, left to right. Wrong wherever a mirror image is something else: digits, letters,
    /// signs.
    pub flip: bool,
}

/// By how much an image is shifted along each axis: by any whole number of pixels from minus this to this, all equally
/// likely. What comes in from outside repeats the edge, whatever number stands for the background.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shift {
    /// Not at all.
    #[default]
    None,
    /// By an eighth of the shorter side, at least one pixel.
    Eighth,
    /// By so many pixels.
    Pixels(usize),
}

impl Augment {
    /// What does this to images of this shape, `[channels, height, width]` or `[height, width]`; `None` where they stay as
    /// they are.
    ///
    /// # Errors
    /// Where the rows are no images, or a shift is as large as an image.
    pub fn of_images(self, row: &Shape, seed: u64) -> Result<Option<Augmenter>, Error> {
        if self == Augment::default() {
            return Ok(None);
        }
        let invalid =
            |problem: String, help: &str| Err(Error::invalid(format!("augment {self}"), problem, help));
        let &([height, width] | [_, height, width]) = &row[..] else {
            let help = "give images of [channels, height, width], or leave it out";
            return invalid(format!("rows are of {row}, which are no images"), help);
        };
        let side = height.min(width);
        let shift = match self.shift {
            Shift::None => 0,
            Shift::Eighth => (side / 8).max(1),
            Shift::Pixels(pixels) if pixels < side => pixels,
            Shift::Pixels(_) => {
                return invalid(format!("images are of {row}"), "shift by fewer pixels than a side has");
            }
        };
        let plane = vec![0.0; height * width];
        Ok(Some(Augmenter { shift, flip: self.flip, height, width, elements: row.elements(), plane, seed }))
    }
}

impl fmt::Display for Augment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shift = match self.shift {
            Shift::None => None,
            Shift::Eighth => Some("shift".to_owned()),
            Shift::Pixels(pixels) => Some(format!("shift={pixels}")),
        };
        let changes: Vec<String> = shift.into_iter().chain(self.flip.then(|| "flip".to_owned())).collect();
        f.write_str(if changes.is_empty() { "none" } else { "" })?;
        f.write_str(&changes.join(","))
    }
}

impl FromStr for Augment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Augment, Error> {
        let mut augment = Augment::default();
        for word in text.split(',').filter(|_| text != "none") {
            match word.split_once('=').map_or((word, None), |(name, amount)| (name, Some(amount))) {
                ("flip", None) => augment.flip = true,
                ("shift", None) => augment.shift = Shift::Eighth,
                ("shift", Some(pixels)) => {
                    let help = "give a whole number of pixels, as in shift=2";
                    let pixels =
                        pixels.parse().map_err(|_| Error::invalid(word, "it has no number", help))?;
                    augment.shift = if pixels == 0 { Shift::None } else { Shift::Pixels(pixels) };
                }
                _ => {
                    let help = "give none, or some of shift, shift=PIXELS and flip, with commas in between";
                    return Err(Error::invalid(word, "images cannot be changed so", help));
                }
            }
        }
        Ok(augment)
    }
}

impl From<Augment> for String {
    fn from(augment: Augment) -> String {
        augment.to_string()
    }
}

impl TryFrom<String> for Augment {
    type Error = Error;

    fn try_from(text: String) -> Result<Augment, Error> {
        text.parse()
    }
}

/// What changes the images of batches.
#[derive(Clone, Debug)]
pub struct Augmenter {
    shift: usize,
    flip: bool,
    height: usize,
    width: usize,
    /// The number of elements of an image, all channels together.
    elements: usize,
    /// A channel as it was.
    plane: Vec<f32>,
    seed: u64,
}

impl Augmenter {
    /// Changes the images of the batch of step `step`, one after another in row-major order.
    pub fn apply(&mut self, images: &mut [f32], step: u64) {
        for (index, image) in images.chunks_exact_mut(self.elements.max(1)).enumerate() {
            let counter = [index as u32, step as u32, (step >> 32) as u32, COUNTER_DOMAIN];
            let [down, right, flip, _] = philox4x32_10(counter, [self.seed as u32, (self.seed >> 32) as u32]);
            let (down, right) = (self.offset(down), self.offset(right));
            let is_flipped = self.flip && flip >> 31 == 1;
            for plane in image.chunks_exact_mut(self.plane.len().max(1)) {
                self.plane.copy_from_slice(plane);
                self.place(plane, down, right, is_flipped);
            }
        }
    }

    /// A number of pixels from `-shift` to `shift` for 32 random bits.
    fn offset(&self, bits: u32) -> isize {
        let choices = 2 * self.shift as u64 + 1;
        ((u64::from(bits) * choices) >> 32) as isize - self.shift as isize
    }

    /// Sets a channel to what it was, mirrored or not and then shifted.
    fn place(&self, to: &mut [f32], down: isize, right: isize, is_flipped: bool) {
        let clamped = |at: usize, offset: isize, extent: usize| {
            at.saturating_add_signed(-offset).min(extent - 1) // beyond an edge is the edge
        };
        for (y, row) in to.chunks_exact_mut(self.width).enumerate() {
            let from = &self.plane[clamped(y, down, self.height) * self.width..][..self.width];
            for (x, value) in row.iter_mut().enumerate() {
                let x = clamped(x, right, self.width);
                *value = from[if is_flipped { self.width - 1 - x } else { x }];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn augmenter(text: &str, row: &[usize]) -> Augmenter {
        text.parse::<Augment>().unwrap().of_images(&row.into(), 7).unwrap().unwrap()
    }

    #[test]
    fn a_shift_repeats_the_edge_and_a_flip_mirrors() {
        let mut it = augmenter("shift=1", &[2, 3]);
        it.plane = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let placed = |down, right, is_flipped| {
            let mut to = [0.0; 6];
            it.place(&mut to, down, right, is_flipped);
            to
        };
        assert_eq!(placed(0, 0, false), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(placed(1, 0, false), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
        assert_eq!(placed(-1, 1, false), [4.0, 4.0, 5.0, 4.0, 4.0, 5.0]);
        assert_eq!(placed(0, -1, false), [2.0, 3.0, 3.0, 5.0, 6.0, 6.0]);
        assert_eq!(placed(0, 0, true), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
        assert_eq!(placed(0, 1, true), [3.0, 3.0, 2.0, 6.0, 6.0, 5.0]);
    }

    /// Images of one row, whose middle says by how much it was shifted and whether it was mirrored. Chi-squared over ten
    /// equally likely results: with 9 degrees of freedom, 29.7 is exceeded once in 2,000 draws.
    #[test]
    fn all_changes_are_equally_likely() {
        const DRAWS: usize = 10_000;
        let mut it = augmenter("flip", &[1, 7]);
        it.shift = 2;
        let image = [0.0, 0.0, 1.0, 2.0, 3.0, 0.0, 0.0];
        let mut images = image.repeat(DRAWS);
        it.apply(&mut images, 5);
        let mut counts = BTreeMap::new();
        for image in images.chunks(7) {
            *counts.entry(image.iter().map(|&x| x as u32).collect::<Vec<u32>>()).or_insert(0) += 1;
        }
        let expected = DRAWS as f64 / 10.0;
        let chi_squared: f64 = counts.values().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        assert!(counts.len() == 10 && chi_squared < 29.7, "{counts:?}, chi-squared {chi_squared}");
    }

    #[test]
    fn channels_go_together_and_steps_differ() {
        let mut it = augmenter("shift,flip", &[2, 16, 16]);
        let plane: Vec<f32> = (0..256u16).map(f32::from).collect();
        let image = [plane.clone(), plane].concat();
        let changed = |it: &mut Augmenter, step| {
            let mut images = image.repeat(5);
            it.apply(&mut images, step);
            images
        };
        let first = changed(&mut it, 3);
        assert!(first.chunks(512).all(|image| image[..256] == image[256..]));
        assert_eq!(first, changed(&mut it, 3));
        assert_ne!(first, changed(&mut it, 4));
        assert_ne!(first, changed(&mut Augmenter { seed: 8, ..it }, 3));
    }

    #[test]
    fn text_that_says_no_change_and_rows_that_are_no_images_are_errors() {
        let error = |text: &str| text.parse::<Augment>().unwrap_err().to_string();
        let help = "give none, or some of shift, shift=PIXELS and flip, with commas in between";
        for text in ["turn", "", "flip=2", "none,flip"] {
            let word = text.split(',').next().unwrap_or_default();
            assert_eq!(error(text), format!("{word}: images cannot be changed so; {help}"));
        }
        assert_eq!(
            error("shift=-1"),
            "shift=-1: it has no number; give a whole number of pixels, as in shift=2"
        );
        let of = |text: &str, row: &[usize]| {
            text.parse::<Augment>().unwrap().of_images(&row.into(), 0).map(|it| it.map(|it| it.shift))
        };
        assert_eq!(
            of("flip", &[64]).unwrap_err().to_string(),
            "augment flip: rows are of [64], which are no images; \
             give images of [channels, height, width], or leave it out"
        );
        assert_eq!(
            of("shift=8", &[1, 8, 9]).unwrap_err().to_string(),
            "augment shift=8: images are of [1, 8, 9]; shift by fewer pixels than a side has"
        );
        assert_eq!((of("none", &[64]).unwrap(), of("shift", &[1, 28, 30]).unwrap()), (None, Some(3)));
        assert_eq!((of("shift", &[7, 7]).unwrap(), of("shift=0", &[64]).unwrap()), (Some(1), None));
    }
}
