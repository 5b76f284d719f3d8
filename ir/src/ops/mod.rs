//! Ops: one file each, and the list of them.

mod batched;
mod concat;
mod constant;
mod conv;
mod elementwise;
mod fused;
mod gather;
mod grad;
mod iota;
mod layout;
mod matmul;
mod pool;
mod random;
mod reduce;
mod scan;
mod slice;
mod source;
#[cfg(test)]
mod testing;
mod window;
mod windows;

use smallvec::SmallVec;

use crate::eval::Array;
use crate::names::did_you_mean;
use crate::{
    AttrReader, Attrs, Builder, DType, Error, Graph, Lowering, NodeId, Operands, Type, Types, Value,
};

pub use batched::Batched;
pub use concat::{Concat, Split};
pub use constant::Constant;
pub use conv::{Conv, ConvOf};
pub use elementwise::Elementwise;
pub use fused::{Fused, FusedKind};
pub use gather::{Gather, ScatterAdd};
pub use grad::{Grad, StopGradient};
pub use iota::Iota;
pub use layout::{Broadcast, Reshape, Transpose};
pub use matmul::MatMul;
pub use pool::{Pool, PoolOf};
pub use random::{Distribution, Random};
pub use reduce::{ArgMax, Reduce};
pub use scan::Scan;
pub use slice::{Pad, Slice};
pub use source::{Input, State};
pub use window::Window;
pub use windows::Windows;

/// The gradients of the operands of a node; `None` where none flows.
pub type Gradients = SmallVec<[Option<Value>; 3]>;

/// All there is to know of an op. Every item is required: an op that lacks one does not compile.
pub trait OpDef: Clone + std::fmt::Debug + PartialEq {
    /// The names that this op has in the text form: one, except for elementwise functions and reductions.
    fn names() -> Vec<&'static str>;

    /// The name of this one.
    fn name(&self) -> &'static str;

    /// Its attributes, for printing.
    fn attrs(&self) -> Attrs;

    /// The op of this name with these attributes, which the reader checks.
    fn from_attrs(name: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error>;

    /// The shape rule: the types of the results, or what is wrong with the operands.
    fn infer(&self, operands: &[&Type], body: Option<&Graph>) -> Result<Types, Error>;

    /// The meaning: the results, computed slowly and obviously. Operands have been checked by `infer`.
    fn eval(&self, operands: &[&Array], results: &[Type], body: Option<&Graph>) -> Vec<Array>;

    /// The gradient rule: from the gradients of the results (`None` is zero), the gradient of each operand, built
    /// from ordinary ops.
    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error>;

    /// The results for many nodes at once, of which some operands come as stacks, as stacks; `None` where it cannot.
    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error>;

    /// How it is computed.
    fn lower(&self, operands: &[&Type], results: &[Type]) -> Lowering;

    /// Instances to test it with, at odd sizes: primes, extents of 1 and 0.
    fn samples() -> Vec<Sample>;
}

/// A node that is being differentiated.
pub struct Differentiated<'a> {
    /// Its operands.
    pub operands: &'a [Value],
    /// Its results.
    pub results: &'a [Value],
    /// The gradient of each result; `None` where it is zero. At least one is there.
    pub gradients: &'a [Option<Value>],
    /// Its body, of an op that has one.
    pub body: Option<&'a Graph>,
}

/// An instance of an op for tests: the op, and what kind of operands it wants.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The op.
    pub op: Op,
    /// Its operands.
    pub operands: Vec<SampleOperand>,
    /// Its body, of an op that has one.
    pub body: Option<Graph>,
}

impl Sample {
    /// Appends the op applied to these operands.
    pub fn push(&self, builder: &mut Builder, operands: &[Value]) -> Result<NodeId, Error> {
        match &self.body {
            None => builder.push(self.op.clone(), operands),
            Some(body) => {
                builder.push_with_body(self.op.clone(), operands, None, Some(Box::new(body.clone())))
            }
        }
    }
}

/// An operand of a sample: a tensor of this type with elements drawn uniformly from the interval.
#[derive(Clone, Debug)]
pub struct SampleOperand {
    /// Its type.
    pub ty: Type,
    /// The least value and the bound above (of `i32` and `i64`, integers within).
    pub interval: (f64, f64),
    /// Whether the op is differentiated with respect to it in the gradient check.
    pub differentiable: bool,
}

macro_rules! ops {
    ($($op:ident,)+) => {
        /// An op with its attributes.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "each is documented at its type")]
        pub enum Op { $($op($op),)+ }

        $(impl From<$op> for Op {
            fn from(op: $op) -> Op {
                Op::$op(op)
            }
        })+

        impl Op {
            /// The names of all ops in the text form, in the order of the list.
            pub fn names() -> Vec<&'static str> {
                [$(<$op as OpDef>::names()),+].concat()
            }

            /// The samples of all ops.
            pub fn samples() -> Vec<Sample> {
                [$(<$op as OpDef>::samples()),+].concat()
            }

            /// The op of this name with these attributes.
            pub fn from_attrs(name: &str, mut attrs: AttrReader<'_>) -> Result<Op, Error> {
                $(if <$op as OpDef>::names().contains(&name) {
                    let op = <$op as OpDef>::from_attrs(name, &mut attrs)?;
                    attrs.finish()?;
                    return Ok(op.into());
                })+
                Err(unknown_op(name))
            }

            /// See [`OpDef::name`].
            pub fn name(&self) -> &'static str {
                match self { $(Op::$op(op) => op.name(),)+ }
            }

            /// See [`OpDef::attrs`].
            pub fn attrs(&self) -> Attrs {
                match self { $(Op::$op(op) => op.attrs(),)+ }
            }

            /// See [`OpDef::infer`].
            pub fn infer(&self, operands: &[&Type], body: Option<&Graph>) -> Result<Types, Error> {
                match self { $(Op::$op(op) => op.infer(operands, body),)+ }
            }

            /// See [`OpDef::eval`].
            pub fn eval(&self, operands: &[&Array], results: &[Type], body: Option<&Graph>) -> Vec<Array> {
                match self { $(Op::$op(op) => op.eval(operands, results, body),)+ }
            }

            /// See [`OpDef::grad`].
            pub fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
                match self { $(Op::$op(op) => op.grad(builder, node),)+ }
            }

            /// See [`OpDef::batched`].
            pub fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
                match self { $(Op::$op(op) => op.batched(builder, node),)+ }
            }

            /// See [`OpDef::lower`].
            pub fn lower(&self, operands: &[&Type], results: &[Type]) -> Lowering {
                match self { $(Op::$op(op) => op.lower(operands, results),)+ }
            }
        }
    };
}

ops! {
    Constant,
    Input,
    State,
    Elementwise,
    Broadcast,
    Reshape,
    Transpose,
    Slice,
    Pad,
    Concat,
    Split,
    Reduce,
    ArgMax,
    MatMul,
    Conv,
    Window,
    Pool,
    Gather,
    ScatterAdd,
    Iota,
    Random,
    Scan,
    StopGradient,
    Grad,
    Fused,
}

/// Checks the number of operands.
fn expect_operands(op: &str, operands: &[&Type], count: usize) -> Result<(), Error> {
    match operands.len() == count {
        true => Ok(()),
        false => {
            let problem = format!("it has {} operands", operands.len());
            Err(Error::new(op, problem, format!("give {count}")))
        }
    }
}

/// Shapes that samples are made of: ranks 0 to 4, primes, extents of 1 and 0. The first few have all of these.
const SHAPES: [&[usize]; 21] = [
    &[],
    &[1],
    &[7],
    &[3, 5],
    &[2, 1, 13],
    &[17, 4],
    &[0, 3],
    &[2],
    &[13],
    &[1, 1],
    &[5, 3],
    &[1, 11],
    &[7, 1],
    &[4, 0],
    &[2, 3, 5],
    &[3, 1, 2],
    &[1, 2, 7],
    &[2, 0, 3],
    &[1, 1, 1],
    &[2, 1, 3, 2],
    &[1, 3, 2, 5],
];

/// A sample with `f32` operands of these shapes, differentiable, with elements in -2..2.
fn sample(op: impl Into<Op>, shapes: &[&[usize]]) -> Sample {
    sample_of(DType::F32, op, shapes)
}

/// A sample with operands of this float dtype and these shapes, differentiable, with elements in -2..2.
fn sample_of(dtype: DType, op: impl Into<Op>, shapes: &[&[usize]]) -> Sample {
    let operand = |shape: &&[usize]| SampleOperand {
        ty: Type::new(dtype, *shape),
        interval: (-2.0, 2.0),
        differentiable: true,
    };
    Sample { op: op.into(), operands: shapes.iter().map(operand).collect(), body: None }
}

/// The error for a name that no op has, with the nearest that one has.
fn unknown_op(name: &str) -> Error {
    let help = did_you_mean(name, Op::names(), "docs/IR.md lists them");
    Error::new(name, "there is no op of this name", help)
}
