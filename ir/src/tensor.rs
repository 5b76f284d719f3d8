//! Values on the host: one element (`Scalar`) and dense row-major tensors (`Tensor`).

use crate::{DType, Shape, Type};

/// One element with its type. Equality is equality of bits, so that NaN equals itself and -0.0 differs from 0.0.
#[derive(Clone, Copy, Debug)]
pub enum Scalar {
    /// An `f32`.
    F32(f32),
    /// An `f64`.
    F64(f64),
    /// An `i32`.
    I32(i32),
    /// An `i64`.
    I64(i64),
    /// A `bool`.
    Bool(bool),
}

impl Scalar {
    /// `value` converted to `dtype` as `cast` converts: to nearest for floats, saturating toward zero for integers.
    pub fn from_f64(dtype: DType, value: f64) -> Scalar {
        match dtype {
            DType::F32 => Scalar::F32(value as f32),
            DType::F64 => Scalar::F64(value),
            DType::I32 => Scalar::I32(value as i32),
            DType::I64 => Scalar::I64(value as i64),
            DType::Bool => Scalar::Bool(value != 0.0),
        }
    }

    /// `value` converted to `dtype`: integers wrap, floats round to nearest.
    pub fn from_i64(dtype: DType, value: i64) -> Scalar {
        match dtype {
            DType::F32 => Scalar::F32(value as f32),
            DType::F64 => Scalar::F64(value as f64),
            DType::I32 => Scalar::I32(value as i32),
            DType::I64 => Scalar::I64(value),
            DType::Bool => Scalar::Bool(value != 0),
        }
    }

    /// The element type.
    pub fn dtype(self) -> DType {
        match self {
            Scalar::F32(_) => DType::F32,
            Scalar::F64(_) => DType::F64,
            Scalar::I32(_) => DType::I32,
            Scalar::I64(_) => DType::I64,
            Scalar::Bool(_) => DType::Bool,
        }
    }

    /// The value as `f64`; large `i64` values round to nearest.
    pub fn as_f64(self) -> f64 {
        match self {
            Scalar::F32(x) => f64::from(x),
            Scalar::F64(x) => x,
            Scalar::I32(x) => f64::from(x),
            Scalar::I64(x) => x as f64,
            Scalar::Bool(x) => f64::from(u8::from(x)),
        }
    }

    /// The bits, zero-extended.
    pub fn bits(self) -> u64 {
        match self {
            Scalar::F32(x) => u64::from(x.to_bits()),
            Scalar::F64(x) => x.to_bits(),
            Scalar::I32(x) => u64::from(x as u32),
            Scalar::I64(x) => x as u64,
            Scalar::Bool(x) => u64::from(x),
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Scalar) -> bool {
        self.dtype() == other.dtype() && self.bits() == other.bits()
    }
}

impl Eq for Scalar {}

impl std::hash::Hash for Scalar {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.dtype(), self.bits()).hash(state);
    }
}

/// The elements of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// Elements of dtype `f32`.
    F32(Vec<f32>),
    /// Elements of dtype `f64`.
    F64(Vec<f64>),
    /// Elements of dtype `i32`.
    I32(Vec<i32>),
    /// Elements of dtype `i64`.
    I64(Vec<i64>),
    /// Elements of dtype `bool`.
    Bool(Vec<bool>),
}

/// Runs `$body` with `$elements` bound to the typed vector inside an [`Elements`].
#[macro_export]
macro_rules! with_elements {
    ($value:expr, $elements:ident => $body:expr) => {
        match $value {
            $crate::Elements::F32($elements) => $body,
            $crate::Elements::F64($elements) => $body,
            $crate::Elements::I32($elements) => $body,
            $crate::Elements::I64($elements) => $body,
            $crate::Elements::Bool($elements) => $body,
        }
    };
}

/// A dense, row-major tensor in host memory. Its number of elements is its shape's.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Shape,
    elements: Elements,
}

/// A Rust type that is an element type.
pub trait Element: Copy + 'static {
    /// The element type that this Rust type stands for.
    const DTYPE: DType;
    /// Wraps a vector of elements.
    fn wrap(elements: Vec<Self>) -> Elements;
    /// The elements, where they are of this type.
    fn slice(elements: &Elements) -> Option<&[Self]>;
    /// The elements to write to, where they are of this type.
    fn slice_mut(elements: &mut Elements) -> Option<&mut [Self]>;
}

macro_rules! element {
    ($rust:ty, $dtype:ident) => {
        impl Element for $rust {
            const DTYPE: DType = DType::$dtype;
            fn wrap(elements: Vec<Self>) -> Elements {
                Elements::$dtype(elements)
            }
            fn slice(elements: &Elements) -> Option<&[Self]> {
                if let Elements::$dtype(x) = elements { Some(x) } else { None }
            }
            fn slice_mut(elements: &mut Elements) -> Option<&mut [Self]> {
                if let Elements::$dtype(x) = elements { Some(x) } else { None }
            }
        }
    };
}
element!(f32, F32);
element!(f64, F64);
element!(i32, I32);
element!(i64, I64);
element!(bool, Bool);

impl Tensor {
    /// The tensor of `shape` with these elements, row-major; `None` where their number is not the shape's.
    ///
    /// ```
    /// let t = ir::Tensor::new([2, 2], vec![1.0f32, 2.0, 3.0, 4.0]).unwrap();
    /// assert_eq!(t.ty().to_string(), "f32[2, 2]");
    /// assert!(ir::Tensor::new([3], vec![1.0f32]).is_none());
    /// ```
    pub fn new<T: Element>(shape: impl Into<Shape>, elements: Vec<T>) -> Option<Tensor> {
        let shape = shape.into();
        (shape.elements() == elements.len()).then(|| Tensor { shape, elements: T::wrap(elements) })
    }

    /// The tensor of type `ty` whose element number `i` is `element(i)`, which must be of `ty`'s dtype.
    pub fn from_fn(ty: &Type, element: impl Fn(usize) -> Scalar) -> Tensor {
        let indices = 0..ty.shape.elements();
        macro_rules! fill {
            ($variant:ident) => {
                Elements::$variant(
                    indices
                        .map(|i| match element(i) {
                            Scalar::$variant(x) => x,
                            other => panic!("an element of dtype {} in a tensor of {ty}", other.dtype()),
                        })
                        .collect(),
                )
            };
        }
        let elements = match ty.dtype {
            DType::F32 => fill!(F32),
            DType::F64 => fill!(F64),
            DType::I32 => fill!(I32),
            DType::I64 => fill!(I64),
            DType::Bool => fill!(Bool),
        };
        Tensor { shape: ty.shape.clone(), elements }
    }

    /// The tensor of `shape` filled with one value.
    pub fn splat(shape: impl Into<Shape>, value: Scalar) -> Tensor {
        Tensor::from_fn(&Type { dtype: value.dtype(), shape: shape.into() }, |_| value)
    }

    /// The tensor of type `ty` filled with zeros (`false` for `bool`).
    pub fn zeros(ty: &Type) -> Tensor {
        Tensor::splat(ty.shape.clone(), Scalar::from_i64(ty.dtype, 0))
    }

    /// The tensor of rank 0 that holds `value`.
    pub fn scalar(value: Scalar) -> Tensor {
        Tensor::splat([], value)
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        match self.elements {
            Elements::F32(_) => DType::F32,
            Elements::F64(_) => DType::F64,
            Elements::I32(_) => DType::I32,
            Elements::I64(_) => DType::I64,
            Elements::Bool(_) => DType::Bool,
        }
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The element type and the shape.
    pub fn ty(&self) -> Type {
        Type { dtype: self.dtype(), shape: self.shape.clone() }
    }

    /// The elements, row-major.
    pub fn elements(&self) -> &Elements {
        &self.elements
    }

    /// The address of the first element, through which all may be written, booleans as 0 or 1; their number is fixed. Where
    /// there is none, it is not to be used.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        with_elements!(&mut self.elements, elements => elements.as_mut_ptr().cast())
    }

    /// The elements as a slice of `T`; `None` where the dtype is another.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::slice(&self.elements)
    }

    /// The elements as a slice of `T` to write to; `None` where the dtype is another.
    pub fn as_mut_slice<T: Element>(&mut self) -> Option<&mut [T]> {
        T::slice_mut(&mut self.elements)
    }

    /// Element number `index` in row-major order.
    ///
    /// # Panics
    /// Where `index` is not below the number of elements.
    pub fn get(&self, index: usize) -> Scalar {
        match &self.elements {
            Elements::F32(x) => Scalar::F32(x[index]),
            Elements::F64(x) => Scalar::F64(x[index]),
            Elements::I32(x) => Scalar::I32(x[index]),
            Elements::I64(x) => Scalar::I64(x[index]),
            Elements::Bool(x) => Scalar::Bool(x[index]),
        }
    }

    /// The one value that every element has, where there is one and the tensor is not empty.
    pub fn splat_value(&self) -> Option<Scalar> {
        let count = self.shape.elements();
        let first = (count > 0).then(|| self.get(0))?;
        (1..count).all(|i| self.get(i) == first).then_some(first)
    }
}
