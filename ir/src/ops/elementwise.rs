//! Elementwise functions: one op for all rows of the table.

use smallvec::{SmallVec, smallvec};

use crate::eval::Array;
use crate::ops::{Batched, Differentiated, Gradients, OpDef, SHAPES, Sample, SampleOperand, expect_operands};
use crate::scalar::{Derivative, Signature};
use crate::{
    AttrReader, Attrs, Builder, DType, Error, Graph, Lowering, Num, Operands, ScalarFn, Type, Types,
};

/// A function of the table applied to each element. All operands have the shape of the result.
#[derive(Clone, Debug, PartialEq)]
pub struct Elementwise {
    /// The function.
    pub function: ScalarFn,
}

impl OpDef for Elementwise {
    fn names() -> Vec<&'static str> {
        ScalarFn::ALL.iter().map(|function| function.name()).collect()
    }

    fn name(&self) -> &'static str {
        self.function.name()
    }

    fn attrs(&self) -> Attrs {
        vec![]
    }

    fn from_attrs(name: &str, _: &mut AttrReader<'_>) -> Result<Self, Error> {
        let function =
            name.parse().map_err(|()| Error::new(name, "there is no such function", "see docs/IR.md"))?;
        Ok(Elementwise { function })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands(self.name(), operands, self.function.row().arity)?;
        let dtypes: Vec<DType> = operands.iter().map(|ty| ty.dtype).collect();
        let types = || operands.iter().map(|ty| ty.to_string()).collect::<Vec<_>>().join(", ");
        let Some(dtype) = self.function.result_dtype(&dtypes) else {
            let wanted = wanted(self.function.row().signature);
            return Err(Error::new(self.name(), format!("it is not defined for {}", types()), wanted));
        };
        if operands.iter().any(|ty| ty.shape != operands[0].shape) {
            let help = "broadcast the operands to one shape first";
            return Err(Error::new(self.name(), format!("the operands differ in shape: {}", types()), help));
        }
        Ok(smallvec![Type { dtype, shape: operands[0].shape.clone() }])
    }

    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        let eval = self.function.row().eval;
        let dtype = operands[0].ty.dtype;
        let mut position = 0;
        vec![Array::from_fn(&results[0], |_| {
            let arguments: SmallVec<[Num; 4]> =
                operands.iter().map(|operand| operand.get(position)).collect();
            position += 1;
            eval(dtype, &arguments)
        })]
    }

    fn grad(&self, builder: &mut Builder, node: &Differentiated<'_>) -> Result<Gradients, Error> {
        let none = smallvec![None; node.operands.len()];
        match (&self.function.row().derivative, node.gradients[0]) {
            (Derivative::Rule(rule), Some(gradient)) => {
                Ok(rule(builder, node.operands, node.results[0], gradient)?.into_iter().collect())
            }
            _ => Ok(none),
        }
    }

    fn batched(&self, builder: &mut Builder, node: &Batched<'_>) -> Result<Option<Operands>, Error> {
        node.apply(builder, self.clone()).map(Some)
    }

    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        Lowering::Apply(self.function)
    }

    fn samples() -> Vec<Sample> {
        ScalarFn::ALL.iter().flat_map(|&function| samples_of(function)).collect()
    }
}

/// What to do about operands that a function does not take.
fn wanted(signature: Signature) -> &'static str {
    match signature {
        Signature::Float => "give floats of one dtype; `cast_f32` converts",
        Signature::Number => "give numbers of one dtype; `cast_f32` and its kin convert",
        Signature::Compare => "give operands of one dtype; `cast_f32` and its kin convert",
        Signature::Logic => "give `bool`s; a comparison makes them",
        Signature::Select => "give a `bool` and two operands of one dtype",
        Signature::Cast(_) => "give one operand",
        Signature::I32 => "give `i32`s; `cast_i32` converts",
        Signature::HighWord => "give an `i64`; `cast_i64` converts",
    }
}

fn samples_of(function: ScalarFn) -> Vec<Sample> {
    let row = function.row();
    let mut samples = Vec::new();
    for dtypes in operand_dtypes(row.signature, row.arity) {
        // The gradient check is in `f64`, and wants more shapes.
        let is_checked = matches!(row.derivative, Derivative::Rule(_)) && dtypes.last() == Some(&DType::F64);
        let shapes = if is_checked { &SHAPES[..] } else { &SHAPES[..7] };
        for shape in shapes {
            let operands = dtypes.iter().enumerate().map(|(index, &dtype)| SampleOperand {
                ty: Type::new(dtype, *shape),
                interval: row.domain.get(index).or(row.domain.last()).copied().unwrap_or((-4.0, 4.0)),
                differentiable: dtype.is_float() && matches!(row.derivative, Derivative::Rule(_)),
            });
            samples.push(Sample {
                op: Elementwise { function }.into(),
                operands: operands.collect(),
                body: None,
            });
        }
    }
    samples
}

/// The dtypes that a function is sampled with.
fn operand_dtypes(signature: Signature, arity: usize) -> Vec<Vec<DType>> {
    let alike = |dtypes: &[DType]| dtypes.iter().map(|&dtype| vec![dtype; arity]).collect();
    match signature {
        Signature::Float => alike(&[DType::F32, DType::F64]),
        Signature::Number => alike(&[DType::F32, DType::F64, DType::I32, DType::I64]),
        Signature::Compare | Signature::Cast(_) => alike(&DType::ALL),
        Signature::Logic => alike(&[DType::Bool]),
        Signature::I32 => alike(&[DType::I32]),
        Signature::HighWord => alike(&[DType::I64]),
        Signature::Select => DType::ALL.iter().map(|&dtype| vec![DType::Bool, dtype, dtype]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::mistake;

    #[test]
    fn functions_say_which_dtypes_they_take() {
        let refused = |function: &str, operands: &[&str]| {
            let inputs = operands.iter().enumerate().map(|(i, ty)| format!("%x{i} = input : {ty}\n"));
            let list: Vec<String> = (0..operands.len()).map(|i| format!("%x{i}")).collect();
            mistake(&format!("{}%y = {function} {}", inputs.collect::<String>(), list.join(", ")))
        };
        let cases: [(&str, &[&str], &str); 7] = [
            ("exp", &["i32[2]"], "give floats of one dtype; `cast_f32` converts"),
            ("add", &["f32[2]", "f64[2]"], "give numbers of one dtype; `cast_f32` and its kin convert"),
            ("lt", &["f32[2]", "i32[2]"], "give operands of one dtype; `cast_f32` and its kin convert"),
            ("and", &["i32[2]", "i32[2]"], "give `bool`s; a comparison makes them"),
            ("select", &["f32[2]", "f32[2]", "f32[2]"], "give a `bool` and two operands of one dtype"),
            ("shift_right", &["i64[2]", "i64[2]"], "give `i32`s; `cast_i32` converts"),
            ("high_word", &["i32[2]"], "give an `i64`; `cast_i64` converts"),
        ];
        for (function, operands, help) in cases {
            let types = operands.join(", ");
            assert_eq!(
                refused(function, operands),
                format!("{function}: it is not defined for {types}; {help}")
            );
        }
    }

    #[test]
    fn operands_have_one_shape() {
        assert_eq!(
            mistake("%a = input : f32[2]\n%b = input : f32[]\n%y = add %a, %b"),
            "add: the operands differ in shape: f32[2], f32[]; broadcast the operands to one shape first"
        );
    }

    #[test]
    fn the_number_of_operands_is_checked() {
        assert_eq!(
            mistake("%a = input : f32[2]\n%y = cast_f64 %a, %a"),
            "cast_f64: it has 2 operands; give 1"
        );
    }
}
