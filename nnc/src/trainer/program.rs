//! A program for batches of one size, with the memory into which their rows are gathered.

use ir::{DType, Tensor, Type};
use runtime::{Executable, State};

use crate::Error;
use crate::data::Dataset;

/// A compiled step or a compiled inference.
pub struct Program {
    executable: Executable,
    /// `f32[batch, features]`
    x: Tensor,
    /// `i64[batch]`
    y: Tensor,
}

impl Program {
    /// The program of `executable`, whose inputs are `x` and, of a step, `y`.
    pub fn new(executable: Executable, batch: usize, features: usize) -> Program {
        let x = Tensor::zeros(&Type::new(DType::F32, [batch, features]));
        let y = Tensor::zeros(&Type::new(DType::I64, [batch]));
        Program { executable, x, y }
    }

    /// A step on these rows. Returns the loss before it and how many rows were classified right.
    pub fn train(&mut self, state: &mut State, x: &Tensor, y: &Tensor) -> Result<(f64, u64), Error> {
        self.executable.run(state, &[x, y])?;
        Ok(self.loss_and_correct())
    }

    /// A step on these rows of a data set.
    pub fn train_on(&mut self, state: &mut State, data: &Dataset, rows: &[u32]) -> Result<(f64, u64), Error> {
        self.gather(data, rows);
        self.executable.run(state, &[&self.x, &self.y])?;
        Ok(self.loss_and_correct())
    }

    /// The logits of these rows of a data set.
    pub fn infer_on(&mut self, state: &mut State, data: &Dataset, rows: &[u32]) -> Result<&Tensor, Error> {
        self.gather(data, rows);
        self.executable.run(state, &[&self.x])?;
        Ok(&self.executable.outputs()[0])
    }

    /// The rows that were gathered last.
    pub fn rows(&self) -> &Tensor {
        &self.x
    }

    fn gather(&mut self, data: &Dataset, rows: &[u32]) {
        let x = self.x.as_mut_slice::<f32>().expect("x was made with this dtype");
        let y = self.y.as_mut_slice::<i64>().expect("y was made with this dtype");
        let labels = data.labels().expect("the trainer has checked that there are classes");
        for ((x, y), &row) in x.chunks_exact_mut(data.features()).zip(y).zip(rows) {
            x.copy_from_slice(data.row(row as usize));
            *y = labels[row as usize];
        }
    }

    /// The outputs of a step, which the training graph has in this order.
    fn loss_and_correct(&self) -> (f64, u64) {
        let outputs = self.executable.outputs();
        (outputs[0].get(0).as_f64(), outputs[1].get(0).bits())
    }
}
