//! The kernel language: loop nests over affine loads, scalar functions and stores. It is the only input of code
//! generation, and a kernel is complete in itself.
//!
//! ```text
//! kernel @linear_relu(%x: f32[64, 784], %w: f32[784, 128], %b: f32[128]) -> (%out: f32[64, 128]) {
//!   for i in 64, j in 128 {
//!     %2 = reduce add k in 784 {
//!       %0 = load %x[i, k]
//!       %1 = load %w[k, j]
//!       %3 = mul %0, %1
//!       yield %3
//!     }
//!     ...
//!     store %6, %out[i, j]
//!   }
//! }
//! ```

use std::fmt;
use std::str::FromStr;

use smallvec::SmallVec;

use crate::{Affine, AxisId, DType, Scalar, ScalarFn, Type};

/// An SSA value of a kernel: one element. Its dtype is `kernel.vars[var]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Var(pub u32);

/// A buffer of a kernel: a parameter, or memory of the kernel's own (see [`Kernel::buffers`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

/// What a kernel does with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// A parameter that is read only.
    Read,
    /// A parameter that is written; a kernel may read back, in one iteration of its outermost axes, what that
    /// iteration has written.
    Write,
    /// Memory of one iteration of the outermost `for` (a row of intermediate values); undefined at its start.
    Local,
}

/// A buffer of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Buffer {
    /// The name in the text form, without `%`.
    pub name: String,
    /// Element type and shape; dense and row-major.
    pub ty: Type,
    /// What the kernel does with it.
    pub access: Access,
}

/// A loop axis: it runs from 0 to `extent - 1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Axis {
    /// The name in the text form.
    pub name: String,
    /// The number of iterations.
    pub extent: usize,
}

/// How a reduction combines. `Max` and `Min` are those of IEEE 754-2019 (NaN wins).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceOp {
    /// The sum, from 0. Floats: the order of additions depends on extents and on the target, never on threads.
    Add,
    /// The product, from 1.
    Mul,
    /// The maximum, from the least value of the dtype (-infinity).
    Max,
    /// The minimum, from the greatest value of the dtype (infinity).
    Min,
}

impl ReduceOp {
    /// Every reduction.
    pub const ALL: [ReduceOp; 4] = [ReduceOp::Add, ReduceOp::Mul, ReduceOp::Max, ReduceOp::Min];

    /// The name in the text form, which is that of the function it iterates.
    pub fn name(self) -> &'static str {
        self.function().name()
    }

    /// The function of two operands that it iterates.
    pub fn function(self) -> ScalarFn {
        match self {
            ReduceOp::Add => ScalarFn::Add,
            ReduceOp::Mul => ScalarFn::Mul,
            ReduceOp::Max => ScalarFn::Max,
            ReduceOp::Min => ScalarFn::Min,
        }
    }

    /// The value it starts from: the reduction of nothing.
    pub fn identity(self, dtype: DType) -> Scalar {
        let extreme = |float: f64, i32: i32, i64: i64| match dtype {
            DType::F32 | DType::F64 => Scalar::from_f64(dtype, float),
            DType::I32 => Scalar::I32(i32),
            DType::I64 => Scalar::I64(i64),
            DType::Bool => panic!("no reduction of bool"),
        };
        match self {
            ReduceOp::Add => Scalar::from_i64(dtype, 0),
            ReduceOp::Mul => Scalar::from_i64(dtype, 1),
            ReduceOp::Max => extreme(f64::NEG_INFINITY, i32::MIN, i64::MIN),
            ReduceOp::Min => extreme(f64::INFINITY, i32::MAX, i64::MAX),
        }
    }
}

impl fmt::Display for ReduceOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ReduceOp {
    type Err = ();

    fn from_str(name: &str) -> Result<ReduceOp, ()> {
        ReduceOp::ALL.into_iter().find(|op| op.name() == name).ok_or(())
    }
}

/// The index along one axis of a buffer: `affine + var`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Index {
    /// The part that the loops give.
    pub affine: Affine,
    /// An index read from data (`i32` or `i64`), as `gather` has it.
    pub var: Option<Var>,
}

/// The indices of one element of a buffer, one per axis.
pub type Indices = SmallVec<[Index; 4]>;

/// What a [`Stmt::Let`] computes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::large_enum_variant, reason = "loads are the largest and the most frequent")]
pub enum Inst {
    /// A constant.
    Constant(Scalar),
    /// The current value of an axis, converted to the dtype of the variable (`i32`, `i64`, `f32` or `f64`).
    Axis(AxisId),
    /// An element of a buffer. With `fill`, an element outside of the buffer's extents reads as that value; without
    /// it, all indices are within (and are affine).
    Load {
        /// The buffer read.
        buffer: BufferId,
        /// Which element.
        indices: Indices,
        /// What is outside.
        fill: Option<Scalar>,
    },
    /// An elementwise function.
    Apply {
        /// The function.
        function: ScalarFn,
        /// Its operands.
        operands: SmallVec<[Var; 3]>,
    },
}

/// One result of a reduction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Accumulator {
    /// The reduced value, known after the loop.
    pub result: Var,
    /// How it combines.
    pub op: ReduceOp,
    /// What each iteration yields to it.
    pub value: Var,
}

/// How a store treats what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreMode {
    /// It is overwritten.
    Set,
    /// The value is added to it; an element outside of the extents is left out (`scatter_add`).
    Add,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stmt {
    /// Runs the body for each value of the axes, the first axis outermost.
    For {
        /// The axes.
        axes: SmallVec<[AxisId; 4]>,
        /// Whether iterations must run in order (`for seq`), because one reads or adds to what another wrote.
        sequential: bool,
        /// What runs.
        body: Vec<Stmt>,
    },
    /// Runs the body for each value of the axes and reduces what it yields. The body may store.
    Reduce {
        /// The axes.
        axes: SmallVec<[AxisId; 4]>,
        /// What is reduced, and how; at least one.
        accumulators: SmallVec<[Accumulator; 1]>,
        /// What runs.
        body: Vec<Stmt>,
    },
    /// Defines a variable.
    Let {
        /// The variable.
        var: Var,
        /// Its value.
        inst: Inst,
    },
    /// Writes an element of a buffer.
    Store {
        /// The value.
        value: Var,
        /// The buffer.
        buffer: BufferId,
        /// Which element.
        indices: Indices,
        /// What happens to the value that is there.
        mode: StoreMode,
    },
}

/// A kernel. Top-level statements run in order; each is a `For` (a kernel of scalars has one with no axes).
/// Iterations of a `For` that is not sequential are independent, so they may run in any order and at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// The name in the text form, without `@`.
    pub name: String,
    /// Parameters in the order of the call (those read and those written), then local memory.
    pub buffers: Vec<Buffer>,
    /// The axes; each is bound by one statement.
    pub axes: Vec<Axis>,
    /// The dtype of each variable.
    pub vars: Vec<DType>,
    /// Whether a convolution is computed by Winograd's algorithm, where the target can do so.
    pub winograd: Option<Winograd>,
    /// The statements.
    pub body: Vec<Stmt>,
}

/// What a kernel computes by Winograd's algorithm, see [`crate::winograd`]. The statements say what it is, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Winograd {
    /// A convolution with filters of three by three, or its gradient for the input.
    Convolution {
        /// The filters that the statements read.
        filters: BufferId,
        /// The same ones transformed: what [`crate::winograd::filter_shape`] says, read only. The statements don't read them.
        /// Where there are none, the kernel transforms the filters itself.
        transformed: Option<BufferId>,
    },
    /// The gradient of such a convolution for its filters.
    Gradient,
}

impl Winograd {
    /// The transformed filters.
    pub fn transformed(self) -> Option<BufferId> {
        match self {
            Winograd::Convolution { transformed, .. } => transformed,
            Winograd::Gradient => None,
        }
    }
}

impl Kernel {
    /// The kernel of this name with nothing in it.
    pub fn new(name: impl Into<String>) -> Kernel {
        Kernel {
            name: name.into(),
            buffers: Vec::new(),
            axes: Vec::new(),
            vars: Vec::new(),
            winograd: None,
            body: Vec::new(),
        }
    }

    /// Adds a buffer. Parameters come before local memory.
    pub fn buffer(&mut self, name: impl Into<String>, ty: Type, access: Access) -> BufferId {
        self.buffers.push(Buffer { name: name.into(), ty, access });
        BufferId(self.buffers.len() as u32 - 1)
    }

    /// Adds a parameter that is read only, behind the last of these. Those behind it have other numbers then.
    pub fn insert_read(&mut self, name: impl Into<String>, ty: Type) -> BufferId {
        let last = self.buffers.iter().rposition(|buffer| buffer.access == Access::Read);
        let at = last.map_or(0, |last| last + 1);
        self.buffers.insert(at, Buffer { name: name.into(), ty, access: Access::Read });
        let inserted = BufferId(at as u32);
        let renumber = |buffer: &mut BufferId| buffer.0 += u32::from(*buffer >= inserted);
        renumber_buffers(&mut self.body, &renumber);
        if let Some(Winograd::Convolution { filters, transformed }) = &mut self.winograd {
            renumber(filters);
            transformed.iter_mut().for_each(renumber);
        }
        inserted
    }

    /// Adds an axis.
    pub fn axis(&mut self, name: impl Into<String>, extent: usize) -> AxisId {
        self.axes.push(Axis { name: name.into(), extent });
        AxisId(self.axes.len() as u32 - 1)
    }

    /// Adds a variable.
    pub fn var(&mut self, dtype: DType) -> Var {
        self.vars.push(dtype);
        Var(self.vars.len() as u32 - 1)
    }

    /// The parameters, in the order of the call.
    pub fn parameters(&self) -> impl Iterator<Item = (BufferId, &Buffer)> {
        let ids = (0..self.buffers.len() as u32).map(BufferId);
        ids.zip(&self.buffers).filter(|(_, buffer)| buffer.access != Access::Local)
    }

    /// The extent of an axis.
    pub fn extent(&self, axis: AxisId) -> usize {
        self.axes[axis.0 as usize].extent
    }
}

fn renumber_buffers(body: &mut [Stmt], renumber: &impl Fn(&mut BufferId)) {
    for stmt in body {
        match stmt {
            Stmt::For { body, .. } | Stmt::Reduce { body, .. } => renumber_buffers(body, renumber),
            Stmt::Let { inst: Inst::Load { buffer, .. }, .. } | Stmt::Store { buffer, .. } => {
                renumber(buffer)
            }
            Stmt::Let { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse_kernel;

    #[test]
    fn an_inserted_parameter_follows_those_that_are_read() {
        let text = |new: &str| {
            format!(
                "kernel @k(%w: f32[9], %x: f32[36]{new}) -> (%y: f32[4]) {{ local %t: f32[4] winograd %x of %w \
                 for i in 4 {{ %0 = load %x[i] store %0, %t[i] for {{ %1 = load %t[i] store %1, %y[i] }} }} }}"
            )
        };
        let mut kernel = parse_kernel(&text("")).expect("valid");
        assert_eq!(kernel.insert_read("new", Type::new(DType::F32, [2])), BufferId(2));
        assert_eq!(kernel, parse_kernel(&text(", %new: f32[2]")).expect("valid"));
    }

    #[test]
    fn an_inserted_parameter_comes_first_where_none_is_read() {
        let text = |new: &str| {
            format!("kernel @k({new}) -> (%y: f32[]) {{ for {{ %0 = 1.0 : f32 store %0, %y[] }} }}")
        };
        let mut kernel = parse_kernel(&text("")).expect("valid");
        assert_eq!(kernel.insert_read("new", Type::new(DType::F32, [2])), BufferId(0));
        assert_eq!(kernel, parse_kernel(&text("%new: f32[2]")).expect("valid"));
    }
}
