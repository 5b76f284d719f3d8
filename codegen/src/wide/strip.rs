//! Strips: a vector program over a contiguous run, with its loads, stores and reductions.
//!
//! A strip says what is computed per element. It knows neither the number of lanes nor registers: element `i` of the run
//! reads element `i` of each stream, so any number of elements may be computed at once.

use ir::{Comparison, DType, Primitive, ReduceOp, Scalar, VectorProgram, VectorValue};
use smallvec::SmallVec;

use super::isa::{self, Op};

/// A run of elements in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The number of the pointer that it starts from.
    pub pointer: usize,
    /// How far behind the pointer, in bytes.
    pub displacement: i32,
    /// What its elements are in memory; truth values take a byte each.
    pub dtype: DType,
}

/// What an argument of the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// An element of a stream.
    Stream(usize),
    /// The same value for all elements: its number among the uniform values.
    Uniform(usize),
    /// The first element of a stream, for all elements.
    Scalar(usize),
    /// The sum of a contraction.
    Sum,
    /// `uniform + step * i`, an `i32`.
    Index {
        /// The number of the uniform value.
        uniform: usize,
        /// From an element to the next.
        step: i32,
    },
}

/// A store of a value to a stream.
#[derive(Clone, Copy, Debug)]
pub struct Store {
    /// What is stored.
    pub value: VectorValue,
    /// Where.
    pub stream: usize,
    /// The number of instructions that come before it.
    pub after: usize,
}

/// A reduction over the run.
///
/// The order of a floating-point reduction: lane `l` of accumulator `u` takes the elements at `l`, in steps of lanes
/// times accumulators, in ascending order; then accumulators are combined pairwise, halves first, and then lanes the same
/// way.
#[derive(Clone, Copy, Debug)]
pub struct Reduction {
    /// How it combines.
    pub op: ReduceOp,
    /// What each element adds to it.
    pub value: VectorValue,
}

/// A vector program over a contiguous run.
#[derive(Clone, Debug, Default)]
pub struct Strip {
    /// What is computed per element. `f32`, `i32` and `bool` only.
    pub program: VectorProgram,
    /// The arguments of the program, by number.
    pub arguments: Vec<Argument>,
    /// The memory that is read and written.
    pub streams: Vec<Stream>,
    /// The stores, in order.
    pub stores: Vec<Store>,
    /// The stream whose stores do not go through the caches, where there is one.
    pub past_caches: Option<usize>,
    /// The reductions.
    pub reductions: Vec<Reduction>,
    /// The number of pointers.
    pub pointers: usize,
    /// The number of uniform values.
    pub uniforms: usize,
}

impl Strip {
    /// The value that has the same bits, through bit casts.
    pub fn root(&self, mut value: VectorValue) -> VectorValue {
        let insts = self.program.insts();
        while let Primitive::Bitcast(_) = insts[value.0 as usize].primitive {
            value = insts[value.0 as usize].operands[0];
        }
        value
    }

    /// A selection that is one instruction: `a > b ? a : b` is what the maximum instruction of x86 computes, NaN and
    /// zeros included, and likewise the minimum.
    pub fn extreme(&self, index: usize) -> Option<(Op, [VectorValue; 2])> {
        let insts = self.program.insts();
        let inst = &insts[index];
        if inst.primitive != Primitive::Select || inst.dtype != DType::F32 {
            return None;
        }
        let [condition, x, y] = inst.operands[..] else { return None };
        let condition = &insts[condition.0 as usize];
        let op = match condition.primitive {
            Primitive::Compare(Comparison::Gt) => isa::MAX_F32,
            Primitive::Compare(Comparison::Lt) => isa::MIN_F32,
            _ => return None,
        };
        (condition.operands[..] == [x, y]).then_some((op, [x, y]))
    }

    /// What an instruction reads.
    pub fn operands(&self, index: usize) -> SmallVec<[VectorValue; 3]> {
        match self.extreme(index) {
            Some((_, operands)) => SmallVec::from_slice(&operands),
            None => self.program.insts()[index].operands.clone(),
        }
    }

    /// The number of instructions, about.
    pub fn length(&self) -> usize {
        let is_one = |primitive: Primitive| {
            !matches!(primitive, Primitive::Constant(_) | Primitive::Bitcast(_) | Primitive::Argument(_))
        };
        let insts = self.program.insts().iter().filter(|inst| is_one(inst.primitive)).count();
        let reductions = self.reductions.iter().map(|reduction| match reduction.op {
            ReduceOp::Add | ReduceOp::Mul => 1,
            ReduceOp::Max | ReduceOp::Min => 5,
        });
        insts + reductions.sum::<usize>()
    }

    /// The value that starts a reduction, as bits.
    pub fn identity(&self, reduction: Reduction) -> u32 {
        match reduction.op.identity(self.program.dtype(reduction.value)) {
            Scalar::F32(x) => x.to_bits(),
            other => other.bits() as u32,
        }
    }
}
