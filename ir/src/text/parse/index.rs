//! Parsing the indices of loads and stores: `[i + 2*k - 1, %7 + j]`.

use std::collections::BTreeMap;

use super::cursor::{Cursor, Parsed};
use super::kernel::KernelParser;
use super::lexer::TokenKind;
use crate::{Affine, AxisId, Index, Indices, Var};

/// `[index, ..]`, one per axis of the buffer.
pub fn parse_indices(cursor: &mut Cursor<'_>, kernel: &KernelParser) -> Parsed<Indices> {
    cursor.expect("[", "an element is `%buffer[i, j]`, and `%buffer[]` where the buffer is a scalar")?;
    let mut indices = Indices::new();
    while !cursor.eat("]") {
        indices.push(parse_index(cursor, kernel)?);
        if !cursor.is("]") {
            cursor.expect(",", "indices are separated by commas and end with `]`")?;
        }
    }
    Ok(indices)
}

/// A sum: at most one value, and terms `3*i`, `i`, `3`.
fn parse_index(cursor: &mut Cursor<'_>, kernel: &KernelParser) -> Parsed<Index> {
    let start = cursor.peek().start;
    let mut sum = Sum::default();
    let mut sign = if cursor.eat("-") { -1 } else { 1 };
    loop {
        parse_term(cursor, kernel, sign, &mut sum)?;
        sign = if cursor.eat("+") {
            1
        } else if cursor.eat("-") {
            -1
        } else {
            break;
        };
    }
    let too_large =
        || cursor.error(cursor.span_from(start), "this index is too large", "use numbers of at most 31 bits");
    let affine = sum.affine().ok_or_else(too_large)?;
    Ok(Index { affine, var: sum.var })
}

/// The terms of an index so far.
#[derive(Default)]
struct Sum {
    constant: i128,
    coefficients: BTreeMap<AxisId, i128>,
    var: Option<Var>,
}

impl Sum {
    /// The part that loops give; `None` where a number is so large that addresses could overflow.
    fn affine(&self) -> Option<Affine> {
        let narrow = |value: i128| i32::try_from(value).ok().map(i64::from);
        let start = Affine::constant(narrow(self.constant)?);
        self.coefficients.iter().try_fold(start, |sum, (&axis, &coefficient)| {
            Some(sum.plus(&Affine::axis(axis).times(narrow(coefficient)?)))
        })
    }
}

fn parse_term(cursor: &mut Cursor<'_>, kernel: &KernelParser, sign: i128, sum: &mut Sum) -> Parsed<()> {
    let token = cursor.peek();
    match token.kind {
        TokenKind::Local => {
            let var = kernel.var(cursor)?;
            if sign < 0 || sum.var.is_some() {
                let help = "compute the sum of values first; an index takes one of them";
                return Err(cursor.error(token.span(), "an index is one value and terms of axes", help));
            }
            sum.var = Some(var);
        }
        TokenKind::Number => {
            cursor.next();
            let help = "write an integer";
            let value = token.text.parse::<u32>().map_err(|_| {
                cursor.error(token.span(), format!("`{}` is no coefficient of an index", token.text), help)
            })?;
            let value = sign * i128::from(value);
            if cursor.eat("*") {
                let axis = kernel.axis(cursor)?;
                *sum.coefficients.entry(axis).or_default() += value;
            } else {
                sum.constant += value;
            }
        }
        TokenKind::Word => {
            let axis = kernel.axis(cursor)?;
            *sum.coefficients.entry(axis).or_default() += sign;
        }
        _ => return Err(cursor.unexpected("an index", "an index is a sum of terms as in `i + 2*k - 1`")),
    }
    Ok(())
}
