//! The intermediate representations of nnc, and their meaning: the graph, the kernel language and the plan; their
//! text forms; the verifier; the reference interpreter.
//!
//! | module | what it holds |
//! |---|---|
//! | [`dtype`], [`shape`], [`tensor`] | element types, static shapes, values on the host |
//! | [`scalar`] | the one table of elementwise functions |
//! | [`ops`] | one definition per op |
//! | [`graph`], [`builder`] | the dataflow graph, and what builds and checks it |
//! | [`expr`] | formulas of values: operators and methods |
//! | [`names`] | what errors say of names that are not found |
//! | [`lowering`] | what an op tells the passes of how it is computed |
//! | [`kernel`], [`affine`], [`vector`] | the kernel language, its indices, and vector programs |
//! | [`plan`], [`init`] | ordered steps over placed memory; how states start |
//! | [`in_place`] | when a kernel may write over what it reads |
//! | [`text`], [`attr`] | printing and parsing |
//! | [`verify`] | what holds at each stage |
//! | [`visits`] | counting the work of passes |
//! | [`winograd`] | the matrices of Winograd's convolution |
//! | [`eval`] | the reference interpreter |

pub mod affine;
pub mod attr;
pub mod builder;
pub mod dtype;
pub mod error;
pub mod eval;
pub mod expr;
pub mod graph;
pub mod in_place;
pub mod init;
pub mod kernel;
pub mod lowering;
pub mod names;
pub mod ops;
pub mod plan;
pub mod scalar;
pub mod shape;
pub mod tensor;
pub mod text;
mod value;
pub mod vector;
pub mod verify;
pub mod visits;
mod vjp;
pub mod winograd;

pub use affine::{Affine, AxisId};
pub use attr::{Attr, AttrReader, Attrs};
pub use builder::{Builder, Scanned, Steps};
pub use dtype::DType;
pub use error::Error;
pub use expr::Expr;
pub use graph::{Graph, Node, Operands, Output, Types, Update};
pub use init::Init;
pub use kernel::{
    Access, Accumulator, Buffer, BufferId, Index, Indices, Inst, Kernel, ReduceOp, Stmt, StoreMode, Var,
    Winograd,
};
pub use lowering::{Contraction, Expansion, Lowering, View};
pub use ops::{Differentiated, Gradients, Op, OpDef, Sample, SampleOperand};
pub use plan::{Alias, AxisOrder, AxisPart, KernelId, Place, Plan, Row, Slot, SlotId, Step};
pub use scalar::{Num, ScalarFn};
pub use shape::{Shape, Type};
pub use tensor::{Element, Elements, Scalar, Tensor};
pub use value::{NodeId, Value};
pub use vector::{ColdFn, Comparison, Primitive, VectorInst, VectorProgram, VectorValue};
pub use verify::{Stage, VerifiedPlan};
pub use vjp::vjp;
