//! Printing plans: the arena, slots, kernels, steps (those that prepare first), updates.

use std::collections::HashMap;
use std::fmt;

use super::kernel::print_kernel;
use super::{Indent, InitText, List, Name, TensorText};
use crate::{Place, Plan, Row, SlotId, Step};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = Indent(1);
        writeln!(f, "plan @{} {{", Name(&self.name))?;
        writeln!(f, "{indent}arena {}", self.arena_bytes)?;
        let slots = labels(self.slots.iter().map(|slot| slot.name.as_str()));
        for (slot, label) in self.slots.iter().zip(&slots) {
            writeln!(f, "{indent}slot %{label} : {} = {}", slot.ty, PlaceText(&slot.place, &slots))?;
        }
        let kernels = labels(self.kernels.iter().map(|kernel| kernel.name.as_str()));
        for (kernel, label) in self.kernels.iter().zip(&kernels) {
            print_kernel(f, kernel, label, 1)?;
        }
        let labels = Labels { slots: &slots, kernels: &kernels };
        let mut block = |name: &str, steps: &[Step]| {
            writeln!(f, "{indent}{name} {{")?;
            labels.print_steps(f, steps, 2)?;
            writeln!(f, "{indent}}}")
        };
        if !self.prepare.is_empty() {
            block("prepare", &self.prepare)?;
        }
        block("steps", &self.steps)?;
        for &(state, value) in &self.updates {
            writeln!(f, "{indent}update {} = {}", labels.slot(state), labels.slot(value))?;
        }
        f.write_str("}\n")
    }
}

/// The labels of a plan's slots and kernels.
struct Labels<'a> {
    slots: &'a [Label<'a>],
    kernels: &'a [Label<'a>],
}

impl Labels<'_> {
    fn slot(&self, id: SlotId) -> String {
        format!("%{}", self.slots[id.0 as usize])
    }

    fn print_steps(&self, f: &mut fmt::Formatter<'_>, steps: &[Step], depth: usize) -> fmt::Result {
        let indent = Indent(depth);
        for step in steps {
            match step {
                Step::Call { kernel, slots } => {
                    let slots = List(slots.iter().map(|&id| self.slot(id)));
                    writeln!(f, "{indent}call @{}({slots})", self.kernels[kernel.0 as usize])?;
                }
                Step::Copy { from, to } => {
                    writeln!(f, "{indent}copy {} -> {}", self.slot(*from), self.slot(*to))?;
                }
                Step::Loop { count, reversed, body } => {
                    let direction = if *reversed { " reversed" } else { "" };
                    writeln!(f, "{indent}loop {count}{direction} {{")?;
                    self.print_steps(f, body, depth + 1)?;
                    writeln!(f, "{indent}}}")?;
                }
            }
        }
        Ok(())
    }
}

/// A label for each name: the name itself, with `:1`, `:2`, .. where it occurs again.
fn labels<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Label<'a>> {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    names
        .map(|name| {
            let count = seen.entry(name).or_default();
            *count += 1;
            Label { name, part: *count - 1 }
        })
        .collect()
}

/// A name, and which of those with this name is meant.
struct Label<'a> {
    name: &'a str,
    part: u32,
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Name(self.name))?;
        if self.part > 0 { write!(f, ":{}", self.part) } else { Ok(()) }
    }
}

/// A place, and the labels of all slots.
struct PlaceText<'a>(&'a Place, &'a [Label<'a>]);

impl fmt::Display for PlaceText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Place::Unplaced => f.write_str("unplaced"),
            Place::Arena { offset } => write!(f, "at {offset}"),
            Place::Input => f.write_str("input"),
            Place::Output => f.write_str("output"),
            Place::State { init, order, is_private } => {
                let private = if *is_private { " private" } else { "" };
                write!(f, "state {}{private}", InitText(*init))?;
                if order.is_row_major() { Ok(()) } else { write!(f, " order({order})") }
            }
            Place::Constant(tensor) => write!(f, "constant {}", TensorText(tensor)),
            Place::Part { of, row } => write!(f, "%{}[{}]", self.1[of.0 as usize], RowText(*row)),
        }
    }
}

/// `3`, `t`, `t+1`; `t1-1` counts with the first loop within the outermost.
struct RowText(Row);

impl fmt::Display for RowText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (depth, shift) = match self.0 {
            Row::At(row) => return write!(f, "{row}"),
            Row::Step { depth, shift } => (depth, shift),
        };
        f.write_str("t")?;
        if depth > 0 {
            write!(f, "{depth}")?;
        }
        if shift == 0 { Ok(()) } else { write!(f, "{shift:+}") }
    }
}
