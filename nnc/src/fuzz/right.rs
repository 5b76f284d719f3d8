//! Whether results are right: as far from the reference as rounding explains, and no farther.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use ir::{DType, Tensor};

use super::reference::{Reference, Tolerances, distance, unit};

/// How many disturbed runs tell what rounding explains; the second number where the first says that it does not.
const RUNS: [usize; 2] = [3, 48];
/// Elements that are within so many roundings are right, whatever their graph.
const ROUNDINGS: f64 = 16.0;

/// The right values of outputs and states, with tolerances that are computed when they are wanted.
pub struct Right<'a> {
    values: BTreeMap<String, Tensor>,
    reference: &'a Reference<'a>,
    tolerances: [OnceCell<Tolerances>; 2],
}

impl<'a> Right<'a> {
    /// What a reference gives.
    pub fn new(reference: &'a Reference<'a>) -> Right<'a> {
        Right { values: reference.values(), reference, tolerances: [OnceCell::new(), OnceCell::new()] }
    }

    /// Where results, named as those of the reference are, are farther from the right ones than rounding explains.
    pub fn difference(&self, found: &BTreeMap<String, Tensor>) -> Option<String> {
        let is_near = |_: &str, _: usize, a: f64, b: f64, dtype: DType| {
            distance(a, b).is_some_and(|distance| distance <= ROUNDINGS * rounding(dtype, b))
        };
        let mut difference = self.first_difference(found, is_near);
        for (runs, tolerances) in RUNS.into_iter().zip(&self.tolerances) {
            difference.as_ref()?;
            let tolerances = tolerances.get_or_init(|| self.reference.tolerances(runs));
            let is_explained = |name: &str, position: usize, a: f64, b: f64, dtype: DType| {
                let Some(tolerance) = tolerances[name][position] else { return true };
                distance(a, b).is_some_and(|distance| distance <= tolerance + 2.0 * rounding(dtype, b))
            };
            difference = self.first_difference(found, is_explained);
        }
        difference
    }

    /// The first element for which `is_right(name, position, found, right, dtype)` does not hold.
    fn first_difference(
        &self,
        found: &BTreeMap<String, Tensor>,
        is_right: impl Fn(&str, usize, f64, f64, DType) -> bool,
    ) -> Option<String> {
        self.values.iter().find_map(|(name, right)| {
            let Some(tensor) = found.get(name) else { return Some(format!("{name} is missing")) };
            if tensor.ty() != right.ty() {
                return Some(format!("{name} is {} instead of {}", tensor.ty(), right.ty()));
            }
            (0..right.shape().elements()).find_map(|position| {
                let (a, b) = (tensor.get(position).as_f64(), right.get(position).as_f64());
                let is_right = is_right(name, position, a, b, right.dtype());
                (!is_right).then(|| format!("{name}: element {position} is {a:e} instead of {b:e}"))
            })
        })
    }
}

/// What one rounding does to a number at most; nothing to what is not finite.
fn rounding(dtype: DType, x: f64) -> f64 {
    if x.is_finite() { unit(dtype) * x.abs() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use ir::text::parse_graph;

    use super::*;
    use crate::fuzz::values;

    /// What is said of a result whose element number `position` is `factor` times the right one.
    fn said(source: &str, name: &str, position: usize, factor: f64) -> Option<String> {
        let graph = parse_graph(source).unwrap();
        let inputs = values::inputs(&graph, 1);
        let reference = Reference::new(&graph, &inputs, 1).unwrap();
        let mut found = reference.values();
        let tensor = &found[name];
        let changed = Tensor::from_fn(&tensor.ty(), |i| {
            let element = tensor.get(i);
            let factor = if i == position { factor } else { 1.0 };
            ir::Scalar::from_f64(tensor.dtype(), factor * element.as_f64())
        });
        found.insert(name.to_owned(), changed);
        Right::new(&reference).difference(&found)
    }

    const PRODUCT: &str =
        "graph @g { %x = input : f32[5, 8]  %y = input : f32[8, 3]  %z = matmul %x, %y  output z = %z }";

    #[test]
    fn a_few_roundings_are_right_and_a_thousandth_is_not() {
        assert_eq!(said(PRODUCT, "z", 7, 1.0 + 3e-7), None);
        assert!(said(PRODUCT, "z", 7, 1.001).unwrap().starts_with("z: element 7 is "));
    }

    #[test]
    fn what_is_exact_has_no_tolerance_but_a_few_roundings() {
        let source = "graph @g { %whole_x = input : f32[9]  %c = constant value=7.0 : f32[9]  %y = add %whole_x, %c  output y = %y
            %s = reduce_sum %y axes=[0]  output s = %s }";
        assert!(said(source, "y", 0, 1.0 + 1e-5).is_some());
        assert!(said(source, "s", 0, 1.0 + 1e-5).is_some());
    }

    #[test]
    fn terms_that_cancel_make_large_tolerances() {
        // The sum is some roundings of 1e6.
        let source = "graph @g { %x = input : f32[6]  %big = constant value=1000000.0 : f32[6]
            %a = add %x, %big  %b = sub %a, %big  %s = reduce_sum %b axes=[0]  output s = %s }";
        assert_eq!(said(source, "s", 0, 1.01), None);
    }

    #[test]
    fn a_number_is_no_infinity() {
        assert!(said(PRODUCT, "z", 0, f64::INFINITY).is_some());
    }

    #[test]
    fn where_a_comparison_could_go_either_way_both_are_right() {
        // sin(x) / sin(x) is 1, or a rounding less.
        let source = "graph @g { %x = input : f32[4]  %t = mul %x, %x  %u = sub %t, %t  %c = sin %x
            %d = mul %c, %c  %e = sub %d, %d  %v = add %u, %e  %zero = constant value=0.0 : f32[4]
            %f = add %d, %c  %g = sub %f, %c  %is = le %g, %d  %n = cast_f32 %is  output n = %n }";
        assert_eq!(said(source, "n", 2, 0.0), None);
    }
}
