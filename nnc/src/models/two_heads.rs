//! Models with two results, which no data set of one target per row trains: `nnc dump` knows them alone.

use ir::Graph;
use nn::Adam;
use nn::models::AlphaGoZero;

use crate::Error;
use crate::bench::networks::{infer_go, learn_go};

/// AlphaGo Zero's network by the number of its residual blocks.
pub struct TwoHeaded {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// The number of residual blocks.
    pub blocks: usize,
}

/// All of them.
pub const TWO_HEADED: &[TwoHeaded] = &[
    TwoHeaded {
        name: "agz19",
        doc: "AlphaGo Zero's tower of 19 residual blocks, a policy and a value on it (dump only)",
        blocks: 19,
    },
    TwoHeaded {
        name: "agz39",
        doc: "AlphaGo Zero's tower of 39 residual blocks, a policy and a value on it (dump only)",
        blocks: 39,
    },
];

impl TwoHeaded {
    /// The model of this name, where there is one.
    ///
    /// ```
    /// use nnc::models::TwoHeaded;
    /// let tower = TwoHeaded::find("agz19").expect("it is in the table");
    /// assert_eq!(tower.graph(false, 1)?.outputs.len(), 2);
    /// # Ok::<(), nnc::Error>(())
    /// ```
    pub fn find(name: &str) -> Option<&'static TwoHeaded> {
        TWO_HEADED.iter().find(|model| model.name == name)
    }

    /// Its training step with Adam, or its use, on batches of positions of Go.
    ///
    /// # Errors
    /// Where such a batch is too large to be counted.
    pub fn graph(&self, is_training: bool, batch: usize) -> Result<Graph, Error> {
        let model = AlphaGoZero { blocks: self.blocks, channels: 256 };
        let cx = if is_training {
            learn_go(self.name, &model, batch, &Adam::default())?
        } else {
            infer_go(self.name, &model, batch)?
        };
        Ok(cx.finish())
    }
}
