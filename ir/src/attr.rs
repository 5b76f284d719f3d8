//! Attributes of ops on their way to and from text. Inside an op they are typed fields; only here are they named.

use crate::{DType, Error, Init, Scalar, Tensor, Type};

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attr {
    /// `true` or `false`
    Bool(bool),
    /// `-3`
    Int(i64),
    /// `0.5`, `inf`, `nan`
    Float(f64),
    /// `[1, 2]`
    Ints(Vec<i64>),
    /// A bare word, one of a fixed set: `add`
    Word(String),
    /// Elements of a constant, of the declared result type: `0.5` (all alike), `[1, 2]` (row-major)
    Tensor(Tensor),
    /// How a state starts: `zeros`, `uniform(-0.1, 0.1, 3)`
    Init(Init),
}

impl Attr {
    /// One element of the result's dtype.
    pub fn element(value: Scalar) -> Attr {
        match value {
            Scalar::Bool(value) => Attr::Bool(value),
            Scalar::I32(value) => Attr::Int(i64::from(value)),
            Scalar::I64(value) => Attr::Int(value),
            Scalar::F32(_) | Scalar::F64(_) => Attr::Tensor(Tensor::scalar(value)),
        }
    }
}

/// The attributes of an op in the order in which they are printed.
pub type Attrs = Vec<(&'static str, Attr)>;

/// What the parser read of an op: attributes by name, and the declared types of its results. An op takes what it
/// knows; what is left over is an error.
#[derive(Clone, Debug)]
pub struct AttrReader<'a> {
    op: &'a str,
    attrs: Vec<(String, Attr)>,
    declared: &'a [Type],
}

impl<'a> AttrReader<'a> {
    /// The reader for an op of this name.
    pub fn new(op: &'a str, attrs: Vec<(String, Attr)>, declared: &'a [Type]) -> AttrReader<'a> {
        AttrReader { op, attrs, declared }
    }

    /// The one declared result type, for ops that have no operand to infer it from.
    pub fn declared_type(&self) -> Result<Type, Error> {
        match self.declared {
            [ty] => Ok(ty.clone()),
            _ => Err(self.error("the result type is missing", "write it at the end, as in `: f32[2, 3]`")),
        }
    }

    /// Takes the attribute `name`, where it was given.
    pub fn optional(&mut self, name: &str) -> Option<Attr> {
        let at = self.attrs.iter().position(|attr| attr.0 == name)?;
        Some(self.attrs.remove(at).1)
    }

    /// Whether the attribute `name` is there to be taken.
    pub fn is_given(&self, name: &str) -> bool {
        self.attrs.iter().any(|attr| attr.0 == name)
    }

    /// Takes the attribute `name`.
    pub fn required(&mut self, name: &str) -> Result<Attr, Error> {
        self.optional(name)
            .ok_or_else(|| self.error(format!("attribute `{name}` is missing"), format!("write `{name}=..`")))
    }

    /// Takes the truth value `name`, `false` where it was not given.
    pub fn flag(&mut self, name: &str) -> Result<bool, Error> {
        match self.optional(name) {
            None => Ok(false),
            Some(Attr::Bool(value)) => Ok(value),
            Some(_) => Err(self.expected(name, "`true` or `false`")),
        }
    }

    /// Takes the integer `name`.
    pub fn int(&mut self, name: &str) -> Result<i64, Error> {
        match self.required(name)? {
            Attr::Int(value) => Ok(value),
            _ => Err(self.expected(name, "an integer")),
        }
    }

    /// Takes the integer `name`, which is not negative.
    pub fn size(&mut self, name: &str) -> Result<usize, Error> {
        let value = self.int(name)?;
        usize::try_from(value).map_err(|_| self.expected(name, "an integer that is not negative"))
    }

    /// Takes the number `name`.
    pub fn float(&mut self, name: &str) -> Result<f64, Error> {
        match self.required(name)? {
            Attr::Float(value) => Ok(value),
            Attr::Int(value) => Ok(value as f64),
            _ => Err(self.expected(name, "a number")),
        }
    }

    /// Takes the list of integers `name`.
    pub fn ints(&mut self, name: &str) -> Result<Vec<i64>, Error> {
        match self.required(name)? {
            Attr::Ints(values) => Ok(values),
            _ => Err(self.expected(name, "a list of integers as in `[0, 1]`")),
        }
    }

    /// Takes the list of integers `name`, none of which is negative.
    pub fn sizes(&mut self, name: &str) -> Result<Vec<usize>, Error> {
        let sizes = self.ints(name)?.into_iter().map(usize::try_from).collect::<Result<Vec<_>, _>>();
        sizes.map_err(|_| self.expected(name, "a list of integers that are not negative"))
    }

    /// Takes the list of integers `name`; `default` where it was not given.
    pub fn ints_or(&mut self, name: &str, default: Vec<i64>) -> Result<Vec<i64>, Error> {
        if self.is_given(name) { self.ints(name) } else { Ok(default) }
    }

    /// Takes the list of integers `name`, none of which is negative; `default` where it was not given.
    pub fn sizes_or(&mut self, name: &str, default: Vec<usize>) -> Result<Vec<usize>, Error> {
        if self.is_given(name) { self.sizes(name) } else { Ok(default) }
    }

    /// Takes one element `name`, of the dtype of the declared result type.
    pub fn element(&mut self, name: &str) -> Result<Scalar, Error> {
        let dtype = self.declared_type()?.dtype;
        let value = match (self.required(name)?, dtype) {
            (Attr::Bool(value), DType::Bool) => Some(Scalar::Bool(value)),
            (Attr::Int(value), dtype) => Some(Scalar::from_i64(dtype, value)),
            (Attr::Float(value), DType::F32 | DType::F64) => Some(Scalar::from_f64(dtype, value)),
            (Attr::Tensor(tensor), _) if tensor.dtype() == dtype => tensor.splat_value(),
            _ => None,
        };
        value.ok_or_else(|| self.expected(name, &format!("an element of dtype {dtype}")))
    }

    /// Takes the word `name`.
    pub fn word(&mut self, name: &str) -> Result<String, Error> {
        match self.required(name)? {
            Attr::Word(word) => Ok(word),
            _ => Err(self.expected(name, "a word")),
        }
    }

    /// Fails where an attribute was given that the op did not take.
    pub fn finish(self) -> Result<(), Error> {
        match self.attrs.first() {
            None => Ok(()),
            Some((name, _)) => {
                Err(self.error(format!("there is no attribute `{name}`"), format!("remove `{name}=..`")))
            }
        }
    }

    /// The error that attribute `name` is not what it should be.
    pub fn expected(&self, name: &str, what: &str) -> Error {
        self.error(format!("attribute `{name}` is not {what}"), format!("give {what}"))
    }

    fn error(&self, problem: impl Into<String>, help: impl Into<String>) -> Error {
        Error::new(self.op, problem, help)
    }
}
