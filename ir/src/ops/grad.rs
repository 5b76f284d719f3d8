//! `grad`, which pass `autodiff` removes, and `stop_gradient`.

use smallvec::smallvec;

use crate::eval::Array;
use crate::ops::{Batched, Differentiated, Gradients, OpDef, Sample, expect_operands, sample};
use crate::{AttrReader, Attrs, Builder, Error, Graph, Lowering, Operands, Type, Types};

/// The gradients of a scalar, operand 0, with respect to each of the other operands: a result of its type for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Grad;

/// The operand, through which no gradient flows.
#[derive(Clone, Debug, PartialEq)]
pub struct StopGradient;

impl OpDef for Grad {
    fn names() -> Vec<&'static str> {
        vec!["grad"]
    }

    fn name(&self) -> &'static str {
        "grad"
    }

    fn attrs(&self) -> Attrs {
        vec![]
    }

    fn from_attrs(_: &str, _: &mut AttrReader<'_>) -> Result<Self, Error> {
        Ok(Grad)
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        let [loss, values @ ..] = operands else {
            return Err(Error::new(
                "grad",
                "it has no operands",
                "give the loss and what to differentiate by",
            ));
        };
        if loss.shape.rank() != 0 || !loss.dtype.is_float() {
            let problem = format!("the loss is {loss}");
            return Err(Error::new(
                "grad",
                problem,
                "give a float of rank 0; `reduce_sum` over all axes makes one",
            ));
        }
        if values.is_empty() {
            return Err(Error::new("grad", "it has only a loss", "give what to differentiate by as well"));
        }
        if let Some(odd) = values.iter().find(|ty| ty.dtype != loss.dtype) {
            let problem = format!("the loss is {loss}, and it is differentiated by a value of type {odd}");
            return Err(Error::new("grad", problem, "differentiate by floats of the loss's dtype"));
        }
        Ok(values.iter().map(|&ty| ty.clone()).collect())
    }

    fn eval(&self, _: &[&Array], _: &[Type], _: Option<&Graph>) -> Vec<Array> {
        panic!("the interpreter refuses `grad`")
    }

    fn grad(&self, _: &mut Builder, _: &Differentiated<'_>) -> Result<Gradients, Error> {
        panic!("pass autodiff replaces `grad` before it differentiates what depends on it")
    }

    fn batched(&self, _: &mut Builder, _: &Batched<'_>) -> Result<Option<Operands>, Error> {
        Ok(None)
    }

    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        panic!("pass autodiff replaces `grad`")
    }

    fn samples() -> Vec<Sample> {
        vec![]
    }
}

impl OpDef for StopGradient {
    fn names() -> Vec<&'static str> {
        vec!["stop_gradient"]
    }

    fn name(&self) -> &'static str {
        "stop_gradient"
    }

    fn attrs(&self) -> Attrs {
        vec![]
    }

    fn from_attrs(_: &str, _: &mut AttrReader<'_>) -> Result<Self, Error> {
        Ok(StopGradient)
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("stop_gradient", operands, 1)?;
        Ok(smallvec![operands[0].clone()])
    }

    fn eval(&self, operands: &[&Array], _: &[Type], _: Option<&Graph>) -> Vec<Array> {
        vec![operands[0].clone()]
    }

    fn grad(&self, _: &mut Builder, _: &Differentiated<'_>) -> Result<Gradients, Error> {
        Ok(smallvec![None])
    }

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        node.apply(builder, StopGradient).map(Some)
    }

    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        Lowering::Expand(Box::new(|_, operands| Ok(smallvec![operands[0]])))
    }

    fn samples() -> Vec<Sample> {
        let mut samples = vec![sample(StopGradient, &[&[3, 5]]), sample(StopGradient, &[&[]])];
        samples.iter_mut().for_each(|sample| sample.operands[0].differentiable = false);
        samples
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::mistake;

    #[test]
    fn the_loss_is_a_float_of_rank_zero() {
        let help = "give a float of rank 0; `reduce_sum` over all axes makes one";
        for ty in ["f32[2]", "i32[]"] {
            assert_eq!(
                mistake(&format!("%x = input : {ty}\n%y = grad %x, %x")),
                format!("grad: the loss is {ty}; {help}")
            );
        }
        assert_eq!(
            mistake("%y = grad"),
            "grad: it has no operands; give the loss and what to differentiate by"
        );
    }

    #[test]
    fn something_is_differentiated_by() {
        assert_eq!(
            mistake("%x = input : f32[]\n%y = grad %x"),
            "grad: it has only a loss; give what to differentiate by as well"
        );
        assert_eq!(
            mistake("%x = input : f32[]\n%n = input : i32[3]\n%y = grad %x, %n"),
            "grad: the loss is f32[], and it is differentiated by a value of type i32[3]; \
             differentiate by floats of the loss's dtype"
        );
    }
}
