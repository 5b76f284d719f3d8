//! `constant`: a tensor that is part of the graph.

use smallvec::smallvec;

use crate::eval::Array;
use crate::ops::{Batched, Differentiated, Gradients, OpDef, Sample, expect_operands};
use crate::{
    Attr, AttrReader, Attrs, Builder, Error, Graph, Lowering, Operands, Scalar, Tensor, Type, Types,
};

/// A tensor that is part of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Its elements.
    pub tensor: Tensor,
}

impl OpDef for Constant {
    fn names() -> Vec<&'static str> {
        vec!["constant"]
    }

    fn name(&self) -> &'static str {
        "constant"
    }

    fn attrs(&self) -> Attrs {
        vec![("value", Attr::Tensor(self.tensor.clone()))]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        match attrs.required("value")? {
            Attr::Tensor(tensor) => Ok(Constant { tensor }),
            _ => Err(attrs.expected("value", "a number, or a list of numbers of the declared type")),
        }
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("constant", operands, 0)?;
        Ok(smallvec![self.tensor.ty()])
    }

    fn eval(&self, _: &[&Array], _: &[Type], _: Option<&Graph>) -> Vec<Array> {
        vec![Array::from(&self.tensor)]
    }

    fn grad(&self, _: &mut Builder, _: &Differentiated<'_>) -> Result<Gradients, Error> {
        Ok(Gradients::new())
    }

    fn batched(&self, _: &mut Builder, _: &Batched<'_>) -> Result<Option<Operands>, Error> {
        Ok(None)
    }

    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        Lowering::Leaf
    }

    fn samples() -> Vec<Sample> {
        let dense =
            Tensor::new([2, 3], vec![1.0f32, -2.5, 0.0, 3.0, f32::INFINITY, 1e-40]).expect("six elements");
        let ints = Tensor::new([3], vec![1i64, -7, i64::MAX]).expect("three elements");
        let truths = Tensor::new([2], vec![true, false]).expect("two elements");
        let splat = Tensor::splat([5, 1], Scalar::F64(0.1));
        [dense, ints, truths, splat, Tensor::scalar(Scalar::I32(-3))]
            .into_iter()
            .map(|tensor| Sample { op: Constant { tensor }.into(), operands: vec![], body: None })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::mistake_in_attrs;
    use crate::{Attr, DType, Type};

    #[test]
    fn a_constant_has_elements() {
        let elements = "a number, or a list of numbers of the declared type";
        let word = [("value", Attr::Word("ones".to_owned()))];
        assert_eq!(
            mistake_in_attrs("constant", &word, Type::new(DType::F32, [2])),
            format!("constant: attribute `value` is not {elements}; give {elements}")
        );
    }
}
