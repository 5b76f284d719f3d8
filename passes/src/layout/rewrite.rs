//! Kernels whose buffers have their axes in another order.

use ir::{AxisId, AxisOrder, BufferId, Indices, Inst, Kernel, Stmt};

use crate::sum_of_products::offset;

/// Puts the axes of a buffer in this order, and the indices of all accesses to it.
pub fn permute(kernel: &mut Kernel, buffer: BufferId, axes: &[usize]) {
    let ty = &mut kernel.buffers[buffer.0 as usize].ty;
    ty.shape = AxisOrder::new(axes).in_memory(&ty.shape);
    permute_accesses(&mut kernel.body, buffer, axes);
}

fn permute_accesses(body: &mut [Stmt], permuted: BufferId, axes: &[usize]) {
    for stmt in body {
        match stmt {
            Stmt::For { body, .. } | Stmt::Reduce { body, .. } => permute_accesses(body, permuted, axes),
            Stmt::Let { inst: Inst::Load { buffer, indices, .. }, .. }
            | Stmt::Store { buffer, indices, .. }
                if *buffer == permuted =>
            {
                *indices = axes.iter().map(|&axis| indices[axis].clone()).collect();
            }
            Stmt::Let { .. } | Stmt::Store { .. } => {}
        }
    }
}

/// Orders the outermost loops as what they store lies in memory. Their iterations may run in any order.
pub fn order_loops(kernel: &mut Kernel) {
    let mut body = std::mem::take(&mut kernel.body);
    for stmt in &mut body {
        let Stmt::For { axes, sequential: false, body } = stmt else { continue };
        let Some(offset) = first_store(body).map(|(buffer, indices)| offset(kernel, buffer, indices)) else {
            continue;
        };
        let step = |axis: AxisId| offset.coefficient(axis).abs();
        if axes.iter().all(|&axis| step(axis) > 0) {
            axes.sort_by_key(|&axis| std::cmp::Reverse(step(axis)));
        }
    }
    kernel.body = body;
}

fn first_store(body: &[Stmt]) -> Option<(BufferId, &Indices)> {
    body.iter().find_map(|stmt| match stmt {
        Stmt::For { body, .. } | Stmt::Reduce { body, .. } => first_store(body),
        Stmt::Store { buffer, indices, .. } => Some((*buffer, indices)),
        Stmt::Let { .. } => None,
    })
}
