//! Printing plans: the arena, slots, kernels, steps (those that prepare first), updates.

use std::collections::HashMap;
use std::fmt;

use super::kernel::print_kernel;
use super::{Indent, InitText, List, Name, TensorText};
use crate::{Place, Plan, SlotId, Step};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indent = Indent(1);
        writeln!(f, "plan @{} {{", Name(&self.name))?;
        writeln!(f, "{indent}arena {}", self.arena_bytes)?;
        let slots = labels(self.slots.iter().map(|slot| slot.name.as_str()));
        for (slot, label) in self.slots.iter().zip(&slots) {
            writeln!(f, "{indent}slot %{label} : {} = {}", slot.ty, PlaceText(&slot.place))?;
        }
        let kernels = labels(self.kernels.iter().map(|kernel| kernel.name.as_str()));
        for (kernel, label) in self.kernels.iter().zip(&kernels) {
            print_kernel(f, kernel, label, 1)?;
        }
        let slot = |id: SlotId| format!("%{}", slots[id.0 as usize]);
        let mut block = |name: &str, steps: &[Step]| {
            writeln!(f, "{indent}{name} {{")?;
            for step in steps {
                match step {
                    Step::Call { kernel, slots } => {
                        let slots = List(slots.iter().map(|&id| slot(id)));
                        writeln!(f, "{}call @{}({slots})", Indent(2), kernels[kernel.0 as usize])?;
                    }
                    Step::Copy { from, to } => {
                        writeln!(f, "{}copy {} -> {}", Indent(2), slot(*from), slot(*to))?;
                    }
                }
            }
            writeln!(f, "{indent}}}")
        };
        if !self.prepare.is_empty() {
            block("prepare", &self.prepare)?;
        }
        block("steps", &self.steps)?;
        for &(state, value) in &self.updates {
            writeln!(f, "{indent}update {} = {}", slot(state), slot(value))?;
        }
        f.write_str("}\n")
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

struct PlaceText<'a>(&'a Place);

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
                if order.is_row_major() { Ok(()) } else { write!(f, " order({})", List(order.axes().iter())) }
            }
            Place::Constant(tensor) => write!(f, "constant {}", TensorText(tensor)),
        }
    }
}
