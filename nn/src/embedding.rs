//! Rows of a table, picked by index.

use ir::{Error, Init, Value};

use crate::{Context, Layer, init};

/// `y = weight[x]`: for indices `x`, integers of any shape, rows of the parameter `weight`, `[rows, features]`; the result
/// is `[.., features]`. An index outside of the table gives zeros. The table starts normal with deviation 1, PyTorch's
/// default.
///
/// ```
/// use nn::{Context, Embedding, Layer};
/// let mut cx = Context::new("words");
/// let x = cx.input("x", ir::DType::I64, [8, 20])?;
/// let y = Embedding::new(1000, 64).forward(&mut cx, x)?;
/// assert_eq!(cx.ty(y).to_string(), "f32[8, 20, 64]");
/// # Ok::<(), ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Embedding {
    rows: usize,
    features: usize,
    weight_init: Init,
}

impl Embedding {
    /// A table of so many rows of so many features.
    pub fn new(rows: usize, features: usize) -> Embedding {
        Embedding { rows, features, weight_init: init::normal(1.0) }
    }

    /// With a table that starts so.
    pub fn weight_init(self, init: Init) -> Embedding {
        Embedding { weight_init: init, ..self }
    }
}

impl Layer for Embedding {
    fn forward(&self, cx: &mut Context, x: Value) -> Result<Value, Error> {
        let weight = cx.parameter("weight", [self.rows, self.features], self.weight_init)?;
        cx.gather(weight, x, 0)
    }

    fn description(&self) -> String {
        format!("Embedding {} x {}", self.rows, self.features)
    }
}
