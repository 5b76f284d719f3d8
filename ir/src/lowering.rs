//! What an op tells the passes of how it is computed. Passes read this and never the list of ops.

use smallvec::SmallVec;

use crate::{Affine, Builder, Error, Kernel, Operands, ReduceOp, Scalar, ScalarFn, Value};

/// How an op is computed. An index of a result is written `[r0, r1, ..]`; inside a [`View`] it is
/// `AxisId(0), AxisId(1), ..`.
#[allow(clippy::large_enum_variant, reason = "lowerings are made and read one at a time")]
pub enum Lowering {
    /// Nothing is computed: an input, a state or a constant.
    Leaf,
    /// The elements of the one operand in the same row-major order under another shape: nothing moves.
    Alias,
    /// Each result is a view of the one operand: `result_i[r] = operand[views_i(r)]`.
    View(SmallVec<[View; 1]>),
    /// `result[r] = function(operand_0[r], operand_1[r], ..)`; all operands have the shape of the result.
    Apply(ScalarFn),
    /// `result[r] = r[axis]`, converted to the dtype of the result.
    Iota {
        /// The axis that counts.
        axis: usize,
    },
    /// `result[a.., i.., b..] = operand_0[a.., operand_1[i..], b..]`, 0 where the index is outside.
    Gather {
        /// The axis of operand 0 that is indexed.
        axis: usize,
    },
    /// The one operand reduced over these axes, which the result does not have (ascending).
    Reduce {
        /// How it combines.
        op: ReduceOp,
        /// The axes of the operand that go away.
        axes: SmallVec<[usize; 4]>,
    },
    /// `result[r] = sum over k of left[l(r, k)] * right[g(r, k)]`.
    Contract(Contraction),
    /// A kernel of its own, which is not fused with others. Its parameters are the operands, then the results.
    Kernel(Box<Kernel>),
    /// Other ops compute it; pass `expand` puts them in its place.
    Expand(Expansion),
    /// The body of the node, run once per step: a loop of the plan.
    Scan,
    /// A group of ops that becomes one kernel: the body of the node.
    Fused,
}

/// Builds what an op stands for: from its operands, a value per result.
pub type Expansion = Box<dyn Fn(&mut Builder, &[Value]) -> Result<Operands, Error>>;

/// Where the element of a result comes from: for each axis of the operand, its index as a function of the axes of
/// the result (and, in a [`Contraction`], of the reduced axes).
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// An index per axis of the operand.
    pub indices: SmallVec<[Affine; 4]>,
    /// What an index outside of the operand reads; `None` where that cannot happen.
    pub fill: Option<Scalar>,
}

/// A sum of products: matrix products, and convolutions with their gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct Contraction {
    /// The extents of the reduced axes. `AxisId(rank of the result + i)` is reduced axis `i`.
    pub reduced: SmallVec<[usize; 4]>,
    /// How operand 0 is read.
    pub left: View,
    /// How operand 1 is read.
    pub right: View,
}
