//! Cross entropy of sequences: a class to be told at each step.

use ir::{Builder, DType, Error, Value};

use super::{classes, quotient_of_sums};

/// Which steps of a batch of sequences count. A step whose target is no class (as -1, with which sequences are padded) never
/// does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Each step that has a target.
    All,
    /// Of these, the ones at which this value `[steps, batch]`, of any dtype, is not 0.
    Mask(Value),
    /// Of these, the first `lengths[b]` of sequence `b`: `i64[batch]`.
    Lengths(Value),
}

/// `-log softmax(z[t, b])[y[t, b]]` of each step that counts, for logits `z` of `[steps, batch, classes]` and targets `y` of
/// `i64[steps, batch]`. It overflows for no finite logits.
///
/// ```
/// use ir::DType;
/// use nn::loss::{Counted, SequenceCrossEntropy};
/// let mut b = ir::Builder::new("loss");
/// let logits = b.input("logits", DType::F32, [20, 8, 60])?;
/// let targets = b.input("targets", DType::I64, [20, 8])?;
/// let lengths = b.input("lengths", DType::I64, [8])?;
/// let entropy = SequenceCrossEntropy::new(&mut b, logits, targets, Counted::Lengths(lengths))?;
/// let loss = entropy.mean(&mut b)?;
/// assert_eq!(b.ty(loss).to_string(), "f32[]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceCrossEntropy {
    /// The losses of the steps, `[steps, batch]`; 0 where they do not count.
    pub losses: Value,
    /// 1 where a step counts, and 0 elsewhere, as a float `[steps, batch]`.
    pub counts: Value,
    logits: Value,
    targets: Value,
}

impl SequenceCrossEntropy {
    /// The losses of the steps that count.
    ///
    /// # Errors
    /// Where the types do not fit together.
    pub fn new(
        b: &mut Builder,
        logits: Value,
        targets: Value,
        counted: Counted,
    ) -> Result<SequenceCrossEntropy, Error> {
        check(b, logits, targets)?;
        let (steps, batch, all) = (b.shape(logits)[0], b.shape(logits)[1], b.shape(logits)[2]);
        let counts = counts(b, targets, counted, all)?;
        let counts = b.cast(counts, b.dtype(logits))?;
        let rows = b.reshape(logits, [steps * batch, all])?;
        let labels = b.reshape(targets, [steps * batch])?;
        let losses = classes::cross_entropy(b, rows, labels, &[], 0.0)?.losses;
        let losses = b.reshape(losses, [steps, batch])?;
        let losses = b.mul(losses, counts)?;
        Ok(SequenceCrossEntropy { losses, counts, logits, targets })
    }

    /// The mean over the steps that count, of rank 0, in nats; 0 where none does.
    ///
    /// # Errors
    /// None: the types have been checked.
    pub fn mean(&self, b: &mut Builder) -> Result<Value, Error> {
        quotient_of_sums(b, self.losses, self.counts)
    }

    /// The part of the steps that count at which the class of the greatest logit is the target; 0 where none counts.
    ///
    /// # Errors
    /// None: the types have been checked.
    pub fn accuracy(&self, b: &mut Builder) -> Result<Value, Error> {
        let predicted = b.argmax(self.logits, 2)?;
        let is_right = b.eq(predicted, self.targets)?;
        let is_right = b.cast(is_right, b.dtype(self.counts))?;
        let right = b.mul(is_right, self.counts)?;
        quotient_of_sums(b, right, self.counts)
    }
}

/// Whether each step counts, `bool[steps, batch]`.
fn counts(b: &mut Builder, targets: Value, counted: Counted, classes: usize) -> Result<Value, Error> {
    let is_class = b.eval(targets.ge(0).logical_and(targets.lt(classes as f64)))?;
    let shape = b.shape(targets).clone();
    let invalid = |b: &Builder, what: &str, value: Value, help: &str| {
        let problem = format!("{what} {}, the targets {}", b.ty(value), b.ty(targets));
        Err(Error::new("sequence_cross_entropy", problem, help))
    };
    match counted {
        Counted::All => Ok(is_class),
        Counted::Mask(mask) => {
            b.check("sequence_cross_entropy", &[mask])?;
            if *b.shape(mask) != shape {
                return invalid(b, "the mask is", mask, "give one of their shape");
            }
            let mask = if b.dtype(mask) == DType::Bool { mask } else { b.eval(mask.ne(0.0))? };
            b.logical_and(is_class, mask)
        }
        Counted::Lengths(lengths) => {
            b.check("sequence_cross_entropy", &[lengths])?;
            if b.dtype(lengths) != DType::I64 || b.shape(lengths)[..] != shape[1..] {
                return invalid(b, "the lengths are", lengths, "give i64[batch]");
            }
            let step = b.iota(DType::I64, shape.clone(), 0)?;
            let lengths = b.reshape(lengths, [1, shape[1]])?;
            let is_within = b.lt(step, lengths)?;
            b.logical_and(is_class, is_within)
        }
    }
}

/// Checks that `logits` are floats `[steps, batch, classes]` and `targets` `i64[steps, batch]`.
fn check(b: &Builder, logits: Value, targets: Value) -> Result<(), Error> {
    b.check("sequence_cross_entropy", &[logits, targets])?;
    let (logits, targets) = (b.ty(logits), b.ty(targets));
    let fits = logits.dtype.is_float() && logits.shape.rank() == 3 && targets.dtype == DType::I64;
    if fits && targets.shape[..] == logits.shape[..2] {
        return Ok(());
    }
    let problem = format!("the logits are {logits}, the targets {targets}");
    let help = "give logits f32[steps, batch, classes] and targets i64[steps, batch]";
    Err(Error::new("sequence_cross_entropy", problem, help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_do_not_fit_are_errors_that_show_both() {
        let mut b = Builder::new("g");
        let z = b.input("z", DType::F32, [5, 2, 3]).unwrap();
        let y = b.input("y", DType::I64, [5, 2]).unwrap();
        let few = b.input("few", DType::I64, [2]).unwrap();
        let floats = b.input("floats", DType::F32, [2]).unwrap();
        let mut message =
            |y, counted| SequenceCrossEntropy::new(&mut b, z, y, counted).unwrap_err().to_string();
        assert_eq!(
            message(few, Counted::All),
            "sequence_cross_entropy: the logits are f32[5, 2, 3], the targets i64[2]; \
             give logits f32[steps, batch, classes] and targets i64[steps, batch]"
        );
        assert_eq!(
            message(y, Counted::Mask(few)),
            "sequence_cross_entropy: the mask is i64[2], the targets i64[5, 2]; give one of their shape"
        );
        assert_eq!(
            message(y, Counted::Lengths(floats)),
            "sequence_cross_entropy: the lengths are f32[2], the targets i64[5, 2]; give i64[batch]"
        );
    }
}
