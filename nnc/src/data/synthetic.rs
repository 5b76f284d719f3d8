//! Data sets that are drawn, so that examples run without files: their bits depend on the seed and on the counts alone.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};
use std::fmt;
use std::str::FromStr;

use ir::names::choices;
use ir::{DType, scalar};

use super::{Dataset, Targets};
use crate::Error;

/// The streams of random numbers, far from those of initial weights.
const FIRST_STREAM: u32 = 0xDA7A_0000;

/// The drawn data sets that have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`blobs`]: 4 classes, 16 features, 1,000 rows.
    Blobs,
    /// [`spirals`]: 3 arms, 1,500 rows.
    Spirals,
    /// [`images`]: all 10 shapes, 16x16 pixels, 2,000 rows.
    Images,
    /// [`regression`]: 8 features, 1,000 rows.
    Regression,
    /// [`ring`]: 8 clouds about a circle, 5,000 rows.
    Ring,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 5] = [Kind::Blobs, Kind::Spirals, Kind::Images, Kind::Regression, Kind::Ring];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Blobs => "blobs",
            Kind::Spirals => "spirals",
            Kind::Images => "images",
            Kind::Regression => "regression",
            Kind::Ring => "ring",
        }
    }

    /// The rows for training, and every fifth, from the first on, for testing.
    ///
    /// # Errors
    /// None: the counts are such that the set can be.
    pub fn draw(self) -> Result<(Dataset, Dataset), Error> {
        let all = match self {
            Kind::Blobs => blobs(4, 16, 1000, 0)?,
            Kind::Spirals => spirals(3, 1500, 0)?,
            Kind::Images => images([1, 16, 16], SHAPES.len(), 2000, 0)?,
            Kind::Regression => regression(8, 1000, 0)?,
            Kind::Ring => ring(8, 5000, 0)?,
        };
        Ok(all.split_off_every_fifth())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Kind, Error> {
        Kind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let help = choices(text, "choose from", Kind::ALL.map(Kind::name));
            Error::invalid(format!("synthetic:{text}"), "it is no such data set", help)
        })
    }
}

/// Clouds of points: `f32[rows, features]`, each row normal with deviation 0.5 about the centre of its class, which is
/// standard normal. Lines separate the classes, but for a few rows.
///
/// # Errors
/// Where there are no classes, and rows.
pub fn blobs(classes: usize, features: usize, rows: usize, seed: u64) -> Result<Dataset, Error> {
    let mut draws = Draws::new(seed, 0);
    let centres: Vec<f64> = (0..classes.saturating_mul(features)).map(|_| draws.normal()).collect();
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let class = draws.below(classes);
        let centre = centres.iter().skip(class * features).take(features);
        values.extend(centre.map(|centre| (centre + 0.5 * draws.normal()) as f32));
        labels.push(class as i64);
    }
    Dataset::new("synthetic:blobs", [features], values, Targets::classes(labels, classes))
}

/// Arms of a spiral about the origin, `f32[rows, 2]` within -1..1, with noise of 1/50: no line separates them.
///
/// # Errors
/// Where there are no arms, and rows.
pub fn spirals(arms: usize, rows: usize, seed: u64) -> Result<Dataset, Error> {
    /// How often an arm goes round.
    const TURNS: f64 = 0.75;
    let mut draws = Draws::new(seed, 1);
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let arm = draws.below(arms);
        let radius = 0.1 + 0.85 * draws.uniform();
        let angle = TAU * (arm as f64 / arms.max(1) as f64 + TURNS * radius);
        for coordinate in [radius * angle.cos(), radius * angle.sin()] {
            values.push((coordinate + 0.02 * draws.normal()) as f32);
        }
        labels.push(arm as i64);
    }
    Dataset::new("synthetic:spirals", [2], values, Targets::classes(labels, arms))
}

/// The distance of the centres of [`ring`] from the origin.
pub const RING_RADIUS: f64 = 2.0;
/// The deviation of the rows of [`ring`] from their centres, in each coordinate.
pub const RING_DEVIATION: f64 = 0.02;

/// Small clouds of points about a circle, `f32[rows, 2]`: each row normal with deviation [`RING_DEVIATION`] about one of
/// [`ring_centres`], which is its class. The mixture on which L. Metz et al., "Unrolled generative adversarial networks", 2017,
/// show how generators leave out modes.
///
/// # Errors
/// Where there are no modes, and rows.
pub fn ring(modes: usize, rows: usize, seed: u64) -> Result<Dataset, Error> {
    let centres = ring_centres(modes);
    let mut draws = Draws::new(seed, 4);
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let mode = draws.below(modes);
        let centre = centres.get(mode).copied().unwrap_or_default();
        values.extend(centre.map(|coordinate| (coordinate + RING_DEVIATION * draws.normal()) as f32));
        labels.push(mode as i64);
    }
    Dataset::new("synthetic:ring", [2], values, Targets::classes(labels, modes))
}

/// The centres of so many modes of [`ring`], evenly about a circle of radius [`RING_RADIUS`], the first on the first axis.
pub fn ring_centres(modes: usize) -> Vec<[f64; 2]> {
    let angles = (0..modes).map(|mode| TAU * mode as f64 / modes as f64);
    angles.map(|angle| [RING_RADIUS * angle.cos(), RING_RADIUS * angle.sin()]).collect()
}

/// A sum of features with weights from -1 to 1, one product, one wave, and noise of 1/20: `f32[rows, features]`, uniform on
/// -1..1, and the value `y`.
///
/// # Errors
/// Where there are no features.
pub fn regression(features: usize, rows: usize, seed: u64) -> Result<Dataset, Error> {
    let name = "synthetic:regression";
    if features == 0 {
        return Err(Error::invalid(name, "there are no features", "give at least 1"));
    }
    let mut draws = Draws::new(seed, 2);
    let weights: Vec<f64> = (0..features).map(|_| draws.between(-1.0, 1.0)).collect();
    let (mut values, mut targets) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let x: Vec<f64> = (0..features).map(|_| draws.between(-1.0, 1.0)).collect();
        let sum: f64 = x.iter().zip(&weights).map(|(x, weight)| x * weight).sum();
        let (first, last) = (x[0], x[features - 1]);
        targets.push((sum + first * last + 0.5 * (4.0 * first).sin() + 0.05 * draws.normal()) as f32);
        values.extend(x.into_iter().map(|x| x as f32));
    }
    Dataset::new(name, [features], values, Targets::Values { values: targets, names: vec!["y".into()] })
}

/// The signed distance of a point from the edge of a shape, which fills about -1..1: negative within.
type Distance = fn(f64, f64) -> f64;

/// The shapes that [`images`] draws, each a class.
const SHAPES: [(&str, Distance); 10] = [
    ("disc", |u, v| u.hypot(v) - 1.0),
    ("square", |u, v| u.abs().max(v.abs()) - 0.9),
    ("plus", |u, v| bar(u, v).min(bar(v, u))),
    ("cross", |u, v| slash(u, v).min(slash(-u, v))),
    ("ring", |u, v| (u.hypot(v) - 0.8).abs() - 0.2),
    ("frame", |u, v| (u.abs().max(v.abs()) - 0.75).abs() - 0.2),
    ("horizontal", |u, v| bar(u, v)),
    ("vertical", |u, v| bar(v, u)),
    ("slash", |u, v| slash(u, v)),
    ("backslash", |u, v| slash(-u, v)),
];

fn bar(along: f64, across: f64) -> f64 {
    (along.abs() - 1.0).max(across.abs() - 0.25)
}

/// A bar from the lower left to the upper right, where `v` grows downwards.
fn slash(u: f64, v: f64) -> f64 {
    bar((u - v) * FRAC_1_SQRT_2, (u + v) * FRAC_1_SQRT_2)
}

/// Images of one of the first `classes` of ten shapes (disc, square, plus, cross, ring, frame, horizontal, vertical, slash,
/// backslash), of random size, place and brightness, with noise: `f32[rows, channels, height, width]` within 0..1.
///
/// # Errors
/// Where there are no classes, or more than ten.
pub fn images(
    [channels, height, width]: [usize; 3],
    classes: usize,
    rows: usize,
    seed: u64,
) -> Result<Dataset, Error> {
    let name = "synthetic:images";
    if !(1..=SHAPES.len()).contains(&classes) {
        let help = format!("give from 1 to {}", SHAPES.len());
        return Err(Error::invalid(name, format!("there are {classes} classes"), help));
    }
    let mut draws = Draws::new(seed, 3);
    let side = height.min(width) as f64;
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let class = draws.below(classes);
        let (_, distance) = SHAPES[class];
        let radius = side * draws.between(0.28, 0.4);
        let centre = [height, width].map(|extent| 0.5 * extent as f64 + side * draws.between(-0.15, 0.15));
        for _ in 0..channels {
            let brightness = draws.between(0.6, 1.0);
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let [v, u] = [y as f64 + 0.5 - centre[0], x as f64 + 0.5 - centre[1]].map(|d| d / radius);
                // The part of the pixel that the shape covers, about.
                let covered = (0.5 - radius * distance(u, v)).clamp(0.0, 1.0);
                pixels.push((brightness * covered + 0.15 * draws.normal()).clamp(0.0, 1.0) as f32);
            }
        }
        labels.push(class as i64);
    }
    let names = SHAPES[..classes].iter().map(|(name, _)| (*name).to_owned()).collect();
    Dataset::new(name, [channels, height, width], pixels, Targets::Classes { labels, names })
}

/// Random numbers, one after another.
pub(super) struct Draws {
    seed: u64,
    stream: u32,
    next: u32,
}

impl Draws {
    /// Those of a seed; each kind of data has its own, by number.
    pub fn new(seed: u64, kind: u32) -> Draws {
        Draws { seed, stream: FIRST_STREAM + kind, next: 0 }
    }

    fn element(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.next
    }

    /// Uniform on `[0, 1)`.
    pub fn uniform(&mut self) -> f64 {
        scalar::uniform(self.seed, self.stream, self.element(), DType::F64)
    }

    /// Uniform on `[low, high)`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// An integer below `bound`; 0 where that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (bound as f64 * self.uniform()) as usize
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        scalar::normal(self.seed, self.stream, self.element(), DType::F64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
    }

    /// The part of 100 test rows whose nearest neighbour among the others is of their class.
    fn nearest_neighbour_accuracy(kind: Kind) -> f64 {
        let (train, test) = kind.draw().unwrap();
        let class_of = |row: &[f32]| {
            let nearest = (0..train.len())
                .min_by(|&a, &b| distance(train.row(a), row).total_cmp(&distance(train.row(b), row)));
            train.labels().unwrap()[nearest.unwrap()]
        };
        let labels = &test.labels().unwrap()[..100];
        let right =
            labels.iter().enumerate().filter(|&(row, label)| class_of(test.row(row)) == *label).count();
        right as f64 / labels.len() as f64
    }

    #[test]
    fn classes_can_be_learned() {
        let all = [(Kind::Blobs, 0.97), (Kind::Spirals, 0.97), (Kind::Images, 0.7), (Kind::Ring, 1.0)];
        for (kind, least) in all {
            let accuracy = nearest_neighbour_accuracy(kind);
            assert!(accuracy >= least, "{kind}: {accuracy}");
        }
    }

    #[test]
    fn values_are_more_than_noise() {
        let (train, _) = Kind::Regression.draw().unwrap();
        let values = train.values().unwrap();
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32;
        assert!(variance > 100.0 * 0.05f32.powi(2), "{variance}");
    }

    #[test]
    fn the_bits_depend_on_the_seed_alone() {
        let digest =
            |data: &Dataset| data.rows().iter().fold(0u32, |sum, x| sum.rotate_left(1) ^ x.to_bits());
        let [a, b, c] = [1, 1, 2].map(|seed| digest(&images([2, 7, 5], 3, 20, seed).unwrap()));
        assert!(a == b && a != c);
        let rows = [0.712_008_5, -0.918_229_64, -0.627_853_75, 0.340_443_6];
        assert_eq!(regression(2, 2, 0).unwrap().rows(), rows);
    }

    #[test]
    fn sets_have_the_shapes_that_were_asked_for() {
        let set = images([3, 9, 12], 4, 10, 0).unwrap();
        assert_eq!(
            set.to_string(),
            "synthetic:images: 10 rows of [3, 9, 12], classes disc, square, plus, cross"
        );
        assert_eq!(blobs(2, 5, 0, 0).unwrap().to_string(), "synthetic:blobs: 0 rows of [5], classes 0, 1");
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse::<Kind>().unwrap(), kind);
        }
    }

    #[test]
    fn counts_that_cannot_be_are_errors() {
        let message = |result: Result<Dataset, Error>| result.unwrap_err().to_string();
        assert_eq!(
            message(images([1, 8, 8], 11, 1, 0)),
            "synthetic:images: there are 11 classes; give from 1 to 10"
        );
        assert!(message(blobs(0, 2, 1, 0)).contains("there are 0 numbers for rows of [2], and 1 labels"));
        assert!(message(ring(0, 1, 0)).contains("the label of row 0 is 0"));
        assert!(message(spirals(0, 1, 0)).contains("the label of row 0 is 0"));
        assert!(message(regression(0, 1, 0)).contains("there are no features; give at least 1"));
        let error = "circles".parse::<Kind>().unwrap_err().to_string();
        let help = "choose from blobs, spirals, images, regression, ring";
        assert_eq!(error, format!("synthetic:circles: it is no such data set; {help}"));
    }
}
