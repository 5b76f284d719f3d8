//! Kernels that are a sum of products: one loop, in it one sum over some axes of two loads of `f32`, the left one with zeros
//! around it, as a convolution has it, or with nothing outside. Passes `winograd` and `prepack` look for them.

use ir::{
    Access, Affine, AxisId, BufferId, DType, Indices, Inst, Kernel, ReduceOp, Scalar, ScalarFn, Stmt, Var,
};

/// `sum over reduced of left * right` for all values of `axes`, and what the kernel does with that.
pub struct SumOfProducts<'a> {
    /// The axes of the result.
    pub axes: &'a [AxisId],
    /// The statements of the loop over them.
    pub body: &'a [Stmt],
    /// The axes that are summed over.
    pub reduced: &'a [AxisId],
    /// The axis of the result along which all stores go through memory one by one.
    pub column: AxisId,
    /// The operand without columns.
    pub left: Factor<'a>,
    /// The operand with columns. It is loaded nowhere else, and nothing outside of it.
    pub right: Factor<'a>,
}

impl<'a> SumOfProducts<'a> {
    /// The one that a kernel is.
    pub fn of(kernel: &'a Kernel) -> Option<SumOfProducts<'a>> {
        let [Stmt::For { axes, sequential: false, body }] = kernel.body.as_slice() else { return None };
        let mut loops = body.iter().filter(|stmt| matches!(stmt, Stmt::For { .. } | Stmt::Reduce { .. }));
        let (Some(Stmt::Reduce { axes: reduced, accumulators, body: terms }), None) =
            (loops.next(), loops.next())
        else {
            return None;
        };
        let [sum] = accumulators.as_slice() else { return None };
        if sum.op != ReduceOp::Add || kernel.vars[sum.result.0 as usize] != DType::F32 {
            return None;
        }
        let (x, y) = factors(kernel, terms, sum.value)?;
        let column = axes.iter().copied().find(|&axis| runs_along(kernel, body, axis))?;
        let (left, right) = if x.uses(column) { (y, x) } else { (x, y) };
        let fits = right.uses(column)
            && right.fill.is_none()
            && reduced.iter().all(|&axis| left.uses(axis) && right.uses(axis))
            && !left.uses(column)
            && reduced.iter().map(|&axis| kernel.extent(axis)).product::<usize>() > 1
            && loads_of(body, right.buffer) == 1;
        fits.then_some(SumOfProducts { axes, body, reduced, column, left, right })
    }
}

/// An affine load of a parameter.
pub struct Factor<'a> {
    /// The parameter.
    pub buffer: BufferId,
    /// Which of its elements.
    pub indices: &'a Indices,
    fill: Option<Scalar>,
}

impl Factor<'_> {
    /// Whether an index depends on an axis.
    pub fn uses(&self, axis: AxisId) -> bool {
        self.indices.iter().any(|index| index.affine.coefficient(axis) != 0)
    }
}

/// The element of a buffer at these indices, counted row-major.
pub fn offset(kernel: &Kernel, buffer: BufferId, indices: &Indices) -> Affine {
    let strides = kernel.buffers[buffer.0 as usize].ty.shape.strides();
    let terms = indices.iter().zip(&strides).map(|(index, &stride)| index.affine.times(stride as i64));
    terms.fold(Affine::constant(0), |sum, term| sum.plus(&term))
}

/// The two loads of parameters whose product `value` is, where there is nothing else in `terms`. What is outside is 0.
fn factors<'a>(kernel: &Kernel, terms: &'a [Stmt], value: Var) -> Option<(Factor<'a>, Factor<'a>)> {
    let [first, second, Stmt::Let { var, inst: Inst::Apply { function: ScalarFn::Mul, operands } }] = terms
    else {
        return None;
    };
    let load = |stmt: &'a Stmt| -> Option<(Var, Factor<'a>)> {
        let Stmt::Let { var, inst: Inst::Load { buffer, indices, fill } } = stmt else { return None };
        let ir::Buffer { ty, access, .. } = &kernel.buffers[buffer.0 as usize];
        let is_plain = indices.iter().all(|index| index.var.is_none())
            && fill.is_none_or(|fill| fill == Scalar::F32(0.0));
        let fits = is_plain && ty.dtype == DType::F32 && *access == Access::Read;
        fits.then_some((*var, Factor { buffer: *buffer, indices, fill: *fill }))
    };
    let ((a, x), (b, y)) = (load(first)?, load(second)?);
    (*var == value && operands.as_slice() == [a, b]).then_some((x, y))
}

/// Whether every store of a body steps through memory one by one along an axis.
fn runs_along(kernel: &Kernel, body: &[Stmt], axis: AxisId) -> bool {
    let mut steps = body.iter().filter_map(|stmt| match stmt {
        Stmt::Store { buffer, indices, .. } => Some(offset(kernel, *buffer, indices).coefficient(axis)),
        _ => None,
    });
    steps.next() == Some(1) && steps.all(|step| step == 1)
}

/// How many loads of a buffer there are.
fn loads_of(body: &[Stmt], wanted: BufferId) -> usize {
    let of = |stmt: &Stmt| match stmt {
        Stmt::For { body, .. } | Stmt::Reduce { body, .. } => loads_of(body, wanted),
        Stmt::Let { inst: Inst::Load { buffer, .. }, .. } => usize::from(*buffer == wanted),
        Stmt::Let { .. } | Stmt::Store { .. } => 0,
    };
    body.iter().map(of).sum()
}
