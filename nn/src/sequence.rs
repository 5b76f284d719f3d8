//! Networks that tell a class at each step of a sequence: the next character of a text, what was shown before.

use ir::{DType, Error, Init, Value};

use crate::loss::{Counted, SequenceCrossEntropy};
use crate::rnn::{Cell, Recurrent, RecurrentInputs};
use crate::supervised::{ACCURACY, ROWS, TARGETS};
use crate::{Context, Dropout, Embedding, Linear, Network, Outputs, metric};

/// The name of the input that says where the states of a text begin anew: `f32[rows]`, 1 there and 0 elsewhere.
pub const STARTS: &str = "starts";
/// The name of the input that holds how many steps of each row are its own, `i64[rows]`.
pub const LENGTHS: &str = "lengths";
/// The name of the result: a score for each class at each step, `[rows, steps, classes]`.
pub const LOGITS: &str = "logits";
/// The name of the metric of texts.
pub const BITS: &str = "bits_per_character";
/// The scope of the states that go on from batch to batch.
const CARRIED: &str = "carried";

/// A table of tokens, recurrent layers on their rows, and a dense layer on the outputs of each step.
///
/// Its inputs are `x` and `y`, `i64[rows, steps]`: tokens, and the classes that are to be told; a step whose `y` is no class (as -1) does
/// not count. Its loss is the mean [cross entropy](SequenceCrossEntropy) of the steps that do, its metric `accuracy`.
///
/// Where it [reads a text](SequenceModel::text), rows go on from batch to batch: in training, the states of the cell after a batch are those
/// with which the next begins (but for rows where the input `starts` is 1, which begin from zero). They are states of the program,
/// `carried.h` and so on; no gradient goes back through them, so back-propagation is cut off after `steps` steps (R. J. Williams and
/// J. Peng, "An efficient gradient-based algorithm for on-line training of recurrent network trajectories", 1990). Evaluation begins from
/// zero. It also reports the metric `bits_per_character`.
///
/// ```
/// use nn::rnn::{LstmCell, Recurrent};
/// use nn::sequence::SequenceModel;
/// use nn::{Adam, network::training_graph};
/// let cell = Recurrent::with_cell(16, LstmCell::new(32));
/// let model = SequenceModel::new(60, 60, 20, cell).text();
/// let step = training_graph("text", &model, 8, &Adam::default())?;
/// let carried: Vec<&str> = step.states().filter_map(|(_, node)| node.name.as_deref()).filter(|it| it.starts_with("carried")).collect();
/// assert_eq!(carried, ["carried.h", "carried.c"]);
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceModel<C> {
    tokens: usize,
    classes: usize,
    steps: usize,
    recurrent: Recurrent<C>,
    dropout: f64,
    is_text: bool,
}

impl<C: Cell> SequenceModel<C> {
    /// A model of rows of `steps` tokens below `tokens`, which tells one of `classes` at each. The table has as many values per token as
    /// `recurrent` takes, which runs time first and gives the outputs of all steps.
    pub fn new(tokens: usize, classes: usize, steps: usize, recurrent: Recurrent<C>) -> SequenceModel<C> {
        SequenceModel { tokens, classes, steps, recurrent, dropout: 0.0, is_text: false }
    }

    /// With [dropout](Dropout) of this rate before and after the recurrent layers.
    pub fn dropout(self, rate: f64) -> SequenceModel<C> {
        SequenceModel { dropout: rate, ..self }
    }

    /// Of a text, whose rows go on from batch to batch.
    pub fn text(self) -> SequenceModel<C> {
        SequenceModel { is_text: true, ..self }
    }

    /// The step of one token, as a program of its own that keeps its states: `x`, `i64[rows]`, gives `logits`, `[rows, classes]`. Run after
    /// run it reads a sequence of any length; from zero again once `carried.h` and the others are zeros.
    ///
    /// ```
    /// use nn::rnn::{GruCell, Recurrent};
    /// use nn::{Context, sequence::SequenceModel};
    /// let model = SequenceModel::new(60, 60, 20, Recurrent::with_cell(16, GruCell::new(32)));
    /// let mut cx = Context::new("next");
    /// let logits = model.step(&mut cx, 1)?;
    /// assert_eq!(cx.ty(logits).to_string(), "f32[1, 60]");
    /// assert_eq!(cx.finish().updates.len(), 1); // `carried.h`
    /// # Ok::<(), ir::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where a layer runs in the reverse direction: it would have to know what comes.
    pub fn step(&self, cx: &mut Context, rows: usize) -> Result<Value, Error> {
        self.check_direction(cx)?;
        let x = cx.input(ROWS, DType::I64, [rows])?;
        let x = cx.reshape(x, [1, rows])?;
        let states = self.carried(cx, rows)?;
        let (logits, last) = self.logits(cx, x, Some(&states))?;
        for (&state, &last) in states.iter().zip(&last) {
            cx.update(state, last)?;
        }
        cx.reshape(logits, [rows, self.classes])
    }

    /// Scores `[steps, rows, classes]` of tokens `[steps, rows]`, and the states after the last step where some are given.
    fn logits(
        &self,
        cx: &mut Context,
        x: Value,
        states: Option<&[Value]>,
    ) -> Result<(Value, Vec<Value>), Error> {
        let dropout = Dropout::new(self.dropout);
        let table = Embedding::new(self.tokens, self.recurrent.input_size());
        let x = cx.layer("embedding", &table, x)?;
        let x = cx.layer("dropout_in", &dropout, x)?;
        let (outputs, last) = match states {
            None => (cx.layer("rnn", &self.recurrent, x)?, Vec::new()),
            Some(states) => {
                let inputs = RecurrentInputs::new(x).states(states);
                let run = cx.scope("rnn", |cx| self.recurrent.run(cx, inputs))?;
                (run.outputs, run.states)
            }
        };
        let outputs = cx.layer("dropout_out", &dropout, outputs)?;
        let logits = cx.layer("head", &Linear::new(self.recurrent.output_size(), self.classes), outputs)?;
        Ok((logits, last))
    }

    /// The states that go on, `[layers, rows, size]` each, zeros at first.
    fn carried(&self, cx: &mut Context, rows: usize) -> Result<Vec<Value>, Error> {
        let shapes = self.recurrent.state_shapes(rows).into_iter();
        let zeros =
            |cx: &mut Context, name: &str, shape: [usize; 3]| cx.buffer(name, shape, Init::Constant(0.0));
        cx.scope(CARRIED, |cx| shapes.map(|(name, shape)| zeros(cx, name, shape)).collect())
    }

    /// The states that a batch of a text begins with: those that go on, or zeros where the row starts.
    fn continued(&self, cx: &mut Context, carried: &[Value]) -> Result<Vec<Value>, Error> {
        let rows = cx.shape(carried[0])[1];
        let starts = cx.input(STARTS, DType::F32, [rows])?;
        let is_start = cx.eval(starts.gt(0.5).reshape([1, rows, 1]))?;
        carried.iter().map(|&state| cx.eval(is_start.select(0.0, state))).collect()
    }

    fn check_direction(&self, cx: &Context) -> Result<(), Error> {
        if self.recurrent.is_forward() {
            return Ok(());
        }
        let problem = "it reads a text in the reverse direction, too, and what comes is not known";
        Err(Error::new(cx.scoped("rnn"), problem, "make it of the forward direction alone"))
    }
}

impl<C: Cell> Network for SequenceModel<C> {
    fn build(&self, cx: &mut Context, rows: usize) -> Result<Outputs, Error> {
        let x = cx.input(ROWS, DType::I64, [rows, self.steps])?;
        let x = cx.transpose(x, &[1, 0])?;
        if self.is_text {
            self.check_direction(cx)?;
        }
        let logits = if self.is_text && cx.is_training() {
            let carried = self.carried(cx, rows)?;
            let states = self.continued(cx, &carried)?;
            let (logits, last) = self.logits(cx, x, Some(&states))?;
            for (&state, &last) in carried.iter().zip(&last) {
                cx.update(state, last)?;
            }
            logits
        } else {
            self.logits(cx, x, None)?.0
        };
        let y = cx.input(TARGETS, DType::I64, [rows, self.steps])?;
        let y = cx.transpose(y, &[1, 0])?;
        let entropy = SequenceCrossEntropy::new(cx, logits, y, Counted::All)?;
        let loss = entropy.mean(cx)?;
        let accuracy = entropy.accuracy(cx)?;
        let by_row = cx.transpose(logits, &[1, 0, 2])?;
        let outputs = Outputs::new().result(LOGITS, by_row).loss(loss).metric(ACCURACY, accuracy);
        if !self.is_text {
            return Ok(outputs);
        }
        let bits = metric::bits(cx, loss)?;
        Ok(outputs.metric(BITS, bits))
    }
}

/// What a decoder is told at each step where it is taught by the targets (R. J. Williams and D. Zipser, "A learning algorithm for
/// continually running fully recurrent neural networks", 1989): `start`, then the targets but for the last. Both are `i64[steps, rows]`;
/// a target that is none (below 0) is told as 0, since no step after it counts.
///
/// ```
/// let mut b = ir::Builder::new("decoder");
/// let y = b.input("y", ir::DType::I64, [10, 8])?;
/// let told = nn::sequence::teacher_forcing(&mut b, y, 3)?;
/// assert_eq!(b.ty(told).to_string(), "i64[10, 8]");
/// # Ok::<(), ir::Error>(())
/// ```
///
/// # Errors
/// Where the targets are of another type, or there are no steps.
pub fn teacher_forcing(b: &mut ir::Builder, targets: Value, start: i64) -> Result<Value, Error> {
    b.check("teacher_forcing", &[targets])?;
    let ty = b.ty(targets).clone();
    if ty.dtype != DType::I64 || ty.shape.rank() != 2 || ty.shape[0] == 0 {
        let problem = format!("the targets are {ty}");
        return Err(Error::new("teacher_forcing", problem, "give i64[steps, rows] of at least one step"));
    }
    let (steps, rows) = (ty.shape[0], ty.shape[1]);
    let start = b.scalar(ir::Scalar::I64(start));
    let first = b.broadcast(start, [1, rows])?;
    if steps == 1 {
        return Ok(first);
    }
    let zero = b.scalar(ir::Scalar::I64(0));
    let before = b.eval(targets.slice_axis(0, 0..steps - 1))?;
    let before = b.max(before, zero)?;
    b.concat(&[first, before], 0)
}
