//! What holds of kernels.

use smallvec::SmallVec;

use crate::text::MAX_DEPTH;
use crate::{
    Access, AxisId, Buffer, BufferId, DType, Error, Index, Inst, Kernel, Scalar, Stmt, StoreMode, Var,
    Winograd, winograd,
};

/// Checks a kernel.
///
/// - Parameters come before local memory; top-level statements are `for`s.
/// - Each variable is defined once, before its uses and in a block around them; its dtype is that of what defines it.
/// - Each axis is bound by one loop, and used inside of it only.
/// - Buffers are of sizes that indices of 32 bits reach, and blocks are nested at most [`MAX_DEPTH`] deep.
/// - An access has one index per axis of the buffer. Without `fill` (loads) or `add` (stores), it is affine and within
///   the buffer for all iterations. An index read from data is `i32` or `i64`.
/// - Filters that are transformed for Winograd's algorithm are as many as the filters ask for.
/// - What is stored has the dtype of the buffer, which is not read-only, and iterations of a parallel loop store to
///   elements of their own: each of its axes occurs in the indices. An `add` to an index read from data is in a
///   `for seq`, or in no loop that has axes.
///
/// # Errors
/// The first of these that does not hold.
pub fn verify_kernel(kernel: &Kernel) -> Result<(), Error> {
    let first_local = kernel.buffers.iter().position(|buffer| buffer.access == Access::Local);
    let parameters = kernel.parameters().count();
    let mut verifier = Verifier {
        kernel,
        vars: vec![State::Undefined; kernel.vars.len()],
        visible: Vec::new(),
        is_bound: vec![false; kernel.axes.len()],
        loops: Vec::new(),
        depth: 0,
    };
    if let Some(buffer) = kernel.buffers.iter().find(|buffer| !buffer.ty.is_within_limit()) {
        let problem = format!("%{} has too many elements, {}", buffer.name, buffer.ty);
        return verifier.fail(problem, "use at most 2^31");
    }
    if first_local.is_some_and(|first| first < parameters) {
        return verifier.fail("a parameter comes after local memory", "add parameters first");
    }
    if kernel.body.iter().any(|stmt| !matches!(stmt, Stmt::For { .. })) {
        return verifier
            .fail("a statement is outside of any loop", "put it in a `for`, which may have no axes");
    }
    verifier.winograd()?;
    verifier.block(&kernel.body)
}

/// No index is so far from the first element of a buffer, in elements, that the address could overflow.
const FARTHEST: i128 = 1 << 56;

/// What is known of a variable at a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Undefined,
    Visible,
    /// Its block has ended.
    Gone,
}

/// An open loop axis.
struct Loop {
    axis: AxisId,
    /// Whether iterations run in order: `for seq`.
    is_sequential: bool,
    /// Whether it belongs to a top-level `for`, an iteration of which has local memory of its own.
    is_outermost: bool,
}

struct Verifier<'a> {
    kernel: &'a Kernel,
    vars: Vec<State>,
    /// The visible variables, in the order of their definition.
    visible: Vec<Var>,
    is_bound: Vec<bool>,
    /// The open loops, outermost first.
    loops: Vec<Loop>,
    /// The number of open blocks.
    depth: usize,
}

type Checked = Result<(), Error>;

impl Verifier<'_> {
    fn fail<T>(&self, problem: impl Into<String>, help: &str) -> Result<T, Error> {
        Err(Error::new(format!("kernel @{}", self.kernel.name), problem, help))
    }

    /// Transformed filters have 36 elements for the nine of a filter, and are read only.
    fn winograd(&self) -> Checked {
        let Some(Winograd::Convolution { filters, transformed }) = self.kernel.winograd else {
            return Ok(());
        };
        let filters = self.buffer(filters)?;
        let Some(transformed) = transformed else { return Ok(()) };
        let transformed = self.buffer(transformed)?;
        let elements = filters.ty.shape.elements() / (winograd::TAPS * winograd::TAPS) * winograd::PRODUCTS;
        let fits = transformed.access == Access::Read
            && [filters, transformed].iter().all(|buffer| buffer.ty.dtype == DType::F32)
            && transformed.ty.shape.elements() == elements;
        if fits {
            return Ok(());
        }
        let problem =
            format!("%{} cannot be %{} ({}) transformed", transformed.name, filters.name, filters.ty);
        self.fail(problem, "read as many f32 as `winograd::filter_shape` says")
    }

    fn block(&mut self, block: &[Stmt]) -> Checked {
        block.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    fn stmt(&mut self, stmt: &Stmt) -> Checked {
        match stmt {
            Stmt::For { axes, sequential, body } => {
                let outer = self.open(axes, *sequential)?;
                self.block(body)?;
                self.close(outer);
                Ok(())
            }
            Stmt::Reduce { axes, accumulators, body } => {
                if accumulators.is_empty() {
                    return self.fail("a reduction has no result", "use a `for`");
                }
                let outer = self.open(axes, false)?;
                self.block(body)?;
                accumulators.iter().try_for_each(|accumulator| self.use_var(accumulator.value).map(drop))?;
                self.close(outer);
                for accumulator in accumulators {
                    let dtype = self.dtype(accumulator.value);
                    if dtype == DType::Bool {
                        return self.fail("a reduction of bool", "convert it with `cast_i32` first");
                    }
                    self.define(accumulator.result, dtype)?;
                }
                Ok(())
            }
            Stmt::Let { var, inst } => {
                let dtype = self.inst(*var, inst)?;
                self.define(*var, dtype)
            }
            Stmt::Store { value, buffer, indices, mode } => self.store(*value, *buffer, indices, *mode),
        }
    }

    /// Opens a block of a loop over these axes; gives what [`Verifier::close`] wants.
    fn open(&mut self, axes: &[AxisId], is_sequential: bool) -> Result<[usize; 2], Error> {
        if self.depth >= MAX_DEPTH {
            let problem = format!("blocks are nested more than {MAX_DEPTH} deep");
            return self.fail(problem, "give one loop several axes");
        }
        self.depth += 1;
        let outer = [self.visible.len(), self.loops.len()];
        for &axis in axes {
            let Some(is_bound) = self.is_bound.get_mut(axis.0 as usize) else {
                return self.fail(format!("there is no axis {}", axis.0), "add it with `Kernel::axis`");
            };
            if std::mem::replace(is_bound, true) {
                let name = &self.kernel.axes[axis.0 as usize].name;
                return self
                    .fail(format!("two loops run over axis `{name}`"), "give each loop axes of its own");
            }
            self.loops.push(Loop { axis, is_sequential, is_outermost: outer[1] == 0 });
        }
        let extents = self.loops.iter().map(|open| self.kernel.extent(open.axis) as i128);
        const MOST: i128 = 1 << 62;
        if extents.fold(1, |product, extent| (product * extent).min(MOST)) == MOST {
            return self
                .fail("nested loops have too many iterations", "keep the product of extents below 2^62");
        }
        Ok(outer)
    }

    fn close(&mut self, [visible, loops]: [usize; 2]) {
        for var in self.visible.drain(visible..) {
            self.vars[var.0 as usize] = State::Gone;
        }
        self.loops.truncate(loops);
        self.depth -= 1;
    }

    fn dtype(&self, var: Var) -> DType {
        self.kernel.vars[var.0 as usize]
    }

    fn define(&mut self, var: Var, dtype: DType) -> Checked {
        match self.vars.get(var.0 as usize) {
            None => {
                return self.fail(format!("there is no variable %{}", var.0), "add it with `Kernel::var`");
            }
            Some(State::Undefined) => {}
            Some(_) => return self.fail(format!("%{} is defined twice", var.0), "define each variable once"),
        }
        if self.dtype(var) != dtype {
            let problem = format!("%{} is declared {}, but it is {dtype}", var.0, self.dtype(var));
            return self.fail(problem, "declare it with the dtype of what defines it");
        }
        self.vars[var.0 as usize] = State::Visible;
        self.visible.push(var);
        Ok(())
    }

    fn use_var(&self, var: Var) -> Result<DType, Error> {
        match self.vars.get(var.0 as usize) {
            Some(State::Visible) => Ok(self.dtype(var)),
            Some(State::Gone) => {
                self.fail(format!("%{} is used after its block", var.0), "hand it out with a reduction")
            }
            _ => self.fail(format!("%{} is used before it is defined", var.0), "define it first"),
        }
    }

    fn use_axis(&self, axis: AxisId) -> Checked {
        if self.loops.iter().any(|open| open.axis == axis) {
            return Ok(());
        }
        let name = self.kernel.axes.get(axis.0 as usize).map_or("missing", |axis| &axis.name);
        self.fail(
            format!("axis `{name}` is used outside of its loop"),
            "use it in the loop that runs over it",
        )
    }

    /// The dtype of what an instruction computes.
    fn inst(&self, var: Var, inst: &Inst) -> Result<DType, Error> {
        match inst {
            Inst::Constant(value) => Ok(value.dtype()),
            Inst::Axis(axis) => {
                self.use_axis(*axis)?;
                match self.kernel.vars.get(var.0 as usize) {
                    Some(DType::Bool) => self.fail("an axis is no bool", "compare it with a number"),
                    dtype => Ok(dtype.copied().unwrap_or(DType::I64)),
                }
            }
            Inst::Load { buffer, indices, fill } => {
                let buffer = self.buffer(*buffer)?;
                self.indices(buffer, indices, fill.is_some())?;
                match fill.map(Scalar::dtype) {
                    Some(dtype) if dtype != buffer.ty.dtype => {
                        let problem =
                            format!("a load of %{} ({}) fills with {dtype}", buffer.name, buffer.ty);
                        self.fail(problem, "fill with the dtype of the buffer")
                    }
                    _ => Ok(buffer.ty.dtype),
                }
            }
            Inst::Apply { function, operands } => {
                let dtypes = operands.iter().map(|&operand| self.use_var(operand));
                let dtypes: SmallVec<[DType; 3]> = dtypes.collect::<Result<_, _>>()?;
                function.result_dtype(&dtypes).map_or_else(
                    || {
                        let list: Vec<&str> = dtypes.iter().map(|dtype| dtype.name()).collect();
                        let problem = format!("`{function}` does not take ({})", list.join(", "));
                        self.fail(problem, "see the table of elementwise functions in docs/IR.md")
                    },
                    Ok,
                )
            }
        }
    }

    fn buffer(&self, id: BufferId) -> Result<&Buffer, Error> {
        match self.kernel.buffers.get(id.0 as usize) {
            Some(buffer) => Ok(buffer),
            None => self.fail(format!("there is no buffer {}", id.0), "add it with `Kernel::buffer`"),
        }
    }

    /// Checks the indices of an access; where it is not `masked`, they must be within the buffer.
    fn indices(&self, buffer: &Buffer, indices: &[Index], masked: bool) -> Checked {
        let name = &buffer.name;
        if indices.len() != buffer.ty.shape.rank() {
            let problem = format!("{} indices for %{name}, which is {}", indices.len(), buffer.ty);
            return self.fail(problem, "give one index per axis");
        }
        // Where a loop has no iterations, nothing is accessed.
        let mut is_run = true;
        for open in &self.loops {
            is_run &= self.kernel.extent(open.axis) > 0;
        }
        let mut reach = 0i128;
        let strides = buffer.ty.shape.strides();
        for (position, ((index, &extent), &stride)) in
            indices.iter().zip(buffer.ty.shape.iter()).zip(&strides).enumerate()
        {
            index.affine.terms().iter().try_for_each(|&(axis, _)| self.use_axis(axis))?;
            if let Some(var) = index.var {
                if !self.use_var(var)?.is_int() {
                    let problem = format!("index {position} of %{name} is {}", self.dtype(var));
                    return self.fail(problem, "index with i32 or i64");
                }
                if !masked {
                    let problem =
                        format!("index {position} of %{name} is read from data, so it may be outside");
                    return self.fail(problem, "load with `fill`, store with `add`");
                }
            }
            let (low, high) = self.range(index);
            // Code computes the address of an element that is outside, too, before it finds that it is.
            let offset = low.saturating_abs().max(high.saturating_abs()).saturating_mul(stride as i128);
            reach = reach.saturating_add(offset);
            if reach >= FARTHEST {
                return self
                    .fail(format!("index {position} of %{name} may overflow"), "use smaller coefficients");
            }
            if is_run && !masked && (low < 0 || high >= extent as i128) {
                let problem =
                    format!("index {position} of %{name} runs from {low} to {high}, its extent is {extent}");
                return self.fail(problem, "keep it within, or load with `fill`");
            }
        }
        Ok(())
    }

    /// The least and the greatest value of the affine part of an index, without overflow.
    fn range(&self, index: &Index) -> (i128, i128) {
        let start = i128::from(index.affine.offset());
        index.affine.terms().iter().fold((start, start), |(low, high), &(axis, coefficient)| {
            let last = i128::from(coefficient) * (self.kernel.extent(axis) as i128 - 1).max(0);
            (low.saturating_add(last.min(0)), high.saturating_add(last.max(0)))
        })
    }

    fn store(&self, value: Var, id: BufferId, indices: &[Index], mode: StoreMode) -> Checked {
        let dtype = self.use_var(value)?;
        let buffer = self.buffer(id)?;
        let name = &buffer.name;
        if buffer.access == Access::Read {
            return self
                .fail(format!("a store to %{name}, which is read only"), "make it a written parameter");
        }
        if dtype != buffer.ty.dtype {
            let problem = format!("a store of {dtype} to %{name}, which is {}", buffer.ty);
            return self.fail(problem, "convert the value with a cast");
        }
        self.indices(buffer, indices, mode == StoreMode::Add)?;
        let is_sequential = self.loops.iter().any(|open| open.is_sequential);
        if indices.iter().any(|index| index.var.is_some()) {
            let help = "put it in a `for seq`";
            return if is_sequential || self.loops.is_empty() {
                Ok(())
            } else {
                self.fail(format!("parallel stores to %{name} may collide"), help)
            };
        }
        let shared = self.loops.iter().find(|open| {
            let is_own = indices.iter().any(|index| index.affine.coefficient(open.axis) != 0);
            let has_own_memory = buffer.access == Access::Local && open.is_outermost;
            !open.is_sequential && !is_own && !has_own_memory && self.kernel.extent(open.axis) > 1
        });
        match shared {
            None => Ok(()),
            Some(open) => {
                let axis = &self.kernel.axes[open.axis.0 as usize].name;
                let problem = format!("all iterations of `{axis}` store to the same element of %{name}");
                self.fail(problem, "index with the axis, or reduce over it")
            }
        }
    }
}
