//! Rules for matrix products.

use ir::Op;
use ir::ops::MatMul;

use super::{Expr, Match, Rule, op};

/// The family.
pub const RULES: &[Rule] = &[Rule {
    name: "matmul_of_transposed",
    formula: "matmul(transpose(a), b) = matmul(a, b) with the flag of the left operand flipped; so the right",
    apply: matmul_of_transposed,
}];

fn matmul_of_transposed(m: &Match<'_>) -> Option<Expr> {
    let Op::MatMul(MatMul { transpose_left, transpose_right }) = m.node.op else { return None };
    let (left, right) = (m.operand(0), m.operand(1));
    if let Some(source) = swapped(m, left) {
        let flipped = MatMul { transpose_left: !transpose_left, transpose_right };
        return Some(op(flipped, [source.into(), right.into()]));
    }
    let source = swapped(m, right)?;
    Some(op(MatMul { transpose_left, transpose_right: !transpose_right }, [left.into(), source.into()]))
}

/// The operand of a transpose that swaps the last two axes and no others.
fn swapped(m: &Match<'_>, value: ir::Value) -> Option<ir::Value> {
    let (Op::Transpose(transpose), source) = m.definition(value) else { return None };
    let permutation = &transpose.permutation;
    let rank = permutation.len();
    let mut expected: Vec<usize> = (0..rank).collect();
    (rank >= 2).then(|| expected.swap(rank - 2, rank - 1))?;
    source.filter(|_| permutation[..] == expected[..])
}
