//! Pass `prepack`: what follows from constants and from states that never change is computed once, not in each run, and
//! the right operand of a matrix product is kept in the order in which its tiles read it.
//!
//! In and out: a plan of stage `kernels`. A value is *fixed* where it is a constant, a state that the plan never writes,
//! or a result of `prepare`.
//!
//! 1. A step that reads fixed values alone moves to `prepare`.
//! 2. A product `sum over k of x[i, k] * w[j, k]`, or of `w[k, j]`, with a fixed `w` reads `packed[p, k, l]` instead, for
//!    `j = 32*p + l`: 32 columns of all depths lie side by side, so a tile walks through memory in one direction, and
//!    nothing is left to pack in a run. A step of `prepare` fills `packed`, once for all products that read `w` so.
//!
//! The order of each sum stays the same, and so do all bits of the results.

use ir::{
    Access, Affine, AxisId, BufferId, DType, Index, Indices, Inst, Kernel, KernelId, Place, Plan, ReduceOp,
    ScalarFn, Slot, SlotId, Step, Stmt, StoreMode, Type, Var,
};
use smallvec::{SmallVec, smallvec};

/// The columns of a panel: two vectors of 512 bits, which is what tiles of code generation are wide at most; narrower
/// ones divide it.
const PANEL_COLUMNS: usize = 32;

/// From this many rows on a panel is read often enough that its order matters; with fewer, reading the operand is the
/// whole of the work, in whatever order it lies.
const MIN_ROWS: usize = 4;

/// Moves what is fixed to `prepare`, and packs fixed operands of matrix products.
pub fn prepack(mut plan: Plan) -> Plan {
    let mut is_fixed = fixed_slots(&plan);
    move_fixed_steps(&mut plan, &mut is_fixed);
    pack_operands(&mut plan, &is_fixed);
    plan
}

/// For each slot, whether it holds the same in each run before anything has been moved.
fn fixed_slots(plan: &Plan) -> Vec<bool> {
    let is_kept = |slot: &Slot| matches!(slot.place, Place::State { .. } | Place::Constant(_));
    let mut is_fixed: Vec<bool> = plan.slots.iter().map(is_kept).collect();
    let written = plan.steps.iter().flat_map(|step| plan.writes(step));
    for slot in written.chain(plan.updates.iter().map(|&(state, _)| state)) {
        is_fixed[slot.0 as usize] = false;
    }
    plan.prepare.iter().flat_map(|step| plan.writes(step)).for_each(|slot| is_fixed[slot.0 as usize] = true);
    is_fixed
}

/// Moves the steps that read something, all of it fixed, and write slots of the arena that no other step writes.
fn move_fixed_steps(plan: &mut Plan, is_fixed: &mut [bool]) {
    let mut writers = vec![0; plan.slots.len()];
    plan.steps.iter().flat_map(|step| plan.writes(step)).for_each(|slot| writers[slot.0 as usize] += 1);
    for step in std::mem::take(&mut plan.steps) {
        let (read, written) = (plan.reads(&step), plan.writes(&step));
        let is_own =
            |slot: &SlotId| plan.slot(*slot).place == Place::Unplaced && writers[slot.0 as usize] == 1;
        let moves = !read.is_empty()
            && read.iter().all(|slot| is_fixed[slot.0 as usize])
            && written.iter().all(is_own);
        if moves {
            written.iter().for_each(|slot| is_fixed[slot.0 as usize] = true);
            plan.prepare.push(step);
        } else {
            plan.steps.push(step);
        }
    }
}

/// Packs the fixed right operands of the products in the steps.
fn pack_operands(plan: &mut Plan, is_fixed: &[bool]) {
    let mut calls = vec![0; plan.kernels.len()];
    for step in plan.prepare.iter().chain(&plan.steps) {
        if let Step::Call { kernel, .. } = step {
            calls[kernel.0 as usize] += 1;
        }
    }
    let mut packs: Vec<Pack> = Vec::new();
    for index in 0..plan.steps.len() {
        let Step::Call { kernel: id, slots } = &plan.steps[index] else { continue };
        let id = *id;
        // The kernel of several calls stays, for the operand may be fixed in one of them and not in the other.
        let Some(product) = packable(plan.kernel(id)).filter(|_| calls[id.0 as usize] == 1) else { continue };
        let at = product.right.0 as usize;
        let operand = slots[at];
        if !is_fixed[operand.0 as usize] {
            continue;
        }
        let pack = pack_kernel(plan.kernel(id), &product);
        let packed = packed_slot(plan, &mut packs, operand, pack);
        let Step::Call { slots, .. } = &mut plan.steps[index] else { continue };
        slots[at] = packed;
        let kernel = &mut plan.kernels[id.0 as usize];
        *kernel = with_packed_operand(std::mem::replace(kernel, Kernel::new("")), &product);
    }
}

/// What has been packed already.
struct Pack {
    operand: SlotId,
    kernel: KernelId,
    packed: SlotId,
}

/// The slot that holds `operand` as kernel `pack` packs it: one for all that want the same.
fn packed_slot(plan: &mut Plan, packs: &mut Vec<Pack>, operand: SlotId, pack: Kernel) -> SlotId {
    let known = packs.iter().find(|known| known.operand == operand && *plan.kernel(known.kernel) == pack);
    if let Some(known) = known {
        return known.packed;
    }
    let packed = SlotId(plan.slots.len() as u32);
    let name = format!("{}.packed", plan.slot(operand).name);
    plan.slots.push(Slot { name, ty: pack.buffers[1].ty.clone(), place: Place::Unplaced });
    let kernel = match packs.iter().find(|known| *plan.kernel(known.kernel) == pack) {
        Some(known) => known.kernel,
        None => {
            plan.kernels.push(pack);
            KernelId(plan.kernels.len() as u32 - 1)
        }
    };
    plan.prepare.push(Step::Call { kernel, slots: smallvec![operand, packed] });
    packs.push(Pack { operand, kernel, packed });
    packed
}

/// A sum of products whose right operand can be packed.
struct Product {
    /// The operand with columns.
    right: BufferId,
    /// Which of its elements a term reads.
    indices: Indices,
    /// The axis along which results are side by side in memory.
    column: AxisId,
    /// The axis that is summed over.
    depth: AxisId,
}

/// The product that a kernel is, where its right operand is worth packing. What is a product is what code generation
/// computes on tiles: one loop, in it one sum over one axis of two plain loads of `f32`.
fn packable(kernel: &Kernel) -> Option<Product> {
    let [Stmt::For { axes, sequential: false, body }] = kernel.body.as_slice() else { return None };
    let mut loops = body.iter().filter(|stmt| matches!(stmt, Stmt::For { .. } | Stmt::Reduce { .. }));
    let (Some(Stmt::Reduce { axes: reduced, accumulators, body: terms }), None) =
        (loops.next(), loops.next())
    else {
        return None;
    };
    let ([depth], [sum]) = (reduced.as_slice(), accumulators.as_slice()) else { return None };
    if sum.op != ReduceOp::Add || kernel.vars[sum.result.0 as usize] != DType::F32 {
        return None;
    }
    let (x, y) = factors(kernel, terms, sum.value)?;
    let column = axes.iter().copied().find(|&axis| runs_along(kernel, body, axis))?;
    let (left, right) = if x.uses(column) { (y, x) } else { (x, y) };
    let row = axes.iter().copied().rfind(|&axis| left.uses(axis) && !right.uses(axis))?;
    let others = axes.iter().filter(|&&axis| axis != column);
    let fits = right.uses(column)
        && right.uses(*depth)
        && left.uses(*depth)
        && !left.uses(column)
        && !others.into_iter().any(|&axis| right.uses(axis))
        && kernel.extent(row) >= MIN_ROWS
        && kernel.extent(*depth) > 1
        && kernel.extent(column) > 0
        && kernel.extent(column).is_multiple_of(PANEL_COLUMNS);
    let is_packed_already = kernel.extent(column) == PANEL_COLUMNS && {
        let offset = right.offset(kernel);
        offset.coefficient(column) == 1 && offset.coefficient(*depth) == PANEL_COLUMNS as i64
    };
    // The kernel reads the operand nowhere else, and no value of an axis, so indices are all that must be rewritten.
    let is_alone = loads_of(body, right.buffer) == 1 && !reads_axes(body);
    (fits && !is_packed_already && is_alone).then(|| Product {
        right: right.buffer,
        indices: right.indices.clone(),
        column,
        depth: *depth,
    })
}

/// A plain load: affine, with nothing outside.
struct Factor<'a> {
    buffer: BufferId,
    indices: &'a Indices,
}

impl Factor<'_> {
    fn uses(&self, axis: AxisId) -> bool {
        self.indices.iter().any(|index| index.affine.coefficient(axis) != 0)
    }

    fn offset(&self, kernel: &Kernel) -> Affine {
        offset(kernel, self.buffer, self.indices)
    }
}

/// The element of a buffer at these indices, counted row-major.
fn offset(kernel: &Kernel, buffer: BufferId, indices: &Indices) -> Affine {
    let strides = kernel.buffers[buffer.0 as usize].ty.shape.strides();
    let terms = indices.iter().zip(&strides).map(|(index, &stride)| index.affine.times(stride as i64));
    terms.fold(Affine::constant(0), |sum, term| sum.plus(&term))
}

/// The two loads of parameters whose product `value` is, where there is nothing else in `terms`.
fn factors<'a>(kernel: &Kernel, terms: &'a [Stmt], value: Var) -> Option<(Factor<'a>, Factor<'a>)> {
    let [first, second, Stmt::Let { var, inst: Inst::Apply { function: ScalarFn::Mul, operands } }] = terms
    else {
        return None;
    };
    let load = |stmt: &'a Stmt| -> Option<(Var, Factor<'a>)> {
        let Stmt::Let { var, inst: Inst::Load { buffer, indices, fill: None } } = stmt else { return None };
        let ir::Buffer { ty, access, .. } = &kernel.buffers[buffer.0 as usize];
        let is_plain = indices.iter().all(|index| index.var.is_none());
        let fits = is_plain && ty.dtype == DType::F32 && *access == Access::Read;
        fits.then_some((*var, Factor { buffer: *buffer, indices }))
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

/// The kernel that packs the right operand of a product: `packed[p, k, l] = w[j, k]` for `j = 32*p + l`.
fn pack_kernel(of: &Kernel, product: &Product) -> Kernel {
    let (columns, depth) = (of.extent(product.column), of.extent(product.depth));
    let mut kernel = Kernel::new(format!("pack_{depth}x{columns}"));
    let source = kernel.buffer("w", of.buffers[product.right.0 as usize].ty.clone(), Access::Read);
    let target = kernel.buffer("packed", packed_type(of, product), Access::Write);
    let panel = kernel.axis("p", columns / PANEL_COLUMNS);
    let k = kernel.axis("k", depth);
    let lane = kernel.axis("l", PANEL_COLUMNS);
    let indices = substituted(&product.indices, |axis| match axis == product.column {
        true => column_of(panel, lane),
        false => Affine::axis(k),
    });
    let var = kernel.var(DType::F32);
    let load = Stmt::Let { var, inst: Inst::Load { buffer: source, indices, fill: None } };
    let indices = indices_of([panel, k, lane]);
    let store = Stmt::Store { value: var, buffer: target, indices, mode: StoreMode::Set };
    let axes = smallvec![panel, k, lane];
    kernel.body = vec![Stmt::For { axes, sequential: false, body: vec![load, store] }];
    kernel.numbered()
}

/// The kernel of a product that reads its right operand packed, with its columns cut into panels.
fn with_packed_operand(mut kernel: Kernel, product: &Product) -> Kernel {
    let ty = packed_type(&kernel, product);
    let panels = ty.shape[0];
    let name = kernel.axes[product.column.0 as usize].name.clone();
    let panel = kernel.axis(format!("{name}p"), panels);
    let lane = kernel.axis(format!("{name}l"), PANEL_COLUMNS);
    kernel.buffers[product.right.0 as usize].ty = ty;
    let mut body = std::mem::take(&mut kernel.body);
    let rewrite = Rewrite { product, panel, lane };
    rewrite.block(&mut body);
    kernel.body = body;
    kernel.numbered()
}

/// The columns of a product cut into panels.
struct Rewrite<'a> {
    product: &'a Product,
    panel: AxisId,
    lane: AxisId,
}

impl Rewrite<'_> {
    fn block(&self, body: &mut [Stmt]) {
        for stmt in body {
            match stmt {
                Stmt::For { axes, body, .. } => {
                    let cut = |&axis: &AxisId| -> SmallVec<[AxisId; 2]> {
                        if axis == self.product.column {
                            smallvec![self.panel, self.lane]
                        } else {
                            smallvec![axis]
                        }
                    };
                    *axes = axes.iter().flat_map(cut).collect();
                    self.block(body);
                }
                Stmt::Reduce { body, .. } => self.block(body),
                Stmt::Let { inst: Inst::Load { buffer, indices, .. }, .. } => {
                    *indices = match *buffer == self.product.right {
                        true => indices_of([self.panel, self.product.depth, self.lane]),
                        false => self.indices(indices),
                    };
                }
                Stmt::Let { .. } => {}
                Stmt::Store { indices, .. } => *indices = self.indices(indices),
            }
        }
    }

    fn indices(&self, indices: &Indices) -> Indices {
        substituted(indices, |axis| match axis == self.product.column {
            true => column_of(self.panel, self.lane),
            false => Affine::axis(axis),
        })
    }
}

/// The packed operand, by panel, depth and column of the panel.
fn packed_type(kernel: &Kernel, product: &Product) -> Type {
    let panels = kernel.extent(product.column) / PANEL_COLUMNS;
    Type::new(DType::F32, [panels, kernel.extent(product.depth), PANEL_COLUMNS])
}

/// The column that a panel has at a lane.
fn column_of(panel: AxisId, lane: AxisId) -> Affine {
    Affine::axis(panel).times(PANEL_COLUMNS as i64).plus(&Affine::axis(lane))
}

fn indices_of(axes: [AxisId; 3]) -> Indices {
    axes.into_iter().map(|axis| Index { affine: Affine::axis(axis), var: None }).collect()
}

fn substituted(indices: &Indices, value: impl Fn(AxisId) -> Affine) -> Indices {
    let through = |index: &Index| Index { affine: index.affine.substitute(&value), var: index.var };
    indices.iter().map(through).collect()
}
