//! The kernel that packs an operand into panels, and the product that reads them.

use ir::{Access, Affine, AxisId, DType, Index, Indices, Inst, Kernel, Shape, Stmt, StoreMode, Type};
use smallvec::{SmallVec, smallvec};

use super::PANEL_COLUMNS;
use super::product::Product;

/// The kernel that packs the right operand of a product: `packed[p, k, l] = w[j, k]` for `j = 32*p + l`, with as many `k`
/// as the sum has axes.
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
    let panel = copies(&[product.column], "p")[0];
    let depth = copies(&product.depth, "k");
    let lane = kernel.axis("l", PANEL_COLUMNS);
    kernel.axes[panel.0 as usize].extent /= PANEL_COLUMNS;
    let from = product.outer.iter().chain(&product.depth).copied();
    let to: Vec<AxisId> = outer.iter().chain(&depth).copied().collect();
    let copy_of: Vec<(AxisId, AxisId)> = from.zip(to).collect();
    let indices = substituted(&product.indices, |axis| match axis == product.column {
        true => column_of(panel, lane),
        false => Affine::axis(copy_of.iter().find(|pair| pair.0 == axis).expect("it has all axes").1),
    });
    let var = kernel.var(DType::F32);
    let load = Stmt::Let { var, inst: Inst::Load { buffer: source, indices, fill: None } };
    let axes = panel_axes(&outer, panel, &depth, lane);
    let store = Stmt::Store { value: var, buffer: target, indices: indices_of(&axes), mode: StoreMode::Set };
    kernel.body = vec![Stmt::For { axes, sequential: false, body: vec![load, store] }];
    kernel.numbered()
}

/// The kernel of a product that reads its right operand packed, with its columns cut into panels.
pub fn with_packed_operand(mut kernel: Kernel, product: &Product) -> Kernel {
    let ty = packed_type(&kernel, product);
    let panels = kernel.extent(product.column) / PANEL_COLUMNS;
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
                        true => {
                            let Product { outer, depth, .. } = self.product;
                            indices_of(&panel_axes(outer, self.panel, depth, self.lane))
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
            true => column_of(self.panel, self.lane),
            false => Affine::axis(axis),
        })
    }
}

/// The packed operand: by what it has beside columns and depth, by panel, depth and column of the panel.
fn packed_type(kernel: &Kernel, product: &Product) -> Type {
    let extents = |axes: &[AxisId]| -> Vec<usize> { axes.iter().map(|&axis| kernel.extent(axis)).collect() };
    let panels = kernel.extent(product.column) / PANEL_COLUMNS;
    let (outer, depth) = (extents(&product.outer), extents(&product.depth));
    let shape: Shape = outer.into_iter().chain([panels]).chain(depth).chain([PANEL_COLUMNS]).collect();
    Type { dtype: DType::F32, shape }
}

/// The axes of the packed operand.
fn panel_axes(outer: &[AxisId], panel: AxisId, depth: &[AxisId], lane: AxisId) -> SmallVec<[AxisId; 4]> {
    outer.iter().copied().chain([panel]).chain(depth.iter().copied()).chain([lane]).collect()
}

/// The column that a panel has at a lane.
fn column_of(panel: AxisId, lane: AxisId) -> Affine {
    Affine::axis(panel).times(PANEL_COLUMNS as i64).plus(&Affine::axis(lane))
}

fn indices_of(axes: &[AxisId]) -> Indices {
    axes.iter().map(|&axis| Index { affine: Affine::axis(axis), var: None }).collect()
}

fn substituted(indices: &Indices, value: impl Fn(AxisId) -> Affine) -> Indices {
    let through = |index: &Index| Index { affine: index.affine.substitute(&value), var: index.var };
    indices.iter().map(through).collect()
}
