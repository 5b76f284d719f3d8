//! The verifier is all that stands between a plan and memory: thousands of changed plans are each refused, or run without
//! touching anything outside of their buffers. The interpreter of plans checks every access; machine code runs them, too.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ir::plan::flat_steps;
use ir::{
    Access, Affine, AxisId, AxisOrder, BufferId, DType, Index, Indices, Inst, Kernel, KernelId, Place, Plan,
    Row, Scalar, ScalarFn, SlotId, Step, Stmt, StoreMode, Tensor, Type, Var, VerifiedPlan, Winograd,
};
use nnc::{Options, Pool, State};
use tests::run_plan::run_plan;

/// A training step of a dense layer with softmax: contractions, rows with local memory, updates in place.
const DENSE: &str = "graph @dense {
  %x = input : f32[5, 7]
  %label = input : i64[5]
  %w = state init=uniform(-0.5, 0.5, 1) : f32[7, 4]
  %0 = matmul %x, %w
  %1 = reduce_max %0 axes=[1]
  %2 = reshape %1 shape=[5, 1]
  %3 = broadcast %2 shape=[5, 4]
  %4 = sub %0, %3
  %5 = exp %4
  %6 = reduce_sum %5 axes=[1]
  %7 = reshape %6 shape=[5, 1]
  %8 = broadcast %7 shape=[5, 4]
  %9 = div %5, %8
  %loss = reduce_sum %9 axes=[0, 1]
  %dw = grad %loss, %w : f32[7, 4]
  %next = sub %w, %dw
  %rows = gather %9, %label axis=0
  %sums = scatter_add %9, %label, %rows axis=0
  output y = %9
  output rows = %rows
  output sums = %sums
  update %w = %next
}";

/// Views, padding, truth values, a pool of sums, states that exchange their values, and what is prepared.
const VIEWS: &str = "graph @views {
  %x = input : f32[3, 6]
  %a = state init=constant(1.0) : f32[3, 6]
  %b = state init=constant(2.0) : f32[3, 6]
  %f = state init=uniform(-1.0, 1.0, 3) : f32[6, 3]
  %0 = transpose %f permutation=[1, 0]
  %1 = exp %0
  %2 = add %x, %1
  %3 = lt %2, %a
  %4 = select %3, %2, %b
  %5 = window %4 sizes=[3] stride=[2] low=[1] extents=[3] fill=0.0 : f32[3, 3, 3]
  %6 = reduce_sum %5 axes=[2]
  %7 = slice %4 starts=[0, 1] ends=[3, 6] strides=[2, 2]
  output truths = %3
  output sums = %6
  output part = %7
  update %a = %b
  update %b = %a
}";

/// A convolution of three by three with transformed filters.
const CONVOLUTION: &str = "plan @convolution {
  arena 0
  slot %x : f32[1, 6, 6, 16] = input
  slot %w : f32[3, 3, 16, 16] = input
  slot %u : f32[36, 1, 16, 16] = input
  slot %r : f32[1, 6, 6, 16] = output
  kernel @conv(%x: f32[1, 6, 6, 16], %w: f32[3, 3, 16, 16], %u: f32[36, 1, 16, 16]) -> (%r: f32[1, 6, 6, 16]) {
    winograd %u of %w
    for i in 6, j in 6, o in 16 {
      %0 = reduce add k in 3, l in 3, c in 16 {
        %1 = load %x[0, i + k - 1, j + l - 1, c] fill 0.0
        %2 = load %w[k, l, c, o]
        %3 = mul %1, %2
        yield %3
      }
      store %0, %r[0, i, j, o]
    }
  }
  steps { call @conv(%x, %w, %u, %r) }
}";

/// Loops: rows of an input, sums that stay as rows of a state, a value that two rows take in turns, one that is updated in
/// place, rows of rows in a loop within a loop, and memory that values of an iteration share.
const LOOPS: &str = "plan @loops {
  arena 1024
  slot %xs : f32[4, 3, 16] = input
  slot %x.t : f32[3, 16] = %xs[t]
  slot %x.tk : f32[16] = %x.t[t1]
  slot %sums : f32[5, 16] = state constant(1.0)
  slot %sums.first : f32[16] = %sums[0]
  slot %sum : f32[16] = %sums[t]
  slot %sum.next : f32[16] = %sums[t+1]
  slot %turns : f32[2, 16] = at 0
  slot %turn.first : f32[16] = %turns[0]
  slot %turn : f32[16] = %turns[t1]
  slot %turn.next : f32[16] = %turns[t1-1]
  slot %turn.last : f32[16] = %turns[1]
  slot %v : f32[16] = at 128
  slot %w : f32[16] = at 192
  slot %u : f32[16] = at 192
  slot %ys : f32[4, 16] = output
  slot %y.t : f32[16] = %ys[t]
  kernel @add(%a: f32[16], %b: f32[16]) -> (%c: f32[16]) {
    for i in 16 { %0 = load %a[i]  %1 = load %b[i]  %2 = add %0, %1  store %2, %c[i] }
  }
  kernel @turn(%a: f32[16]) -> (%c: f32[16]) {
    for i in 16 { %0 = load %a[15 - i]  store %0, %c[i] }
  }
  steps {
    copy %sums.first -> %v
    loop 4 reversed {
      call @add(%sum, %v, %sum.next)
      copy %sum.next -> %turn.first
      loop 3 {
        call @add(%turn, %x.tk, %turn.next)
      }
      call @turn(%turn.last, %w)
      call @add(%w, %v, %u)
      call @add(%v, %u, %v)
      copy %v -> %y.t
    }
  }
}";

/// The plans that are changed.
fn seeds() -> Vec<Plan> {
    let read = |source: &str| {
        ir::text::parse_plan(source).unwrap_or_else(|error| panic!("{}", error.render(source, "seed")))
    };
    let mut seeds = vec![read(CONVOLUTION), read(LOOPS), read(LOOPS)];
    for source in [DENSE, VIEWS] {
        let graph =
            ir::text::parse_graph(source).unwrap_or_else(|error| panic!("{}", error.render(source, "seed")));
        for optimize in [true, false] {
            let options = passes::Options { optimize, verify: true, ..passes::Options::default() };
            seeds.push(passes::run(graph.clone(), &options).unwrap_or_else(|error| panic!("{error}")));
        }
    }
    seeds
}

/// Numbers without a pattern, the same in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.next() as usize % end }
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A number near `value`, or one at a limit.
    fn near(&mut self, value: usize) -> usize {
        let far = [0, 1, 2, 63, 64, 128, 1 << 20, 1 << 31, 1 << 62, usize::MAX];
        match self.below(6) {
            0 => value.wrapping_add(1),
            1 => value.saturating_sub(1),
            2 => value.wrapping_add(64),
            3 => value.saturating_sub(64),
            4 => value.wrapping_mul(2),
            _ => self.pick(&far),
        }
    }

    /// A small step, or a large one.
    fn step(&mut self) -> i64 {
        self.pick(&[-1, 1, -1, 1, 2, -2, 7, -16, 64, -1000, 1 << 31, 1 << 40, i64::MIN / 4])
    }

    fn row(&mut self) -> Row {
        match self.below(3) {
            0 => Row::At(self.below(5)),
            _ => {
                let shift = self.pick(&[0, 1, -1, 2, -3, 4, 1 << 31, i64::MIN]);
                Row::Step { depth: self.below(3) as u32, shift }
            }
        }
    }

    fn dtype(&mut self) -> DType {
        self.pick(&DType::ALL)
    }
}

/// Changes one thing.
fn mutate(plan: &mut Plan, random: &mut Random) {
    let (slots, kernels) = (plan.slots.len(), plan.kernels.len());
    match random.below(14) {
        0 => plan.arena_bytes = random.near(plan.arena_bytes).min(1 << 22),
        1 => {
            let slot = random.below(slots);
            let offset = match plan.slots[slot].place {
                Place::Arena { offset } => random.near(offset),
                _ => 64 * random.below(20),
            };
            plan.slots[slot].place = Place::Arena { offset };
        }
        2 => {
            let slot = random.below(slots);
            change_type(&mut plan.slots[slot].ty, random);
        }
        3 => {
            let slot = random.below(slots);
            plan.slots[slot].place = match random.below(5) {
                0 => Place::Part { of: SlotId(random.below(slots + 1) as u32), row: random.row() },
                4 => Place::Input,
                1 => Place::Output,
                2 => Place::Unplaced,
                _ => Place::Constant(Tensor::zeros(&Type::new(DType::F32, [3, 6]))),
            };
        }
        4 | 12 => {
            let slot = random.below(slots);
            if let Place::Part { of, row } = &mut plan.slots[slot].place {
                match random.below(4) {
                    0 => *of = SlotId(random.below(slots + 1) as u32),
                    _ => *row = random.row(),
                }
            }
            if let Place::State { order, .. } = &mut plan.slots[slot].place {
                let axes: Vec<usize> = (0..1 + random.below(3)).map(|_| random.below(3)).collect();
                *order = AxisOrder::new(&axes);
            }
        }
        5 | 13 => change_steps(plan, random),
        6 => {
            // A kernel and slots of its parameters change together, as a larger buffer would be asked for.
            let kernel = random.below(kernels);
            let Some(step) = flat_steps(&plan.steps)
                .find(|step| matches!(step, Step::Call { kernel: id, .. } if id.0 as usize == kernel))
            else {
                return;
            };
            let Step::Call { slots, .. } = step else { return };
            if slots.is_empty() {
                return;
            }
            let parameter = random.below(slots.len());
            let slot = slots[parameter].0 as usize;
            change_type(&mut plan.slots[slot].ty, random);
            plan.kernels[kernel].buffers[parameter].ty = plan.slots[slot].ty.clone();
        }
        _ => {
            let kernel = random.below(kernels);
            change_kernel(&mut plan.kernels[kernel], random);
        }
    }
}

fn change_type(ty: &mut Type, random: &mut Random) {
    if random.below(4) == 0 || ty.shape.rank() == 0 {
        ty.dtype = random.dtype();
        return;
    }
    let mut shape = ty.shape.to_vec();
    let axis = random.below(shape.len());
    match random.below(3) {
        0 => shape.swap(axis, 0),
        _ => shape[axis] = random.near(shape[axis]),
    }
    ty.shape = shape.as_slice().into();
}

fn change_steps(plan: &mut Plan, random: &mut Random) {
    let (slots, kernels) = (plan.slots.len(), plan.kernels.len());
    let any_slot = |random: &mut Random| SlotId(random.below(slots + 1) as u32);
    let steps = any_block(&mut plan.steps, random);
    if steps.is_empty() {
        return;
    }
    let index = random.below(steps.len());
    match random.below(8) {
        0 => drop(steps.remove(index)),
        1 => steps.swap(index, 0),
        2 => steps.push(Step::Copy { from: any_slot(random), to: any_slot(random) }),
        3 => {
            let step = steps.remove(index);
            plan.prepare.push(step);
        }
        4 => steps.push(steps[index].clone()),
        5 => {
            let (count, body) = (random.below(4), vec![steps.remove(index)]);
            steps.insert(index, Step::Loop { count, reversed: random.below(2) == 0, body });
        }
        _ => match &mut steps[index] {
            Step::Copy { from, to } => *(if random.below(2) == 0 { from } else { to }) = any_slot(random),
            Step::Call { kernel, slots } => match random.below(4) {
                0 => *kernel = KernelId(random.below(kernels + 1) as u32),
                1 => drop(slots.pop()),
                _ => {
                    let at = random.below(slots.len());
                    if let Some(slot) = slots.get_mut(at) {
                        *slot = any_slot(random);
                    }
                }
            },
            Step::Loop { count, reversed, .. } => match random.below(2) {
                0 => *count = random.near(*count),
                _ => *reversed = !*reversed,
            },
        },
    }
}

/// The steps, or those of a loop among them.
fn any_block<'a>(steps: &'a mut Vec<Step>, random: &mut Random) -> &'a mut Vec<Step> {
    let loops: Vec<usize> =
        (0..steps.len()).filter(|&index| matches!(steps[index], Step::Loop { .. })).collect();
    if loops.is_empty() || random.below(4) == 0 {
        return steps;
    }
    match &mut steps[loops[random.below(loops.len())]] {
        Step::Loop { body, .. } => any_block(body, random),
        _ => unreachable!("loops are loops"),
    }
}

fn change_kernel(kernel: &mut Kernel, random: &mut Random) {
    let (buffers, axes, vars) = (kernel.buffers.len(), kernel.axes.len(), kernel.vars.len());
    match random.below(10) {
        0 => {
            let axis = random.below(axes);
            if let Some(axis) = kernel.axes.get_mut(axis) {
                axis.extent = random.near(axis.extent);
            }
        }
        1 => {
            let buffer = random.below(buffers);
            change_type(&mut kernel.buffers[buffer].ty, random);
        }
        2 => {
            let buffer = random.below(buffers);
            kernel.buffers[buffer].access = random.pick(&[Access::Read, Access::Write, Access::Local]);
        }
        3 if vars > 0 => {
            let var = random.below(vars);
            kernel.vars[var] = random.dtype();
        }
        4 => {
            let [filters, transformed] = [(); 2].map(|()| BufferId(random.below(buffers + 1) as u32));
            kernel.winograd = match random.below(4) {
                0 => Some(Winograd::Gradient),
                1 => Some(Winograd::Convolution { filters, transformed: Some(transformed) }),
                2 => Some(Winograd::Convolution { filters, transformed: None }),
                _ => None,
            };
        }
        _ => {
            let count = statements(&mut kernel.body, &mut |_| {});
            let chosen = random.below(count);
            let mut number = 0;
            statements(&mut kernel.body, &mut |stmt| {
                if number == chosen {
                    change_statement(stmt, [buffers, axes, vars], random);
                }
                number += 1;
            });
        }
    }
}

/// Calls `visit` with each statement; how many there are.
fn statements(body: &mut [Stmt], visit: &mut dyn FnMut(&mut Stmt)) -> usize {
    let mut count = 0;
    for stmt in body {
        if let Stmt::For { body, .. } | Stmt::Reduce { body, .. } = stmt {
            count += statements(body, visit);
        }
        visit(stmt);
        count += 1;
    }
    count
}

fn change_statement(stmt: &mut Stmt, [buffers, axes, vars]: [usize; 3], random: &mut Random) {
    let any_var = |random: &mut Random| Var(random.below(vars + 1) as u32);
    let any_buffer = |random: &mut Random| BufferId(random.below(buffers + 1) as u32);
    match stmt {
        Stmt::For { axes: over, sequential, .. } => match random.below(3) {
            0 => *sequential = !*sequential,
            1 => drop(over.pop()),
            _ => over.push(AxisId(random.below(axes + 1) as u32)),
        },
        Stmt::Reduce { axes: over, accumulators, .. } => match random.below(3) {
            0 => drop(over.pop()),
            1 => over.push(AxisId(random.below(axes + 1) as u32)),
            _ => accumulators[0].value = any_var(random),
        },
        Stmt::Let { inst: Inst::Load { buffer, indices, fill }, .. } => match random.below(5) {
            0 => *buffer = any_buffer(random),
            1 => *fill = if fill.is_some() { None } else { Some(Scalar::F32(0.0)) },
            _ => change_indices(indices, [axes, vars], random),
        },
        Stmt::Let { inst: Inst::Apply { function, operands }, .. } => match random.below(2) {
            0 => {
                *function = random.pick(&[
                    ScalarFn::Add,
                    ScalarFn::Lt,
                    ScalarFn::Select,
                    ScalarFn::CastI32,
                    ScalarFn::CastF32,
                ])
            }
            _ => {
                let at = random.below(operands.len());
                if let Some(operand) = operands.get_mut(at) {
                    *operand = any_var(random);
                }
            }
        },
        Stmt::Let { var, inst } => match random.below(3) {
            0 => *var = any_var(random),
            1 => *inst = Inst::Axis(AxisId(random.below(axes + 1) as u32)),
            _ => *inst = Inst::Constant(Scalar::from_i64(random.dtype(), 3)),
        },
        Stmt::Store { value, buffer, indices, mode } => match random.below(5) {
            0 => *value = any_var(random),
            1 => *buffer = any_buffer(random),
            2 => *mode = if *mode == StoreMode::Add { StoreMode::Set } else { StoreMode::Add },
            _ => change_indices(indices, [axes, vars], random),
        },
    }
}

fn change_indices(indices: &mut Indices, [axes, vars]: [usize; 2], random: &mut Random) {
    if random.below(12) == 0 || indices.is_empty() {
        indices.push(Index { affine: Affine::constant(0), var: None });
        return;
    }
    let at = random.below(indices.len());
    let index = &mut indices[at];
    match random.below(5) {
        0 | 1 => index.affine = index.affine.shifted(random.step()),
        2 => {
            let axis = Affine::axis(AxisId(random.below(axes + 1) as u32));
            index.affine = index.affine.plus(&axis.times(random.step()));
        }
        3 => index.var = Some(Var(random.below(vars + 1) as u32)),
        _ => drop(indices.remove(at)),
    }
}

/// The size of all that a plan works on, in bytes.
fn size_bytes(plan: &Plan) -> usize {
    let slots = plan.slots.iter().map(|slot| slot.ty.size_bytes());
    let locals = plan.kernels.iter().flat_map(|kernel| &kernel.buffers).map(|buffer| buffer.ty.size_bytes());
    slots.chain(locals).fold(plan.arena_bytes, usize::saturating_add)
}

/// The iterations of all loops.
fn iterations(plan: &Plan) -> usize {
    iterations_of(plan, &plan.prepare).saturating_add(iterations_of(plan, &plan.steps))
}

fn iterations_of(plan: &Plan, steps: &[Step]) -> usize {
    let of_kernel =
        |kernel: &Kernel| kernel.axes.iter().fold(1usize, |all, axis| all.saturating_mul(axis.extent.max(1)));
    let of_step = |step: &Step| match step {
        Step::Call { kernel, .. } => of_kernel(plan.kernel(*kernel)),
        Step::Copy { .. } => 1,
        Step::Loop { count, body, .. } => iterations_of(plan, body).max(1).saturating_mul(*count),
    };
    steps.iter().map(of_step).fold(0, usize::saturating_add)
}

/// Runs a plan in the interpreter, which asserts that every access is within its buffer.
fn interpret(plan: &Plan) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(|| run_plan(plan, 3))) {
        Ok(result) => result.map(drop),
        Err(panic) => {
            Err(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "an assertion".to_owned()))
        }
    }
}

/// Runs a plan as machine code.
fn execute(plan: &Plan, pool: &Arc<Pool>) -> Result<(), nnc::Error> {
    let mut program = nnc::compile_plan(plan.clone(), &Options::default(), pool.clone())?;
    let mut state = State::new(program.plan(), 3)?;
    let inputs: Vec<Tensor> = program.inputs().map(|(_, ty)| Tensor::zeros(ty)).collect();
    for _ in 0..2 {
        program.run(&mut state, &inputs.iter().collect::<Vec<_>>())?;
    }
    Ok(())
}

/// Changes plans, `mutations` times each; how many were refused and how many have run.
fn check(mutations: usize, seed: u64, run: &mut dyn FnMut(&Plan)) -> (usize, usize) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed);
    let (mut refused, mut accepted) = (0, 0);
    for seed in seeds() {
        assert!(VerifiedPlan::new(seed.clone()).is_ok(), "{seed}");
        for _ in 0..mutations {
            let mut plan = seed.clone();
            for _ in 0..1 + random.below(2) {
                mutate(&mut plan, &mut random);
            }
            if VerifiedPlan::new(plan.clone()).is_err() {
                refused += 1;
            } else if size_bytes(&plan) < 1 << 22 && iterations(&plan) < 1 << 20 {
                accepted += 1;
                run(&plan);
            }
        }
    }
    (refused, accepted)
}

#[test]
fn changed_plans_are_refused_or_touch_nothing_outside_of_their_buffers() {
    let mut interpreted = |plan: &Plan| {
        if let Err(problem) = interpret(plan) {
            panic!("{problem}\n{plan}");
        }
    };
    let (refused, accepted) = check(2000, 1, &mut interpreted);
    assert!(refused > 4000 && accepted > 500, "{refused} refused, {accepted} accepted");
}

#[test]
fn changed_plans_that_hold_run_as_machine_code() {
    let pool = Arc::new(Pool::new(2).expect("two threads"));
    let mut executed = |plan: &Plan| {
        let run = catch_unwind(AssertUnwindSafe(|| execute(plan, &pool)));
        match run {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("{error}\n{plan}"),
            Err(_) => panic!("code generation panics:\n{plan}"),
        }
    };
    let (refused, accepted) = check(200, 2, &mut executed);
    assert!(refused > 400 && accepted > 50, "{refused} refused, {accepted} accepted");
}
