//! When a kernel may write a result over one of its operands.

use ir::{Affine, AxisId, BufferId, Indices, Inst, Kernel, Stmt, Winograd};

/// Whether `kernel` means the same when parameter `written` is the memory of parameter `read`: each element is read
/// for the last time before it is written, and never by another iteration than the one that writes it.
///
/// What is shown of each pair of a load and a store: the load comes first in the text, and each axis of a loop around
/// both is in an index, the same of both along the same axis of the buffer, that has another value for other values of
/// its axes. Then different iterations of the common loops touch different elements, and within one iteration the load
/// has run when the store runs.
pub fn may_overwrite(kernel: &Kernel, read: BufferId, written: BufferId) -> bool {
    // Transformed filters are read without a load, by every iteration.
    let is_transformed = kernel.winograd.and_then(Winograd::transformed) == Some(read);
    if is_transformed || kernel.buffers[read.0 as usize].ty != kernel.buffers[written.0 as usize].ty {
        return false;
    }
    let mut walk = Walk { read, written, ..Walk::default() };
    walk.statements(&kernel.body);
    walk.loads.iter().all(|load| walk.stores.iter().all(|store| is_ordered(kernel, &walk.loops, load, store)))
}

/// A load or a store: where it stands, and which element it touches.
struct Touch {
    /// The loops around it, outermost first.
    path: Vec<usize>,
    /// Its number among all loads and stores, in the order of the text.
    position: usize,
    indices: Indices,
}

/// The loads of one buffer and the stores to another.
struct Walk {
    read: BufferId,
    written: BufferId,
    /// The axes of each loop met so far.
    loops: Vec<Vec<AxisId>>,
    path: Vec<usize>,
    position: usize,
    loads: Vec<Touch>,
    stores: Vec<Touch>,
}

impl Default for Walk {
    fn default() -> Walk {
        let none = BufferId(u32::MAX);
        let (loads, stores) = (Vec::new(), Vec::new());
        Walk { read: none, written: none, loops: Vec::new(), path: Vec::new(), position: 0, loads, stores }
    }
}

impl Walk {
    fn statements(&mut self, body: &[Stmt]) {
        for statement in body {
            match statement {
                Stmt::For { axes, body, .. } | Stmt::Reduce { axes, body, .. } => {
                    self.path.push(self.loops.len());
                    self.loops.push(axes.to_vec());
                    self.statements(body);
                    self.path.pop();
                }
                Stmt::Let { inst: Inst::Load { buffer, indices, .. }, .. } => {
                    let touch = self.touch(indices);
                    if *buffer == self.read {
                        self.loads.push(touch);
                    }
                }
                Stmt::Let { .. } => {}
                Stmt::Store { buffer, indices, .. } => {
                    let touch = self.touch(indices);
                    if *buffer == self.written {
                        self.stores.push(touch);
                    }
                }
            }
        }
    }

    fn touch(&mut self, indices: &Indices) -> Touch {
        self.position += 1;
        Touch { path: self.path.clone(), position: self.position, indices: indices.clone() }
    }
}

/// Whether no element is loaded after it was stored.
fn is_ordered(kernel: &Kernel, loops: &[Vec<AxisId>], load: &Touch, store: &Touch) -> bool {
    let common = load.path.iter().zip(&store.path).take_while(|(a, b)| a == b).map(|(&a, _)| a);
    let mut axes = common.flat_map(|index| &loops[index]).filter(|&&axis| kernel.extent(axis) > 1);
    load.position < store.position
        && axes.all(|&axis| decides_both(kernel, axis, &load.indices, &store.indices))
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
    use ir::{Access, Accumulator, DType, Index, ReduceOp, StoreMode, Type, Var};
    use smallvec::smallvec;

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
        kernel.winograd = Some(Winograd::Convolution { filters: x, transformed });
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
