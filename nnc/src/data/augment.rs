//! Images that are changed a little each time they are trained on, so that a model learns what does not matter in them.
//!
//! What happens to an image is a function of the seed, the number of the step and the place of the image in the batch
//! alone, so that training that is resumed goes on with the same images, whoever gathers them.

use std::fmt;
use std::str::FromStr;

use ir::Shape;
use ir::names::with_nearest;
use ir::scalar::philox4x32_10;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The last word of the counter: the order of rows has 1 there, initial weights and `random` have 0.
const COUNTER_DOMAIN: u32 = 2;

/// Which changes images undergo. As text, `none`, or what there is of `shift`, `shift=1.5` and `flip`, with commas in
/// between.
///
/// ```
/// use nnc::data::augment::{Augment, Shift};
/// let augment: Augment = "shift=1.5,flip".parse()?;
/// assert_eq!(augment, Augment { shift: Shift::Pixels(1.5), flip: true });
/// assert_eq!((augment.to_string(), Augment::default().to_string()), ("shift=1.5,flip".into(), "none".into()));
/// # Ok::<(), nnc::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Augment {
    /// By how much they are shifted.
    pub shift: Shift,
    /// Whether half of them are mirrored, left to right. Wrong wherever a mirror image is something else: digits, letters,
    /// signs.
    pub flip: bool,
}

/// By how much an image is shifted along each axis: by any amount from minus this to this, all equally likely, with linear
/// interpolation between pixels. What comes in from outside repeats the edge, whatever number stands for the background.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Shift {
    /// Not at all.
    #[default]
    None,
    /// By a sixteenth of the shorter side.
    Sixteenth,
    /// By so many pixels.
    Pixels(f64),
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
            Shift::None => 0.0,
            Shift::Sixteenth => side as f64 / 16.0,
            Shift::Pixels(pixels) if pixels < side as f64 => pixels,
            Shift::Pixels(_) => {
                return invalid(format!("images are of {row}"), "shift by fewer pixels than a side has");
            }
        };
        let (shift, plane, columns) = (shift as f32, vec![0.0; height * width], Vec::with_capacity(width));
        Ok(Some(Augmenter {
            shift,
            flip: self.flip,
            height,
            width,
            elements: row.elements(),
            plane,
            columns,
            seed,
        }))
    }
}

impl fmt::Display for Augment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shift = match self.shift {
            Shift::None => None,
            Shift::Sixteenth => Some("shift".to_owned()),
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
                ("shift", None) => augment.shift = Shift::Sixteenth,
                ("shift", Some(pixels)) => {
                    let pixels =
                        pixels.parse().ok().filter(|pixels: &f64| pixels.is_finite() && *pixels >= 0.0);
                    augment.shift = match pixels {
                        Some(0.0) => Shift::None,
                        Some(pixels) => Shift::Pixels(pixels),
                        None => {
                            let help = "give a number of at least 0, as in shift=1.5";
                            return Err(Error::invalid(word, "it says no number of pixels", help));
                        }
                    };
                }
                _ => {
                    let help = "give none, or some of shift, shift=PIXELS and flip, with commas in between";
                    let help = with_nearest(word, ["shift", "flip"], help.to_owned());
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
    /// In pixels.
    shift: f32,
    flip: bool,
    height: usize,
    width: usize,
    /// The number of elements of an image, all channels together.
    elements: usize,
    /// A channel as it was.
    plane: Vec<f32>,
    /// Where the columns of an image come from.
    columns: Vec<Source>,
    seed: u64,
}

/// A place between two pixels of an axis.
#[derive(Clone, Copy, Debug)]
struct Source {
    /// The pixel before it, and the one after it.
    pixels: [usize; 2],
    /// How far it is from the first to the second, from 0 to 1.
    part: f32,
}

impl Source {
    /// The place `offset` before pixel `at` of an axis; beyond an end, the end.
    fn new(at: usize, offset: f32, extent: usize) -> Source {
        let place = (at as f32 - offset).clamp(0.0, (extent - 1) as f32);
        let pixel = place as usize;
        Source { pixels: [pixel, (pixel + 1).min(extent - 1)], part: place - pixel as f32 }
    }

    /// The value there, for those of both pixels.
    fn between(self, first: f32, second: f32) -> f32 {
        first + self.part * (second - first)
    }
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

    /// A number of pixels from `-shift` to `shift`, from the upper 24 of 32 random bits.
    fn offset(&self, bits: u32) -> f32 {
        let part = (bits >> 8) as f32 / (1u32 << 24) as f32;
        (2.0 * part - 1.0) * self.shift
    }

    /// Sets a channel to what it was, mirrored or not and then shifted.
    fn place(&mut self, to: &mut [f32], down: f32, right: f32, is_flipped: bool) {
        let (height, width) = (self.height, self.width);
        self.columns.clear();
        self.columns.extend((0..width).map(|x| {
            let source = Source::new(x, right, width);
            let pixels = source.pixels.map(|x| if is_flipped { width - 1 - x } else { x });
            Source { pixels, ..source }
        }));
        for (y, row) in to.chunks_exact_mut(width).enumerate() {
            let source = Source::new(y, down, height);
            let [above, below] = source.pixels.map(|y| &self.plane[y * width..][..width]);
            for (value, column) in row.iter_mut().zip(&self.columns) {
                let [left, right] = column.pixels;
                let [above, below] = [above, below].map(|row| column.between(row[left], row[right]));
                *value = source.between(above, below);
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
        let mut placed = |down, right, is_flipped| {
            let mut to = [0.0; 6];
            it.place(&mut to, down, right, is_flipped);
            to
        };
        assert_eq!(placed(0.0, 0.0, false), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(placed(1.0, 0.0, false), [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
        assert_eq!(placed(-1.0, 1.0, false), [4.0, 4.0, 5.0, 4.0, 4.0, 5.0]);
        assert_eq!(placed(0.0, -1.0, false), [2.0, 3.0, 3.0, 5.0, 6.0, 6.0]);
        assert_eq!(placed(0.0, 0.0, true), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
        assert_eq!(placed(0.0, 1.0, true), [3.0, 3.0, 2.0, 6.0, 6.0, 5.0]);
        assert_eq!(placed(0.25, 0.0, false), [1.0, 2.0, 3.0, 3.25, 4.25, 5.25]);
        assert_eq!(placed(0.0, -0.5, true), [2.5, 1.5, 1.0, 5.5, 4.5, 4.0]);
    }

    /// An image of one row that rises by 1 per pixel, whose middle says by how much it was shifted and whether it was
    /// mirrored. Chi-squared over ten equally likely results: with 9 degrees of freedom, 29.7 is exceeded once in 2,000
    /// draws.
    #[test]
    fn all_changes_are_equally_likely() {
        const DRAWS: usize = 10_000;
        let mut it = augmenter("shift,flip", &[1, 2, 9]);
        let image: Vec<f32> = [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]; 2].concat();
        let mut images = image.repeat(DRAWS);
        it.shift = 2.0;
        it.apply(&mut images, 5);
        let mut counts = BTreeMap::new();
        for image in images.chunks(18) {
            let (middle, is_mirrored) = (image[4], image[3] > image[5]);
            *counts.entry((((middle - 2.0) / 0.8) as u32, is_mirrored)).or_insert(0) += 1;
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
        assert_eq!(
            error("flip=2"),
            format!("flip=2: images cannot be changed so; did you mean `flip`? {help}")
        );
        for text in ["turn", "", "none,flip"] {
            let word = text.split(',').next().unwrap_or_default();
            assert_eq!(error(text), format!("{word}: images cannot be changed so; {help}"));
        }
        assert_eq!(
            error("shift=-1"),
            "shift=-1: it says no number of pixels; give a number of at least 0, as in shift=1.5"
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
        assert_eq!((of("none", &[64]).unwrap(), of("shift", &[1, 28, 30]).unwrap()), (None, Some(1.75)));
        assert_eq!((of("shift", &[8, 8]).unwrap(), of("shift=0", &[64]).unwrap()), (Some(0.5), None));
    }
}
