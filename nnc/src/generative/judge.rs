//! What made rows are worth beside real ones, as a classifier of real rows sees them.

use ir::{DType, Tensor, Value};
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use nn::models::Mlp;
use nn::supervised::{ROWS, TARGETS};
use nn::{Activation, Adam, Context, Linear, Loss, Network, Outputs, Schedule, schedule::Decay};

use crate::data::{Arrays, Dataset};
use crate::trainer::{FitOptions, silent};
use crate::{Error, Options, Trainer, TrainerOptions};

/// The number of features.
pub const FEATURES: usize = 32;
/// The size of the hidden layer before them.
const HIDDEN: usize = 128;
const EPOCHS: usize = 20;
const BATCH: usize = 32;
const RATE: f64 = 3e-3;
/// The names of the results of the classifier.
const FEATURE: &str = "features";
const LOGITS: &str = "logits";

/// A classifier of real rows, which says what features a row has, and of which class it is.
pub struct Judge {
    trainer: Trainer,
    row: ir::Shape,
    classes: usize,
}

/// Dense layers with relu, the last of which gives the features, and a linear layer to the classes.
struct Classifier {
    row: ir::Shape,
    classes: usize,
}

impl Network for Classifier {
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, ir::Error> {
        let shape: ir::Shape = [rows].into_iter().chain(self.row.iter().copied()).collect();
        let x = cx.input(ROWS, DType::F32, shape)?;
        let labels = cx.input(TARGETS, DType::I64, [rows])?;
        let x = cx.reshape(x, [rows, self.row.elements()])?;
        let layers = Mlp::new(&[self.row.elements(), HIDDEN, FEATURES], Activation::Relu);
        let features = cx.layer("features", &layers.output_activation(Activation::Relu), x)?;
        let logits: Value = cx.layer("classes", &Linear::new(FEATURES, self.classes), features)?;
        let loss = Loss::cross_entropy().mean(cx, logits, labels)?;
        Ok(Outputs::new().loss(loss).result(FEATURE, features).result(LOGITS, logits))
    }
}

impl Judge {
    /// Trains the classifier on rows with labels: 20 epochs of Adam, from seed 0.
    ///
    /// ```
    /// use nnc::generative::Judge;
    /// let (train, test) = nnc::data::synthetic::blobs(3, 4, 600, 0)?.split_off_every_fifth();
    /// let mut judge = Judge::train(&train, &nnc::Options::default())?;
    /// let of_data = judge.features(&train.tensor())?;
    /// let of_test = judge.features(&test.tensor())?;
    /// let shuffled = nnc::data::synthetic::blobs(3, 4, 120, 7)?; // around other centres
    /// let of_others = judge.features(&shuffled.tensor())?;
    /// assert!(of_data.frechet_distance(&of_test)? < of_data.frechet_distance(&of_others)?);
    /// # Ok::<(), nnc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where the rows have no labels, or training fails.
    pub fn train(data: &Dataset, options: &Options) -> Result<Judge, Error> {
        if data.labels().is_none() {
            let help = "give rows of classes, by which it learns what matters in a row";
            return Err(Error::invalid(data.name(), "its targets are values", help));
        }
        let (row, classes) = (data.row_shape().clone(), data.outputs());
        let batch = BATCH.min(data.len());
        let trainer_options = TrainerOptions { batch, compile: options.clone(), ..TrainerOptions::default() };
        let network = Classifier { row: row.clone(), classes };
        let mut trainer = Trainer::new("judge", network, Adam::new(RATE), trainer_options)?;
        let decay = Decay::Cosine { steps: (EPOCHS * data.len().div_ceil(batch)) as u64, least: 0.0 };
        let fit = FitOptions { schedule: Schedule { warm_up: 0, decay }, ..FitOptions::epochs(EPOCHS) };
        trainer.fit(data, None, &fit, &mut silent)?;
        Ok(Judge { trainer, row, classes })
    }

    /// The features of rows, `f32[rows, ..row]`.
    ///
    /// # Errors
    /// Where rows are of another size than those that it was trained on, or no `f32`.
    pub fn features(&mut self, rows: &Tensor) -> Result<Features, Error> {
        let features = self.result(FEATURE, rows)?;
        let values = features.as_slice::<f32>().expect("features are f32");
        Ok(Features(DMatrix::from_row_iterator(
            features.shape()[0],
            FEATURES,
            values.iter().map(|&x| f64::from(x)),
        )))
    }

    /// The class that it takes each row, `f32[rows, ..row]`, for.
    ///
    /// # Errors
    /// As [`Judge::features`].
    pub fn labels(&mut self, rows: &Tensor) -> Result<Vec<usize>, Error> {
        let logits = self.result(LOGITS, rows)?;
        let logits = logits.as_slice::<f32>().expect("logits are f32");
        let greatest = |row: &[f32]| {
            let places = row.iter().enumerate();
            places.max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class)
        };
        Ok(logits.chunks(self.classes).map(greatest).collect())
    }

    fn result(&mut self, name: &str, rows: &Tensor) -> Result<Tensor, Error> {
        let count = rows.shape().first().copied().unwrap_or(0);
        let shape: ir::Shape = [count].into_iter().chain(self.row.iter().copied()).collect();
        let values = rows.as_slice::<f32>().and_then(|values| Tensor::new(shape.clone(), values.to_vec()));
        let values = values.ok_or_else(|| {
            let problem = format!("they are {}", rows.ty());
            Error::invalid("the rows", problem, format!("give f32{shape}"))
        })?;
        let labels = Tensor::new([count], vec![0i64; count]).expect("one for each row");
        let arrays = Arrays::new("rows", [(ROWS, values), (TARGETS, labels)])?;
        let results = self.trainer.results(&arrays)?;
        let found = results.into_iter().find(|(known, _)| known == name);
        Ok(found.expect("the classifier has this result").1)
    }
}

/// Features of rows, `[rows, features]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Features(DMatrix<f64>);

/// How much of the real rows made ones cover, and how much of these is like real ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrecisionRecall {
    /// The part of the made rows that are among the real ones.
    pub precision: f64,
    /// The part of the real rows that are among the made ones.
    pub recall: f64,
}

impl Features {
    /// Of values `[rows, features]`, row-major.
    ///
    /// # Errors
    /// Where these are not whole rows, or fewer than two; or one is not finite.
    pub fn new(values: &[f64], features: usize) -> Result<Features, Error> {
        let invalid = |problem: String, help: &str| Err(Error::invalid("features", problem, help));
        if features == 0 || !values.len().is_multiple_of(features) || values.len() < 2 * features {
            let problem = format!("there are {} values for rows of {features}", values.len());
            return invalid(problem, "give at least two whole rows");
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return invalid(format!("row {} holds {}", at / features, values[at]), "give finite numbers");
        }
        Ok(Features(DMatrix::from_row_slice(values.len() / features, features, values)))
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.0.nrows()
    }

    /// The Fréchet distance of two normal distributions, fitted to the one and the other features (M. Heusel et al., "GANs trained by a
    /// two time-scale update rule converge to a local Nash equilibrium", 2017, equation 6):
    ///
    /// ```text
    /// |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2))
    /// ```
    ///
    /// with means `m` and covariances `C`. It depends on the number of rows: compare distances of as many.
    ///
    /// # Errors
    /// Where one has other features, or either has fewer than two rows.
    pub fn frechet_distance(&self, other: &Features) -> Result<f64, Error> {
        self.check_like(other)?;
        let (of_self, of_other) = (moments(&self.0), moments(&other.0));
        let apart = (&of_self.0 - &of_other.0).norm_squared();
        // The trace of (C C')^(1/2) is that of (C^(1/2) C' C^(1/2))^(1/2), which is symmetric.
        let root = square_root(of_self.1.clone());
        let product = &root * &of_other.1 * &root;
        let product = (&product + product.transpose()) * 0.5;
        let eigenvalues = SymmetricEigen::new(product).eigenvalues;
        let shared: f64 = eigenvalues.iter().map(|value| value.max(0.0).sqrt()).sum();
        Ok((apart + of_self.1.trace() + of_other.1.trace() - 2.0 * shared).max(0.0))
    }

    /// Precision and recall of made features beside these real ones: a row is among others where it is no farther from one of them than
    /// that is from its `neighbours`-th nearest neighbour among them (T. Kynkäänniemi et al., "Improved precision and recall metric for
    /// assessing generative models", 2019, equations 1 and 2, where neighbours are 3).
    ///
    /// # Errors
    /// Where they are other features, or either has no more rows than neighbours.
    pub fn precision_recall(&self, made: &Features, neighbours: usize) -> Result<PrecisionRecall, Error> {
        self.check_like(made)?;
        let rows = self.rows().min(made.rows());
        if neighbours == 0 || neighbours >= rows {
            let problem = format!("there are {neighbours} neighbours, and {rows} rows");
            return Err(Error::invalid("precision and recall", problem, "give at least 1, and more rows"));
        }
        Ok(PrecisionRecall {
            precision: part_among(&made.0, &self.0, neighbours),
            recall: part_among(&self.0, &made.0, neighbours),
        })
    }

    fn check_like(&self, other: &Features) -> Result<(), Error> {
        if self.0.ncols() == other.0.ncols() && self.rows() > 1 && other.rows() > 1 {
            return Ok(());
        }
        let shape = |features: &Features| format!("[{}, {}]", features.rows(), features.0.ncols());
        let problem = format!("they are {} and {}", shape(self), shape(other));
        Err(Error::invalid("features", problem, "give the same features of at least two rows each"))
    }
}

/// Mean and covariance (unbiased) of rows.
fn moments(rows: &DMatrix<f64>) -> (DVector<f64>, DMatrix<f64>) {
    let mean = rows.row_mean();
    let mut centred = rows.clone();
    centred.row_iter_mut().for_each(|mut row| row -= &mean);
    let covariance = centred.transpose() * &centred / (rows.nrows() as f64 - 1.0);
    (mean.transpose(), covariance)
}

/// The square root of a symmetric matrix, none of whose eigenvalues is below 0 but by rounding.
fn square_root(matrix: DMatrix<f64>) -> DMatrix<f64> {
    let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(matrix);
    let roots = DMatrix::from_diagonal(&eigenvalues.map(|value| value.max(0.0).sqrt()));
    &eigenvectors * roots * eigenvectors.transpose()
}

/// The part of `rows` that are among `others`.
fn part_among(rows: &DMatrix<f64>, others: &DMatrix<f64>, neighbours: usize) -> f64 {
    let others = others.transpose();
    let rows = rows.transpose();
    let radius = |at: usize| {
        let mut distances: Vec<f64> = (0..others.ncols())
            .filter(|&other| other != at)
            .map(|other| (others.column(at) - others.column(other)).norm_squared())
            .collect();
        *distances.select_nth_unstable_by(neighbours - 1, f64::total_cmp).1
    };
    let radii: Vec<f64> = (0..others.ncols()).map(radius).collect();
    let is_among = |row: &usize| {
        radii
            .iter()
            .enumerate()
            .any(|(at, &radius)| (rows.column(*row) - others.column(at)).norm_squared() <= radius)
    };
    (0..rows.ncols()).filter(is_among).count() as f64 / rows.ncols() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Normal rows of these means and deviations.
    fn normal(means: &[f64], deviations: &[f64], rows: usize, stream: u32) -> Features {
        let draw = |index: usize| {
            let at = index % means.len();
            means[at] + deviations[at] * ir::scalar::normal(5, stream, index as u32, DType::F64)
        };
        let values: Vec<f64> = (0..rows * means.len()).map(draw).collect();
        Features::new(&values, means.len()).unwrap()
    }

    /// Of independent normal features it is `sum (m - m')^2 + (s - s')^2`.
    #[test]
    fn the_distance_of_normal_features_is_the_exact_one() {
        let a = normal(&[0.0, 1.0, -2.0], &[1.0, 0.5, 2.0], 20_000, 0);
        let b = normal(&[1.0, 1.0, -2.0], &[1.0, 1.5, 0.5], 20_000, 1);
        let exact = 1.0 + 1.0 + 1.5 * 1.5;
        let found = a.frechet_distance(&b).unwrap();
        assert!((found - exact).abs() < 0.1, "{found}, not {exact}");
        assert!((found - b.frechet_distance(&a).unwrap()).abs() < 1e-9);
        assert!(a.frechet_distance(&a).unwrap() < 1e-9);
        let again = normal(&[0.0, 1.0, -2.0], &[1.0, 0.5, 2.0], 20_000, 2);
        assert!(a.frechet_distance(&again).unwrap() < 0.01);
    }

    /// Features that all lie on a line have a covariance of rank 1.
    #[test]
    fn covariances_may_have_no_inverse() {
        let line = |slope: f64| {
            let values: Vec<f64> = (0..100).flat_map(|at| [f64::from(at), slope * f64::from(at)]).collect();
            Features::new(&values, 2).unwrap()
        };
        assert!(line(1.0).frechet_distance(&line(1.0)).unwrap() < 1e-6);
        assert!(line(1.0).frechet_distance(&line(-1.0)).unwrap() > 1.0);
    }

    #[test]
    fn a_part_of_the_data_has_precision_and_no_recall() {
        let values: Vec<f64> = (0..200).map(f64::from).collect();
        let all = Features::new(&values, 1).unwrap();
        let half = Features::new(&values[..100], 1).unwrap();
        let beside: Vec<f64> = (1000..1200).map(f64::from).collect();
        let beside = Features::new(&beside, 1).unwrap();
        let of_half = all.precision_recall(&half, 3).unwrap();
        assert_eq!(of_half.precision, 1.0);
        assert!((of_half.recall - 0.5).abs() < 0.02, "{of_half:?}");
        assert_eq!(
            all.precision_recall(&beside, 3).unwrap(),
            PrecisionRecall { precision: 0.0, recall: 0.0 }
        );
        all.precision_recall(&half, 100).unwrap_err();
    }

    #[test]
    fn features_that_are_none_are_errors() {
        let message = |values: &[f64]| Features::new(values, 2).unwrap_err().to_string();
        assert!(message(&[1.0, 2.0, 3.0]).contains("3 values for rows of 2; give at least two whole rows"));
        assert!(message(&[1.0, 2.0, f64::NAN, 3.0]).contains("row 1 holds NaN"));
    }
}
