//! Buffers need be aligned to their elements alone.

#![allow(unsafe_code, reason = "running machine code")]

use codegen::Target;
use ir::{Plan, VerifiedPlan};

/// Some wide vectors, one of four lanes, and single elements.
const COUNT: usize = 71;
type Compare = fn(f32, f32) -> bool;

const KERNEL: &str = "kernel @choose(%x: f32[71], %y: f32[71], %a: f32[71], %b: f32[71]) -> (%out: f32[71]) {
  for i in 71 {
    %0 = load %a[i]
    %1 = load %b[i]
    %2 = load %x[i]
    %3 = load %y[i]
    %4 = COMPARE %2, %3
    %5 = select %4, %0, %1
    store %5, %out[i]
  }
}";

#[test]
fn comparisons_read_operands_that_are_not_aligned_to_vectors() {
    let data: Vec<f32> = (0..COUNT + 20).map(|i| (i * 7 % 13) as f32).collect();
    for target in Target::available() {
        let compares: [(&str, Compare); 4] =
            [("lt", |x, y| x < y), ("le", |x, y| x <= y), ("gt", |x, y| x > y), ("eq", |x, y| x == y)];
        for (name, compare) in compares {
            let kernel =
                ir::text::parse_kernel(&KERNEL.replace("COMPARE", name)).expect("the kernel is valid");
            for first in 0..4 {
                let out = run(&kernel, &target, &data[first..]);
                let expected = (0..COUNT).map(|i| {
                    let x = &data[first + i..];
                    if compare(x[0], x[5]) { x[2] } else { x[3] }
                });
                assert_eq!(out, expected.collect::<Vec<f32>>(), "{name}, {first}, {}", target.name);
            }
        }
    }
}

/// Runs the kernel on parts of `data` that begin at 0, 5, 2 and 3.
fn run(kernel: &ir::Kernel, target: &Target, data: &[f32]) -> Vec<f32> {
    let plan = VerifiedPlan::new(Plan::of_kernel(kernel.clone())).expect("the kernel holds");
    let code = codegen::compile(&plan, target).expect("it compiles");
    let entry = &code.entries()[0];
    assert_eq!(entry.scratch_bytes, 0, "elementwise kernels need no memory of their own");
    let mut out = vec![0f32; COUNT];
    let [x, y, a, b] = [0, 5, 2, 3].map(|first| data[first..][..COUNT].as_ptr().cast_mut().cast::<u8>());
    let args = [x, y, a, b, out.as_mut_ptr().cast()];
    // SAFETY: the kernel reads and writes `COUNT` elements of each parameter, and has no scratch memory.
    unsafe { (entry.function)(args.as_ptr(), std::ptr::null_mut(), 0, entry.chunks) };
    out
}
