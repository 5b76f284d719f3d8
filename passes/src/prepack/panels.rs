//! The kernel that packs an operand into panels, and the product that reads them.

use ir::{Access, Affine, AxisId, DType, Index, Indices, Inst, Kernel, Shape, Stmt, StoreMode, Type};
use smallvec::SmallVec;

use super::product::Product;

/// The kernel that packs the right operand of a product: `packed[p, k, l] = w[j, k]` for `j = panel*p + l`, with as many
/// `k` as the sum has axes; `packed[j, k]` where there are no panels.
pub fn pack_kernel(of: &Kernel, product: &Product) -> Kernel {
    let sizes: Vec<String> =
        product.depth.iter().chain([&product.column]).map(|&axis| of.extent(axis).to_string()).collect();
    let mut kernel = Kernel::new(format!("pack_{}", sizes.join("x")));
    let source = kernel.buffer("w", of.buffers[product.right.0 as usize].ty.clone(), Access::Read);
    let target = kernel.buffer("packed", packed_type(of, product), Access::Write);
    let mut copies = |axes: &[AxisId], name: &str| -> Vec<AxisId> {
        let name = |at: usize| if axes.len() == 1 { name.to_owned() } else { format!("{name}{at}") };
        axes.iter().enumerate().map(|(at, &axis)| kernel.axis(name(at), of.extent(axis))).collect()
    };
    let outer = copies(&product.outer, "g");
    let column = copies(&[product.column], if product.panel.is_some() { "p" } else { "j" })[0];
    let depth = copies(&product.depth, "k");
    let lane = product.panel.map(|panel| {
        kernel.axes[column.0 as usize].extent /= panel;
        Lane { axis: kernel.axis("l", panel), panel }
    });
    let columns = Columns { column, lane };
    let from = product.outer.iter().chain(&product.depth).copied();
    let to: Vec<AxisId> = outer.iter().chain(&depth).copied().collect();
    let copy_of: Vec<(AxisId, AxisId)> = from.zip(to).collect();
    let indices = substituted(&product.indices, |axis| match axis == product.column {
        true => columns.index(),
        false => Affine::axis(copy_of.iter().find(|pair| pair.0 == axis).expect("it has all axes").1),
    });
    let var = kernel.var(DType::F32);
    let load = Stmt::Let { var, inst: Inst::Load { buffer: source, indices, fill: None } };
    let axes = packed_axes(&outer, &columns, &depth);
    let store = Stmt::Store { value: var, buffer: target, indices: indices_of(&axes), mode: StoreMode::Set };
    kernel.body = vec![Stmt::For { axes, sequential: false, body: vec![load, store] }];
    kernel.numbered()
}

/// The kernel of a product that reads its right operand packed, with its columns cut into panels where that has panels.
pub fn with_packed_operand(mut kernel: Kernel, product: &Product) -> Kernel {
    let ty = packed_type(&kernel, product);
    let columns = match product.panel {
        Some(panel) => {
            let name = kernel.axes[product.column.0 as usize].name.clone();
            let column = kernel.axis(format!("{name}p"), kernel.extent(product.column) / panel);
            Columns { column, lane: Some(Lane { axis: kernel.axis(format!("{name}l"), panel), panel }) }
        }
        None => Columns { column: product.column, lane: None },
    };
    kernel.buffers[product.right.0 as usize].ty = ty;
    let mut body = std::mem::take(&mut kernel.body);
    Rewrite { product, columns }.block(&mut body);
    kernel.body = body;
    kernel.numbered()
}

/// The loop over the columns of a product, or those over its panels and the columns of a panel.
#[derive(Clone, Copy)]
struct Columns {
    column: AxisId,
    lane: Option<Lane>,
}

/// The loop over the columns of a panel.
#[derive(Clone, Copy)]
struct Lane {
    axis: AxisId,
    /// How many columns these are.
    panel: usize,
}

impl Columns {
    /// The number of the column.
    fn index(&self) -> Affine {
        let column = Affine::axis(self.column);
        self.lane.map_or(column.clone(), |Lane { axis, panel }| {
            column.times(panel as i64).plus(&Affine::axis(axis))
        })
    }
}

/// A product with a packed operand.
struct Rewrite<'a> {
    product: &'a Product,
    columns: Columns,
}

impl Rewrite<'_> {
    fn block(&self, body: &mut [Stmt]) {
        for stmt in body {
            match stmt {
                Stmt::For { axes, body, .. } => {
                    if let Columns { column, lane: Some(Lane { axis: lane, .. }) } = self.columns {
                        // Panels come first: a panel serves all rows before the next, and there are many to share.
                        let others =
                            axes.iter().map(|&axis| if axis == self.product.column { lane } else { axis });
                        *axes = [column].into_iter().chain(others).collect();
                    }
                    self.block(body);
                }
                Stmt::Reduce { body, .. } => self.block(body),
                Stmt::Let { inst: Inst::Load { buffer, indices, .. }, .. } => {
                    *indices = match *buffer == self.product.right {
                        true => {
                            let Product { outer, depth, .. } = self.product;
                            indices_of(&packed_axes(outer, &self.columns, depth))
                        }
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
            true => self.columns.index(),
            false => Affine::axis(axis),
        })
    }
}

/// The packed operand.
fn packed_type(kernel: &Kernel, product: &Product) -> Type {
    let extents = |axes: &[AxisId]| -> Vec<usize> { axes.iter().map(|&axis| kernel.extent(axis)).collect() };
    let (outer, depth) = (extents(&product.outer), extents(&product.depth));
    let columns = kernel.extent(product.column);
    let shape: Shape = match product.panel {
        Some(panel) => [&[columns / panel], &outer[..], &depth, &[panel]].concat(),
        None => [&outer[..], &[columns], &depth].concat(),
    }
    .into_iter()
    .collect();
    Type { dtype: DType::F32, shape }
}

/// The axes of the packed operand.
fn packed_axes(outer: &[AxisId], columns: &Columns, depth: &[AxisId]) -> SmallVec<[AxisId; 4]> {
    let Columns { column, lane } = *columns;
    match lane {
        Some(Lane { axis: lane, .. }) => [&[column], outer, depth, &[lane]].concat().into(),
        None => [outer, &[column], depth].concat().into(),
    }
}

fn indices_of(axes: &[AxisId]) -> Indices {
    axes.iter().map(|&axis| Index { affine: Affine::axis(axis), var: None }).collect()
}

fn substituted(indices: &Indices, value: impl Fn(AxisId) -> Affine) -> Indices {
    let through = |index: &Index| Index { affine: index.affine.substitute(&value), var: index.var };
    indices.iter().map(through).collect()
}
