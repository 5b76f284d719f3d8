//! Autoencoders beside principal component analysis, their linear counterpart, on the handwritten digits 3: how well each tells a
//! digit that it has not seen from a code of the same size, what lies along the units of a code and along components, and how
//! much the ones tell of the others.
//!
//! The digits are those of `zip.train` and `zip.test` in the folder that the environment variable NNC_DATA names, or in
//! `../shared/data`; where there are none, those of 8x8 pixels that are part of nnc.

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ir::{DType, Scalar, Tensor, Type};
use nn::models::Autoencoder;
use nn::models::latent::{CODE, SQUARED_ERROR};
use nn::schedule::{Decay, Schedule};
use nn::{Activation, Adam, AdamW, Context, Corruption};
use nnc::data::{Dataset, Loaded, Loading, Source, digits};
use nnc::report::pictures::{image_shape, lines};
use nnc::report::{Axis, Corner, Line, PALETTE, Panel, Scale, figure};
use nnc::trainer::{FitOptions, silent};
use nnc::{Error, Options, State, Trainer, TrainerOptions, compile, files};
use serde_json::{Value, json};
use smartcore::decomposition::pca::{PCA, PCAParameters};
use smartcore::linalg::basic::arrays::Array;
use smartcore::linalg::basic::matrix::DenseMatrix;

/// The digit that is studied.
const DIGIT: i64 = 3;
/// The sizes of codes.
const SIZES: [usize; 4] = [2, 5, 10, 30];
/// The size of the code whose units are looked at.
const STUDIED: usize = 5;
const BATCH: usize = 16;
const EPOCHS: usize = 200;
const HIDDEN: usize = 512;
/// Places along each of two units or components, from -2 to 2 standard deviations.
const PLACES: usize = 9;

fn main() -> ExitCode {
    support::run("autoencoder_vs_pca", autoencoder_vs_pca)
}

/// What is studied.
struct Threes {
    train: Dataset,
    test: Dataset,
    /// The noise in training, which keeps the network from learning its few digits by heart.
    noise: Corruption,
}

/// The digits to learn from and those to test on.
fn threes() -> Result<Threes, Error> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let file = std::env::var_os("NNC_DATA").map_or(beside, PathBuf::from).join("zip.train.gz");
    let found = match file.exists() {
        true => format!("zip:{}", file.display()).parse::<Source>()?.load_with(&Loading::default())?,
        false => (Loaded::Rows(digits().0), Loaded::Rows(digits().1)),
    };
    let (Loaded::Rows(train), Loaded::Rows(test)) = found else {
        return Err(Error::invalid("digits", "they are no rows", "give zip.train.gz and zip.test.gz"));
    };
    // Values are from -1 to 1 there, and from 0 to 1 here, of fewer digits.
    let noise = Corruption::Gaussian { deviation: if file.exists() { 0.2 } else { 0.02 } };
    let of_digit = |data: &Dataset| {
        let labels = data.labels().unwrap_or_default();
        let rows: Vec<u32> = (0..data.len() as u32).filter(|&row| labels[row as usize] == DIGIT).collect();
        data.subset(&rows)
    };
    Ok(Threes { train: of_digit(&train).named("threes"), test: of_digit(&test), noise })
}

/// Principal components of rows.
struct Components {
    pca: PCA<f64, DenseMatrix<f64>>,
    mean: Vec<f64>,
}

impl Components {
    fn of(rows: &Dataset, count: usize) -> Components {
        let x = matrix(rows);
        let pca = PCA::fit(&x, PCAParameters::default().with_n_components(count))
            .expect("rows have as many values");
        let (height, width) = x.shape();
        let mean = (0..width).map(|j| (0..height).map(|i| *x.get((i, j))).sum::<f64>() / height as f64);
        Components { mean: mean.collect(), pca }
    }

    /// The scores of rows, a list for each.
    fn scores(&self, rows: &Dataset) -> Vec<Vec<f64>> {
        let scores = self.pca.transform(&matrix(rows)).expect("rows are as long as those before");
        let (height, width) = scores.shape();
        (0..height).map(|i| (0..width).map(|j| *scores.get((i, j))).collect()).collect()
    }

    /// The row of some scores.
    fn row(&self, scores: &[f64]) -> Vec<f64> {
        let components = self.pca.components();
        let value = |j: usize| {
            scores.iter().enumerate().map(|(k, score)| score * components.get((j, k))).sum::<f64>()
        };
        self.mean.iter().enumerate().map(|(j, mean)| mean + value(j)).collect()
    }

    /// The mean squared error per value of what components keep of rows.
    fn error(&self, rows: &Dataset) -> f64 {
        let made = self.scores(rows).into_iter().flat_map(|scores| self.row(&scores));
        let squares = made.zip(rows.rows()).map(|(a, &b)| (a - f64::from(b)).powi(2));
        squares.sum::<f64>() / rows.rows().len() as f64
    }
}

fn matrix(rows: &Dataset) -> DenseMatrix<f64> {
    let values = rows.rows().iter().map(|&value| f64::from(value)).collect();
    DenseMatrix::new(rows.len(), rows.features(), values, false).expect("as many values as rows have")
}

/// An autoencoder with a code of this size, trained.
fn trained(threes: &Threes, code: usize) -> Result<Trainer, Error> {
    let Threes { train, noise, .. } = threes;
    let sizes = [train.features(), HIDDEN, code];
    let network = Autoencoder { noise: *noise, ..Autoencoder::new(&sizes, Activation::Elu { alpha: 1.0 }) };
    let optimizer = AdamW(Adam::new(2e-3).weight_decay(0.1));
    let options = TrainerOptions { batch: BATCH, ..TrainerOptions::default() };
    let mut trainer = Trainer::new("autoencoder", network, optimizer, options)?;
    let steps = (EPOCHS * train.len().div_ceil(BATCH)) as u64;
    let schedule = Schedule { warm_up: 0, decay: Decay::Cosine { steps, least: 0.0 } };
    trainer.fit(train, None, &FitOptions { schedule, ..FitOptions::epochs(EPOCHS) }, &mut silent)?;
    Ok(trainer)
}

/// What the decoder of a trained autoencoder makes of codes.
fn decoded(trainer: &Trainer, features: usize, codes: &[Vec<f64>]) -> Result<Tensor, Error> {
    let size = codes[0].len();
    let network = Autoencoder::new(&[features, HIDDEN, size], Activation::Elu { alpha: 1.0 });
    let mut cx = Context::new("decoder");
    let code = cx.input("code", DType::F32, [codes.len(), size])?;
    let rows = network.decode(&mut cx, code)?;
    cx.output("rows", rows)?;
    let mut program = compile(&cx.finish(), &Options::default())?;
    let mut state = State::new(program.plan(), 0)?;
    let names: Vec<String> = state.iter().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        state.set(&name, &trainer.state().get(&name)?)?;
    }
    program.run(&mut state, &[&tensor(codes)])?;
    Ok(program.outputs()[0].clone())
}

fn tensor(rows: &[Vec<f64>]) -> Tensor {
    let width = rows[0].len();
    let ty = Type::new(DType::F32, [rows.len(), width]);
    Tensor::from_fn(&ty, |index| Scalar::F32(rows[index / width][index % width] as f32))
}

/// The mean and the standard deviation of each column.
fn moments(rows: &[Vec<f64>]) -> Vec<(f64, f64)> {
    let count = rows.len() as f64;
    let of_column = |j: usize| {
        let mean = rows.iter().map(|row| row[j]).sum::<f64>() / count;
        let variance = rows.iter().map(|row| (row[j] - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    };
    (0..rows[0].len()).map(of_column).collect()
}

/// Codes on a plane through the mean, along two of its axes, counted from 0: `PLACES` times `PLACES`.
fn plane(codes: &[Vec<f64>], [down, across]: [usize; 2]) -> Vec<Vec<f64>> {
    let moments = moments(codes);
    let step = |place: usize| 4.0 * place as f64 / (PLACES - 1) as f64 - 2.0;
    let at = |row: usize, column: usize| {
        let mut code: Vec<f64> = moments.iter().map(|(mean, _)| *mean).collect();
        code[down] += step(row) * moments[down].1;
        code[across] += step(column) * moments[across].1;
        code
    };
    (0..PLACES * PLACES).map(|index| at(index / PLACES, index % PLACES)).collect()
}

/// Rows on a plane as a picture.
fn picture(rows: &Tensor, image: [usize; 3]) -> Result<Vec<u8>, Error> {
    let pixels = image.iter().product::<usize>() * PLACES;
    let values = rows.as_slice::<f32>().unwrap_or_default().chunks(pixels);
    let shape = [PLACES, pixels / PLACES];
    let of_line = |values: &[f32]| Tensor::new(shape, values.to_vec()).expect("a line has as many values");
    let all: Vec<Tensor> = values.map(of_line).collect();
    lines(&all.iter().collect::<Vec<_>>(), image)
}

/// The correlation of each unit with each component over some rows.
fn correlations(units: &[Vec<f64>], scores: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let (of_units, of_scores) = (moments(units), moments(scores));
    let one = |i: usize, j: usize| {
        let terms = units.iter().zip(scores).map(|(u, s)| (u[i] - of_units[i].0) * (s[j] - of_scores[j].0));
        terms.sum::<f64>() / units.len() as f64 / (of_units[i].1 * of_scores[j].1).max(f64::MIN_POSITIVE)
    };
    (0..of_units.len()).map(|i| (0..of_scores.len()).map(|j| one(i, j)).collect()).collect()
}

/// The codes of rows.
fn codes(trainer: &mut Trainer, rows: &Dataset) -> Result<Vec<Vec<f64>>, Error> {
    let rows = rows.reshaped([rows.features()])?;
    let results = trainer.results(&rows)?;
    let found = results.iter().find(|(name, _)| name == CODE);
    let code = found
        .map(|(_, code)| code)
        .ok_or_else(|| Error::invalid("codes", "there are none", "train again"))?;
    let values = code.as_slice::<f32>().unwrap_or_default();
    Ok(values.chunks(code.shape()[1]).map(|row| row.iter().copied().map(f64::from).collect()).collect())
}

fn autoencoder_vs_pca(out: &Path) -> Result<(), Error> {
    let threes = threes()?;
    let Threes { train, test, .. } = &threes;
    println!("{} digits {DIGIT} to learn from, {} to test on, of {}", train.len(), test.len(), test.name());
    println!("size of the code   autoencoder   components");
    let mut errors = Vec::new();
    let mut studied = None;
    for size in SIZES {
        let mut trainer = trained(&threes, size)?;
        let own = trainer.evaluate(test)?.metrics[SQUARED_ERROR];
        let components = Components::of(train, size);
        let linear = components.error(test);
        println!("{size:>16}   {own:>11.4}   {linear:>10.4}");
        errors.push((size as f64, own, linear));
        if size == STUDIED {
            studied = Some((trainer, components));
        }
    }
    let (mut trainer, components) = studied.expect("the studied size is one of them");
    let line = |name, color, of: fn(&(f64, f64, f64)) -> f64| {
        Line::new(name, color, errors.iter().map(|error| (error.0, of(error))))
    };
    let curves = vec![
        line("autoencoder", PALETTE[0], |error| error.1),
        line("components", PALETTE[1], |error| error.2),
    ];
    let axes = (Axis::new("size of the code", Scale::Log), Axis::new("squared error per value", Scale::Log));
    let panel = Panel::new("of digits that are new", axes.0, axes.1, curves).legend(Corner::UpperRight);
    files::write_text(
        &out.join("errors.svg"),
        &figure("what is lost in a code", 1, (620, 480), vec![panel]),
    )?;

    let (units, scores) = (codes(&mut trainer, train)?, components.scores(train));
    if let Some(image) = image_shape(train.row_shape()) {
        let along_units = decoded(&trainer, train.features(), &plane(&units, [0, 2]))?;
        let along_components: Vec<Vec<f64>> =
            plane(&scores, [0, 3]).iter().map(|scores| components.row(scores)).collect();
        let pictures = [("units.png", along_units), ("components.png", tensor(&along_components))];
        for (name, rows) in pictures {
            let png = picture(&rows, image)?;
            files::write_atomically(&out.join(name), |file| file.write_all(&png))?;
        }
    }
    let correlation = correlations(&units, &scores);
    println!("correlation of units with components");
    for (unit, row) in correlation.iter().enumerate() {
        let shown: Vec<String> = row.iter().map(|value| format!("{value:>6.2}")).collect();
        println!("  unit {}  {}", unit + 1, shown.join(" "));
    }
    let errors: Vec<Value> = (errors.iter())
        .map(|(size, own, linear)| json!({ "size": size, "autoencoder": own, "components": linear }))
        .collect();
    let study = json!({ "digit": DIGIT, "data": test.name(), "errors": errors, "correlation": correlation });
    files::write_text(&out.join("study.json"), &format!("{study:#}\n"))
}
