//! Arguments that move: the rows of slots that each iteration of a loop touches.

use ir::{Place, Row, SlotId, VerifiedPlan};
use smallvec::SmallVec;

/// The iterations of the loops around an action, outermost first.
pub(crate) type Iterations = [usize; ir::Plan::MAX_LOOP_DEPTH];

/// An argument that is a row of something, another one in each iteration: its address is that of argument `root`, plus
/// `offset` bytes, plus what each of `terms` adds.
#[derive(Debug)]
pub(crate) struct Move {
    /// Which argument.
    pub at: u32,
    /// The argument that has the address of the root.
    pub root: u32,
    /// The bytes to the rows that stay.
    offset: usize,
    /// One for each row that counts with a loop; nearly always there is one.
    terms: SmallVec<[Term; 1]>,
}

/// `((t + shift) mod rows) * stride` bytes, for the `t` of a loop.
#[derive(Clone, Copy, Debug)]
struct Term {
    depth: usize,
    /// From 0 to `rows - 1`.
    shift: usize,
    rows: usize,
    /// `rows - 1` where `rows` is a power of two; else all bits.
    mask: usize,
    stride: usize,
}

impl Move {
    /// How the address of a slot moves, for argument `at`. Its root is yet to be set.
    pub fn new(plan: &VerifiedPlan, slot: SlotId, at: u32) -> Move {
        let (mut offset, mut terms) = (0, SmallVec::new());
        for part in plan.chain(slot) {
            let Place::Part { of, row } = plan.slot(part).place else { continue };
            let (rows, stride) = (plan.rows(of), plan.row_bytes(of));
            match row {
                Row::At(row) => offset += row * stride,
                Row::Step { depth, .. } => {
                    let mask = if rows.is_power_of_two() { rows - 1 } else { usize::MAX };
                    let shift = row.number(rows, 0);
                    terms.push(Term { depth: depth as usize, shift, rows, mask, stride });
                }
            }
        }
        Move { at, root: at, offset, terms }
    }

    /// The innermost loop that it counts with; none where the argument stays.
    pub fn depth(&self) -> Option<usize> {
        self.terms.iter().map(|term| term.depth).max()
    }

    /// The bytes from the root on, in these iterations.
    #[inline]
    pub fn bytes(&self, iterations: &Iterations) -> usize {
        self.terms.iter().fold(self.offset, |bytes, term| bytes + term.bytes(iterations[term.depth]))
    }
}

impl Term {
    #[inline]
    fn bytes(&self, t: usize) -> usize {
        let mut row = (t + self.shift) & self.mask;
        // A division takes longer than all else here, and most rows need none.
        if row >= self.rows {
            row %= self.rows;
        }
        row * self.stride
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_follow_the_iterations_as_the_plan_says() {
        let source = "plan @p { slot %x : f32[3, 4, 5, 2] = input  slot %y : f32[2] = output
            slot %a : f32[4, 5, 2] = %x[t-1]  slot %b : f32[5, 2] = %a[2]  slot %c : f32[2] = %b[t1+7]
            slot %d : f32[5, 2] = %a[t2+3]  slot %e : f32[2] = %d[4]
            steps { loop 9 { loop 6 { loop 5 { copy %c -> %y copy %e -> %y } } } } }";
        let plan =
            ir::text::parse_plan(source).unwrap_or_else(|error| panic!("{}", error.render(source, "test")));
        let plan = VerifiedPlan::new(plan).unwrap_or_else(|error| panic!("{error}"));
        for (slot, depth) in [(4, Some(1)), (3, Some(0)), (6, Some(2)), (0, None)] {
            let moved = Move::new(&plan, SlotId(slot), 0);
            assert_eq!(moved.depth(), depth);
            for t in [[0, 0, 0, 0], [1, 2, 3, 0], [8, 5, 4, 0], [2, 4, 2, 0]] {
                assert_eq!(moved.bytes(&t), plan.place_in_root(SlotId(slot), &t).1, "{slot} {t:?}");
            }
        }
    }
}
