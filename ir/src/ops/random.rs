//! `random`: numbers that are a function of a key, a stream and the element's index, by Philox4x32-10.

use std::f64::consts::PI;

use smallvec::smallvec;

use crate::eval::{Array, Data};
use crate::ops::{Batched, Differentiated, Gradients, OpDef, Sample, SampleOperand, expect_operands};
use crate::{
    Attr, AttrReader, Attrs, Builder, DType, Error, Graph, Lowering, Num, Operands, Scalar, ScalarFn, Type,
    Types,
};
use crate::{Value, scalar};

/// What random numbers are distributed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Uniform on `[0, 1)`.
    Uniform,
    /// Normal with mean 0 and standard deviation 1.
    Normal,
}

/// Random floats: element `e` (row-major) is `scalar::uniform` or `scalar::normal` of (key, stream, e). The operand is
/// the key, an `i64[]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Random {
    /// The distribution.
    pub distribution: Distribution,
    /// Draws of different streams are independent.
    pub stream: u32,
    /// The type of the result: floats, fewer than 2^31.
    pub ty: Type,
}

impl OpDef for Random {
    fn names() -> Vec<&'static str> {
        vec!["random"]
    }

    fn name(&self) -> &'static str {
        "random"
    }

    fn attrs(&self) -> Attrs {
        let word = match self.distribution {
            Distribution::Uniform => "uniform",
            Distribution::Normal => "normal",
        };
        vec![("distribution", Attr::Word(word.to_owned())), ("stream", Attr::Int(i64::from(self.stream)))]
    }

    fn from_attrs(_: &str, attrs: &mut AttrReader<'_>) -> Result<Self, Error> {
        let distribution = match attrs.word("distribution")?.as_str() {
            "uniform" => Distribution::Uniform,
            "normal" => Distribution::Normal,
            _ => return Err(attrs.expected("distribution", "`uniform` or `normal`")),
        };
        let stream = u32::try_from(attrs.int("stream")?)
            .map_err(|_| attrs.expected("stream", "an integer below 2^32 that is not negative"))?;
        Ok(Random { distribution, stream, ty: attrs.declared_type()? })
    }

    fn infer(&self, operands: &[&Type], _: Option<&Graph>) -> Result<Types, Error> {
        expect_operands("random", operands, 1)?;
        if *operands[0] != Type::new(DType::I64, []) {
            let problem = format!("the key is {}", operands[0]);
            return Err(Error::new("random", problem, "give an i64[] as the key"));
        }
        if !self.ty.dtype.is_float() || self.ty.shape.elements() >= 1 << 31 {
            let problem = format!("it cannot draw {}", self.ty);
            return Err(Error::new("random", problem, "ask for fewer than 2^31 floats"));
        }
        Ok(smallvec![self.ty.clone()])
    }

    fn eval(&self, operands: &[&Array], results: &[Type], _: Option<&Graph>) -> Vec<Array> {
        let Num::Int(key) = operands[0].get(0) else { unreachable!("the key is an i64") };
        let draw = match self.distribution {
            Distribution::Uniform => scalar::uniform,
            Distribution::Normal => scalar::normal,
        };
        let elements = 0..results[0].shape.elements() as u32;
        let data = elements.map(|e| draw(key as u64, self.stream, e, self.ty.dtype)).collect();
        vec![Array { ty: results[0].clone(), data: Data::Float(data) }]
    }

    fn grad(&self, _: &mut Builder, _: &Differentiated<'_>) -> Result<Gradients, Error> {
        Ok(smallvec![None])
    }

    fn batched(&self, _: &mut Builder, _: &Batched<'_>) -> Result<Option<Operands>, Error> {
        Ok(None)
    }

    /// Two rows of the table give the random words; the rest is arithmetic.
    fn lower(&self, _: &[&Type], _: &[Type]) -> Lowering {
        let random = self.clone();
        Lowering::Expand(Box::new(move |builder, operands| {
            let value = match random.distribution {
                Distribution::Uniform => random.uniform(builder, operands[0])?,
                Distribution::Normal => random.normal(builder, operands[0])?,
            };
            Ok(smallvec![value])
        }))
    }

    fn samples() -> Vec<Sample> {
        let cases: [(Distribution, DType, &[usize]); 6] = [
            (Distribution::Uniform, DType::F32, &[7]),
            (Distribution::Normal, DType::F32, &[3, 5]),
            (Distribution::Uniform, DType::F64, &[2, 1, 13]),
            (Distribution::Normal, DType::F64, &[11]),
            (Distribution::Uniform, DType::F32, &[]),
            (Distribution::Normal, DType::F32, &[0, 3]),
        ];
        let key =
            SampleOperand { ty: Type::new(DType::I64, []), interval: (-1e15, 1e15), differentiable: false };
        cases
            .iter()
            .map(|&(distribution, dtype, shape)| Sample {
                op: Random { distribution, stream: 7, ty: Type::new(dtype, shape) }.into(),
                operands: vec![key.clone()],
                body: None,
            })
            .collect()
    }
}

impl Random {
    /// One random word per element, as `i32`.
    fn word(&self, builder: &mut Builder, key: Value, word: ScalarFn) -> Result<Value, Error> {
        let mut counter = builder.scalar(Scalar::I32(0));
        let strides = self.ty.shape.strides();
        for (axis, &extent) in self.ty.shape.iter().enumerate().filter(|(_, extent)| **extent != 1) {
            debug_assert!(extent < 1 << 31);
            let index = builder.iota(DType::I32, self.ty.shape.clone(), axis)?;
            let stride = builder.scalar(Scalar::I32(strides[axis] as i32));
            let part = builder.mul(index, stride)?;
            counter = builder.add(counter, part)?;
        }
        let stream = builder.scalar(Scalar::I32(self.stream as i32));
        let low = builder.cast(key, DType::I32)?;
        let high = builder.apply(ScalarFn::HighWord, &[key])?;
        let bits = builder.apply(word, &[counter, stream, low, high])?;
        builder.broadcast(bits, self.ty.shape.clone())
    }

    /// The upper `32 - shift` bits of a word as a float on `[0, 1)`.
    fn fraction(&self, builder: &mut Builder, word: Value, shift: i32) -> Result<Value, Error> {
        let shift_by = builder.scalar(Scalar::I32(shift));
        let bits = builder.apply(ScalarFn::ShiftRight, &[word, shift_by])?;
        let float = builder.cast(bits, self.ty.dtype)?;
        let scale = builder.float(self.ty.dtype, (f64::from(32 - shift)).exp2().recip());
        builder.mul(float, scale)
    }

    /// See [`scalar::uniform`].
    fn uniform(&self, builder: &mut Builder, key: Value) -> Result<Value, Error> {
        let first = self.word(builder, key, ScalarFn::Philox0)?;
        if self.ty.dtype == DType::F32 {
            return self.fraction(builder, first, 8);
        }
        // 27 bits from word 0 and 26 from word 1: 53 in all.
        let second = self.word(builder, key, ScalarFn::Philox1)?;
        let high = self.fraction(builder, first, 5)?;
        let low = self.fraction(builder, second, 6)?;
        let scale = builder.float(DType::F64, 2f64.powi(-27));
        let low = builder.mul(low, scale)?;
        builder.add(high, low)
    }

    /// See [`scalar::normal`]: G. E. P. Box and M. E. Muller, "A note on the generation of random normal deviates", 1958.
    fn normal(&self, builder: &mut Builder, key: Value) -> Result<Value, Error> {
        let first = self.word(builder, key, ScalarFn::Philox0)?;
        let second = self.word(builder, key, ScalarFn::Philox1)?;
        let [u0, u1] = [self.fraction(builder, first, 8)?, self.fraction(builder, second, 8)?];
        let dtype = self.ty.dtype;
        let one = builder.float(dtype, 1.0);
        let above_zero = builder.sub(one, u0)?;
        let log = builder.log(above_zero)?;
        let minus_two = builder.float(dtype, -2.0);
        let square = builder.mul(log, minus_two)?;
        let radius = builder.sqrt(square)?;
        let turn = builder.float(dtype, 2.0 * PI);
        let angle = builder.mul(u1, turn)?;
        let cosine = builder.cos(angle)?;
        builder.mul(radius, cosine)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::mistake;

    fn draw(key: &str, attrs: &str, ty: &str) -> String {
        mistake(&format!("%k = input : {key}\n%y = random %k {attrs} : {ty}"))
    }

    #[test]
    fn the_key_is_one_i64() {
        for key in ["i32[]", "i64[2]"] {
            assert_eq!(
                draw(key, "distribution=normal stream=0", "f32[2]"),
                format!("random: the key is {key}; give an i64[] as the key")
            );
        }
    }

    #[test]
    fn fewer_than_two_to_the_31_floats_are_drawn() {
        for ty in ["i32[2]", "f32[65536, 32768]"] {
            assert_eq!(
                draw("i64[]", "distribution=normal stream=0", ty),
                format!("random: it cannot draw {ty}; ask for fewer than 2^31 floats")
            );
        }
    }

    #[test]
    fn the_distribution_and_the_stream_are_stated() {
        assert_eq!(
            draw("i64[]", "distribution=poisson stream=0", "f32[2]"),
            "random: attribute `distribution` is not `uniform` or `normal`; give `uniform` or `normal`"
        );
        assert_eq!(
            draw("i64[]", "distribution=1 stream=0", "f32[2]"),
            "random: attribute `distribution` is not a word; give a word"
        );
        let stream = "an integer below 2^32 that is not negative";
        assert_eq!(
            draw("i64[]", "distribution=uniform stream=-1", "f32[2]"),
            format!("random: attribute `stream` is not {stream}; give {stream}")
        );
    }
}
