//! The kernel that transforms filters.

use ir::{
    Access, Accumulator, Affine, DType, Index, Indices, Inst, Kernel, ReduceOp, ScalarFn, Stmt, StoreMode,
};
use ir::{Type, winograd};
use smallvec::smallvec;

use super::convolution::{Convolution, FilterAxis};
use super::cost::Size;

/// What transformed filters are.
pub fn transformed_type(size: &Size) -> Type {
    let shape = winograd::filter_shape(size.channels, size.columns);
    Type { dtype: DType::F32, shape: shape.expect("columns are whole vectors") }
}

/// `transformed[f, p, c, l] = sum over a, b of weights[f, a, b] * w[a, b, c, panel*p + l]`, for each of the products `f`; the
/// axes of `w` are in the order in which the convolution has them.
pub fn transform_kernel(of: &Kernel, convolution: &Convolution) -> Kernel {
    let Convolution { filters, filter_axes, size, .. } = convolution;
    let mut kernel = Kernel::new(format!("transform_{}x{}", size.channels, size.columns));
    let ty = transformed_type(size);
    let (panels, panel) = (ty.shape[1], ty.shape[3]);
    let weights = Type::new(DType::F32, winograd::WEIGHTS_SHAPE);
    let weights = kernel.buffer("weights", weights, Access::Read);
    let source = kernel.buffer("w", of.buffers[filters.0 as usize].ty.clone(), Access::Read);
    let target = kernel.buffer("transformed", ty, Access::Write);

    let [p, c] = [("p", panels), ("c", size.channels)].map(|(name, extent)| kernel.axis(name, extent));
    let [f, l] = [("f", winograd::PRODUCTS), ("l", panel)].map(|(name, extent)| kernel.axis(name, extent));
    let [a, b] = ["a", "b"].map(|name| kernel.axis(name, winograd::TAPS));
    let [x, y, product, sum] = [(); 4].map(|()| kernel.var(DType::F32));
    let filter_index = |axis: &Option<FilterAxis>| match axis {
        None => Affine::constant(0),
        Some(FilterAxis::Vertical) => Affine::axis(a),
        Some(FilterAxis::Horizontal) => Affine::axis(b),
        Some(FilterAxis::Channel) => Affine::axis(c),
        Some(FilterAxis::Column) => Affine::axis(p).times(panel as i64).plus(&Affine::axis(l)),
    };
    let load = |var, buffer, indices| Stmt::Let { var, inst: Inst::Load { buffer, indices, fill: None } };
    let terms = vec![
        load(x, weights, indices([f, a, b].map(Affine::axis))),
        load(y, source, indices(filter_axes.iter().map(filter_index))),
        Stmt::Let { var: product, inst: Inst::Apply { function: ScalarFn::Mul, operands: smallvec![x, y] } },
    ];
    let accumulators = smallvec![Accumulator { result: sum, op: ReduceOp::Add, value: product }];
    let reduce = Stmt::Reduce { axes: smallvec![a, b], accumulators, body: terms };
    let at = indices([f, p, c, l].map(Affine::axis));
    let store = Stmt::Store { value: sum, buffer: target, indices: at, mode: StoreMode::Set };
    kernel.body =
        vec![Stmt::For { axes: smallvec![p, c, f, l], sequential: false, body: vec![reduce, store] }];
    kernel.numbered()
}

fn indices(affine: impl IntoIterator<Item = Affine>) -> Indices {
    affine.into_iter().map(|affine| Index { affine, var: None }).collect()
}
