//! Plans are run on symbols before and after the pass. Before, each slot has memory of its own and updates happen at
//! the end; after, memory is the arena, cut into lines of 64 bytes. Both must leave the same outputs and states.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use ir::{Access, Affine, AxisId, DType, Index, Init, Inst, Kernel, KernelId, Stmt, StoreMode};
use smallvec::smallvec;

use super::*;

/// Numbers from a linear congruential generator.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }
}

/// A kernel of `operands` and `results` of type `f32[n, n]`, element by element or, with `transposed`, reading the
/// transposes of its operands.
fn kernel(number: usize, operands: usize, results: usize, n: usize, transposed: bool) -> Kernel {
    let mut kernel = Kernel::new(format!("k{number}"));
    let ty = Type::new(DType::F32, [n, n]);
    let reads: Vec<_> =
        (0..operands).map(|i| kernel.buffer(format!("x{i}"), ty.clone(), Access::Read)).collect();
    let writes: Vec<_> =
        (0..results).map(|i| kernel.buffer(format!("r{i}"), ty.clone(), Access::Write)).collect();
    let (i, j) = (kernel.axis("i", n), kernel.axis("j", n));
    let index = |axes: [AxisId; 2]| {
        axes.iter().map(|&axis| Index { affine: Affine::axis(axis), var: None }).collect()
    };
    let zero = kernel.var(DType::F32);
    let mut body = vec![Stmt::Let { var: zero, inst: Inst::Constant(ir::Scalar::F32(0.0)) }];
    for buffer in reads {
        let indices = index(if transposed { [j, i] } else { [i, j] });
        let var = kernel.var(DType::F32);
        body.push(Stmt::Let { var, inst: Inst::Load { buffer, indices, fill: None } });
    }
    for buffer in writes {
        body.push(Stmt::Store { value: zero, buffer, indices: index([i, j]), mode: StoreMode::Set });
    }
    kernel.body = vec![Stmt::For { axes: smallvec![i, j], sequential: false, body }];
    kernel
}

/// Whether a kernel of this file reads transposes.
fn is_transposed(kernel: &Kernel) -> bool {
    let Stmt::For { body, .. } = &kernel.body[0] else { return false };
    let first = Affine::axis(AxisId(1));
    body.iter().any(|stmt| matches!(stmt, Stmt::Let { inst: Inst::Load { indices, .. }, .. } if indices[0].affine == first))
}

/// A plan being written by a test.
struct Writer(Plan);

impl Writer {
    fn new() -> Writer {
        let (kernels, slots, steps, updates) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let prepare = Vec::new();
        Writer(Plan { name: "test".into(), kernels, slots, prepare, steps, arena_bytes: 0, updates })
    }

    fn slot(&mut self, n: usize, place: Place) -> SlotId {
        let name = format!("s{}", self.0.slots.len());
        self.0.slots.push(Slot { name, ty: Type::new(DType::F32, [n, n]), place });
        SlotId(self.0.slots.len() as u32 - 1)
    }

    fn state(&mut self, n: usize) -> SlotId {
        self.slot(
            n,
            Place::State { init: Init::Constant(0.0), order: ir::AxisOrder::default(), is_private: false },
        )
    }

    fn call(&mut self, n: usize, operands: &[SlotId], results: usize, transposed: bool) -> Vec<SlotId> {
        let id = KernelId(self.0.kernels.len() as u32);
        self.0.kernels.push(kernel(self.0.kernels.len(), operands.len(), results, n, transposed));
        let results: Vec<SlotId> = (0..results).map(|_| self.slot(n, Place::Unplaced)).collect();
        let slots = operands.iter().chain(&results).copied().collect();
        self.0.steps.push(Step::Call { kernel: id, slots });
        results
    }

    fn output(&mut self, n: usize, value: SlotId) {
        let to = self.slot(n, Place::Output);
        self.0.steps.push(Step::Copy { from: value, to });
    }

    fn update(&mut self, state: SlotId, value: SlotId) {
        self.0.updates.push((state, value));
    }
}

/// What the user sees of a run: the symbol in each output and state, by name.
type Seen = BTreeMap<String, u64>;

/// The symbol that a call computes as result number `result`.
fn symbol(kernel: &Kernel, result: usize, operands: &[u64]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&kernel.name, result, operands).hash(&mut hasher);
    hasher.finish()
}

/// The symbol in a slot before the run.
fn initial(plan: &Plan, slot: SlotId) -> u64 {
    let mut hasher = DefaultHasher::new();
    plan.slot(slot).name.hash(&mut hasher);
    hasher.finish()
}

/// Memory as a plan of stage `plan` has it: a symbol per line of the arena and per slot outside of it.
struct Memory<'a> {
    plan: &'a Plan,
    arena: Vec<u64>,
    outside: Vec<u64>,
}

impl Memory<'_> {
    fn lines(&self, slot: SlotId) -> Option<std::ops::Range<usize>> {
        let Slot { ty, place, .. } = self.plan.slot(slot);
        let Place::Arena { offset } = place else { return None };
        assert_eq!(offset % Plan::ALIGNMENT, 0);
        assert!(offset + ty.size_bytes() <= self.plan.arena_bytes);
        let lines = offset / 64..(offset + ty.size_bytes()).div_ceil(64);
        assert!(lines.end * 64 <= self.plan.arena_bytes);
        Some(lines)
    }

    fn read(&self, slot: SlotId) -> u64 {
        let Some(lines) = self.lines(slot) else { return self.outside[slot.0 as usize] };
        let symbol = self.arena[lines.start];
        assert!(self.arena[lines].iter().all(|&line| line == symbol), "a part of the value was overwritten");
        symbol
    }

    fn write(&mut self, slot: SlotId, symbol: u64) {
        match self.lines(slot) {
            Some(lines) => self.arena[lines].fill(symbol),
            None => self.outside[slot.0 as usize] = symbol,
        }
    }

    fn overlap(&self, a: SlotId, b: SlotId) -> bool {
        match (self.lines(a), self.lines(b)) {
            (Some(a), Some(b)) => a.start < b.end && b.start < a.end,
            (None, None) => a == b,
            _ => false,
        }
    }
}

/// Runs a plan of either stage twice; what it prepares is there for both runs.
fn run(plan: &Plan) -> Seen {
    let outside = (0..plan.slots.len() as u32).map(|slot| initial(plan, SlotId(slot))).collect();
    let mut memory = Memory { plan, arena: vec![0; plan.arena_bytes / 64], outside };
    run_steps(&mut memory, &plan.prepare);
    for _ in 0..2 {
        run_steps(&mut memory, &plan.steps);
        let old: Vec<u64> = plan.updates.iter().map(|&(_, value)| memory.read(value)).collect();
        plan.updates.iter().zip(old).for_each(|(&(state, _), symbol)| memory.write(state, symbol));
    }
    let seen = plan.slots_where(|place| matches!(place, Place::Output | Place::State { .. }));
    seen.map(|(id, slot)| (slot.name.clone(), memory.read(id))).collect()
}

fn run_steps(memory: &mut Memory<'_>, steps: &[Step]) {
    let plan = memory.plan;
    for step in steps {
        let (reads, writes) = (plan.reads(step), plan.writes(step));
        let symbols: Vec<u64> = reads.iter().map(|&slot| memory.read(slot)).collect();
        for (index, &written) in writes.iter().enumerate() {
            let result = match step {
                Step::Copy { .. } => symbols[0],
                Step::Loop { .. } => panic!("plans with loops are run by the interpreter of plans"),
                Step::Call { kernel, .. } => symbol(plan.kernel(*kernel), index, &symbols),
            };
            let is_strict = matches!(step, Step::Call { kernel, .. } if is_transposed(plan.kernel(*kernel)));
            assert!(
                !is_strict || !reads.iter().any(|&read| memory.overlap(read, written)),
                "{step:?} is not in place"
            );
            assert!(!writes[..index].iter().any(|&other| memory.overlap(other, written)));
            memory.write(written, result);
        }
    }
}

fn copies(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| matches!(step, Step::Copy { .. })).count()
}

/// A plan of random calls, some of which prepare, outputs and updates.
fn random_plan(seed: u64) -> Plan {
    let mut random = Random(seed);
    let mut w = Writer::new();
    let sizes = [3, 5, 8];
    let states: Vec<(usize, SlotId)> =
        (0..1 + random.below(5)).map(|i| (sizes[i % 3], w.state(sizes[i % 3]))).collect();
    let (fixed, changing) = states.split_at(random.below(states.len() + 1));
    let mut values: Vec<(usize, SlotId)> = fixed.to_vec();
    for _ in 0..if fixed.is_empty() { 0 } else { random.below(4) } {
        let (n, operand) = values[random.below(values.len())];
        let results = w.call(n, &[operand], 1 + random.below(2), random.below(3) == 0);
        values.extend(results.into_iter().map(|slot| (n, slot)));
    }
    w.0.prepare = std::mem::take(&mut w.0.steps);
    values.extend(changing);
    values.extend(sizes.map(|n| (n, w.slot(n, Place::Input))));
    for _ in 0..random.below(25) {
        let n = sizes[random.below(3)];
        let alike: Vec<SlotId> = values.iter().filter(|value| value.0 == n).map(|value| value.1).collect();
        let operands: Vec<SlotId> =
            (0..1 + random.below(3)).map(|_| alike[random.below(alike.len())]).collect();
        let results = w.call(n, &operands, 1 + random.below(2), random.below(3) == 0);
        values.extend(results.into_iter().map(|slot| (n, slot)));
    }
    for &(n, value) in &values {
        if random.below(5) == 0 {
            w.output(n, value);
        }
    }
    for &(n, state) in changing {
        let alike: Vec<SlotId> = values.iter().filter(|value| value.0 == n).map(|value| value.1).collect();
        if random.below(4) > 0 {
            w.update(state, alike[random.below(alike.len())]);
        }
    }
    w.0
}

#[test]
fn random_plans_leave_the_same_outputs_and_states() {
    for seed in 0..2000 {
        let plan = random_plan(seed);
        let expected = run(&plan_memory_symbols(&plan));
        for reuse in [false, true] {
            let placed = plan_memory(plan.clone(), reuse);
            assert!(placed.updates.is_empty());
            assert!(placed.slots_where(|place| *place == Place::Unplaced).next().is_none());
            assert_eq!(run(&placed), expected, "seed {seed}, reuse {reuse}");
        }
    }
}

/// The plan of stage `kernels` with a place of its own for each slot, so that `run` takes it.
fn plan_memory_symbols(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for slot in plan.slots.iter_mut().filter(|slot| slot.place == Place::Unplaced) {
        slot.place = Place::Arena { offset: plan.arena_bytes };
        plan.arena_bytes += slot.ty.size_bytes().next_multiple_of(64);
    }
    plan
}

#[test]
fn a_state_is_updated_in_place_after_its_last_reader() {
    let mut w = Writer::new();
    let (state, x) = (w.state(5), w.slot(5, Place::Input));
    let next = w.call(5, &[state, x], 1, false)[0];
    let later = w.call(5, &[state, x], 1, true)[0];
    w.output(5, later);
    w.update(state, next);
    let plan = plan_memory(w.0, true);
    assert_eq!((copies(&plan), plan.arena_bytes), (0, 0));
    let Step::Call { kernel, .. } = plan.steps[1] else { panic!("two calls are left") };
    assert_eq!(plan.kernel(kernel).name, "k0", "the update runs last");
}

#[test]
fn an_update_that_reads_the_state_at_other_indices_is_copied() {
    let mut w = Writer::new();
    let state = w.state(5);
    let next = w.call(5, &[state], 1, true)[0];
    w.update(state, next);
    assert_eq!(copies(&plan_memory(w.0, true)), 1);
}

#[test]
fn two_states_exchange_their_values_through_a_temporary() {
    let mut w = Writer::new();
    let (a, b) = (w.state(5), w.state(5));
    w.update(a, b);
    w.update(b, a);
    let plan = plan_memory(w.0, true);
    assert_eq!(copies(&plan), 3);
    let seen = run(&plan);
    assert_eq!((seen["s0"], seen["s1"]), (initial(&plan, a), initial(&plan, b)), "twice");
}

#[test]
fn a_chain_of_maps_runs_in_one_block() {
    let mut w = Writer::new();
    let mut value = w.slot(8, Place::Input);
    for _ in 0..6 {
        value = w.call(8, &[value], 1, false)[0];
    }
    w.output(8, value);
    let plan = plan_memory(w.0, true);
    assert_eq!((copies(&plan), plan.arena_bytes), (0, 256));
}

#[test]
fn time_grows_in_proportion_to_the_plan() {
    let mut w = Writer::new();
    let mut value = w.slot(3, Place::Input);
    let states: Vec<SlotId> = (0..2000).map(|_| w.state(3)).collect();
    let forward: Vec<SlotId> = (states.iter())
        .map(|&state| {
            value = w.call(3, &[value, state], 1, true)[0];
            value
        })
        .collect();
    for (&state, activation) in states.iter().zip(forward).rev() {
        let results = w.call(3, &[value, activation, state], 2, false);
        value = results[0];
        w.update(state, results[1]);
    }
    let start = std::time::Instant::now();
    let plan = plan_memory(w.0, true);
    assert_eq!(copies(&plan), 0);
    assert!(start.elapsed().as_secs() < 5, "{:?} for 4000 calls", start.elapsed());
}

/// With few values, whose places are compared pair by pair, and with many.
#[test]
fn what_is_prepared_overlaps_nothing_else() {
    for count in [3, 700] {
        let mut w = Writer::new();
        let (x, state) = (w.slot(8, Place::Input), w.state(8));
        let kept: Vec<SlotId> = (0..count).map(|_| w.call(8, &[state], 1, false)[0]).collect();
        w.0.prepare = std::mem::take(&mut w.0.steps);
        let mut value = x;
        for &kept in &kept {
            value = w.call(8, &[kept, value], 1, false)[0];
        }
        w.output(8, value);
        let plan = plan_memory(w.0, true);
        let memory = Memory { plan: &plan, arena: Vec::new(), outside: Vec::new() };
        let kept: Vec<SlotId> = plan.prepare.iter().flat_map(|step| plan.writes(step)).collect();
        let placed = plan.slots_where(|place| matches!(place, Place::Arena { .. }));
        for (id, _) in placed {
            assert!(kept.iter().all(|&other| other == id || !memory.overlap(id, other)), "{count}: {id:?}");
        }
        assert_eq!((kept.len(), plan.arena_bytes), (count, 256 * (count + 1)));
    }
}
