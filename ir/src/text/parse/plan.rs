//! Parsing plans.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use smallvec::SmallVec;

use super::cursor::{Cursor, Label, Parsed, Reference};
use super::did_you_mean;
use super::kernel::parse_kernel;
use super::lexer::TokenKind;
use super::literal::{parse_init, parse_literal, parse_natural, parse_type};
use crate::{AxisOrder, KernelId, Place, Plan, Slot, SlotId, Step, Type};

/// A plan that is being read.
struct PlanParser {
    plan: Plan,
    slots: HashMap<Label, SlotId>,
    kernels: HashMap<Label, KernelId>,
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
    let mut parser = PlanParser { plan, slots: HashMap::new(), kernels: HashMap::new() };
    cursor.expect("{", "what a plan holds stands in braces")?;
    while !cursor.eat("}") {
        parser.item(cursor)?;
    }
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
                let steps = self.steps(cursor)?;
                self.plan.prepare.extend(steps);
                Ok(())
            }
            "steps" => {
                cursor.next();
                let steps = self.steps(cursor)?;
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
        let place = parse_place(cursor, &ty)?;
        let id = SlotId(self.plan.slots.len() as u32);
        self.plan.slots.push(Slot { name: name.label.name.clone(), ty, place });
        if name.label.is_number {
            return Err(cursor.error(name.span, "this is no name of a slot", "use a name as in `%x`"));
        }
        define(cursor, &mut self.slots, name, id)
    }

    /// `{ call @kernel(%a, %b) copy %a -> %b .. }`
    fn steps(&self, cursor: &mut Cursor<'_>) -> Parsed<Vec<Step>> {
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
            } else {
                return Err(
                    cursor.unexpected("a step or `}`", "a step is `call @kernel(..)` or `copy %from -> %to`")
                );
            };
            steps.push(step);
        }
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

/// Where a slot is: `unplaced`, `at 64`, `input`, `output`, `state uniform(..)`, `constant [1, 2]`.
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

/// `(0, 2, 3, 1)`, after `order`.
fn parse_order(cursor: &mut Cursor<'_>, ty: &Type) -> Parsed<AxisOrder> {
    const HELP: &str = "an order names each axis once, counted from 0: `order(0, 2, 3, 1)`";
    let start = cursor.peek().start;
    cursor.expect("(", HELP)?;
    let mut axes: Vec<usize> = Vec::new();
    while !cursor.eat(")") {
        axes.push(parse_natural(cursor, "number of an axis")?);
        if !cursor.is(")") {
            cursor.expect(",", HELP)?;
        }
    }
    let rank = ty.shape.rank();
    if axes.len() != rank || !AxisOrder::new(&axes).is_permutation(rank) {
        let problem = format!("this is no order of {rank} axes");
        return Err(cursor.error(cursor.span_from(start), problem, HELP));
    }
    Ok(AxisOrder::new(&axes))
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
