//! The sums of products whose right operand is worth packing: one loop, in it one sum over some axes of two loads of `f32`,
//! the left one with zeros around it, as a convolution has it, or with nothing outside.
//!
//! Tiles of code generation compute them. With few rows, reading the operand is the whole of the work: it should lie in the
//! order in which it is read, be it by tiles or by dot products.

use ir::{AxisId, BufferId, DType, Indices, Inst, Kernel, Stmt};

use crate::sum_of_products::{Factor, SumOfProducts, offset};

/// The columns of a panel: two vectors of 512 bits, as wide as tiles of code generation are where panels are large; narrower
/// ones divide it.
const PANEL_COLUMNS: usize = 32;
/// The columns of a panel that stays near while it is used: four vectors, as wide as tiles are then.
const WIDE_PANEL_COLUMNS: usize = 64;
/// The size of the largest panel that stays near: it takes a small part of the second level of cache.
const NEAR_BYTES: usize = 320 << 10;

/// From this many rows on a panel is read often enough that its order matters.
const MIN_ROWS: usize = 4;

/// With fewer rows, an operand of fewer bytes is read from the caches, where its order matters little.
const MIN_STREAM_BYTES: usize = 1 << 20;

/// A sum of products whose right operand can be packed, its axes in one of two orders: panels, what else it has of the result,
/// the sum, columns of a panel; or what it has of the result in the order of the loops, columns last, then the sum.
pub struct Product {
    /// The operand with columns.
    pub right: BufferId,
    /// Which of its elements a term reads.
    pub indices: Indices,
    /// The axes of the result that it has beside the columns: groups of channels, for one.
    pub outer: Vec<AxisId>,
    /// The last axis of the result that it has.
    pub column: AxisId,
    /// The columns of a panel, where they are cut into panels.
    pub panel: Option<usize>,
    /// The axes that are summed over, in the order of the sum.
    pub depth: Vec<AxisId>,
}

/// The product that a kernel is, where its right operand is worth packing.
pub fn packable(kernel: &Kernel) -> Option<Product> {
    let SumOfProducts { axes, body, reduced, column, left, right } = SumOfProducts::of(kernel)?;
    // Indices are all that is rewritten: the kernel must read no value of an axis. Transformed filters are read in the place
    // of the others, which would be packed for nothing.
    if reads_axes(body) || kernel.winograd.is_some() {
        return None;
    }
    let rows: Vec<AxisId> =
        axes.iter().copied().filter(|&axis| left.uses(axis) && !right.uses(axis)).collect();
    let has_rows = rows.last().is_some_and(|&row| kernel.extent(row) >= MIN_ROWS);
    let has_few_rows = rows.iter().map(|&axis| kernel.extent(axis)).product::<usize>() < MIN_ROWS;
    let is_large = kernel.buffers[right.buffer.0 as usize].ty.size_bytes() >= MIN_STREAM_BYTES;
    if !(has_rows || (has_few_rows && is_large)) {
        return None;
    }
    let kept: Vec<AxisId> = axes.iter().copied().filter(|&axis| right.uses(axis)).collect();
    // The parts of a long sum of few rows are one sum where there are more rows: programs for both have the operand in one order.
    let parts: usize = match has_few_rows {
        true => kept.iter().filter(|&&axis| axis != column).map(|&axis| kernel.extent(axis)).product(),
        false => 1,
    };
    let panels = in_panels(kernel, (&left, &right), &kept, column, (reduced, parts));
    let product = match has_rows {
        true => panels?,
        false => panels.or_else(|| in_order_of_loops(kernel, &right, &kept, reduced))?,
    };
    (!product.is_packed(kernel)).then_some(product)
}

/// Packed for tiles: its depth is in their order, from long steps through the left operand to short ones.
fn in_panels(
    kernel: &Kernel,
    (left, right): (&Factor<'_>, &Factor<'_>),
    kept: &[AxisId],
    column: AxisId,
    (reduced, parts): (&[AxisId], usize),
) -> Option<Product> {
    let columns = kernel.extent(column);
    let mut depth = reduced.to_vec();
    let steps_of_sum: usize = depth.iter().map(|&axis| kernel.extent(axis)).product();
    let panel = panel_columns(columns, steps_of_sum * parts)?;
    let steps = offset(kernel, left.buffer, left.indices);
    depth.sort_by_key(|&axis| std::cmp::Reverse(steps.coefficient(axis).abs()));
    let outer = kept.iter().copied().filter(|&axis| axis != column).collect();
    let indices = right.indices.clone();
    Some(Product { right: right.buffer, indices, outer, column, panel: Some(panel), depth })
}

/// The columns of the panels of an operand with so many columns and depths: wide ones where they stay near.
fn panel_columns(columns: usize, depth: usize) -> Option<usize> {
    let is_cut_in = |panel: &usize| columns > 0 && columns.is_multiple_of(*panel);
    let is_near = depth * WIDE_PANEL_COLUMNS * DType::F32.size_bytes() <= NEAR_BYTES;
    let wide = is_near.then_some(WIDE_PANEL_COLUMNS).filter(is_cut_in);
    wide.or_else(|| Some(PANEL_COLUMNS).filter(is_cut_in))
}

/// Packed for dot products along the depth, one result after the other.
fn in_order_of_loops(
    kernel: &Kernel,
    right: &Factor<'_>,
    kept: &[AxisId],
    reduced: &[AxisId],
) -> Option<Product> {
    let steps = offset(kernel, right.buffer, right.indices);
    let is_along_depth = steps.coefficient(*reduced.last()?) == 1;
    let (&column, outer) = kept.split_last()?;
    is_along_depth.then(|| Product {
        right: right.buffer,
        indices: right.indices.clone(),
        outer: outer.to_vec(),
        column,
        panel: None,
        depth: reduced.to_vec(),
    })
}

impl Product {
    /// Whether the operand lies in the order already: it is dense, and there are no panels, or only one.
    fn is_packed(&self, kernel: &Kernel) -> bool {
        let steps = offset(kernel, self.right, &self.indices);
        let depth = self.depth.iter().rev().copied();
        let outer = self.outer.iter().rev().copied();
        let inwards: Vec<AxisId> = match self.panel.is_some() {
            true => [self.column].into_iter().chain(depth).chain(outer).collect(),
            false => depth.chain([self.column]).chain(outer).collect(),
        };
        let mut dense = 1;
        let is_dense = inwards.into_iter().all(|axis| {
            let is_next = steps.coefficient(axis) == dense as i64;
            dense *= kernel.extent(axis);
            is_next
        });
        is_dense && self.panel.is_none_or(|panel| kernel.extent(self.column) == panel)
    }
}

/// Whether the value of an axis is computed with.
fn reads_axes(body: &[Stmt]) -> bool {
    body.iter().any(|stmt| match stmt {
        Stmt::For { body, .. } | Stmt::Reduce { body, .. } => reads_axes(body),
        Stmt::Let { inst, .. } => matches!(inst, Inst::Axis(_)),
        Stmt::Store { .. } => false,
    })
}
