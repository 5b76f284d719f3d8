//! When a kernel may write a result over one of its operands: what pass `plan_memory` makes use of, and what the verifier
//! holds every plan to.

use std::collections::BTreeMap;

use crate::{Access, Affine, AxisId, BufferId, Indices, Inst, Kernel, Plan, SlotId, Step, Stmt, Winograd};
use smallvec::SmallVec;

/// A call of a kernel: which of its results may be in the memory of which operands.
pub struct Call<'a> {
    touches: Touches<'a>,
    /// The parameters that each slot is given for.
    parameters: BTreeMap<SlotId, SmallVec<[BufferId; 1]>>,
}

impl<'a> Call<'a> {
    /// The call that a step is; `None` for a copy.
    pub fn of(plan: &'a Plan, step: &Step) -> Option<Call<'a>> {
        let Step::Call { kernel, slots } = step else { return None };
        let kernel = plan.kernel(*kernel);
        let mut parameters: BTreeMap<SlotId, SmallVec<[BufferId; 1]>> = BTreeMap::new();
        for ((buffer, _), &slot) in kernel.parameters().zip(slots) {
            parameters.entry(slot).or_default().push(buffer);
        }
        Some(Call { touches: Touches::of(kernel), parameters })
    }

    /// Whether the kernel may write `value` over `old`, which it may read. The two may be one slot, of which what is read back is
    /// what has been written.
    pub fn may_write_over(&self, old: SlotId, value: SlotId) -> bool {
        let parameters_of = |slot, access| {
            let parameters = self.parameters.get(&slot).into_iter().flatten();
            parameters.filter(move |buffer| self.touches.kernel.buffers[buffer.0 as usize].access == access)
        };
        parameters_of(value, Access::Write).all(|&written| {
            parameters_of(old, Access::Read).all(|&read| self.touches.may_overwrite(read, written))
        })
    }
}

/// What a kernel loads and stores, and where. Walked once, it answers for every pair of buffers.
struct Touches<'a> {
    kernel: &'a Kernel,
    /// The axes of each loop.
    loops: Vec<&'a [AxisId]>,
    /// The loads of each buffer.
    loads: BTreeMap<BufferId, Vec<Touch<'a>>>,
    /// The stores to each buffer.
    stores: BTreeMap<BufferId, Vec<Touch<'a>>>,
}

/// A load or a store: where it stands, and which element it touches.
struct Touch<'a> {
    /// The loops around it, outermost first.
    path: SmallVec<[usize; 4]>,
    /// Its number among all loads and stores, in the order of the text.
    position: usize,
    indices: &'a Indices,
}

impl<'a> Touches<'a> {
    /// Those of a kernel.
    fn of(kernel: &'a Kernel) -> Touches<'a> {
        let (loads, stores) = (BTreeMap::new(), BTreeMap::new());
        let mut touches = Touches { kernel, loops: Vec::new(), loads, stores };
        touches.walk(&kernel.body, &mut SmallVec::new(), &mut 0);
        touches
    }

    /// Whether the kernel means the same when parameter `written` is the memory of parameter `read`: each element is read
    /// for the last time before it is written, and never by another iteration than the one that writes it.
    ///
    /// What is shown of each pair of a load and a store: the load comes first in the text, and each axis of a loop around
    /// both is in an index, the same of both along the same axis of the buffer, that has another value for other values of
    /// its axes. Then different iterations of the common loops touch different elements, and within one iteration the load
    /// has run when the store runs.
    fn may_overwrite(&self, read: BufferId, written: BufferId) -> bool {
        // Filters are read without a load, by every iteration: those that are transformed, and those that the kernel transforms.
        let is_transformed = match self.kernel.winograd {
            Some(Winograd::Convolution { filters, transformed }) => transformed.unwrap_or(filters) == read,
            _ => false,
        };
        let ty = |buffer: BufferId| &self.kernel.buffers[buffer.0 as usize].ty;
        if is_transformed || ty(read) != ty(written) {
            return false;
        }
        let loads = self.loads.get(&read).map_or(&[][..], Vec::as_slice);
        let stores = self.stores.get(&written).map_or(&[][..], Vec::as_slice);
        loads.iter().all(|load| stores.iter().all(|store| self.is_ordered(load, store)))
    }

    fn walk(&mut self, body: &'a [Stmt], path: &mut SmallVec<[usize; 4]>, position: &mut usize) {
        for statement in body {
            let (touched, buffer, indices) = match statement {
                Stmt::For { axes, body, .. } | Stmt::Reduce { axes, body, .. } => {
                    path.push(self.loops.len());
                    self.loops.push(axes);
                    self.walk(body, path, position);
                    path.pop();
                    continue;
                }
                Stmt::Let { inst: Inst::Load { buffer, indices, .. }, .. } => {
                    (&mut self.loads, *buffer, indices)
                }
                Stmt::Let { .. } => continue,
                Stmt::Store { buffer, indices, .. } => (&mut self.stores, *buffer, indices),
            };
            *position += 1;
            let touch = Touch { path: path.clone(), position: *position, indices };
            touched.entry(buffer).or_default().push(touch);
        }
    }

    /// Whether no element is loaded after it was stored.
    fn is_ordered(&self, load: &Touch<'_>, store: &Touch<'_>) -> bool {
        let common = load.path.iter().zip(&store.path).take_while(|(a, b)| a == b).map(|(&a, _)| a);
        let mut axes =
            common.flat_map(|index| self.loops[index]).filter(|&&axis| self.kernel.extent(axis) > 1);
        load.position < store.position
            && axes.all(|&axis| decides_both(self.kernel, axis, load.indices, store.indices))
    }
}

/// Whether `axis` is in an index that is the same of both and from which its value can be told.
fn decides_both(kernel: &Kernel, axis: AxisId, load: &Indices, store: &Indices) -> bool {
    let decides = |affine: &Affine| affine.coefficient(axis) != 0 && is_injective(kernel, affine);
    load.iter().zip(store).any(|(a, b)| a == b && a.var.is_none() && decides(&a.affine))
}

/// Whether a function of axes has another value for other values of them: each axis steps farther than all those of
/// smaller steps reach together, as in `32*p + l` for `l` below 32.
fn is_injective(kernel: &Kernel, affine: &Affine) -> bool {
    let mut steps: Vec<(u64, u64)> = (affine.terms().iter())
        .map(|&(axis, step)| (step.unsigned_abs(), kernel.extent(axis).saturating_sub(1) as u64))
        .collect();
    steps.sort_unstable();
    let mut reach = 0u64;
    steps.into_iter().all(|(step, last)| {
        let is_farther = step > reach;
        reach = reach.saturating_add(step.saturating_mul(last));
        is_farther
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Accumulator, DType, Index, ReduceOp, StoreMode, Type, Var};
    use smallvec::smallvec;

    fn may_overwrite(kernel: &Kernel, read: BufferId, written: BufferId) -> bool {
        Touches::of(kernel).may_overwrite(read, written)
    }

    fn index(axes: &[AxisId]) -> Indices {
        axes.iter().map(|&axis| Index { affine: Affine::axis(axis), var: None }).collect()
    }

    fn load(var: Var, buffer: BufferId, axes: &[AxisId]) -> Stmt {
        Stmt::Let { var, inst: Inst::Load { buffer, indices: index(axes), fill: None } }
    }

    fn store(value: Var, buffer: BufferId, axes: &[AxisId]) -> Stmt {
        Stmt::Store { value, buffer, indices: index(axes), mode: StoreMode::Set }
    }

    struct Square {
        kernel: Kernel,
        x: BufferId,
        out: BufferId,
    }

    /// Two buffers `f32[5, 5]` and no statements.
    fn square() -> Square {
        let mut kernel = Kernel::new("k");
        let x = kernel.buffer("x", Type::new(DType::F32, [5, 5]), Access::Read);
        let out = kernel.buffer("out", Type::new(DType::F32, [5, 5]), Access::Write);
        Square { kernel, x, out }
    }

    #[test]
    fn a_map_may_overwrite_what_it_reads_at_the_same_index() {
        let Square { mut kernel, x, out } = square();
        let (i, j, v) = (kernel.axis("i", 5), kernel.axis("j", 5), kernel.var(DType::F32));
        let body = vec![load(v, x, &[i, j]), store(v, out, &[i, j])];
        kernel.body = vec![Stmt::For { axes: smallvec![i, j], sequential: false, body }];
        assert!(may_overwrite(&kernel, x, out));
    }

    #[test]
    fn an_axis_in_two_parts_decides_an_index_where_they_do_not_overlap() {
        for (step, is_apart) in [(5, true), (4, false)] {
            let mut kernel = Kernel::new("k");
            let ty = Type::new(DType::F32, [25]);
            let x = kernel.buffer("x", ty.clone(), Access::Read);
            let out = kernel.buffer("out", ty, Access::Write);
            let (p, l, v) = (kernel.axis("p", 5), kernel.axis("l", 5), kernel.var(DType::F32));
            let affine = Affine::axis(p).times(step).plus(&Affine::axis(l));
            let indices: Indices = smallvec![Index { affine, var: None }];
            let body = vec![
                Stmt::Let { var: v, inst: Inst::Load { buffer: x, indices: indices.clone(), fill: None } },
                Stmt::Store { value: v, buffer: out, indices, mode: StoreMode::Set },
            ];
            kernel.body = vec![Stmt::For { axes: smallvec![p, l], sequential: false, body }];
            assert_eq!(may_overwrite(&kernel, x, out), is_apart);
        }
    }

    #[test]
    fn transformed_filters_are_not_overwritten() {
        let Square { mut kernel, x, out } = square();
        let transformed = kernel.insert_read("u", Type::new(DType::F32, [5, 5]));
        assert!(may_overwrite(&kernel, transformed, out));
        kernel.winograd = Some(Winograd::Convolution { filters: x, transformed: Some(transformed) });
        assert!(!may_overwrite(&kernel, transformed, out));
        kernel.winograd = Some(Winograd::Convolution { filters: transformed, transformed: None });
        assert!(!may_overwrite(&kernel, transformed, out));
    }

    #[test]
    fn a_transpose_may_not_overwrite_its_operand() {
        let Square { mut kernel, x, out } = square();
        let (i, j, v) = (kernel.axis("i", 5), kernel.axis("j", 5), kernel.var(DType::F32));
        let body = vec![load(v, x, &[j, i]), store(v, out, &[i, j])];
        kernel.body = vec![Stmt::For { axes: smallvec![i, j], sequential: false, body }];
        assert!(!may_overwrite(&kernel, x, out));
    }

    #[test]
    fn rows_may_overwrite_what_a_reduction_has_read_before() {
        let Square { mut kernel, x, out } = square();
        let [i, r, q] = ["i", "r", "q"].map(|name| kernel.axis(name, 5));
        let [v, sum] = [(); 2].map(|()| kernel.var(DType::F32));
        let accumulators = smallvec![Accumulator { result: sum, op: ReduceOp::Add, value: v }];
        let reduce = Stmt::Reduce { axes: smallvec![r], accumulators, body: vec![load(v, x, &[i, r])] };
        let fill = Stmt::For { axes: smallvec![q], sequential: false, body: vec![store(sum, out, &[i, q])] };
        let rows = |body| vec![Stmt::For { axes: smallvec![i], sequential: false, body }];
        kernel.body = rows(vec![reduce.clone(), fill.clone()]);
        assert!(may_overwrite(&kernel, x, out));
        kernel.body = rows(vec![fill, reduce]);
        assert!(!may_overwrite(&kernel, x, out), "a load after the store reads what was written");
    }

    #[test]
    fn a_matrix_product_may_not_overwrite_a_factor() {
        let Square { mut kernel, x, out } = square();
        let [i, j, k] = ["i", "j", "k"].map(|name| kernel.axis(name, 5));
        let [v, sum] = [(); 2].map(|()| kernel.var(DType::F32));
        let accumulators = smallvec![Accumulator { result: sum, op: ReduceOp::Add, value: v }];
        let reduce = Stmt::Reduce { axes: smallvec![k], accumulators, body: vec![load(v, x, &[i, k])] };
        let body = vec![reduce, store(sum, out, &[i, j])];
        kernel.body = vec![Stmt::For { axes: smallvec![i, j], sequential: false, body }];
        assert!(!may_overwrite(&kernel, x, out));
    }
}
