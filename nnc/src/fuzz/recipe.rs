//! A recipe: what a random graph is built from, as a list of small choices, each of which may be left out.
//!
//! A step has a stream of choices of its own, so what it does depends little on the steps before: a recipe with steps left
//! out, or with smaller extents, builds a graph that is much like the one before, which is how failures are made small.

use ir::DType;

use super::Rng;

/// The kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An elementwise function of one value.
    Unary,
    /// An elementwise function of two.
    Binary,
    /// `x + sin(x)`, `x * sigmoid(x)` and the like, several times over: values used twice.
    Ladder,
    /// A matrix product with either operand transposed.
    MatMul,
    /// A reduction over some axes.
    Reduce,
    /// Transposed, reshaped, broadcast.
    Rearrange,
    /// A strided slice, padding, a split.
    Cut,
    /// Two values one after the other.
    Join,
    /// `gather`, `scatter_add`.
    Pick,
    /// Comparisons, rounding, `argmax`.
    Choose,
    /// Softmax over an axis.
    Softmax,
    /// Layer norm or batch statistics, with and without a scale and a shift.
    Normalise,
    /// An `iota` as floats.
    Count,
    /// What does not vary along some axes, reduced along them and others.
    Repeat,
    /// A row that all others are compared with: truth values that are broadcast, `clamp` by a row.
    Row,
    /// A convolution over one to four axes, or a transposed one.
    Convolve,
    /// Windows, pooling and what undoes it.
    Slide,
    /// Random numbers.
    Draw,
    /// Attention under a causal mask.
    Attend,
    /// Integers and truth values.
    Whole,
    /// To another float type and back.
    Convert,
    /// A loop over time, with other steps in its body.
    Loop,
}

/// The kinds with their weights.
const KINDS: [(Kind, usize); 22] = [
    (Kind::Unary, 10),
    (Kind::Binary, 12),
    (Kind::Ladder, 4),
    (Kind::MatMul, 6),
    (Kind::Reduce, 8),
    (Kind::Rearrange, 8),
    (Kind::Cut, 6),
    (Kind::Join, 3),
    (Kind::Pick, 4),
    (Kind::Choose, 5),
    (Kind::Softmax, 3),
    (Kind::Normalise, 4),
    (Kind::Count, 3),
    (Kind::Repeat, 5),
    (Kind::Row, 4),
    (Kind::Convolve, 5),
    (Kind::Slide, 4),
    (Kind::Draw, 2),
    (Kind::Attend, 2),
    (Kind::Whole, 4),
    (Kind::Convert, 2),
    (Kind::Loop, 5),
];

impl Kind {
    /// A kind by the weights.
    pub fn draw(rng: &mut Rng) -> Kind {
        let total: usize = KINDS.iter().map(|entry| entry.1).sum();
        let mut at = rng.below(total);
        for (kind, weight) in KINDS {
            if at < weight {
                return kind;
            }
            at -= weight;
        }
        unreachable!("the weights add up to their sum")
    }
}

/// A step.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// What it does.
    pub kind: Kind,
    /// The seed of its stream, which selects operands and attributes.
    pub seed: u64,
}

/// What the inputs of a graph hold, and what they are called after; see [`super::values`].
pub const FLAVOURS: [&str; 7] = ["", "whole", "nan", "inf", "huge", "tiny", "zero"];

/// How a graph ends, each part of which may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// A loss and its gradients.
    pub gradients: bool,
    /// Gradients of the norm of the gradients.
    pub second: bool,
    /// Gradients scaled by their common norm.
    pub clip: bool,
    /// Moments: Adam's update instead of plain descent.
    pub moments: bool,
}

/// What a random graph is built from.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The dtype of its floats.
    pub dtype: DType,
    /// Extents that its operands begin with, up to six.
    pub lead: Vec<usize>,
    /// The extents of matrices: `x` has the first two, `y` the last two.
    pub extents: [usize; 3],
    /// An index into the list of flavours for each float input.
    pub flavours: [usize; 3],
    /// Whether names look like those that passes make up.
    pub generated_names: bool,
    /// Values of more elements than this are left out.
    pub largest: usize,
    /// The steps.
    pub choices: Vec<Choice>,
    /// How it ends.
    pub ending: Ending,
}

impl Recipe {
    /// A random recipe. Most graphs are small, have odd extents and a rank of five to eight; some have an extent of 0, one
    /// that is long, or those of an attention block.
    pub fn draw(rng: &mut Rng) -> Recipe {
        let dtype = if rng.one_in(5) { DType::F64 } else { DType::F32 };
        let (extents, largest, leading, steps) = match rng.below(32) {
            0..=2 => ([13 + rng.below(58), 1 + rng.below(9), 1 + rng.below(9)], 12_000, 2, 5),
            3 => long(rng),
            4..=8 => ([1 + rng.below(50), 1 + rng.below(50), 1 + rng.below(20)], 3000, 3, 8),
            _ => ([small(rng), small(rng), small(rng)], 600, 7, 10),
        };
        let lead = lead(rng, leading);
        let flavours = match rng.below(4) {
            0 => [0; 3].map(|_| rng.below(FLAVOURS.len())),
            _ => [0; 3],
        };
        let count = 1 + rng.below(steps);
        let choices = (0..count).map(|_| Choice { kind: Kind::draw(rng), seed: rng.bits() }).collect();
        let ending = Ending {
            gradients: !rng.one_in(3),
            second: rng.one_in(8),
            clip: rng.one_in(4),
            moments: rng.one_in(4),
        };
        let generated_names = rng.one_in(8);
        Recipe { dtype, lead, extents, flavours, generated_names, largest, choices, ending }
    }

    /// Recipes that build smaller graphs, those with most left out first.
    pub fn smaller(&self) -> Vec<Recipe> {
        let mut all = Vec::new();
        let mut with = |change: &dyn Fn(&mut Recipe)| {
            let mut recipe = self.clone();
            change(&mut recipe);
            if recipe != *self {
                all.push(recipe);
            }
        };
        let count = self.choices.len();
        let mut size = count.div_ceil(2);
        while size > 0 {
            for first in (0..count).step_by(size) {
                with(&|recipe| drop(recipe.choices.drain(first..(first + size).min(count))));
            }
            size /= 2;
        }
        for axis in 0..self.lead.len() {
            with(&|recipe| {
                recipe.lead.remove(axis);
            });
            with(&|recipe| recipe.lead[axis] = 1);
        }
        for (axis, &extent) in self.extents.iter().enumerate() {
            for smaller in [1, extent / 2, extent.saturating_sub(1)] {
                with(&|recipe| recipe.extents[axis] = smaller.clamp(1, extent.max(1)));
            }
        }
        with(&|recipe| recipe.ending.second = false);
        with(&|recipe| recipe.ending.clip = false);
        with(&|recipe| recipe.ending.moments = false);
        with(&|recipe| recipe.ending.gradients = false);
        with(&|recipe| recipe.generated_names = false);
        for input in 0..self.flavours.len() {
            with(&|recipe| recipe.flavours[input] = 0);
        }
        all
    }
}

/// An extent: most are below eight, a few above, and now and then it is 0.
fn small(rng: &mut Rng) -> usize {
    match rng.below(24) {
        0 => 0,
        1..=3 => 1,
        4..=6 => 8 + rng.below(12),
        7 => 31 + rng.below(3),
        _ => 1 + rng.below(7),
    }
}

/// One long extent, the others short: the outermost, the middle or the innermost.
fn long(rng: &mut Rng) -> ([usize; 3], usize, usize, usize) {
    let mut extents = [0; 3].map(|_| 1 + rng.below(3));
    extents[rng.below(3)] = 1000 + rng.below(12_000);
    (extents, 40_000, 1, 4)
}

/// Up to `most` extents (at most six) before those of a matrix, none in a third of cases, otherwise rather many.
fn lead(rng: &mut Rng, most: usize) -> Vec<usize> {
    let count = if rng.one_in(3) { 0 } else { rng.below(most).max(rng.below(most)) };
    (0..count).map(|_| if rng.one_in(40) { 0 } else { rng.pick(&[1, 1, 2, 2, 3]) }).collect()
}
