//! Products of matrices of every size around that of a tile, with operands that are transposed, batched and cut out of
//! larger ones, and with epilogues: machine code on every target, on one thread and on two, agrees with the interpreter,
//! and has the same bits on one thread and on two.
//!
//! Targets that multiply and add in one instruction agree to the bit, too, where the product runs as tiles: the sum goes
//! over the depth in ascending order whatever the tile. That is where it has at least four columns, which are contiguous
//! or of which there are at least four rows. Other products are dot products along the depth, whose order of additions
//! depends on the width of vectors; and without the instruction, products are rounded before they are added.

use codegen::Target;
use ir::{Builder, DType, Error, Graph, Scalar, Shape, Value};
use nnc::Options;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tests::compare::{StepResult, difference, execute, interpret, same_bits, seeded_inputs};
use tests::targets::options_for;

/// What inputs depend on.
const SEED: u64 = 13;
/// Sums of at most 129 terms below 1, relative to the greatest element; the update divides by at least 0.1.
const TOLERANCE: f64 = 1e-4;
/// Extents around multiples of what is in a vector or a tile.
const EDGES: [usize; 21] =
    [1, 2, 3, 13, 14, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 80, 127, 128, 129];

/// An operand.
#[derive(Clone, Copy, Debug)]
struct Operand {
    is_transposed: bool,
    is_batched: bool,
    cut: Cut,
}

/// The part of a tensor that an operand is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    Whole,
    /// Without some rows and columns around it.
    Inside,
    /// Every second element along the last axis.
    Strided,
}

/// What follows from the product.
#[derive(Clone, Copy, Debug)]
enum Epilogue {
    None,
    ColumnBias,
    RowBias,
    Relu,
    Residual,
    Factor,
    Update,
    Select,
    Mask,
}

/// A product.
#[derive(Clone, Copy, Debug)]
struct Case {
    rows: usize,
    columns: usize,
    depth: usize,
    left: Operand,
    right: Operand,
    epilogue: Epilogue,
}

fn cases() -> impl Strategy<Value = Case> {
    let extent = || prop_oneof![1usize..80, prop::sample::select(&EDGES[..])];
    let cut = prop_oneof![4 => Just(Cut::Whole), 1 => Just(Cut::Inside), 1 => Just(Cut::Strided)];
    let operand = (any::<bool>(), prop::bool::weighted(0.25), cut)
        .prop_map(|(is_transposed, is_batched, cut)| Operand { is_transposed, is_batched, cut });
    let epilogue = prop::sample::select(vec![
        Epilogue::None,
        Epilogue::ColumnBias,
        Epilogue::RowBias,
        Epilogue::Relu,
        Epilogue::Residual,
        Epilogue::Factor,
        Epilogue::Update,
        Epilogue::Select,
        Epilogue::Mask,
    ]);
    let extents = [extent(), extent(), extent()];
    (extents, operand.clone(), operand, epilogue).prop_map(
        |([rows, columns, depth], left, right, epilogue)| Case {
            rows,
            columns,
            depth,
            left,
            right,
            epilogue,
        },
    )
}

impl Case {
    /// Whether its additions have the same order on every target.
    fn is_ordered(&self) -> bool {
        let is_contiguous = !self.right.is_transposed && self.right.cut != Cut::Strided;
        self.columns >= 4 && (is_contiguous || self.rows >= 4)
    }

    /// The extents of the result.
    fn shape(&self) -> Vec<usize> {
        let batch = (self.left.is_batched || self.right.is_batched).then_some(3);
        batch.into_iter().chain([self.rows, self.columns]).collect()
    }

    fn graph(&self) -> Result<Graph, Error> {
        let mut b = Builder::new("contraction");
        let left = operand(&mut b, "left", self.left, [self.rows, self.depth])?;
        let right = operand(&mut b, "right", self.right, [self.depth, self.columns])?;
        let product = b.matmul_transposed(left, right, self.left.is_transposed, self.right.is_transposed)?;
        self.finish(&mut b, product)?;
        Ok(b.finish())
    }

    /// Adds the epilogue and the outputs.
    fn finish(&self, b: &mut Builder, product: Value) -> Result<(), Error> {
        let input =
            |b: &mut Builder, name: &str, shape: &[usize]| b.input(name, DType::F32, Shape::new(shape));
        let y = match self.epilogue {
            Epilogue::None => product,
            Epilogue::ColumnBias => {
                let bias = input(b, "bias", &[self.columns])?;
                b.add(product, bias)?
            }
            Epilogue::RowBias => {
                let bias = input(b, "bias", &[self.rows, 1])?;
                b.add(product, bias)?
            }
            Epilogue::Relu => b.relu(product)?,
            Epilogue::Residual => {
                let residual = input(b, "residual", &self.shape())?;
                b.add(residual, product)?
            }
            Epilogue::Factor => {
                let factor = input(b, "factor", &[])?;
                b.mul(product, factor)?
            }
            Epilogue::Select => {
                let other = input(b, "other", &self.shape())?;
                let limit = b.scalar(Scalar::F32(0.1));
                let is_more = b.gt(other, limit)?;
                b.select(is_more, product, other)?
            }
            Epilogue::Mask => {
                let mask = b.input("mask", DType::Bool, Shape::new(&self.shape()))?;
                let other = input(b, "other", &self.shape())?;
                // Every product is greater, which nobody knows who compiles it.
                let least = b.scalar(Scalar::F32(-1e4));
                let limit = b.scalar(Scalar::F32(0.1));
                let (is_there, is_more) = (b.gt(product, least)?, b.gt(other, limit)?);
                let truth = b.select(mask, is_there, is_more)?;
                b.output("truth", truth)?;
                b.select(mask, product, other)?
            }
            Epilogue::Update => return update(b, product, &self.shape()),
        };
        b.output("y", y)
    }
}

/// An operand that is, but for transposition, `extents`; of a batch of three where it is batched.
fn operand(b: &mut Builder, name: &str, operand: Operand, extents: [usize; 2]) -> Result<Value, Error> {
    let [rows, columns] = if operand.is_transposed { [extents[1], extents[0]] } else { extents };
    let batch: &[usize] = if operand.is_batched { &[3] } else { &[] };
    let with = |extents: [usize; 2]| [batch, &extents].concat();
    let starts_at = |first: [usize; 2]| [&vec![0; batch.len()][..], &first].concat();
    let steps = |last: usize| [&vec![1; batch.len() + 1][..], &[last]].concat();
    match operand.cut {
        Cut::Whole => b.input(name, DType::F32, Shape::new(&with([rows, columns]))),
        Cut::Inside => {
            let whole = b.input(name, DType::F32, Shape::new(&with([rows + 3, columns + 5])))?;
            b.slice(whole, &starts_at([1, 3]), &with([rows + 1, columns + 3]), &steps(1))
        }
        Cut::Strided => {
            let whole = b.input(name, DType::F32, Shape::new(&with([rows, 2 * columns])))?;
            b.slice(whole, &starts_at([0, 1]), &with([rows, 2 * columns]), &steps(2))
        }
    }
}

/// A step as Adam does it, with the product as the gradient.
fn update(b: &mut Builder, gradient: Value, shape: &[usize]) -> Result<(), Error> {
    let [weight, mean, square] =
        ["weight", "mean", "square"].map(|name| b.input(name, DType::F32, Shape::new(shape)));
    let (weight, mean, square) = (weight?, mean?, square?);
    let times = |b: &mut Builder, x: Value, factor: f64| {
        let factor = b.float_like(x, factor);
        b.mul(x, factor)
    };
    let old = times(b, mean, 0.9)?;
    let new = times(b, gradient, 0.1)?;
    let mean = b.add(old, new)?;
    let square = b.square(square)?;
    let old = times(b, square, 0.99)?;
    let new = b.square(gradient)?;
    let new = times(b, new, 0.01)?;
    let square = b.add(old, new)?;
    let root = b.sqrt(square)?;
    let epsilon = b.float_like(root, 0.1);
    let root = b.add(root, epsilon)?;
    let step = b.div(mean, root)?;
    let step = times(b, step, 0.01)?;
    let weight = b.sub(weight, step)?;
    b.output("mean", mean)?;
    b.output("square", square)?;
    b.output("weight", weight)
}

fn agrees(case: &Case) -> Result<(), TestCaseError> {
    let fail = |what: &str, problem: &dyn std::fmt::Display| {
        TestCaseError::fail(format!("{what}: {problem}\n{case:?}"))
    };
    let graph = case.graph().map_err(|error| fail("graph", &error))?;
    let inputs = seeded_inputs(&graph, SEED);
    let reference = interpret(&graph, &inputs, SEED).map_err(|error| fail("interpreter", &error))?;
    let mut fused: Option<StepResult> = None;
    for target in Target::available() {
        let run = |threads| {
            let options = Options { threads, ..options_for(&target) };
            execute(&graph, &inputs, SEED, &options).map_err(|error| fail(target.name, &error))
        };
        let found = run(1)?;
        if let Some(problem) = difference(&found, &reference, |_| TOLERANCE) {
            return Err(fail(target.name, &problem));
        }
        if !same_bits(&run(2)?, &found) {
            return Err(fail(target.name, &"bits depend on threads"));
        }
        if target.has_fma && case.is_ordered() {
            match &fused {
                Some(other) if !same_bits(other, &found) => {
                    return Err(fail(target.name, &"bits differ from those on another target"));
                }
                _ => fused = Some(found),
            }
        }
    }
    Ok(())
}

/// Checks random cases, the same in every run.
fn check(cases_checked: u32, seed: u8) {
    let config = Config {
        cases: cases_checked,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]));
    if let Err(failure) = runner.run(&cases(), |case| agrees(&case)) {
        panic!("{failure}");
    }
}

#[test]
fn products_agree_first_half() {
    check(150, 1);
}

#[test]
fn products_agree_second_half() {
    check(150, 2);
}

#[test]
fn panels_that_many_tiles_read_agree_at_every_edge() {
    for (rows, columns) in [(127, 65), (127, 80), (129, 97), (129, 129)] {
        for depth in [2, 3, 4, 7, 16, 21] {
            for is_transposed in [false, true] {
                let whole = Operand { is_transposed: false, is_batched: false, cut: Cut::Whole };
                let right = Operand { is_transposed, cut: Cut::Inside, ..whole };
                let case = Case { rows, columns, depth, left: whole, right, epilogue: Epilogue::None };
                agrees(&case).unwrap_or_else(|failure| panic!("{failure}"));
            }
        }
    }
}
