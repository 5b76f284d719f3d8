//! From graphs, kernels and plans to text, deterministic to the byte.

mod graph;
mod kernel;
mod plan;

use std::fmt;

use crate::{Attr, Init, Scalar, Tensor, Type};

/// The spaces before a line of nesting depth `0`.
struct Indent(usize);

impl fmt::Display for Indent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:1$}", "", 2 * self.0)
    }
}

/// A name: bare where it is a word, else in quotes.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_word(self.0) {
            return f.write_str(self.0);
        }
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// Whether `name` needs no quotes.
fn is_word(name: &str) -> bool {
    let follows = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(follows)
}

/// Items with commas between them.
struct List<I>(I);

impl<I: Iterator<Item = T> + Clone, T: fmt::Display> fmt::Display for List<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.clone().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{item}")?;
        }
        Ok(())
    }
}

/// An element: floats as the shortest decimal that reads back as the same bits; `inf`, `-inf`, `nan`.
struct Element(Scalar);

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Scalar::F32(x) if x.is_nan() => f.write_str("nan"),
            Scalar::F64(x) if x.is_nan() => f.write_str("nan"),
            Scalar::F32(x) => write!(f, "{x:?}"),
            Scalar::F64(x) => write!(f, "{x:?}"),
            Scalar::I32(x) => write!(f, "{x}"),
            Scalar::I64(x) => write!(f, "{x}"),
            Scalar::Bool(x) => write!(f, "{x}"),
        }
    }
}

/// The elements of a tensor: one number where all are alike, else a list.
struct TensorText<'a>(&'a Tensor);

impl fmt::Display for TensorText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.splat_value() {
            Some(value) => write!(f, "{}", Element(value)),
            None => write!(
                f,
                "[{}]",
                List((0..self.0.shape().elements()).map(|index| Element(self.0.get(index))))
            ),
        }
    }
}

/// How a state starts.
struct InitText(Init);

impl fmt::Display for InitText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |x: f64| Element(Scalar::F64(x));
        match self.0 {
            Init::Constant(value) => write!(f, "constant({})", number(value)),
            Init::Uniform { low, high, stream } => {
                write!(f, "uniform({}, {}, {stream})", number(low), number(high))
            }
            Init::Normal { mean, deviation, stream } => {
                write!(f, "normal({}, {}, {stream})", number(mean), number(deviation))
            }
            Init::Seed => f.write_str("seed"),
        }
    }
}

/// The value of an attribute.
struct AttrText<'a>(&'a Attr);

impl fmt::Display for AttrText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Attr::Bool(value) => write!(f, "{value}"),
            Attr::Int(value) => write!(f, "{value}"),
            Attr::Float(value) => write!(f, "{}", Element(Scalar::F64(*value))),
            Attr::Ints(values) => write!(f, "[{}]", List(values.iter())),
            Attr::Word(word) => f.write_str(word),
            Attr::Tensor(tensor) => write!(f, "{}", TensorText(tensor)),
            Attr::Init(init) => write!(f, "{}", InitText(*init)),
        }
    }
}

/// `: f32[2, 3], f32[2]`, or nothing for no types.
struct TypesText<'a>(&'a [Type]);

impl fmt::Display for TypesText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " : {}", List(self.0.iter())) }
    }
}
