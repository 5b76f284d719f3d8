//! A classifier that reads its rows step by step.

use ir::{Error, Shape, Value};

use crate::rnn::{Cell, Recurrent};
use crate::{Context, Layer, Linear};

/// Recurrent layers that read a row step by step, and a dense layer on what they give at the end: `[rows, steps, in]` ->
/// `[rows, outputs]`. An image, `[rows, channels, height, width]`, is read line by line: a step is a line of pixels, those of
/// all channels side by side.
///
/// ```
/// use nn::models::RowReader;
/// use nn::rnn::{GruCell, Recurrent};
/// use nn::{Context, Layer};
/// let model = RowReader::new(Recurrent::with_cell(8, GruCell::new(64)), 10);
/// let mut cx = Context::new("digits");
/// let x = cx.input("x", ir::DType::F32, [32, 1, 8, 8])?;
/// let y = model.forward(&mut cx, x)?;
/// assert_eq!(cx.ty(y).to_string(), "f32[32, 10]");
/// assert_eq!(cx.parameters()[0].name, "rnn.weight_ih_l0");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RowReader<C> {
    recurrent: Recurrent<C>,
    outputs: usize,
}

impl<C: Cell> RowReader<C> {
    /// With so many outputs. `recurrent` is made to run rows first and to give its last output alone.
    pub fn new(recurrent: Recurrent<C>, outputs: usize) -> RowReader<C> {
        RowReader { recurrent: recurrent.batch_first().last(), outputs }
    }
}

impl<C: Cell> Layer for RowReader<C> {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let x = lines(cx, x)?;
        let last = cx.layer("rnn", &self.recurrent, x)?;
        cx.layer("head", &Linear::new(self.recurrent.output_size(), self.outputs), last)
    }
}

/// `[rows, height, channels * width]` of images; what is no batch of images stays as it is.
fn lines(cx: &mut Context, x: Value) -> Result<Value, Error> {
    let [rows, channels, height, width] = cx.shape(x)[..] else { return Ok(x) };
    let x = cx.transpose(x, &[0, 2, 1, 3])?;
    cx.reshape(x, Shape::from([rows, height, channels * width]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rnn::ElmanCell;
    use ir::DType;

    #[test]
    fn a_step_is_a_line_of_all_channels() {
        let mut cx = Context::new("g");
        let x = cx.input("x", DType::F32, [2, 3, 5, 7]).unwrap();
        let lines = lines(&mut cx, x).unwrap();
        assert_eq!(cx.ty(lines).to_string(), "f32[2, 5, 21]");
        let model = RowReader::new(Recurrent::with_cell(20, ElmanCell::new(4)), 3);
        let error = model.forward(&mut cx, x).unwrap_err().to_string();
        assert!(error.contains("the layer takes f32[batch, steps, 20]"), "{error}");
    }
}
