//! Slots that are rows of other slots: what a loop of a plan touches, one row in each iteration.
//!
//! `of` is a slot whose leading axis counts R rows. A part of it is a range of these rows that stays, or one row that the
//! iteration of a loop chooses. A part may be of another part; at the end of that chain is its *root*, which has memory of its
//! own. Dependences and live ranges are those of roots; [`Plan::alias`] knows more, which is for the slots of a single step.

use smallvec::SmallVec;

use super::{Place, Plan, SlotId};

/// Which rows of a slot a part of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Row {
    /// From this row on, as many rows as the part fills.
    At(usize),
    /// One row: `(t + shift) mod R`, not negative, where `t` is that of a loop around the step that touches the part.
    Step {
        /// Which loop: 0 is the outermost.
        depth: u32,
        /// At most [`Plan::MAX_SHIFT`] up or down.
        shift: i64,
    },
}

impl Row {
    /// The number of the row, of `rows`, in iteration `t` of its loop.
    ///
    /// ```
    /// use ir::Row;
    /// let before = Row::Step { depth: 0, shift: -1 };
    /// assert_eq!([0, 1, 2].map(|t| before.number(3, t)), [2, 0, 1]);
    /// assert_eq!(Row::At(2).number(3, 1), 2);
    /// ```
    pub fn number(self, rows: usize, t: usize) -> usize {
        match self {
            Row::At(row) => row,
            Row::Step { shift, .. } => {
                let sum = t as i128 + i128::from(shift);
                sum.checked_rem_euclid(rows as i128).unwrap_or(0) as usize
            }
        }
    }
}

/// Whether two slots share memory, in one and the same iteration of all loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alias {
    /// They share no byte.
    No,
    /// They are the same bytes.
    Must,
    /// They may share bytes: nothing more is known.
    May,
}

impl Plan {
    /// The slot whose memory a slot is in: itself, or at the end of the chain of which it is a part.
    ///
    /// ```
    /// let source = "plan @p { slot %a : f32[4, 3, 2] = input  slot %b : f32[3, 2] = %a[1]  slot %c : f32[2] = %b[2] }";
    /// let plan = ir::text::parse_plan(source)?;
    /// assert_eq!(plan.root(ir::SlotId(2)), ir::SlotId(0));
    /// assert_eq!(plan.place_in_root(ir::SlotId(2), &[]), (ir::SlotId(0), 4 * (6 + 4)));
    /// # Ok::<(), ir::text::ParseError>(())
    /// ```
    pub fn root(&self, slot: SlotId) -> SlotId {
        match self.slot(slot).place {
            Place::Part { .. } => self.chain(slot)[0],
            _ => slot,
        }
    }

    /// The root of a slot, and the first of its bytes there, in iteration `t[d]` of the loop at each depth `d`.
    pub fn place_in_root(&self, slot: SlotId, t: &[usize]) -> (SlotId, usize) {
        let chain = self.chain(slot);
        let offset = |&part: &SlotId| match self.slot(part).place {
            Place::Part { of, row } => self.row_bytes(of) * row.number(self.rows(of), iteration(row, t)),
            _ => 0,
        };
        (chain[0], chain.iter().map(offset).sum())
    }

    /// The number of rows of a slot: the extent of its leading axis, 0 where it has none.
    pub fn rows(&self, slot: SlotId) -> usize {
        self.slot(slot).ty.shape.first().copied().unwrap_or(0)
    }

    /// The size of a row of a slot, in bytes.
    pub fn row_bytes(&self, slot: SlotId) -> usize {
        self.slot(slot).ty.size_bytes().checked_div(self.rows(slot)).unwrap_or(0)
    }

    /// The slots from the root of a slot to itself, each a part of the one before.
    pub fn chain(&self, slot: SlotId) -> SmallVec<[SlotId; 4]> {
        let mut chain = SmallVec::from_elem(slot, 1);
        let mut last = slot;
        // Plans that are yet to be verified may have longer chains, or cycles.
        while let Place::Part { of, .. } = self.slot(last).place {
            if chain.len() > Plan::MAX_PART_DEPTH {
                break;
            }
            chain.push(of);
            last = of;
        }
        chain.reverse();
        chain
    }

    /// Whether two slots that one step touches share memory.
    ///
    /// ```
    /// use ir::{Alias, SlotId};
    /// let source = "plan @p { slot %hs : f32[9, 2] = input
    ///     slot %h : f32[2] = %hs[t]  slot %next : f32[2] = %hs[t+1]  slot %first : f32[2] = %hs[0] }";
    /// let plan = ir::text::parse_plan(source)?;
    /// let [hs, h, next, first] = [0, 1, 2, 3].map(SlotId);
    /// assert_eq!(plan.alias(h, next), Alias::No);
    /// assert_eq!(plan.alias(h, first), Alias::May);
    /// assert_eq!(plan.alias(hs, hs), Alias::Must);
    /// # Ok::<(), ir::text::ParseError>(())
    /// ```
    pub fn alias(&self, a: SlotId, b: SlotId) -> Alias {
        let size_bytes = |slot: SlotId| self.slot(slot).ty.size_bytes();
        if size_bytes(a) == 0 || size_bytes(b) == 0 {
            return Alias::No;
        }
        let (to_a, to_b) = (self.chain(a), self.chain(b));
        if to_a[0] != to_b[0] {
            let are_whole = to_a.len() == 1 && to_b.len() == 1;
            return match self.alias_of_roots(to_a[0], to_b[0]) {
                Alias::Must if !are_whole => Alias::May,
                alias => alias,
            };
        }
        for (&a, &b) in to_a.iter().zip(&to_b).skip(1) {
            match self.alias_of_parts(a, b) {
                Alias::Must => {}
                alias => return alias,
            }
        }
        // One is within the other, if they are not the same.
        if size_bytes(a) == size_bytes(b) { Alias::Must } else { Alias::May }
    }

    /// Of two different roots: those in the arena may be at one place.
    fn alias_of_roots(&self, a: SlotId, b: SlotId) -> Alias {
        let bytes = |slot: SlotId| match self.slot(slot).place {
            Place::Arena { offset } => Some((offset, offset.saturating_add(self.slot(slot).ty.size_bytes()))),
            _ => None,
        };
        match (bytes(a), bytes(b)) {
            (Some(a), Some(b)) if a == b => Alias::Must,
            (Some(a), Some(b)) if a.0 < b.1 && b.0 < a.1 => Alias::May,
            _ => Alias::No,
        }
    }

    /// Of parts of one slot, or of two that are the same bytes.
    fn alias_of_parts(&self, a: SlotId, b: SlotId) -> Alias {
        let (Place::Part { of: of_a, row: row_a }, Place::Part { of: of_b, row: row_b }) =
            (&self.slot(a).place, &self.slot(b).place)
        else {
            return Alias::May;
        };
        let (rows_a, rows_b) = (self.rows(*of_a), self.rows(*of_b));
        let bytes = |part: SlotId, of: SlotId, row: usize| {
            let first = row * self.row_bytes(of);
            (first, first + self.slot(part).ty.size_bytes())
        };
        match (constant_row(*row_a, rows_a), constant_row(*row_b, rows_b)) {
            (Ok(row_a), Ok(row_b)) => {
                let (a, b) = (bytes(a, *of_a, row_a), bytes(b, *of_b, row_b));
                match a == b {
                    true => Alias::Must,
                    false if a.0 < b.1 && b.0 < a.1 => Alias::May,
                    false => Alias::No,
                }
            }
            (Err((depth_a, shift_a)), Err((depth_b, shift_b))) if depth_a == depth_b && rows_a == rows_b => {
                let apart = i128::from(shift_a) - i128::from(shift_b);
                if apart.rem_euclid(rows_a as i128) == 0 { Alias::Must } else { Alias::No }
            }
            _ => Alias::May,
        }
    }
}

/// The `t` that a row depends on.
fn iteration(row: Row, t: &[usize]) -> usize {
    match row {
        Row::Step { depth, .. } => t.get(depth as usize).copied().unwrap_or(0),
        Row::At(_) => 0,
    }
}

/// The row where it is the same in each iteration, as the only one is; else its depth and shift.
fn constant_row(row: Row, rows: usize) -> Result<usize, (u32, i64)> {
    match row {
        Row::At(row) => Ok(row),
        Row::Step { .. } if rows <= 1 => Ok(0),
        Row::Step { depth, shift } => Err((depth, shift)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse_plan;

    /// How the slots `%a` and `%b`, the last two of these, alias.
    fn alias(slots: &str) -> Alias {
        let source = format!("plan @p {{ arena 4096 {slots} }}");
        let plan = parse_plan(&source).unwrap_or_else(|error| panic!("{}", error.render(&source, "test")));
        let last = plan.slots.len() as u32 - 1;
        let alias = plan.alias(SlotId(last - 1), SlotId(last));
        assert_eq!(alias, plan.alias(SlotId(last), SlotId(last - 1)), "it is symmetric");
        alias
    }

    #[test]
    fn rows_of_one_loop_are_apart_where_their_shifts_differ_modulo_the_rows() {
        let rows = |count: usize, a: &str, b: &str| {
            alias(&format!(
                "slot %s : f32[{count}, 2] = at 0 slot %a : f32[2] = %s[{a}] slot %b : f32[2] = %s[{b}]"
            ))
        };
        assert_eq!(rows(2, "t", "t+1"), Alias::No);
        assert_eq!(rows(2, "t", "t+2"), Alias::Must);
        assert_eq!(rows(2, "t-1", "t+1"), Alias::Must);
        assert_eq!(rows(1, "t", "t+1"), Alias::Must);
        assert_eq!(rows(1, "t", "0"), Alias::Must);
        assert_eq!(rows(3, "t", "t1"), Alias::May);
        assert_eq!(rows(3, "t", "0"), Alias::May);
        assert_eq!(rows(3, "1", "2"), Alias::No);
        assert_eq!(rows(3, "1", "1"), Alias::Must);
    }

    #[test]
    fn fixed_rows_are_apart_where_their_bytes_are() {
        let rows = |a: (usize, &str), b: (usize, &str)| {
            alias(&format!(
                "slot %s : f32[6, 2] = at 0 slot %a : f32[{}, 2] = %s[{}] slot %b : f32[{}, 2] = %s[{}]",
                a.0, a.1, b.0, b.1
            ))
        };
        assert_eq!(rows((2, "0"), (3, "2")), Alias::No);
        assert_eq!(rows((2, "0"), (3, "1")), Alias::May);
        assert_eq!(rows((3, "2"), (3, "2")), Alias::Must);
        assert_eq!(rows((1, "0"), (0, "0")), Alias::No, "nothing shares memory with what is empty");
    }

    #[test]
    fn rows_of_rows_are_compared_from_the_root_on() {
        let base = "slot %s : f32[4, 3, 2] = at 0 slot %x : f32[3, 2] = %s[t] slot %y : f32[3, 2] = %s[t+1]";
        let parts =
            |a: &str, b: &str| alias(&format!("{base} slot %a : f32[2] = {a} slot %b : f32[2] = {b}"));
        assert_eq!(parts("%x[t1]", "%y[t1]"), Alias::No);
        assert_eq!(parts("%x[t1]", "%x[t1]"), Alias::Must);
        assert_eq!(parts("%x[t1]", "%x[t1+1]"), Alias::No);
        assert_eq!(parts("%x[t1]", "%x[2]"), Alias::May);
        let alike = "slot %z : f32[6] = %s[t]";
        let mixed = |b: &str| alias(&format!("{base} {alike} slot %a : f32[2] = %x[t1] slot %b : {b}"));
        assert_eq!(mixed("f32[] = %z[t1]"), Alias::May, "rows of another size");
        assert_eq!(mixed("f32[3, 2] = %s[t]"), Alias::May, "a row and what it is of");
        assert_eq!(mixed("f32[3, 2] = %s[t+2]"), Alias::No);
    }

    #[test]
    fn roots_are_apart_unless_the_arena_has_them_at_one_place() {
        let roots = |a: &str, b: &str| alias(&format!("slot %a : f32[16] = {a} slot %b : f32[16] = {b}"));
        assert_eq!(roots("at 0", "at 64"), Alias::No);
        assert_eq!(roots("at 0", "at 0"), Alias::Must);
        assert_eq!(roots("at 0", "at 32"), Alias::May);
        assert_eq!(roots("input", "at 0"), Alias::No);
        assert_eq!(roots("unplaced", "unplaced"), Alias::No);
        let parts = "slot %s : f32[2, 16] = at 0 slot %u : f32[2, 16] = at 0
                     slot %a : f32[16] = %s[0] slot %b : f32[16] = %u[0]";
        assert_eq!(alias(parts), Alias::May, "parts of two values at one place");
    }

    #[test]
    fn a_cycle_ends() {
        let source = "plan @p { slot %a : f32[2, 2] = %b[t] slot %b : f32[2, 2] = %a[t] }";
        let plan = parse_plan(source).expect("it can be read");
        assert!(plan.chain(SlotId(0)).len() <= Plan::MAX_PART_DEPTH + 1);
    }
}
