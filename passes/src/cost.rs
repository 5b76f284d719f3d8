//! What nodes cost: an estimate of the work, by which pass `simplify` decides that a rewrite is one.

use ir::{Lowering, Op, ScalarFn, Type};

/// The cost of an op on operands and results of these types: work per element, times elements. Every node costs
/// something, and cheaper forms of the same computation cost less.
pub fn cost(op: &Op, operands: &[&Type], results: &[Type]) -> u128 {
    let elements = operands.iter().copied().chain(results).map(|ty| ty.shape.elements()).max().unwrap_or(0);
    let per_element = match op.lower(operands, results) {
        // A reshape is the plainest of the ops that move nothing.
        Lowering::Leaf | Lowering::Alias => return if matches!(op, Op::Reduce(_)) { 2 } else { 1 },
        Lowering::View(_) | Lowering::Iota { .. } => 2,
        Lowering::Apply(function) => cost_of_function(function),
        Lowering::Reduce { .. } => 8,
        Lowering::Gather { .. } => 16,
        Lowering::Contract(contraction) => {
            16 * contraction.reduced.iter().map(|&extent| extent as u128 + 1).product::<u128>()
        }
        Lowering::Kernel(_) | Lowering::Expand(_) | Lowering::Scan | Lowering::Fused => 32,
    };
    per_element * (elements as u128 + 1)
}

/// The cost of a function per element, roughly in instructions.
fn cost_of_function(function: ScalarFn) -> u128 {
    use ScalarFn::{Cos, Div, Erf, Exp, Expm1, Log, Log1p, Pow, Rsqrt, Sigmoid, Sin, Sqrt, Square, Tanh};
    match function {
        Square => 3,
        Div | Sqrt => 8,
        Rsqrt => 12,
        Exp | Expm1 | Log | Log1p | Tanh | Sigmoid | Erf | Sin | Cos => 16,
        Pow => 40,
        _ => 4,
    }
}
