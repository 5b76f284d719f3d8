//! Loops.

use super::*;

/// A program of this plan, whose only kernel is `add` of rows of 3.
fn program(slots: &str, steps: &str, threads: usize) -> Executable {
    let source = format!(
        "plan @p {{ arena 1024 {slots}
         kernel @add(%x: f32[3], %w: f32[3]) -> (%y: f32[3]) {{
             for i in 3 {{ %0 = load %x[i] %1 = load %w[i] %2 = add %0, %1 store %2, %y[i] }}
         }}
         {steps} }}"
    );
    let plan =
        ir::text::parse_plan(&source).unwrap_or_else(|error| panic!("{}", error.render(&source, "test")));
    let machine = Machine { function: add, chunks: 3, scratch_bytes: 4, time_ns: 1e9 };
    let pool = Arc::new(Pool::new(threads).unwrap());
    Executable::assemble(verified(plan), [machine].into(), None, pool, false).unwrap()
}

/// Rows of three elements: `first`, `first + 1`, ..
fn rows(count: usize, first: f32) -> Tensor {
    Tensor::from_fn(&f32s(&[count, 3]), |i| ir::Scalar::F32(first + (i / 3) as f32))
}

/// The first element of each row of an output.
fn heads(exe: &Executable, name: &str) -> Vec<f32> {
    exe.output(name).unwrap().as_slice::<f32>().unwrap().iter().copied().step_by(3).collect()
}

#[test]
fn rows_of_inputs_outputs_and_states_move_with_the_iterations() {
    let slots =
        "slot %xs : f32[5, 3] = input  slot %x.t : f32[3] = %xs[t]  slot %s : f32[2, 3] = state constant(1)
        slot %s.first : f32[3] = %s[0]  slot %s.last : f32[3] = %s[1]  slot %ys : f32[5, 3] = output";
    let forwards =
        "slot %y.before : f32[3] = %ys[t-1]  slot %y.t : f32[3] = %ys[t]  slot %y.first : f32[3] = %ys[4]";
    let backwards =
        "slot %y.before : f32[3] = %ys[t+1]  slot %y.t : f32[3] = %ys[t]  slot %y.first : f32[3] = %ys[0]";
    for (parts, reversed) in [(forwards, ""), (backwards, "reversed")] {
        let steps = format!(
            "steps {{ copy %s.last -> %y.first  loop 5 {reversed} {{ call @add(%x.t, %y.before, %y.t) }}
             copy %y.first -> %s.first }}"
        );
        for threads in [1, 2] {
            let mut exe = program(&format!("{slots} {parts}"), &steps, threads);
            let mut states = [State::new(exe.plan(), 0).unwrap(), State::new(exe.plan(), 0).unwrap()];
            states[1].set("s", &rows(2, 100.0)).unwrap();
            // Other addresses of inputs and states in each run.
            for (state, first, sum) in [(0, 0.0, 1.0), (1, 10.0, 101.0), (0, 20.0, 1.0)] {
                let xs = rows(5, first);
                exe.run(&mut states[state], &[&xs]).unwrap();
                let mut expected: Vec<f32> = Vec::new();
                for t in 0..5 {
                    let t = if reversed.is_empty() { t } else { 4 - t };
                    expected.push(expected.last().unwrap_or(&sum) + first + t as f32);
                }
                if !reversed.is_empty() {
                    expected.reverse();
                }
                assert_eq!(heads(&exe, "ys"), expected, "{reversed} {threads}");
                let last = if reversed.is_empty() { expected[4] } else { expected[0] };
                let held = states[state].get("s").unwrap();
                assert_eq!([0, 3].map(|i| held.get(i).as_f64()), [f64::from(last), f64::from(sum)]);
            }
        }
    }
}

#[test]
fn loops_within_loops_have_iterations_of_their_own() {
    let slots =
        "slot %xs : f32[2, 3, 3] = input  slot %x.t : f32[3, 3] = %xs[t]  slot %x.tk : f32[3] = %x.t[t1-1]
        slot %turns : f32[2, 3] = at 64  slot %old : f32[3] = %turns[t1]  slot %next : f32[3] = %turns[t1+1]
        slot %first : f32[3] = %turns[0]  slot %last : f32[3] = %turns[1]
        slot %zero : f32[3] = constant 0.0  slot %ys : f32[2, 3] = output  slot %y.t : f32[3] = %ys[t]";
    let steps = "steps { loop 2 { copy %zero -> %first  loop 3 { call @add(%old, %x.tk, %next) }
        copy %last -> %y.t } }";
    let mut exe = program(slots, steps, 2);
    let xs = Tensor::from_fn(&f32s(&[2, 3, 3]), |i| ir::Scalar::F32((i / 3) as f32));
    exe.set_profiling(true);
    exe.run(&mut State::empty(), &[&xs]).unwrap();
    assert_eq!(heads(&exe, "ys"), [0.0 + 1.0 + 2.0, 3.0 + 4.0 + 5.0]);
    let calls: Vec<(String, u64)> =
        exe.kernel_times().into_iter().map(|time| (time.name, time.calls)).collect();
    assert_eq!(calls, [("add".to_owned(), 6), ("copy".to_owned(), 4)]);
}

#[test]
fn a_loop_that_prepares_runs_when_states_have_changed() {
    let slots =
        "slot %s : f32[3, 3] = state constant(2)  slot %s.t : f32[3] = %s[t]  slot %x : f32[3] = input
        slot %d : f32[3, 3] = at 0  slot %d.t : f32[3] = %d[t]  slot %d.last : f32[3] = %d[2]
        slot %y : f32[3] = output";
    let steps = "prepare { loop 3 { call @add(%s.t, %s.t, %d.t) } } steps { call @add(%d.last, %x, %y) }";
    let mut exe = program(slots, steps, 1);
    let mut state = State::new(exe.plan(), 0).unwrap();
    exe.set_profiling(true);
    let mut run = |state: &mut State| {
        exe.run(state, &[&Tensor::splat([3], ir::Scalar::F32(1.0))]).unwrap();
        (heads(&exe, "y")[0], exe.kernel_times()[0].calls)
    };
    assert_eq!(run(&mut state), (5.0, 4));
    assert_eq!(run(&mut state), (5.0, 5));
    state.set("s", &rows(3, 7.0)).unwrap();
    assert_eq!(run(&mut state), (19.0, 9));
}

#[test]
fn a_program_whose_loop_writes_a_state_does_not_infer() {
    let slots =
        "slot %s : f32[2, 3] = state constant(2)  slot %s.t : f32[3] = %s[t]  slot %y : f32[3] = output";
    let mut exe = program(slots, "steps { loop 2 { call @add(%s.t, %s.t, %s.t) copy %s.t -> %y } }", 1);
    let mut state = State::new(exe.plan(), 0).unwrap();
    assert!(matches!(exe.infer(&state, &[]), Err(RunError::WritesState { .. })));
    exe.run(&mut state, &[]).unwrap();
    assert_eq!(state.get("s").unwrap().as_slice::<f32>().unwrap(), [4.0; 6]);
}

/// `cargo test --release -p nnc-runtime --lib move -- --ignored --nocapture`
#[test]
#[ignore = "prints what an iteration costs"]
fn print_the_time_of_an_iteration_and_of_a_move() {
    /// Does nothing.
    unsafe extern "C" fn nothing(_: *const *mut u8, _: *mut u8, _: u64, _: u64) {}
    let slots = "slot %xs : f32[999, 3] = input  slot %ys : f32[1000, 3] = output  slot %turns : f32[2, 3] = at 0
        slot %x : f32[3] = %xs[0]  slot %y : f32[3] = %ys[0]  slot %u : f32[3] = %turns[0]  slot %u.next : f32[3] = %turns[1]
        slot %x.t : f32[3] = %xs[t]  slot %y.t : f32[3] = %ys[t]  slot %y.next : f32[3] = %ys[t+1]
        slot %v : f32[3] = %turns[t]  slot %v.next : f32[3] = %turns[t+1]  slot %w : f32[3] = %xs[t+7]";
    let bodies = [
        ("no move", "call @add(%x, %u, %u.next)"),
        ("three rows", "call @add(%x.t, %y.t, %y.next)"),
        ("a row, and two in turns", "call @add(%x.t, %v, %v.next)"),
        ("a row that wraps around, and two in turns", "call @add(%w, %v, %v.next)"),
    ];
    for (what, body) in bodies {
        let steps = format!("steps {{ copy %x -> %u  copy %x -> %y  loop 999 {{ {body} }} }}");
        let plan = program(slots, &steps, 1).plan.clone();
        let machine = Machine { function: nothing, chunks: 1, scratch_bytes: 0, time_ns: 1.0 };
        let pool = Arc::new(Pool::new(1).unwrap());
        let mut exe = Executable::assemble(plan, [machine].into(), None, pool, false).unwrap();
        let (mut state, xs) = (State::empty(), rows(999, 0.0));
        let mut best = f64::INFINITY;
        for _ in 0..2000 {
            let start = Instant::now();
            exe.run(&mut state, &[&xs]).unwrap();
            best = best.min(start.elapsed().as_secs_f64());
        }
        println!("{what}: {:.2} ns per iteration", best * 1e9 / 999.0);
    }
}
