//! Parsing plans.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use smallvec::SmallVec;

use super::cursor::{Cursor, Label, Parsed, Reference};
use super::did_you_mean;
use super::kernel::parse_kernel;
use super::lexer::TokenKind;
use super::literal::{parse_init, parse_literal, parse_natural, parse_type};
use crate::{AxisOrder, AxisPart, KernelId, Place, Plan, Row, Slot, SlotId, Step, Type};

/// A plan that is being read.
struct PlanParser {
    plan: Plan,
    slots: HashMap<Label, SlotId>,
    kernels: HashMap<Label, KernelId>,
    /// The slots that are parts of others, which may stand below, and of which.
    parts: Vec<(SlotId, Reference)>,
}

/// `plan @name { .. }`
pub fn parse_plan(cursor: &mut Cursor<'_>) -> Parsed<Plan> {
    cursor.expect("plan", "a plan starts with `plan @name {`")?;
    let plan = Plan {
        name: cursor.global()?.label.name,
        kernels: Vec::new(),
        slots: Vec::new(),
        prepare: Vec::new(),
        steps: Vec::new(),
        arena_bytes: 0,
        updates: Vec::new(),
    };
    let mut parser = PlanParser { plan, slots: HashMap::new(), kernels: HashMap::new(), parts: Vec::new() };
    cursor.expect("{", "what a plan holds stands in braces")?;
    while !cursor.eat("}") {
        parser.item(cursor)?;
    }
    parser.resolve_parts(cursor)?;
    Ok(parser.plan)
}

impl PlanParser {
    fn item(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let token = cursor.peek();
        match token.text {
            "arena" => {
                cursor.next();
                self.plan.arena_bytes = parse_natural(cursor, "number of bytes")?;
                Ok(())
            }
            "slot" => {
                cursor.next();
                self.slot(cursor)
            }
            "kernel" => {
                let (kernel, name) = parse_kernel(cursor)?;
                let id = KernelId(self.plan.kernels.len() as u32);
                self.plan.kernels.push(kernel);
                define(cursor, &mut self.kernels, name, id)
            }
            "prepare" => {
                cursor.next();
                let steps = self.steps(cursor, 0)?;
                self.plan.prepare.extend(steps);
                Ok(())
            }
            "steps" => {
                cursor.next();
                let steps = self.steps(cursor, 0)?;
                self.plan.steps.extend(steps);
                Ok(())
            }
            "update" => {
                cursor.next();
                let state = self.slot_named(cursor)?;
                cursor.expect("=", "an update is `update %state = %slot`")?;
                let value = self.slot_named(cursor)?;
                self.plan.updates.push((state, value));
                Ok(())
            }
            _ => {
                let help = "a plan holds `arena`, `slot`, `kernel`, `prepare`, `steps` and `update`, and ends with `}`";
                Err(cursor.unexpected("an item of a plan", help))
            }
        }
    }

    /// `%name : type = place`
    fn slot(&mut self, cursor: &mut Cursor<'_>) -> Parsed<()> {
        let name = cursor.local("a slot")?;
        cursor.expect(":", "a slot is `slot %name : type = place`")?;
        let ty = parse_type(cursor)?;
        cursor.expect("=", "a slot is `slot %name : type = place`")?;
        let id = SlotId(self.plan.slots.len() as u32);
        let place = match cursor.peek().kind {
            TokenKind::Local => self.part(cursor, id)?,
            _ => parse_place(cursor, &ty)?,
        };
        self.plan.slots.push(Slot { name: name.label.name.clone(), ty, place });
        if name.label.is_number {
            return Err(cursor.error(name.span, "this is no name of a slot", "use a name as in `%x`"));
        }
        define(cursor, &mut self.slots, name, id)
    }

    /// `%xs[t+1]`
    fn part(&mut self, cursor: &mut Cursor<'_>, id: SlotId) -> Parsed<Place> {
        let of = cursor.local("a slot")?;
        self.parts.push((id, of));
        cursor.expect("[", "a part is a row of another slot: `%xs[t+1]`, `%xs[3]`")?;
        let row = parse_row(cursor)?;
        cursor.expect("]", "a part is a row of another slot: `%xs[t+1]`, `%xs[3]`")?;
        Ok(Place::Part { of: id, row })
    }

    /// Finds the slots of which others are parts, once all have been read.
    fn resolve_parts(&mut self, cursor: &Cursor<'_>) -> Parsed<()> {
        for (part, name) in std::mem::take(&mut self.parts) {
            let found = find(cursor, &self.slots, &name, "slot", '%')?;
            if let Place::Part { of, .. } = &mut self.plan.slots[part.0 as usize].place {
                *of = found;
            }
        }
        Ok(())
    }

    /// `{ call @kernel(%a, %b) copy %a -> %b loop 3 { .. } .. }` within `depth` loops.
    fn steps(&self, cursor: &mut Cursor<'_>, depth: usize) -> Parsed<Vec<Step>> {
        cursor.expect("{", "the steps stand in braces")?;
        let mut steps = Vec::new();
        loop {
            if cursor.eat("}") {
                return Ok(steps);
            }
            let step = if cursor.eat("call") {
                self.call(cursor)?
            } else if cursor.eat("copy") {
                let from = self.slot_named(cursor)?;
                cursor.expect("->", "a copy is `copy %from -> %to`")?;
                Step::Copy { from, to: self.slot_named(cursor)? }
            } else if cursor.is("loop") {
                self.repeated(cursor, depth)?
            } else {
                let help = "a step is `call @kernel(..)`, `copy %from -> %to` or `loop COUNT { .. }`";
                return Err(cursor.unexpected("a step or `}`", help));
            };
            steps.push(step);
        }
    }

    /// `loop 3 { .. }`, `loop 3 reversed { .. }`
    fn repeated(&self, cursor: &mut Cursor<'_>, depth: usize) -> Parsed<Step> {
        if depth == Plan::MAX_LOOP_DEPTH {
            let help = format!("loops can be nested {} deep", Plan::MAX_LOOP_DEPTH);
            return Err(cursor.unexpected("no loop", &help));
        }
        cursor.next();
        let count = parse_natural(cursor, "number of iterations")?;
        let reversed = cursor.eat("reversed");
        Ok(Step::Loop { count, reversed, body: self.steps(cursor, depth + 1)? })
    }

    /// `@kernel(%a, %b)`
    fn call(&self, cursor: &mut Cursor<'_>) -> Parsed<Step> {
        let name = cursor.global()?;
        let kernel = find(cursor, &self.kernels, &name, "kernel", '@')?;
        cursor.expect("(", "a call is `call @kernel(%a, %b)`")?;
        let mut slots = SmallVec::new();
        while !cursor.eat(")") {
            slots.push(self.slot_named(cursor)?);
            if !cursor.is(")") {
                cursor.expect(",", "slots are separated by commas and end with `)`")?;
            }
        }
        Ok(Step::Call { kernel, slots })
    }

    fn slot_named(&self, cursor: &mut Cursor<'_>) -> Parsed<SlotId> {
        let name = cursor.local("a slot")?;
        find(cursor, &self.slots, &name, "slot", '%')
    }
}

/// Where a slot is that is no part of another: `unplaced`, `at 64`, `input`, `output`, `state uniform(..)`,
/// `constant [1, 2]`.
fn parse_place(cursor: &mut Cursor<'_>, ty: &Type) -> Parsed<Place> {
    const HELP: &str =
        "a place is `unplaced`, `at BYTES`, `input`, `output`, `state INIT` or `constant VALUE`";
    let token = cursor.expect_kind(TokenKind::Word, "a place", HELP)?;
    Ok(match token.text {
        "unplaced" => Place::Unplaced,
        "at" => Place::Arena { offset: parse_natural(cursor, "number of bytes")? },
        "input" => Place::Input,
        "output" => Place::Output,
        "state" => {
            let init = parse_init(cursor)?;
            let is_private = cursor.eat("private");
            let order = if cursor.eat("order") { parse_order(cursor, ty)? } else { AxisOrder::default() };
            Place::State { init, order, is_private }
        }
        "constant" => {
            let start = cursor.peek().start;
            let literal = parse_literal(cursor)?;
            let span = cursor.span_from(start);
            Place::Constant(literal.tensor(cursor, ty, span)?)
        }
        _ => return Err(cursor.error(token.span(), format!("there is no place `{}`", token.text), HELP)),
    })
}

/// `3`, `t`, `t+1`, `t1-1`
fn parse_row(cursor: &mut Cursor<'_>) -> Parsed<Row> {
    const HELP: &str =
        "a row is a number, or counts with a loop: `t`, `t+1`; `t1`, `t2`, .. are those of inner loops";
    let token = cursor.peek();
    if token.kind != TokenKind::Word {
        return Ok(Row::At(parse_natural(cursor, "row")?));
    }
    let depth = match token.text.strip_prefix('t') {
        Some("") => Some(0),
        Some(depth) => depth.parse().ok().filter(|_| !depth.starts_with(['0', '+'])),
        None => None,
    };
    let Some(depth) = depth else {
        return Err(cursor.error(token.span(), format!("there is no row `{}`", token.text), HELP));
    };
    cursor.next();
    let sign = match cursor.peek().text {
        "+" => 1,
        "-" => -1,
        _ => return Ok(Row::Step { depth, shift: 0 }),
    };
    cursor.next();
    let start = cursor.peek().start;
    let shift: i64 = parse_natural(cursor, "number of rows")?;
    if shift > Plan::MAX_SHIFT {
        let help = format!("use at most {}", Plan::MAX_SHIFT);
        return Err(cursor.error(cursor.span_from(start), "this shift is too large", help));
    }
    Ok(Row::Step { depth, shift: sign * shift })
}

/// `(0, 2, 3, 1)`, `(0 div 32, 1, 0 mod 32)`, after `order`.
fn parse_order(cursor: &mut Cursor<'_>, ty: &Type) -> Parsed<AxisOrder> {
    const HELP: &str = "an order names each axis once, counted from 0: `order(0, 2, 3, 1)`; or its blocks and the places in them: \
        `order(0 div 32, 1, 0 mod 32)`";
    let start = cursor.peek().start;
    cursor.expect("(", HELP)?;
    let mut parts: Vec<AxisPart> = Vec::new();
    while !cursor.eat(")") {
        let axis = parse_natural(cursor, "number of an axis")?;
        parts.push(match cursor.peek().text {
            "div" => AxisPart::Block { axis, size: parse_block(cursor)? },
            "mod" => AxisPart::InBlock { axis, size: parse_block(cursor)? },
            _ => AxisPart::Whole(axis),
        });
        if !cursor.is(")") {
            cursor.expect(",", HELP)?;
        }
    }
    let is_whole = parts.len() == ty.shape.rank();
    let order = AxisOrder::of_parts(parts);
    if !is_whole || !order.fits(&ty.shape) {
        let problem = format!("this is no order of axes {}", ty.shape);
        return Err(cursor.error(cursor.span_from(start), problem, HELP));
    }
    Ok(order)
}

/// `div 32`, `mod 32`
fn parse_block(cursor: &mut Cursor<'_>) -> Parsed<usize> {
    cursor.next();
    parse_natural(cursor, "size of a block")
}

fn define<T>(cursor: &Cursor<'_>, names: &mut HashMap<Label, T>, name: Reference, id: T) -> Parsed<()> {
    match names.entry(name.label) {
        Entry::Vacant(entry) => {
            entry.insert(id);
            Ok(())
        }
        Entry::Occupied(entry) => {
            let help = "write `name:1`, `name:2`, .. for further ones of one name";
            Err(cursor.error(name.span, format!("there is a `{}` already", entry.key()), help))
        }
    }
}

fn find<T: Copy>(
    cursor: &Cursor<'_>,
    names: &HashMap<Label, T>,
    name: &Reference,
    what: &str,
    sigil: char,
) -> Parsed<T> {
    names.get(&name.label).copied().ok_or_else(|| {
        let shown = name.label.to_string();
        let help = did_you_mean(&shown, names.keys().map(Label::to_string), "define it above");
        cursor.error(name.span.clone(), format!("there is no {what} `{sigil}{shown}`"), help)
    })
}

#[cfg(test)]
mod tests {
    use crate::text::parse_plan;

    /// A plan whose state has this type and order.
    fn plan(state: &str) -> String {
        format!("plan @p {{\n  arena 0\n  slot %w : {state}\n  steps {{\n  }}\n}}\n")
    }

    #[test]
    fn orders_come_back_as_they_were_printed() {
        for state in [
            "f32[3, 3, 16, 4] = state constant(0.0) order(2, 3, 1, 0)",
            "f32[3, 7, 32] = state constant(0.0) order(0 div 32, 1, 0 mod 32)",
        ] {
            let source = plan(state);
            assert_eq!(parse_plan(&source).expect("it is an order").to_string(), source);
        }
    }

    #[test]
    fn what_is_no_order_of_the_axes_is_an_error() {
        for order in
            ["0, 0, 1", "0, 1", "0 div 32, 1, 0 mod 16", "0 div 16, 1, 0 mod 16", "0 div 0, 1, 0 mod 0"]
        {
            let source = plan(&format!("f32[3, 7, 32] = state constant(0.0) order({order})"));
            let error = parse_plan(&source).expect_err("it is none").to_string();
            assert!(error.contains("this is no order of axes [3, 7, 32]"), "{order}: {error}");
        }
    }
}
