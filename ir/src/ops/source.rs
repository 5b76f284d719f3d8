//! `input` and `state`: what a step starts from.

use smallvec::smallvec;

use crate::eval::Array;
use crate::ops::{Batched, Differentiated, Gradients, OpDef, Sample, expect_operands};
use crate::{Attr, AttrReader, Attrs, Builder, Error, Graph, Init, Lowering, Operands, Type, Types};

/// A tensor that the caller gives at each run, under the name of its node.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its type.
    pub ty: Type,
}

/// A tensor that is kept from run to run, under the name of its node.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Its type.
    pub ty: Type,
    /// What it holds before the first run.
    pub init: Init,
    /// Whether it belongs to programs of this graph's name alone: another program that has a private state of its name is
    /// refused the states, where it would share it otherwise.
    pub is_private: bool,
}

impl OpDef for Input {
    fn names() -> Vec<&'static str> {
        vec!["input"]
    }

    fn name(&self) -> &'static str {
        "input"
    }

    fn attrs(&self) -> Attrs {
        vec![]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        Ok(Input { ty: attrs.declared_type()? })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("input", operands, 0)?;
        Ok(smallvec![self.ty.clone()])
    }

    fn eval(&self, _: &[&Array], _: &[Type], _: Option<&Graph>) -> Vec<Array> {
        panic!("the interpreter binds inputs itself")
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
        vec![]
    }
}

impl OpDef for State {
    fn names() -> Vec<&'static str> {
        vec!["state"]
    }

    fn name(&self) -> &'static str {
        "state"
    }

    fn attrs(&self) -> Attrs {
        let private = self.is_private.then_some(("private", Attr::Bool(true)));
        [("init", Attr::Init(self.init))].into_iter().chain(private).collect()
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        let init = match attrs.required("init")? {
            Attr::Init(init) => init,
            _ => {
                return Err(
                    attrs.expected("init", "an init such as `constant(0)` or `uniform(-0.1, 0.1, 3)`")
                );
            }
        };
        Ok(State { is_private: attrs.flag("private")?, ty: attrs.declared_type()?, init })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("state", operands, 0)?;
        self.init.check(&self.ty)?;
        Ok(smallvec![self.ty.clone()])
    }

    fn eval(&self, _: &[&Array], _: &[Type], _: Option<&Graph>) -> Vec<Array> {
        panic!("the interpreter binds states itself")
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
        vec![]
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::mistake;

    #[test]
    fn a_state_has_an_init() {
        let init = "an init such as `constant(0)` or `uniform(-0.1, 0.1, 3)`";
        assert_eq!(
            mistake("%y = state init=3 : f32[]"),
            format!("state: attribute `init` is not {init}; give {init}")
        );
    }

    #[test]
    fn a_state_is_private_or_not() {
        assert_eq!(
            mistake("%y = state init=constant(0) private=2 : f32[]"),
            "state: attribute `private` is not `true` or `false`; give `true` or `false`"
        );
    }

    #[test]
    fn an_input_has_a_type() {
        assert_eq!(
            mistake("%y = input"),
            "input: the result type is missing; write it at the end, as in `: f32[2, 3]`"
        );
    }
}
