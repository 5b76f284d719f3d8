//! Fused multiply-add is fused on every target, those without an instruction for it included.

#![allow(unsafe_code, reason = "running machine code")]

use codegen::Target;
use ir::{Access, Affine, DType, Index, Inst, Kernel, Plan, ScalarFn, Stmt, StoreMode, Type, VerifiedPlan};
use smallvec::smallvec;

/// Elements of a run: whole vectors of each width, and odd ones that are computed one by one.
const COUNT: usize = 4096 + 3;

/// `out[i] = fma(x[i], y[i], z[i])`.
fn fma_kernel(dtype: DType) -> Kernel {
    let mut kernel = Kernel::new("fma");
    let ty = Type::new(dtype, [COUNT]);
    let operands = ["x", "y", "z"].map(|name| kernel.buffer(name, ty.clone(), Access::Read));
    let out = kernel.buffer("out", ty, Access::Write);
    let i = kernel.axis("i", COUNT);
    let at = || smallvec![Index { affine: Affine::axis(i), var: None }];
    let loaded = operands.map(|buffer| (kernel.var(dtype), buffer));
    let result = kernel.var(dtype);
    let mut body: Vec<Stmt> = (loaded.iter())
        .map(|&(var, buffer)| Stmt::Let { var, inst: Inst::Load { buffer, indices: at(), fill: None } })
        .collect();
    let operands = loaded.iter().map(|&(var, _)| var).collect();
    body.push(Stmt::Let { var: result, inst: Inst::Apply { function: ScalarFn::Fma, operands } });
    body.push(Stmt::Store { value: result, buffer: out, indices: at(), mode: StoreMode::Set });
    kernel.body.push(Stmt::For { axes: smallvec![i], sequential: false, body });
    kernel
}

/// Runs the kernel on a target.
fn run<T: Copy + Default>(target: &Target, dtype: DType, operands: &[Vec<T>; 3]) -> Vec<T> {
    let plan = VerifiedPlan::new(Plan::of_kernel(fma_kernel(dtype))).expect("the kernel holds");
    let code = codegen::compile(&plan, target).expect("it compiles");
    let entry = &code.entries()[0];
    let mut out = vec![T::default(); COUNT];
    let mut scratch = vec![0u64; entry.scratch_bytes.div_ceil(8) + 8];
    let aligned = scratch.as_mut_ptr().cast::<u8>();
    // SAFETY: at most 63 bytes further there are still `scratch_bytes` bytes.
    let aligned = unsafe { aligned.add(aligned.align_offset(64)) };
    let [x, y, z] = operands.each_ref().map(|operand| operand.as_ptr().cast_mut().cast::<u8>());
    let args = [x, y, z, out.as_mut_ptr().cast()];
    // SAFETY: the kernel reads and writes `COUNT` elements of the dtype in each parameter.
    unsafe { (entry.function)(args.as_ptr(), aligned, 0, entry.chunks) };
    out
}

/// Numbers without a pattern.
fn random_bits() -> impl FnMut() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (state >> 31)
    }
}

/// Operands of every size, special values, and sums that are all but a tie or cancel.
fn f32_operands() -> [Vec<f32>; 3] {
    let special = [0.0, -0.0, 1.0, -1.0, f32::MIN_POSITIVE, 1e-45, f32::MAX, f32::INFINITY, f32::NAN];
    let mut bits = random_bits();
    let mut operands = [vec![], vec![], vec![]];
    for i in 0..COUNT {
        let [mut x, mut y, mut z] = [(); 3].map(|()| f32::from_bits(bits() as u32));
        match i % 6 {
            0 => z = -(x * y),
            1 => {
                // Odd significands of 13 bits: half of the products are a tie that z breaks, often from below the last
                // bit of an `f64`.
                [x, y] = [x, y].map(|value| f32::from_bits(value.to_bits() & 0x807f_f000 | 0x3f80_0800));
                let exponent = 20 + (bits() % 80) as u32;
                z = f32::from_bits(z.to_bits() & 0x8000_0000 | exponent << 23);
            }
            2 => [x, y, z] = [bits(); 3].map(|_| special[bits() as usize % special.len()]),
            3 => z = f32::from_bits((x * y).to_bits() ^ (bits() as u32 & 0x8000_0003)),
            4 => {
                // A subnormal result.
                x = f32::from_bits(x.to_bits() & 0x807f_ffff | 0x2000_0000);
                y = f32::from_bits(y.to_bits() & 0x807f_ffff | 0x1e80_0000);
                z = f32::from_bits(z.to_bits() & 0x8000_ffff);
            }
            _ => {}
        }
        operands.iter_mut().zip([x, y, z]).for_each(|(operand, value)| operand.push(value));
    }
    operands
}

#[test]
fn fma_of_f32_is_rounded_once_on_every_target() {
    let operands = f32_operands();
    for target in Target::available() {
        let found = run(&target, DType::F32, &operands);
        for (i, found) in found.into_iter().enumerate() {
            let [x, y, z] = [0, 1, 2].map(|operand: usize| operands[operand][i]);
            let expected = x.mul_add(y, z);
            let is_same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
            assert!(
                is_same,
                "{}: fma({x:e}, {y:e}, {z:e}) is {found:e} instead of {expected:e}",
                target.name
            );
        }
    }
}

#[test]
fn fma_of_f64_is_rounded_once_on_every_target() {
    let mut bits = random_bits();
    let mut operands = [vec![], vec![], vec![]];
    for i in 0..COUNT {
        let [x, y, z] = [(); 3].map(|()| f64::from_bits(bits()));
        let z = if i % 2 == 0 { -(x * y) } else { z };
        operands.iter_mut().zip([x, y, z]).for_each(|(operand, value)| operand.push(value));
    }
    for target in Target::available() {
        let found = run(&target, DType::F64, &operands);
        for (i, found) in found.into_iter().enumerate() {
            let [x, y, z] = [0, 1, 2].map(|operand: usize| operands[operand][i]);
            let expected = x.mul_add(y, z);
            let is_same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
            assert!(
                is_same,
                "{}: fma({x:e}, {y:e}, {z:e}) is {found:e} instead of {expected:e}",
                target.name
            );
        }
    }
}

#[test]
fn a_sum_that_two_roundings_get_wrong_is_right() {
    // x y = 1 + 2^-12 + 2^-24 + .., a tie of f32 but for the last operand, which f64 cannot hold beside the product.
    let (x, y) = (1.0 + 2.0f32.powi(-12), 1.0 + 2.0f32.powi(-12));
    for z in [2.0f32.powi(-100), -2.0f32.powi(-100)] {
        let operands = [vec![x; COUNT], vec![y; COUNT], vec![z; COUNT]];
        let expected =
            if z > 0.0 { 1.0 + 2.0f32.powi(-11) + 2.0f32.powi(-23) } else { 1.0 + 2.0f32.powi(-11) };
        for target in Target::available() {
            let found = run(&target, DType::F32, &operands);
            assert!(found.iter().all(|&found| found == expected), "{}: {:e}", target.name, found[0]);
        }
    }
}
