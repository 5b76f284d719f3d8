//! A tensor of the interpreter: floats in `f64`, everything else in `i64`.

use crate::{DType, Elements, Num, Scalar, Shape, Tensor, Type};

/// The elements of an [`Array`], row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `f32` and `f64`.
    Float(Vec<f64>),
    /// `i32`, `i64`, and `bool` as 0 and 1.
    Int(Vec<i64>),
}

/// A value of the interpreter.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its type.
    pub ty: Type,
    /// Its elements.
    pub data: Data,
}

impl Array {
    /// The array of this type whose element at each index is `element(index)`.
    pub fn from_fn(ty: &Type, mut element: impl FnMut(&[usize]) -> Num) -> Array {
        let count = ty.shape.elements();
        let mut index = vec![0; ty.shape.rank()];
        let mut data = match ty.dtype.is_float() {
            true => Data::Float(Vec::with_capacity(count)),
            false => Data::Int(Vec::with_capacity(count)),
        };
        for _ in 0..count {
            match (&mut data, element(&index)) {
                (Data::Float(floats), Num::Float(x)) => floats.push(x),
                (Data::Int(ints), Num::Int(x)) => ints.push(x),
                (_, other) => panic!("{other:?} in an array of {ty}"),
            }
            advance(&mut index, &ty.shape);
        }
        Array { ty: ty.clone(), data }
    }

    /// The element at an index.
    pub fn at(&self, index: &[usize]) -> Num {
        let strides = self.ty.shape.strides();
        self.get(index.iter().zip(&strides).map(|(i, stride)| i * stride).sum())
    }

    /// Element number `position` in row-major order.
    pub fn get(&self, position: usize) -> Num {
        match &self.data {
            Data::Float(floats) => Num::Float(floats[position]),
            Data::Int(ints) => Num::Int(ints[position]),
        }
    }

    /// Writes element number `position` in row-major order.
    pub fn set(&mut self, position: usize, value: Num) {
        match (&mut self.data, value) {
            (Data::Float(floats), Num::Float(x)) => floats[position] = x,
            (Data::Int(ints), Num::Int(x)) => ints[position] = x,
            (_, other) => panic!("{other:?} in an array of {}", self.ty),
        }
    }

    /// The elements rounded to the dtype.
    pub fn to_tensor(&self) -> Tensor {
        Tensor::from_fn(&self.ty, |i| match self.get(i) {
            Num::Float(x) => Scalar::from_f64(self.ty.dtype, x),
            Num::Int(x) => Scalar::from_i64(self.ty.dtype, x),
        })
    }

    /// The same elements under another shape of as many.
    pub fn reshaped(&self, shape: &Shape) -> Array {
        Array { ty: Type { dtype: self.ty.dtype, shape: shape.clone() }, data: self.data.clone() }
    }
}

impl From<&Tensor> for Array {
    fn from(tensor: &Tensor) -> Array {
        let data = match tensor.elements() {
            Elements::F32(x) => Data::Float(x.iter().map(|&x| f64::from(x)).collect()),
            Elements::F64(x) => Data::Float(x.clone()),
            Elements::I32(x) => Data::Int(x.iter().map(|&x| i64::from(x)).collect()),
            Elements::I64(x) => Data::Int(x.clone()),
            Elements::Bool(x) => Data::Int(x.iter().map(|&x| i64::from(x)).collect()),
        };
        Array { ty: tensor.ty(), data }
    }
}

impl Num {
    /// The number of `dtype`'s kind that has this value.
    pub fn of(dtype: DType, value: i64) -> Num {
        if dtype.is_float() { Num::Float(value as f64) } else { Num::Int(value) }
    }

    /// The scalar as the interpreter holds it.
    pub fn from_scalar(scalar: Scalar) -> Num {
        match scalar {
            Scalar::F32(x) => Num::Float(f64::from(x)),
            Scalar::F64(x) => Num::Float(x),
            Scalar::I32(x) => Num::Int(i64::from(x)),
            Scalar::I64(x) => Num::Int(x),
            Scalar::Bool(x) => Num::Int(i64::from(x)),
        }
    }
}

/// The next index in row-major order; after the last, the first.
pub fn advance(index: &mut [usize], shape: &[usize]) {
    for axis in (0..index.len()).rev() {
        index[axis] += 1;
        if index[axis] < shape[axis] {
            return;
        }
        index[axis] = 0;
    }
}
