//! After the first runs, a run allocates nothing: counted by the allocator of this test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![allow(unsafe_code, reason = "an allocator that counts is unsafe to implement")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ir::{AxisOrder, Place, Plan, Tensor, VerifiedPlan};
use runtime::{Executable, Pool, State};

/// The system's allocator, and how often it was asked for memory.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A product, an update in place, and an output, with kernels large enough to run on two threads.
const PLAN: &str = "plan @p {
  arena 262144
  slot %x : f32[256, 256] = input
  slot %w : f32[256, 256] = state constant(1)
  slot %t : f32[256, 256] = at 0
  slot %y : f32[256, 256] = output
  kernel @product(%a: f32[256, 256], %b: f32[256, 256]) -> (%c: f32[256, 256]) {
    for i in 256, j in 256 {
      %r = reduce add k in 256 { %p = load %a[i, k]  %q = load %b[k, j]  %m = mul %p, %q  yield %m }
      store %r, %c[i, j]
    }
  }
  kernel @blend(%a: f32[256, 256], %b: f32[256, 256]) -> (%c: f32[256, 256]) {
    for i in 256, j in 256 {
      %p = load %a[i, j]  %q = load %b[i, j]  %e = exp %p  %m = mul %e, %q  store %m, %c[i, j]
    }
  }
  steps {
    call @product(%x, %w, %t)
    call @blend(%w, %t, %w)
    copy %w -> %y
  }
}";

/// As `PLAN`, with sixteen rows of a state that are blended and summed in loops, one within the other.
const LOOPS: &str = "plan @p {
  arena 524288
  slot %x : f32[256, 256] = input
  slot %x.t : f32[4, 16, 256] = %xs[t]
  slot %xs : f32[4, 4, 16, 256] = at 0
  slot %x.tk : f32[16, 256] = %x.t[t1-1]
  slot %w : f32[17, 16, 256] = state constant(1)
  slot %w.before : f32[16, 256] = %w[t1]
  slot %w.t : f32[16, 256] = %w[t1+1]
  slot %y : f32[17, 16, 256] = output
  kernel @blend(%a: f32[16, 256], %b: f32[16, 256]) -> (%c: f32[16, 256]) {
    for i in 16, j in 256 {
      %p = load %a[i, j]  %q = load %b[i, j]  %e = exp %p  %m = mul %e, %q  store %m, %c[i, j]
    }
  }
  steps {
    copy %x -> %xs
    loop 4 reversed {
      loop 16 { call @blend(%x.tk, %w.before, %w.t) }
    }
    copy %w -> %y
  }
}";

#[test]
fn a_run_allocates_nothing_after_warm_up() {
    let [plan, loops] = [PLAN, LOOPS].map(|source| {
        let plan =
            ir::text::parse_plan(source).unwrap_or_else(|error| panic!("{}", error.render(source, "PLAN")));
        VerifiedPlan::new(plan).unwrap()
    });
    // One target after the other: the count is that of the process.
    for target in codegen::Target::available() {
        check(&plan, &target);
        check(&loops, &target);
        check_inference(&plan, &target);
    }
}

fn check(plan: &VerifiedPlan, target: &codegen::Target) {
    let code = codegen::compile(plan, target).unwrap();
    let mut state = State::new(plan, 0).unwrap();
    let mut program = Executable::new(code, Arc::new(Pool::new(2).unwrap())).unwrap();
    check_runs(&mut program, target, |program, x| program.run(&mut state, &[x]).unwrap());
}

/// The product alone, of a weight whose axes lie in another order than the program wants.
fn check_inference(plan: &VerifiedPlan, target: &codegen::Target) {
    let state = State::new(plan, 0).unwrap();
    let mut infers = Plan::clone(plan);
    infers.steps.truncate(1);
    infers.kernels.truncate(1);
    infers.slots[2].place = Place::Output;
    infers.slots.truncate(3);
    let Place::State { order, .. } = &mut infers.slots[1].place else { panic!("a state") };
    *order = AxisOrder::new(&[1, 0]);
    let code = codegen::compile(&VerifiedPlan::new(infers).unwrap(), target).unwrap();
    let mut program = Executable::new(code, Arc::new(Pool::new(2).unwrap())).unwrap();
    check_runs(&mut program, target, |program, x| program.infer(&state, &[x]).unwrap());
}

fn check_runs(
    program: &mut Executable,
    target: &codegen::Target,
    mut run: impl FnMut(&mut Executable, &Tensor),
) {
    let inputs = [0.001f32, 0.002].map(|value| Tensor::splat([256, 256], ir::Scalar::F32(value)));
    for _ in 0..20 {
        run(program, &inputs[0]);
        std::thread::sleep(Duration::from_millis(2)); // so that the worker has started, and has parked
    }
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    for number in 0..100 {
        run(program, &inputs[number % 2]); // another address in each run
    }
    assert_eq!(ALLOCATIONS.load(Ordering::SeqCst) - before, 0, "{}", target.name);
    assert_eq!(program.outputs().len(), 1);
}
