//! `fused`: a group of ops that becomes one kernel.

use std::str::FromStr;

use smallvec::SmallVec;

use crate::eval::{Array, evaluate_body};
use crate::ops::{Batched, Differentiated, Gradients, OpDef, Sample};
use crate::{Attr, AttrReader, Attrs, Builder, Error, Graph, Lowering, Operands, Shape, Type, Types};

/// The form of the kernel that a group becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FusedKind {
    /// One loop over the domain.
    Map,
    /// A loop over the rows, and in it loops along the row, with reductions.
    Rows,
    /// One loop over the domain with a sum of products in it, and what follows from it.
    Contraction,
}

impl FusedKind {
    const NAMES: [(FusedKind, &'static str); 3] =
        [(FusedKind::Map, "map"), (FusedKind::Rows, "rows"), (FusedKind::Contraction, "contraction")];

    /// The name in the text form.
    pub fn name(self) -> &'static str {
        FusedKind::NAMES.iter().find(|entry| entry.0 == self).expect("every kind has a name").1
    }
}

impl FromStr for FusedKind {
    type Err = ();

    fn from_str(name: &str) -> Result<FusedKind, ()> {
        FusedKind::NAMES.iter().find(|entry| entry.1 == name).map(|entry| entry.0).ok_or(())
    }
}

/// The body of the node as one op. Pass `fuse` writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fused {
    /// The form of the kernel.
    pub kind: FusedKind,
    /// The shape that the kernel loops over.
    pub domain: Shape,
    /// The axes of the domain along which rows run: those that the reductions reduce. Ascending.
    pub reduced: SmallVec<[usize; 4]>,
}

impl OpDef for Fused {
    fn names() -> Vec<&'static str> {
        vec!["fused"]
    }

    fn name(&self) -> &'static str {
        "fused"
    }

    fn attrs(&self) -> Attrs {
        let list = |values: &[usize]| Attr::Ints(values.iter().map(|&value| value as i64).collect());
        vec![
            ("kind", Attr::Word(self.kind.name().to_owned())),
            ("domain", list(&self.domain)),
            ("reduced", list(&self.reduced)),
        ]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        let kind = attrs.word("kind")?.parse();
        let kind = kind.map_err(|()| attrs.expected("kind", "`map`, `rows` or `contraction`"))?;
        let domain: Shape = attrs.sizes("domain")?.into_iter().collect();
        let reduced: SmallVec<[usize; 4]> = attrs.sizes("reduced")?.into();
        let ascending = reduced.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || reduced.last().is_some_and(|&axis| axis >= domain.rank()) {
            return Err(attrs.expected("reduced", "a list of axes of the domain in ascending order"));
        }
        Ok(Fused { kind, domain, reduced })
    }

    fn infer(&self, operands: &[&Type], body: Option<&Graph>) -> Result<Types, Error> {
        let Some(body) = body else {
            return Err(Error::new("fused", "it has no body", "write one in braces after the types"));
        };
        if body.outputs.is_empty() {
            return Err(Error::new("fused", "its body has no output", "return at least one value from it"));
        }
        let inputs: Vec<&Type> = body.inputs().map(|(_, node)| &node.results[0]).collect();
        if inputs != operands {
            let list = |types: &[&Type]| types.iter().map(|ty| ty.to_string()).collect::<Vec<_>>().join(", ");
            let problem =
                format!("the operands are ({}), the body takes ({})", list(operands), list(&inputs));
            return Err(Error::new(
                "fused",
                problem,
                "give an operand for each input of the body, of its type",
            ));
        }
        if body.states().next().is_some() || !body.updates.is_empty() {
            return Err(Error::new("fused", "its body has a state", "pass the state as an operand"));
        }
        Ok(body.outputs.iter().map(|output| body.ty(output.value).clone()).collect())
    }

    fn eval(&self, operands: &[&Array], _: &[Type], body: Option<&Graph>) -> Vec<Array> {
        evaluate_body(body.expect("`infer` has checked that there is a body"), operands)
    }

    fn grad(&self, _: &mut Builder, _: &Differentiated<'_>) -> Result<Gradients, Error> {
        Err(Error::new("fused", "a group has no gradient rule", "differentiate before pass fuse"))
    }

    fn batched(&self, _: &mut Builder, _: &Batched<'_>) -> Result<Option<Operands>, Error> {
        Ok(None)
    }

    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        Lowering::Fused
    }

    fn samples() -> Vec<Sample> {
        vec![]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::mistake;

    const BODY: &str = "{ %a = input : f32[2]\n%b = neg %a\noutput b = %b }";

    #[test]
    fn a_group_has_a_body_for_its_operands() {
        assert_eq!(
            mistake("%x = input : f32[2]\n%y = fused %x kind=map domain=[2] reduced=[]"),
            "fused: it has no body; write one in braces after the types"
        );
        assert_eq!(
            mistake(&format!("%x = input : f32[3]\n%y = fused %x kind=map domain=[2] reduced=[] {BODY}")),
            "fused: the operands are (f32[3]), the body takes (f32[2]); \
             give an operand for each input of the body, of its type"
        );
    }

    #[test]
    fn a_body_keeps_nothing_and_returns_something() {
        assert_eq!(
            mistake(
                "%y = fused kind=map domain=[] reduced=[] { %a = state init=seed : i64[]\noutput a = %a }"
            ),
            "fused: its body has a state; pass the state as an operand"
        );
        let fused = Fused { kind: FusedKind::Map, domain: Shape::scalar(), reduced: SmallVec::new() };
        let error = fused.infer(&[], Some(&Graph::new("body"))).unwrap_err();
        assert_eq!(error.to_string(), "fused: its body has no output; return at least one value from it");
    }

    #[test]
    fn the_form_of_the_kernel_is_stated() {
        let kinds = "`map`, `rows` or `contraction`";
        assert_eq!(
            mistake(&format!("%x = input : f32[2]\n%y = fused %x kind=loop domain=[2] reduced=[] {BODY}")),
            format!("fused: attribute `kind` is not {kinds}; give {kinds}")
        );
        let axes = "a list of axes of the domain in ascending order";
        assert_eq!(
            mistake(&format!("%x = input : f32[2]\n%y = fused %x kind=rows domain=[2] reduced=[1] {BODY}")),
            format!("fused: attribute `reduced` is not {axes}; give {axes}")
        );
    }

    #[test]
    fn a_group_is_differentiated_before_it_is_made() {
        let fused = Fused { kind: FusedKind::Map, domain: Shape::scalar(), reduced: SmallVec::new() };
        let node = Differentiated { operands: &[], results: &[], gradients: &[], body: None };
        let error = fused.grad(&mut Builder::new("g"), &node).unwrap_err();
        assert_eq!(error.to_string(), "fused: a group has no gradient rule; differentiate before pass fuse");
    }
}
