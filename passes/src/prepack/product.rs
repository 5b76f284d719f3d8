//! The sums of products whose right operand is worth packing.
//!
//! They are what code generation computes on tiles: one loop, in it one sum over some axes of two loads of `f32`, the left
//! one with zeros around it, as a convolution has it, or with nothing outside.

use ir::{
    Access, Affine, AxisId, BufferId, DType, Indices, Inst, Kernel, ReduceOp, Scalar, ScalarFn, Stmt, Var,
};

use super::PANEL_COLUMNS;

/// From this many rows on a panel is read often enough that its order matters; with fewer, reading the operand is the
/// whole of the work, in whatever order it lies.
const MIN_ROWS: usize = 4;

/// A sum of products whose right operand can be packed.
pub struct Product {
    /// The operand with columns.
    pub right: BufferId,
    /// Which of its elements a term reads.
    pub indices: Indices,
    /// The axes of the result that it has beside the columns: groups of channels.
    pub outer: Vec<AxisId>,
    /// The axis along which results are side by side in memory.
    pub column: AxisId,
    /// The axes that are summed over, in the order of the sum on tiles: from long steps through the left operand to short
    /// ones.
    pub depth: Vec<AxisId>,
}

/// The product that a kernel is, where its right operand is worth packing.
pub fn packable(kernel: &Kernel) -> Option<Product> {
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
    let row = axes.iter().copied().rfind(|&axis| left.uses(axis) && !right.uses(axis))?;
    let fits = right.uses(column)
        && right.fill.is_none()
        && reduced.iter().all(|&axis| left.uses(axis) && right.uses(axis))
        && !left.uses(column)
        && kernel.extent(row) >= MIN_ROWS
        && reduced.iter().map(|&axis| kernel.extent(axis)).product::<usize>() > 1
        && kernel.extent(column) > 0
        && kernel.extent(column).is_multiple_of(PANEL_COLUMNS);
    // The kernel reads the operand nowhere else, and no value of an axis, so indices are all that must be rewritten.
    let is_alone = loads_of(body, right.buffer) == 1 && !reads_axes(body);
    if !fits || !is_alone {
        return None;
    }
    let mut depth = reduced.to_vec();
    let steps = offset(kernel, left.buffer, left.indices);
    depth.sort_by_key(|&axis| std::cmp::Reverse(steps.coefficient(axis).abs()));
    let outer = axes.iter().copied().filter(|&axis| axis != column && right.uses(axis)).collect();
    let product = Product { right: right.buffer, indices: right.indices.clone(), outer, column, depth };
    (!product.is_packed(kernel)).then_some(product)
}

impl Product {
    /// Whether the operand is one panel as it lies in memory.
    fn is_packed(&self, kernel: &Kernel) -> bool {
        let steps = offset(kernel, self.right, &self.indices);
        let mut dense = 1;
        let axes = [self.column].into_iter().chain(self.depth.iter().rev().copied());
        let is_dense = axes.chain(self.outer.iter().rev().copied()).all(|axis| {
            let is_next = steps.coefficient(axis) == dense as i64;
            dense *= kernel.extent(axis);
            is_next
        });
        is_dense && kernel.extent(self.column) == PANEL_COLUMNS
    }
}

/// An affine load of a parameter.
struct Factor<'a> {
    buffer: BufferId,
    indices: &'a Indices,
    fill: Option<Scalar>,
}

impl Factor<'_> {
    fn uses(&self, axis: AxisId) -> bool {
        self.indices.iter().any(|index| index.affine.coefficient(axis) != 0)
    }
}

/// The element of a buffer at these indices, counted row-major.
fn offset(kernel: &Kernel, buffer: BufferId, indices: &Indices) -> Affine {
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

/// Whether the value of an axis is computed with.
fn reads_axes(body: &[Stmt]) -> bool {
    body.iter().any(|stmt| match stmt {
        Stmt::For { body, .. } | Stmt::Reduce { body, .. } => reads_axes(body),
        Stmt::Let { inst, .. } => matches!(inst, Inst::Axis(_)),
        Stmt::Store { .. } => false,
    })
}
