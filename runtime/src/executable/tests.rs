//! The scheduler, with kernels that are functions of Rust.

mod loops;

use super::*;
use ir::{Access, DType, Init, Kernel, Plan, Slot, Step};

/// `y[i] = x[i] + w[i]`, one element per chunk.
unsafe extern "C" fn add(arguments: *const *mut u8, scratch: *mut u8, begin: u64, end: u64) {
    assert_eq!(scratch as usize % 64, 0);
    for i in begin as usize..end as usize {
        // SAFETY: the plans below give three slots of as many `f32` as there are chunks, and scratch for one.
        unsafe {
            let [x, w, y] = [0, 1, 2].map(|n| (*arguments.add(n)).cast::<f32>().add(i));
            *scratch.cast::<f32>() = *x + *w;
            *y = *scratch.cast::<f32>();
        }
    }
}

fn f32s(shape: &[usize]) -> Type {
    Type::new(DType::F32, shape)
}

fn slot(name: &str, shape: &[usize], place: Place) -> Slot {
    Slot { name: name.into(), ty: f32s(shape), place }
}

fn state_place() -> Place {
    Place::State { init: Init::Constant(1.0), order: ir::AxisOrder::default(), is_private: false }
}

fn call_of(slots: [u32; 3]) -> Step {
    Step::Call { kernel: KernelId(0), slots: slots.into_iter().map(SlotId).collect() }
}

/// The parameters of `add`.
fn add_kernel(n: usize) -> Kernel {
    add_kernel_of(&[n])
}

fn add_kernel_of(shape: &[usize]) -> Kernel {
    let mut kernel = Kernel::new("add");
    for (name, access) in [("x", Access::Read), ("w", Access::Read), ("y", Access::Write)] {
        kernel.buffer(name, f32s(shape), access);
    }
    kernel
}

/// `t = x + w; w = t + c; y = w`: through the arena, a state that is updated in place, a constant, and a copy.
fn plan(n: usize) -> Plan {
    let constant = Tensor::new([n], vec![10.0f32; n]).unwrap();
    let slots = vec![
        slot("x", &[n], Place::Input),
        slot("w", &[n], state_place()),
        slot("t", &[n], Place::Arena { offset: 64 }),
        slot("c", &[n], Place::Constant(constant)),
        slot("y", &[n], Place::Output),
    ];
    let steps = vec![call_of([0, 1, 2]), call_of([2, 3, 1]), Step::Copy { from: SlotId(1), to: SlotId(4) }];
    let kernels = vec![add_kernel(n)];
    let arena_bytes = 64 + (4 * n).next_multiple_of(64);
    Plan { name: "p".into(), kernels, slots, prepare: vec![], steps, arena_bytes, updates: vec![] }
}

fn verified(plan: Plan) -> VerifiedPlan {
    VerifiedPlan::new(plan).unwrap_or_else(|error| panic!("{error}"))
}

fn executable(n: usize, threads: usize, time_ns: f64) -> Executable {
    let machine = Machine { function: add, chunks: n as u64, scratch_bytes: 4, time_ns };
    let pool = Arc::new(Pool::new(threads).unwrap());
    Executable::assemble(verified(plan(n)), [machine].into(), None, pool, false).unwrap()
}

fn tensor(n: usize) -> Tensor {
    Tensor::new([n], (0..n).map(|i| i as f32).collect()).unwrap()
}

#[test]
fn a_run_reads_inputs_updates_states_and_writes_outputs_on_any_number_of_threads() {
    for (threads, n) in [(1, 5), (2, 1), (2, 1009), (3, 64)] {
        let mut exe = executable(n, threads, 1e9);
        let mut state = State::new(exe.plan(), 0).unwrap();
        let x = tensor(n);
        for run in 1..=3 {
            exe.run(&mut state, &[&x]).unwrap();
            let expected: Vec<f32> = (0..n).map(|i| 1.0 + run as f32 * (i as f32 + 10.0)).collect();
            assert_eq!(exe.output("y").unwrap().as_slice::<f32>().unwrap(), expected);
            assert_eq!(exe.outputs().len(), 1);
            assert_eq!(state.get("w").unwrap().as_slice::<f32>().unwrap(), expected);
        }
    }
}

#[test]
fn inputs_and_states_can_change_from_run_to_run() {
    let mut exe = executable(2, 1, 0.0);
    let mut states = [State::new(exe.plan(), 0).unwrap(), State::new(exe.plan(), 0).unwrap()];
    let inputs = [tensor(2), Tensor::new([2], vec![5.0f32, 5.0]).unwrap()];
    for (state, x) in states.iter_mut().zip(&inputs) {
        exe.run(state, &[x]).unwrap();
    }
    assert_eq!(states[0].get("w").unwrap().as_slice::<f32>().unwrap(), [11.0, 12.0]);
    assert_eq!(states[1].get("w").unwrap().as_slice::<f32>().unwrap(), [16.0, 16.0]);
    exe.run(&mut states[0], &[&inputs[1]]).unwrap();
    assert_eq!(exe.output("y").unwrap().as_slice::<f32>().unwrap(), [26.0, 27.0]);
    assert!(exe.output("z").is_none());
}

#[test]
fn two_programs_of_two_shapes_share_the_states_that_they_have_in_common() {
    let mut first = executable(3, 1, 0.0);
    let mut state = State::new(first.plan(), 0).unwrap();
    first.run(&mut state, &[&tensor(3)]).unwrap();
    let mut larger = plan(3);
    larger.slots.push(slot("moment", &[2], state_place()));
    let larger = verified(larger);
    state.adopt(&larger, 0).unwrap();
    let machine = Machine { function: add, chunks: 3, scratch_bytes: 4, time_ns: 0.0 };
    let pool = first.pool().clone();
    let mut second = Executable::assemble(larger, [machine].into(), None, pool, false).unwrap();
    second.run(&mut state, &[&tensor(3)]).unwrap();
    first.run(&mut state, &[&tensor(3)]).unwrap();
    assert_eq!(state.get("w").unwrap().as_slice::<f32>().unwrap(), [31.0, 34.0, 37.0]);
    assert_eq!(state.get("moment").unwrap().as_slice::<f32>().unwrap(), [1.0, 1.0]);
}

/// `t = w + w` once; `y = x + t` in each run.
fn prepared_plan(n: usize) -> Plan {
    let slots = vec![
        slot("x", &[n], Place::Input),
        slot("w", &[n], state_place()),
        slot("t", &[n], Place::Arena { offset: 0 }),
        slot("y", &[n], Place::Output),
    ];
    let (prepare, steps) = (vec![call_of([1, 1, 2])], vec![call_of([0, 2, 3])]);
    let kernels = vec![add_kernel(n)];
    let arena_bytes = (4 * n).next_multiple_of(64);
    Plan { name: "q".into(), kernels, slots, prepare, steps, arena_bytes, updates: vec![] }
}

#[test]
fn what_is_prepared_is_computed_again_where_states_have_changed_and_only_there() {
    let machine = Machine { function: add, chunks: 1, scratch_bytes: 4, time_ns: 0.0 };
    let mut writer = executable(1, 1, 0.0);
    let pool = writer.pool().clone();
    let mut reader =
        Executable::assemble(verified(prepared_plan(1)), [machine].into(), None, pool, false).unwrap();
    let mut state = State::new(reader.plan(), 0).unwrap();
    let mut other = State::new(reader.plan(), 0).unwrap();
    let x = tensor(1);
    reader.set_profiling(true);
    // The value of `y`, and how often `add` has run.
    let mut run = |state: &mut State| {
        reader.run(state, &[&x]).unwrap();
        (reader.outputs()[0].get(0).as_f64(), reader.kernel_times()[0].calls)
    };
    assert_eq!(run(&mut state), (2.0, 2));
    assert_eq!(run(&mut state), (2.0, 3));
    writer.run(&mut state, &[&x]).unwrap();
    assert_eq!(run(&mut state), (22.0, 5), "another program has written w");
    assert_eq!(run(&mut state), (22.0, 6));
    state.set("w", &Tensor::new([1], vec![4.0f32]).unwrap()).unwrap();
    assert_eq!(run(&mut state), (8.0, 8), "the caller has written w");
    assert_eq!(run(&mut other), (2.0, 10), "another state");
    assert_eq!(run(&mut other), (2.0, 11));
    assert_eq!(run(&mut state), (8.0, 13));
}

/// A program that reads `w`, `f32[2, 3]` with its axes in `order` in memory, as they lie.
fn reader_in(order: ir::AxisOrder, prepares: bool) -> Executable {
    let mut plan = if prepares { prepared_plan(6) } else { plan_that_infers(6) };
    let shape: ir::Shape = [2, 3].into();
    plan.kernels[0] = add_kernel_of(&order.in_memory(&shape));
    for slot in &mut plan.slots {
        slot.ty.shape = order.in_memory(&shape);
        if let Place::State { order: of_state, .. } = &mut slot.place {
            *of_state = order.clone();
        }
    }
    let machine = Machine { function: add, chunks: 6, scratch_bytes: 4, time_ns: 0.0 };
    let pool = Arc::new(Pool::new(1).unwrap());
    Executable::assemble(verified(plan), [machine].into(), None, pool, false).unwrap()
}

/// `y = x + w`.
fn plan_that_infers(n: usize) -> Plan {
    let slots =
        vec![slot("x", &[n], Place::Input), slot("w", &[n], state_place()), slot("y", &[n], Place::Output)];
    let (kernels, steps) = (vec![add_kernel(n)], vec![call_of([0, 1, 2])]);
    Plan { name: "r".into(), kernels, slots, prepare: vec![], steps, arena_bytes: 0, updates: vec![] }
}

#[test]
fn a_shared_state_in_another_order_is_copied_for_the_program_and_again_where_it_has_changed() {
    for prepares in [false, true] {
        let mut rows = reader_in(ir::AxisOrder::default(), prepares);
        let mut columns = reader_in(ir::AxisOrder::new(&[1, 0]), prepares);
        let mut state = State::new(rows.plan(), 0).unwrap();
        let zeros = [[2, 3], [3, 2]].map(|shape| Tensor::zeros(&f32s(&shape)));
        for scale in [1.0, 10.0] {
            let w = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0].map(|w| scale * w);
            state.set("w", &Tensor::new([2, 3], w.to_vec()).unwrap()).unwrap();
            let before = state.stamp();
            // In the order in which they lie in memory, twice the weights where they are prepared.
            let seen = |exe: &Executable| exe.outputs()[0].as_slice::<f32>().unwrap().to_vec();
            let factor = if prepares { 2.0 } else { 1.0 };
            for _ in 0..2 {
                columns.infer(&state, &[&zeros[1]]).unwrap();
                let expected = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0].map(|w| factor * scale * w);
                assert_eq!(seen(&columns), expected, "{prepares}");
                rows.infer(&state, &[&zeros[0]]).unwrap();
                assert_eq!(seen(&rows), w.map(|w| factor * w), "{prepares}");
                columns.run(&mut state, &[&zeros[1]]).unwrap();
                assert_eq!(seen(&columns), expected, "{prepares}");
            }
            assert_eq!(state.stamp(), before, "who only reads changes nothing");
        }
    }
}

#[test]
fn a_program_that_writes_a_state_does_not_infer() {
    let mut exe = executable(4, 1, 0.0);
    let state = State::new(exe.plan(), 0).unwrap();
    let expected = "program `p` writes state `w`, so it cannot run on states that are shared; call `run` with a `&mut \
        State`, for example a clone of these";
    let x = tensor(4);
    assert_eq!(exe.infer(&state, &[&x]).unwrap_err().to_string(), expected);
    assert_eq!(exe.infer_named(&state, &[("x", &x)]).unwrap_err().to_string(), expected);
    assert_eq!(state.get("w").unwrap().as_slice::<f32>().unwrap(), [1.0; 4]);
}

#[test]
fn inference_without_its_states_or_inputs_is_an_error_and_runs_nothing() {
    let machine = Machine { function: add, chunks: 4, scratch_bytes: 4, time_ns: 0.0 };
    let pool = Arc::new(Pool::new(1).unwrap());
    let plan = verified(plan_that_infers(4));
    let mut exe = Executable::assemble(plan, [machine].into(), None, pool, false).unwrap();
    let x = tensor(4);
    let error = exe.infer(&State::empty(), &[&x]).unwrap_err().to_string();
    assert!(error.starts_with("state `w` (f32[4]) is missing"), "{error}");
    let state = State::new(exe.plan(), 0).unwrap();
    assert!(matches!(exe.infer(&state, &[]), Err(RunError::InputCount { .. })));
    assert!(matches!(exe.infer_named(&state, &[]), Err(RunError::MissingInputs(_))));
    assert_eq!(exe.outputs()[0].as_slice::<f32>().unwrap(), [0.0; 4]);
    exe.infer_named(&state, &[("x", &x)]).unwrap();
    assert_eq!(exe.outputs()[0].as_slice::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn a_fork_has_results_of_its_own_and_its_threads_are_those_of_its_pool() {
    let mut exe = executable(1009, 1, 1e9);
    let mut fork = exe.fork(Arc::new(Pool::new(3).unwrap())).unwrap();
    assert_eq!((exe.shares(), fork.shares()), (vec![1, 1], vec![3, 3]));
    let mut state = State::new(exe.plan(), 0).unwrap();
    let x = tensor(1009);
    exe.run(&mut state, &[&x]).unwrap();
    let first = exe.outputs()[0].clone();
    fork.run(&mut state, &[&x]).unwrap();
    assert_eq!(exe.outputs()[0], first);
    assert_eq!(fork.outputs()[0], state.get("w").unwrap());
    assert_ne!(fork.outputs()[0], first);
}

#[test]
fn threads_may_share_and_move_programs_states_and_pools() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Executable>();
    is_shared::<State>();
    is_shared::<Pool>();
}

#[test]
fn tensors_without_elements_are_no_trouble() {
    let mut exe = executable(0, 2, 1e9);
    let mut state = State::new(exe.plan(), 0).unwrap();
    exe.run(&mut state, &[&tensor(0)]).unwrap();
    assert_eq!(exe.outputs(), [tensor(0)]);
}

#[test]
fn a_kernel_is_split_only_where_its_shares_are_worth_a_thread() {
    assert_eq!(executable(8, 2, 1.0).shares(), [1, 1]);
    assert_eq!(executable(8, 2, 1e9).shares(), [2, 2]);
}

#[test]
fn kernel_times_are_collected_on_request_alone() {
    let mut exe = executable(4, 1, 0.0);
    let mut state = State::new(exe.plan(), 0).unwrap();
    exe.run(&mut state, &[&tensor(4)]).unwrap();
    assert!(exe.kernel_times().is_empty());
    exe.set_profiling(true);
    (0..3).for_each(|_| exe.run(&mut state, &[&tensor(4)]).unwrap());
    let calls: Vec<(String, u64)> =
        exe.kernel_times().into_iter().map(|time| (time.name, time.calls)).collect();
    assert_eq!(calls, [("add".to_owned(), 6), ("copy".to_owned(), 3)]);
    assert_eq!(exe.kernel_times()[0].kernel, Some(KernelId(0)));
    assert_eq!(exe.kernel_times()[1].kernel, None);
}

#[test]
fn an_input_of_another_type_names_both_types() {
    let mut exe = executable(4, 1, 0.0);
    let mut state = State::new(exe.plan(), 0).unwrap();
    let error = exe.run(&mut state, &[&tensor(5)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "input `x` is f32[5], the program wants f32[4]; give a tensor of that type"
    );
    let error = exe.run(&mut state, &[&Tensor::new([4], vec![0i32; 4]).unwrap()]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "input `x` is i32[4], the program wants f32[4]; give a tensor of that type"
    );
}

#[test]
fn missing_and_unknown_inputs_are_named() {
    let mut exe = executable(4, 1, 0.0);
    let mut state = State::new(exe.plan(), 0).unwrap();
    let error = exe.run(&mut state, &[]).unwrap_err();
    let expected = "the program takes 1 inputs, 0 were given; give, in this order: `x` (f32[4])";
    assert_eq!(error.to_string(), expected);
    let error = exe.run_named(&mut state, &[]).unwrap_err();
    assert_eq!(error.to_string(), "inputs are missing: `x` (f32[4]); give a tensor for each");
    let error = exe.run_named(&mut state, &[("z", &tensor(4))]).unwrap_err();
    assert_eq!(error.to_string(), "the program has no input `z`; its inputs are `x` (f32[4])");
    let error = exe.run_named(&mut state, &[("xs", &tensor(4))]).unwrap_err();
    let expected = "the program has no input `xs`; did you mean `x`? its inputs are `x` (f32[4])";
    assert_eq!(error.to_string(), expected);
    exe.run_named(&mut state, &[("x", &tensor(4))]).unwrap();
}

#[test]
fn a_run_without_its_states_is_an_error_and_changes_nothing() {
    let mut exe = executable(4, 1, 0.0);
    let error = exe.run(&mut State::empty(), &[&tensor(4)]).unwrap_err();
    let expected =
        "state `w` (f32[4]) is missing; make the states with `State::new` or `State::adopt` of this plan";
    assert_eq!(error.to_string(), expected);
    let mut other = State::new(&verified(plan(5)), 0).unwrap();
    let error = exe.run(&mut other, &[&tensor(4)]).unwrap_err();
    assert_eq!(error.to_string(), "state `w` is f32[5], not f32[4]; give a value of its own type");
    assert_eq!(exe.outputs()[0].as_slice::<f32>().unwrap(), [0.0; 4]);
}

#[test]
fn outputs_of_truth_values_are_truth_values_whatever_was_in_memory() {
    let source =
        "plan @p { arena 64  slot %x : f32[4] = input  slot %t : f32[4] = at 0  slot %b : bool[16] = at 0
        slot %y : bool[16] = output
        kernel @copy(%a: f32[4]) -> (%r: f32[4]) { for i in 4 { %0 = load %a[i] store %0, %r[i] } }
        kernel @less(%a: f32[4]) -> (%r: bool[16]) {
            for i in 4 { %0 = load %a[i] %1 = 0.0 : f32 %2 = lt %0, %1 store %2, %r[i] }
        }
        steps { call @copy(%x, %t) call @less(%x, %b) copy %b -> %y } }";
    let plan = verified(ir::text::parse_plan(source).unwrap());
    let code = codegen::compile(&plan, &codegen::Target::host().unwrap()).unwrap();
    let mut exe = Executable::new(code, Arc::new(Pool::new(1).unwrap())).unwrap();
    let mut state = State::new(exe.plan(), 0).unwrap();
    exe.run(&mut state, &[&Tensor::new([4], vec![-3.7f32, 9.9, -1e30, 0.1]).unwrap()]).unwrap();
    let truths = exe.outputs()[0].as_slice::<bool>().unwrap();
    assert!(truths.iter().all(|&truth| u8::from(truth) <= 1), "{truths:?}");
    assert_eq!(truths[..4], [true, false, true, false]);
    // What no kernel has written is what was there: any byte but 0 is true.
    assert!(truths[4..].contains(&true));
}
