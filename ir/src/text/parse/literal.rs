//! Types, numbers and attributes.

use std::ops::Range;

use super::cursor::{Cursor, Parsed};
use super::lexer::TokenKind;
use super::nearest;
use crate::text::{MAX_ELEMENTS, MAX_RANK};
use crate::{Attr, DType, Init, Scalar, Shape, Tensor, Type};

/// A number or truth value as it is written; its dtype is known only from the context.
#[derive(Clone, Debug)]
pub struct Number<'s> {
    is_negative: bool,
    /// Digits, `inf`, `nan`, `true` or `false`.
    text: &'s str,
    span: Range<usize>,
}

/// What stands after the `=` of an attribute.
#[derive(Clone, Debug)]
pub enum Literal<'s> {
    /// `-3`, `0.5`, `inf`, `true`
    Number(Number<'s>),
    /// `[1, 2]`
    List(Vec<Number<'s>>),
    /// `add`
    Word(&'s str),
    /// `uniform(-0.1, 0.1, 3)`
    Init(Init),
}

/// `f32[2, 3]`
pub fn parse_type(cursor: &mut Cursor<'_>) -> Parsed<Type> {
    let dtype = parse_dtype(cursor)?;
    if !cursor.is("[") {
        return Err(cursor.unexpected("`[`", &format!("write `{dtype}[]` for the type of a scalar")));
    }
    Ok(Type { dtype, shape: parse_shape(cursor)? })
}

/// `f32`
pub fn parse_dtype(cursor: &mut Cursor<'_>) -> Parsed<DType> {
    let names: Vec<&str> = DType::ALL.iter().map(|dtype| dtype.name()).collect();
    let help = format!("the dtypes are {}", names.join(", "));
    let token = cursor.expect_kind(TokenKind::Word, "a dtype", &help)?;
    token
        .text
        .parse()
        .map_err(|()| cursor.error(token.span(), format!("there is no dtype `{}`", token.text), help))
}

/// `[2, 3]`, with at most [`MAX_ELEMENTS`] elements.
fn parse_shape(cursor: &mut Cursor<'_>) -> Parsed<Shape> {
    let start = cursor.peek().start;
    cursor.expect("[", "a shape is a list of extents as in `[2, 3]`")?;
    let mut shape = Vec::new();
    while !cursor.eat("]") {
        shape.push(parse_extent(cursor)?);
        if !cursor.is("]") {
            cursor.expect(",", "extents are separated by commas and end with `]`")?;
        }
    }
    let span = cursor.span_from(start);
    if shape.len() > MAX_RANK {
        return Err(cursor.error(
            span,
            format!("a shape of {} axes", shape.len()),
            format!("use at most {MAX_RANK}"),
        ));
    }
    // An extent of 0 counts as 1 here, so that no product of some of the extents can overflow later.
    let elements =
        shape.iter().try_fold(1usize, |product, &extent: &usize| product.checked_mul(extent.max(1)));
    if elements.is_none_or(|elements| elements > MAX_ELEMENTS) {
        return Err(cursor.error(
            span,
            "a tensor of too many elements",
            format!("use at most {MAX_ELEMENTS}"),
        ));
    }
    Ok(Shape::new(&shape))
}

/// An extent: an integer from 0 to [`MAX_ELEMENTS`].
pub fn parse_extent(cursor: &mut Cursor<'_>) -> Parsed<usize> {
    let token =
        cursor.expect_kind(TokenKind::Number, "an extent", "extents are integers that are not negative")?;
    let extent = token.text.parse().ok().filter(|&extent| extent <= MAX_ELEMENTS);
    extent.ok_or_else(|| {
        let help = format!("use an integer from 0 to {MAX_ELEMENTS}");
        cursor.error(token.span(), format!("`{}` is no extent", token.text), help)
    })
}

/// An integer that is not negative, of any kind that `usize` or `u32` is: called `what`.
pub fn parse_natural<T: std::str::FromStr>(cursor: &mut Cursor<'_>, what: &str) -> Parsed<T> {
    let help = "write an integer that is not negative";
    let token = cursor.expect_kind(TokenKind::Number, what, help)?;
    token.text.parse().map_err(|_| cursor.error(token.span(), format!("`{}` is no {what}", token.text), help))
}

/// What stands after the `=` of an attribute.
pub fn parse_literal<'s>(cursor: &mut Cursor<'s>) -> Parsed<Literal<'s>> {
    if cursor.eat("[") {
        return parse_list(cursor).map(Literal::List);
    }
    let token = cursor.peek();
    if token.kind != TokenKind::Word || is_number_word(token.text) {
        return parse_number(cursor).map(Literal::Number);
    }
    cursor.next();
    if token.text == "seed" || cursor.is("(") {
        return parse_init_after(cursor, token.text, token.span()).map(Literal::Init);
    }
    Ok(Literal::Word(token.text))
}

fn parse_list<'s>(cursor: &mut Cursor<'s>) -> Parsed<Vec<Number<'s>>> {
    let mut numbers = Vec::new();
    while !cursor.eat("]") {
        numbers.push(parse_number(cursor)?);
        if !cursor.is("]") {
            cursor.expect(",", "the numbers of a list are separated by commas and end with `]`")?;
        }
    }
    Ok(numbers)
}

/// `-3`, `0.5`, `-inf`, `nan`, `true`
pub fn parse_number<'s>(cursor: &mut Cursor<'s>) -> Parsed<Number<'s>> {
    let start = cursor.peek().start;
    let is_negative = cursor.eat("-");
    let token = cursor.peek();
    if token.kind != TokenKind::Number && !(token.kind == TokenKind::Word && is_number_word(token.text)) {
        return Err(cursor.unexpected("a value", "write a number, `inf`, `nan`, `true` or `false`"));
    }
    cursor.next();
    Ok(Number { is_negative, text: token.text, span: cursor.span_from(start) })
}

fn is_number_word(word: &str) -> bool {
    matches!(word, "inf" | "nan" | "true" | "false")
}

/// How a state starts: `constant(0.0)`, `uniform(-0.1, 0.1, 3)`, `normal(0.0, 1.0, 3)` or `seed`.
pub fn parse_init(cursor: &mut Cursor<'_>) -> Parsed<Init> {
    let token = cursor.expect_kind(TokenKind::Word, "an init", INIT_HELP)?;
    parse_init_after(cursor, token.text, token.span())
}

const INIT_HELP: &str =
    "an init is `constant(x)`, `uniform(low, high, stream)`, `normal(mean, deviation, stream)` or `seed`";

fn parse_init_after(cursor: &mut Cursor<'_>, name: &str, span: Range<usize>) -> Parsed<Init> {
    if name == "seed" {
        return Ok(Init::Seed);
    }
    if !matches!(name, "constant" | "uniform" | "normal") {
        return Err(cursor.error(span, format!("there is no init `{name}`"), INIT_HELP));
    }
    cursor.expect("(", INIT_HELP)?;
    let first = parse_number(cursor)?.float(cursor)?;
    let init = if name == "constant" {
        Init::Constant(first)
    } else {
        cursor.expect(",", INIT_HELP)?;
        let second = parse_number(cursor)?.float(cursor)?;
        cursor.expect(",", INIT_HELP)?;
        let stream = parse_natural(cursor, "stream")?;
        match name {
            "uniform" => Init::Uniform { low: first, high: second, stream },
            _ => Init::Normal { mean: first, deviation: second, stream },
        }
    };
    cursor.expect(")", INIT_HELP)?;
    Ok(init)
}

impl Number<'_> {
    /// The element of `dtype` that is written; an error where it is of another kind or does not fit.
    pub fn element(&self, cursor: &Cursor<'_>, dtype: DType) -> Parsed<Scalar> {
        let element = match dtype {
            DType::F32 => {
                self.finite(|text| text.parse::<f32>().ok(), f32::is_infinite, |x: f32| -x).map(Scalar::F32)
            }
            DType::F64 => {
                self.finite(|text| text.parse::<f64>().ok(), f64::is_infinite, |x: f64| -x).map(Scalar::F64)
            }
            DType::I32 => self.integer().and_then(|value| i32::try_from(value).ok()).map(Scalar::I32),
            DType::I64 => self.integer().and_then(|value| i64::try_from(value).ok()).map(Scalar::I64),
            DType::Bool if self.is_negative => None,
            DType::Bool => self.text.parse().ok().map(Scalar::Bool),
        };
        element.ok_or_else(|| {
            let help = match dtype {
                DType::F32 | DType::F64 => "write a number within its range, `inf` or `nan`",
                DType::I32 | DType::I64 => "write an integer within its range",
                DType::Bool => "write `true` or `false`",
            };
            cursor.error(
                self.span.clone(),
                format!("`{}` is no {dtype}", cursor.text(self.span.clone())),
                help,
            )
        })
    }

    /// The value as `f64`.
    fn float(&self, cursor: &Cursor<'_>) -> Parsed<f64> {
        self.element(cursor, DType::F64).map(Scalar::as_f64)
    }

    /// A float that is infinite only where it is written as `inf`.
    fn finite<T: Copy>(
        &self,
        parse: impl Fn(&str) -> Option<T>,
        is_infinite: impl Fn(T) -> bool,
        negate: impl Fn(T) -> T,
    ) -> Option<T> {
        let value = parse(self.text).filter(|&value| !is_infinite(value) || self.text == "inf")?;
        Some(if self.is_negative { negate(value) } else { value })
    }

    fn integer(&self) -> Option<i128> {
        let value: i128 = self.text.parse().ok()?;
        Some(if self.is_negative { -value } else { value })
    }

    fn is_bool(&self) -> bool {
        matches!(self.text, "true" | "false")
    }

    fn is_integer(&self) -> bool {
        self.text.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// The attribute that this number is on its own.
    fn attr(&self, cursor: &Cursor<'_>) -> Parsed<Attr> {
        if self.is_bool() {
            return self.element(cursor, DType::Bool).map(|value| Attr::Bool(value == Scalar::Bool(true)));
        }
        if self.is_integer() { self.int(cursor).map(Attr::Int) } else { self.float(cursor).map(Attr::Float) }
    }

    /// An integer of a list: an extent, an axis or the like, bounded so that sums and products of two do not overflow.
    fn size(&self, cursor: &Cursor<'_>) -> Parsed<i64> {
        let value = self.int(cursor)?;
        if value.unsigned_abs() <= MAX_ELEMENTS as u64 {
            return Ok(value);
        }
        let message = format!("`{value}` is out of range");
        Err(cursor.error(self.span.clone(), message, format!("use integers up to {MAX_ELEMENTS}")))
    }

    fn int(&self, cursor: &Cursor<'_>) -> Parsed<i64> {
        let help = "write an integer of at most 64 bits";
        let value = self.integer().and_then(|value| i64::try_from(value).ok());
        value.ok_or_else(|| {
            let message = format!("`{}` is no integer", cursor.text(self.span.clone()));
            cursor.error(self.span.clone(), message, help)
        })
    }
}

impl Literal<'_> {
    /// The attribute that this is on its own.
    pub fn attr(&self, cursor: &Cursor<'_>) -> Parsed<Attr> {
        match self {
            Literal::Number(number) => number.attr(cursor),
            Literal::List(list) => {
                list.iter().map(|number| number.size(cursor)).collect::<Parsed<Vec<i64>>>().map(Attr::Ints)
            }
            Literal::Word(word) => Ok(Attr::Word((*word).to_owned())),
            Literal::Init(init) => Ok(Attr::Init(*init)),
        }
    }

    /// The tensor of type `ty` with these elements: one number for all, or one for each, row-major.
    pub fn tensor(&self, cursor: &mut Cursor<'_>, ty: &Type, span: Range<usize>) -> Parsed<Tensor> {
        let count = ty.shape.elements();
        match self {
            Literal::Number(number) => {
                let value = number.element(cursor, ty.dtype)?;
                if count > cursor.splat_budget {
                    let message = format!("the constants up to here have too many elements for {ty}");
                    return Err(cursor.error(span, message, "repeat a scalar with `broadcast` instead"));
                }
                cursor.splat_budget -= count;
                Ok(Tensor::splat(ty.shape.clone(), value))
            }
            Literal::List(list) if list.len() == count => {
                let elements =
                    list.iter().map(|number| number.element(cursor, ty.dtype)).collect::<Parsed<Vec<_>>>()?;
                Ok(Tensor::from_fn(ty, |index| elements[index]))
            }
            Literal::List(list) => {
                let message = format!("{} elements are given for a tensor of {ty}", list.len());
                Err(cursor.error(
                    span,
                    message,
                    format!("give {count} elements, or one number for all of them"),
                ))
            }
            Literal::Word(word) => {
                let help = nearest(word, ["inf", "nan", "true", "false"]).map_or_else(
                    || "write a number or a list".to_owned(),
                    |known| format!("did you mean `{known}`?"),
                );
                Err(cursor.error(span, format!("`{word}` is no value"), help))
            }
            Literal::Init(_) => {
                Err(cursor.error(span, "an init is no value", "write a number, or a list as in `[1, 2]`"))
            }
        }
    }
}
