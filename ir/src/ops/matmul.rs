//! `matmul`: products of matrices over the last two axes.

use smallvec::{SmallVec, smallvec};

use crate::eval::Array;
use crate::ops::{Batched, Differentiated, Gradients, OpDef, Sample, expect_operands, sample};
use crate::{
    Affine, Attr, AttrReader, Attrs, AxisId, Builder, Contraction, DType, Error, Graph, Lowering, Num,
    Operands,
};
use crate::{ScalarFn, Type, Types, View};

/// `result[b.., i, j] = sum_k left[b.., i, k] * right[b.., k, j]`, where the last two axes of an operand are swapped
/// first if its flag says so. Leading axes are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct MatMul {
    /// Whether `left` is `[b.., k, i]`.
    pub transpose_left: bool,
    /// Whether `right` is `[b.., j, k]`.
    pub transpose_right: bool,
}

impl OpDef for MatMul {
    fn names() -> Vec<&'static str> {
        vec!["matmul"]
    }

    fn name(&self) -> &'static str {
        "matmul"
    }

    fn attrs(&self) -> Attrs {
        let flags = [("transpose_left", self.transpose_left), ("transpose_right", self.transpose_right)];
        flags.into_iter().filter(|flag| flag.1).map(|(name, value)| (name, Attr::Bool(value))).collect()
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        Ok(MatMul {
            transpose_left: attrs.flag("transpose_left")?,
            transpose_right: attrs.flag("transpose_right")?,
        })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("matmul", operands, 2)?;
        let (left, right) = (operands[0], operands[1]);
        let fail =
            |what: &str, help: &str| Err(Error::new("matmul", format!("{left} and {right} {what}"), help));
        if left.dtype != right.dtype || left.dtype == DType::Bool {
            return fail(
                "differ in dtype or are no numbers",
                "give numbers of one dtype; `cast_f32` converts",
            );
        }
        let rank = left.shape.rank();
        if rank < 2 || right.shape.rank() != rank || left.shape[..rank - 2] != right.shape[..rank - 2] {
            return fail(
                "have no common leading axes",
                "give at least 2 axes, and broadcast the axes before them",
            );
        }
        let (rows, depth) = ends(left, self.transpose_left);
        let (inner, columns) = ends(right, self.transpose_right);
        if depth != inner {
            let what =
                format!("cannot be multiplied: {depth} columns on the left, {inner} rows on the right");
            return fail(&what, "make these equal, or transpose an operand");
        }
        let shape = left.shape[..rank - 2].iter().copied().chain([rows, columns]).collect();
        Ok(smallvec![Type { dtype: left.dtype, shape }])
    }

    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        let (left, right) = (operands[0], operands[1]);
        let dtype = left.ty.dtype;
        let (mul, add) = (ScalarFn::Mul.row().eval, ScalarFn::Add.row().eval);
        let (rows, depth) = ends(&left.ty, self.transpose_left);
        let (_, columns) = ends(&right.ty, self.transpose_right);
        let mut number = 0;
        vec![Array::from_fn(&results[0], |index| {
            let matrix = number / (rows * columns);
            number += 1;
            let (i, j) = (index[index.len() - 2], index[index.len() - 1]);
            (0..depth).fold(Num::of(dtype, 0), |sum, k| {
                let in_left = if self.transpose_left { k * rows + i } else { i * depth + k };
                let in_right = if self.transpose_right { j * depth + k } else { k * columns + j };
                let x = left.get(matrix * rows * depth + in_left);
                let y = right.get(matrix * depth * columns + in_right);
                add(dtype, &[sum, mul(dtype, &[x, y])])
            })
        })]
    }

    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let Some(gradient) = node.gradients[0] else { return Ok(smallvec![None, None]) };
        let (left, right) = (node.operands[0], node.operands[1]);
        let to_left = match self.transpose_left {
            false => builder.matmul_transposed(gradient, right, false, !self.transpose_right)?,
            true => builder.matmul_transposed(right, gradient, self.transpose_right, true)?,
        };
        let to_right = match self.transpose_right {
            false => builder.matmul_transposed(left, gradient, !self.transpose_left, false)?,
            true => builder.matmul_transposed(gradient, left, true, self.transpose_left)?,
        };
        Ok(smallvec![Some(to_left), Some(to_right)])
    }

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        let items = node.item_shape(builder, 0);
        if node.is_stacked[..] != [true, false] || items.rank() != 2 || self.transpose_left {
            return node.apply(builder, self.clone()).map(Some);
        }
        // The rows of all items, one below the other, are one product.
        let rows = builder.reshape(node.operands[0], [node.length * items[0], items[1]])?;
        let product = builder.op(self.clone(), &[rows, node.operands[1]])?;
        Ok(Some(smallvec![builder.reshape(product, node.stack_shape(&node.results[0].shape))?]))
    }

    fn lower(&self, operands: &[&Type], _: &[Type]) -> Lowering {
        let rank = operands[0].shape.rank();
        let view = |row: usize, column: usize, swapped: bool| {
            let tail = if swapped { [column, row] } else { [row, column] };
            let axes = (0..rank - 2).chain(tail);
            View { indices: axes.map(|axis| Affine::axis(AxisId(axis as u32))).collect(), fill: None }
        };
        let (_, depth) = ends(operands[0], self.transpose_left);
        Lowering::Contract(Contraction {
            reduced: SmallVec::from_elem(depth, 1),
            left: view(rank - 2, rank, self.transpose_left),
            right: view(rank, rank - 1, self.transpose_right),
        })
    }

    fn samples() -> Vec<Sample> {
        const SIZES: [(&[usize], usize, usize, usize); 8] = [
            (&[], 3, 5, 2),
            (&[], 1, 7, 1),
            (&[], 13, 1, 11),
            (&[2], 3, 2, 5),
            (&[2, 1], 2, 3, 2),
            (&[], 4, 0, 3),
            (&[], 0, 2, 3),
            (&[], 17, 9, 6),
        ];
        let mut samples = Vec::new();
        for (batch, rows, depth, columns) in SIZES {
            for (transpose_left, transpose_right) in
                [(false, false), (true, false), (false, true), (true, true)]
            {
                let shape = |row: usize, column: usize, swapped: bool| {
                    let tail = if swapped { [column, row] } else { [row, column] };
                    [batch, &tail].concat()
                };
                let (left, right) =
                    (shape(rows, depth, transpose_left), shape(depth, columns, transpose_right));
                samples.push(sample(MatMul { transpose_left, transpose_right }, &[&left, &right]));
            }
        }
        samples
    }
}

/// Rows and columns of an operand, swapped where its flag says so.
fn ends(ty: &Type, swapped: bool) -> (usize, usize) {
    let rank = ty.shape.rank();
    let (rows, columns) = (ty.shape[rank - 2], ty.shape[rank - 1]);
    if swapped { (columns, rows) } else { (rows, columns) }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::mistake;

    fn product(left: &str, right: &str, flags: &str) -> String {
        mistake(&format!("%a = input : {left}\n%b = input : {right}\n%y = matmul %a, %b {flags}"))
    }

    #[test]
    fn columns_on_the_left_are_rows_on_the_right() {
        assert_eq!(
            product("f32[2, 3]", "f32[4, 5]", ""),
            "matmul: f32[2, 3] and f32[4, 5] cannot be multiplied: 3 columns on the left, 4 rows on the right; \
             make these equal, or transpose an operand"
        );
        assert_eq!(
            product("f32[2, 3]", "f32[3, 5]", "transpose_left=true"),
            "matmul: f32[2, 3] and f32[3, 5] cannot be multiplied: 2 columns on the left, 3 rows on the right; \
             make these equal, or transpose an operand"
        );
    }

    #[test]
    fn leading_axes_are_alike() {
        let help = "give at least 2 axes, and broadcast the axes before them";
        for (left, right) in [("f32[3]", "f32[3, 5]"), ("f32[2, 3, 4]", "f32[1, 4, 5]")] {
            assert_eq!(
                product(left, right, ""),
                format!("matmul: {left} and {right} have no common leading axes; {help}")
            );
        }
    }

    #[test]
    fn factors_are_numbers_of_one_dtype() {
        let help = "give numbers of one dtype; `cast_f32` converts";
        for (left, right) in [("f32[2, 2]", "f64[2, 2]"), ("bool[2, 2]", "bool[2, 2]")] {
            assert_eq!(
                product(left, right, ""),
                format!("matmul: {left} and {right} differ in dtype or are no numbers; {help}")
            );
        }
    }

    #[test]
    fn flags_are_truth_values() {
        assert_eq!(
            product("f32[2, 2]", "f32[2, 2]", "transpose_left=1"),
            "matmul: attribute `transpose_left` is not `true` or `false`; give `true` or `false`"
        );
    }
}
