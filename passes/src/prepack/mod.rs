//! Pass `prepack`: what follows from constants and from states that never change is computed once, not in each run, and
//! the right operand of a matrix product or a convolution is kept in the order in which its tiles read it.
//!
//! In and out: a plan of stage `kernels`. What is *fixed* is said in `fixed`.
//!
//! 1. A step that reads fixed values alone moves to `prepare`.
//! 2. `product`: a sum of products with a fixed right operand, such as `sum over k of x[i, k] * w[j, k]`, or the filter
//!    `w[kh, kw, c, j]` of a convolution.
//! 3. `panels`: it reads `packed[p, k, l]`, or `packed[p, kh, kw, c, l]`, instead, for `j = 32*p + l`: 32 columns (64
//!    where the sum is short) of all depths lie side by side, so a tile walks through memory in one direction, and nothing is
//!    left to pack in a run. With few rows, and where columns are no multiple of 32, it reads `packed[j, k]`, each element
//!    after the one before.
//! 4. `states`: where `w` is a state that nothing else reads, and the plan writes none, the state lies in memory so from the
//!    beginning. Elsewhere a step of `prepare` fills `packed`, once for all products that read `w` so.
//!
//! What a product in a loop reads that is not fixed, but stays the same in the loop, is packed once before the loop, where
//! the loop runs often enough.
//!
//! The order of each sum on tiles stays the same, and so do all bits of the results. A product of few rows that is made of dot
//! products otherwise is one on tiles then, and differs by rounding.

mod panels;
mod product;
mod states;

use std::collections::BTreeSet;

use ir::plan::flat_steps;
use ir::{Kernel, KernelId, Place, Plan, Row, Slot, SlotId, Step};
use smallvec::smallvec;

use crate::fixed::Fixed;
use panels::{pack_kernel, with_packed_operand};
use product::packable;
use states::{drop_packed_slots, pack_states};

/// Moves what is fixed to `prepare`, and packs fixed operands of matrix products.
pub fn prepack(mut plan: Plan) -> Plan {
    let fixed = Fixed::of(&plan);
    move_fixed_steps(&mut plan, &fixed.steps);
    pack_operands(&mut plan, &fixed.slots);
    plan
}

/// Moves the steps that are fixed.
fn move_fixed_steps(plan: &mut Plan, is_fixed: &[bool]) {
    for (step, &is_fixed) in std::mem::take(&mut plan.steps).into_iter().zip(is_fixed) {
        if is_fixed { plan.prepare.push(step) } else { plan.steps.push(step) }
    }
}

/// A loop packs what stays the same in it from this number of iterations on: it is read as often, then.
const LEAST_ITERATIONS: usize = 4;

/// Packs the right operands of the products in the steps, where they are fixed or stay the same in a loop.
fn pack_operands(plan: &mut Plan, is_fixed: &[bool]) {
    let mut calls = vec![0; plan.kernels.len()];
    for step in flat_steps(&plan.prepare).chain(flat_steps(&plan.steps)) {
        if let Step::Call { kernel, .. } = step {
            calls[kernel.0 as usize] += 1;
        }
    }
    let steps = std::mem::take(&mut plan.steps);
    let prepare = Level { iterations: 1, written: BTreeSet::new(), packs: Vec::new() };
    let (kernels, loops, lasting) = (Vec::new(), Vec::new(), Vec::new());
    let mut packer = Packer { plan, is_fixed, calls, kernels, prepare, loops, lasting };
    packer.plan.steps = packer.block(steps);
    let packs = pack_states(packer.plan, std::mem::take(&mut packer.prepare.packs));
    let packs: Vec<Step> = packs.iter().map(|pack| packer.step(pack)).collect();
    plan.prepare.extend(packs);
    drop_packed_slots(plan);
}

struct Packer<'a> {
    plan: &'a mut Plan,
    is_fixed: &'a [bool],
    /// How many steps call each kernel.
    calls: Vec<usize>,
    /// The kernels that pack.
    kernels: Vec<KernelId>,
    prepare: Level,
    /// The loops around, outermost first.
    loops: Vec<Level>,
    /// What has been packed before earlier loops and still holds: no step writes an input or, before `plan_memory`, a state.
    lasting: Vec<Pack>,
}

/// A place in the order of steps: before a loop, or among the steps that prepare.
struct Level {
    /// How often the loop runs.
    iterations: usize,
    /// The roots of the slots that the loop writes.
    written: BTreeSet<SlotId>,
    /// What has been packed there already.
    packs: Vec<Pack>,
}

/// An operand, the kernel that packs it, and the slot that holds it packed.
#[derive(Clone)]
struct Pack {
    operand: SlotId,
    kernel: Kernel,
    packed: SlotId,
}

impl Packer<'_> {
    /// The steps with packed operands, and with the calls that pack before loops.
    fn block(&mut self, steps: Vec<Step>) -> Vec<Step> {
        let mut block = Vec::with_capacity(steps.len());
        for mut step in steps {
            if let Step::Loop { count, reversed, body } = step {
                let written = flat_steps(&body).flat_map(|step| self.plan.roots_written(step)).collect();
                self.loops.push(Level { iterations: count, written, packs: Vec::new() });
                let body = self.block(body);
                let packs = self.loops.pop().map(|level| level.packs).unwrap_or_default();
                if self.loops.is_empty() {
                    let lasts = |pack: &&Pack| {
                        let root = self.plan.root(pack.operand);
                        matches!(self.plan.slot(root).place, Place::Input | Place::State { .. })
                    };
                    self.lasting.extend(packs.iter().filter(lasts).cloned());
                }
                for pack in &packs {
                    block.push(self.step(pack));
                }
                block.push(Step::Loop { count, reversed, body });
                continue;
            }
            if let Step::Call { kernel, slots } = &mut step {
                self.call(*kernel, slots);
            }
            block.push(step);
        }
        block
    }

    /// Gives a call its packed operand, where it has one.
    fn call(&mut self, id: KernelId, slots: &mut [SlotId]) {
        // The kernel of several calls stays, for the operand may be fixed in one of them and not in the other.
        if self.calls[id.0 as usize] != 1 {
            return;
        }
        let Some(product) = packable(self.plan.kernel(id)) else { return };
        let operand = &mut slots[product.right.0 as usize];
        let Some(level) = self.level(*operand) else { return };
        let pack = pack_kernel(self.plan.kernel(id), &product);
        *operand = self.packed_slot(level, *operand, pack);
        let kernel = &mut self.plan.kernels[id.0 as usize];
        *kernel = with_packed_operand(std::mem::replace(kernel, Kernel::new("")), &product);
    }

    /// Before which of the loops around an operand is packed, if at all.
    fn level(&self, operand: SlotId) -> Option<PackAt> {
        let row_depth = |&part: &SlotId| match self.plan.slot(part).place {
            Place::Part { row: Row::Step { depth, .. }, .. } => Some(depth as usize),
            _ => None,
        };
        let innermost = self.plan.chain(operand).iter().filter_map(row_depth).max();
        if self.is_fixed[operand.0 as usize] && innermost.is_none() {
            return Some(PackAt::Prepare);
        }
        let root = self.plan.root(operand);
        let first = innermost.map_or(0, |depth| depth + 1);
        let at = (first..self.loops.len()).find(|&at| !self.loops[at].written.contains(&root))?;
        let iterations = self.loops[at..].iter().map(|level| level.iterations).fold(1, usize::saturating_mul);
        (iterations >= LEAST_ITERATIONS).then_some(PackAt::Loop(at))
    }

    /// The slot that holds `operand` as kernel `pack` packs it: one for all that want the same there.
    fn packed_slot(&mut self, at: PackAt, operand: SlotId, pack: Kernel) -> SlotId {
        let level = match at {
            PackAt::Prepare => &mut self.prepare,
            PackAt::Loop(at) => &mut self.loops[at],
        };
        let lasting = if matches!(at, PackAt::Loop(0)) { &self.lasting[..] } else { &[] };
        let mut packs = level.packs.iter().chain(lasting);
        if let Some(known) = packs.find(|known| known.operand == operand && known.kernel == pack) {
            return known.packed;
        }
        let packed = SlotId(self.plan.slots.len() as u32);
        let name = format!("{}.packed", self.plan.slot(operand).name);
        let ty = pack.buffers[1].ty.clone();
        self.plan.slots.push(Slot { name, ty, place: Place::Unplaced });
        level.packs.push(Pack { operand, kernel: pack, packed });
        packed
    }

    /// The call that packs: of one kernel for all that are alike.
    fn step(&mut self, pack: &Pack) -> Step {
        let is_alike = |kernel: &KernelId| *self.plan.kernel(*kernel) == pack.kernel;
        let kernel = self.kernels.iter().copied().find(is_alike).unwrap_or_else(|| {
            let id = KernelId(self.plan.kernels.len() as u32);
            self.plan.kernels.push(pack.kernel.clone());
            self.kernels.push(id);
            id
        });
        Step::Call { kernel, slots: smallvec![pack.operand, pack.packed] }
    }
}

/// Where an operand is packed.
#[derive(Clone, Copy)]
enum PackAt {
    /// Among the steps that prepare.
    Prepare,
    /// Before one of the loops around.
    Loop(usize),
}
