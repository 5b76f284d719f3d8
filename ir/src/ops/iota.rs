//! `iota`: elements that are their own index.

use smallvec::smallvec;

use crate::eval::Array;
use crate::ops::{Batched, Differentiated, Gradients, OpDef, Sample, expect_operands};
use crate::{Attr, AttrReader, Attrs, Builder, DType, Error, Graph, Lowering, Num, Operands, Type, Types};

/// The tensor whose elements are their own index along an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Iota {
    /// The type of the result: numbers.
    pub ty: Type,
    /// The axis that counts.
    pub axis: usize,
}

impl OpDef for Iota {
    fn names() -> Vec<&'static str> {
        vec!["iota"]
    }

    fn name(&self) -> &'static str {
        "iota"
    }

    fn attrs(&self) -> Attrs {
        vec![("axis", Attr::Int(self.axis as i64))]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        Ok(Iota { ty: attrs.declared_type()?, axis: attrs.size("axis")? })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("iota", operands, 0)?;
        if self.axis >= self.ty.shape.rank() || self.ty.dtype == DType::Bool {
            let problem = format!("it is not defined along axis {} of {}", self.axis, self.ty);
            return Err(Error::new("iota", problem, "give a number dtype and an axis counted from 0"));
        }
        // No extent is above 2^31, so the greatest element, one less, is an i32.
        Ok(smallvec![self.ty.clone()])
    }

    fn eval(&self, _: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        vec![Array::from_fn(&results[0], |index| Num::of(self.ty.dtype, index[self.axis] as i64))]
    }

    fn grad(&self, _: &mut Builder, _: &Differentiated<'_>) -> Result<Gradients, Error> {
        Ok(Gradients::new())
    }

    fn batched(&self, _: &mut Builder, _: &Batched<'_>) -> Result<Option<Operands>, Error> {
        Ok(None)
    }

    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        Lowering::Iota { axis: self.axis }
    }

    fn samples() -> Vec<Sample> {
        let cases: [(DType, &[usize], usize); 5] = [
            (DType::I32, &[7], 0),
            (DType::I64, &[3, 5], 1),
            (DType::F32, &[3, 5], 0),
            (DType::F64, &[2, 1, 13], 2),
            (DType::I32, &[0, 2], 1),
        ];
        cases
            .iter()
            .map(|&(dtype, shape, axis)| Sample {
                op: Iota { ty: Type::new(dtype, shape), axis }.into(),
                operands: vec![],
                body: None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::mistake;

    #[test]
    fn numbers_count_along_an_axis_that_is_there() {
        let help = "give a number dtype and an axis counted from 0";
        assert_eq!(
            mistake("%y = iota axis=1 : i32[5]"),
            format!("iota: it is not defined along axis 1 of i32[5]; {help}")
        );
        assert_eq!(
            mistake("%y = iota axis=0 : bool[5]"),
            format!("iota: it is not defined along axis 0 of bool[5]; {help}")
        );
    }
}
