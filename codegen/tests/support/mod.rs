//! Running kernels that are given as text.
#![allow(unsafe_code, reason = "calling compiled kernels")]

use codegen::{Target, compile};
use ir::{Plan, VerifiedPlan};

/// Memory of a kernel's parameter: `f32` in 64-byte lines, with more behind it that must stay as it is.
struct Buffer {
    lines: Vec<[u64; 8]>,
    len: usize,
}

const GUARD: u64 = 0x7fc1_2345_7fc1_2345;

impl Buffer {
    fn new(values: &[f32]) -> Buffer {
        let mut lines = vec![[GUARD; 8]; values.len().div_ceil(16) + 2];
        bytes_mut(&mut lines)[..4 * values.len()].copy_from_slice(&bytes(values));
        Buffer { lines, len: values.len() }
    }

    fn values(&self) -> Vec<f32> {
        let words = self.lines.as_flattened().iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let all: Vec<f32> =
            words.chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])).collect();
        let guard = (GUARD as u32).to_le_bytes();
        assert!(
            all[self.len..].iter().all(|x| x.to_le_bytes() == guard),
            "a kernel has written behind its buffer"
        );
        all[..self.len].to_vec()
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn bytes_mut(lines: &mut [[u64; 8]]) -> &mut [u8] {
    let words = lines.as_flattened_mut();
    // SAFETY: any bits are a `u64`, and the length is that of the words.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), 8 * words.len()) }
}

/// Numbers of both signs and many exponents, the same for the same seed.
pub fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..len)
        .map(|_| ((next() >> 40) as f32 / 8_388_608.0 - 1.0) * ((next() % 17) as f32 - 8.0).exp2())
        .collect()
}

/// Runs a kernel on a target, chunk by chunk from the last to the first; what is in the buffers then.
pub fn run(text: &str, target: &Target, buffers: &[Vec<f32>]) -> Vec<Vec<f32>> {
    run_shares(text, target, buffers, |chunks| (0..chunks).rev().map(|chunk| (chunk, chunk + 1)).collect())
}

/// Runs a kernel on a target share by share, where `shares` gives the first chunk and the end of each of them for a number of
/// chunks; what is in the buffers then.
pub fn run_shares(
    text: &str,
    target: &Target,
    buffers: &[Vec<f32>],
    shares: impl Fn(u64) -> Vec<(u64, u64)>,
) -> Vec<Vec<f32>> {
    let kernel = ir::text::parse_kernel(text).expect("the kernel is well-formed");
    let plan = VerifiedPlan::new(Plan::of_kernel(kernel)).expect("the kernel holds");
    let code = compile(&plan, target).expect("it compiles");
    let entry = &code.entries()[0];
    let mut buffers: Vec<Buffer> = buffers.iter().map(|values| Buffer::new(values)).collect();
    let mut args: Vec<*mut u8> = buffers.iter_mut().map(|buffer| buffer.lines.as_mut_ptr().cast()).collect();
    // Whatever is there must not matter.
    let mut scratch = vec![[GUARD; 8]; entry.scratch_bytes.div_ceil(64)];
    for (begin, end) in shares(entry.chunks) {
        // SAFETY: the kernel has a buffer per parameter, each as large as its type, and the scratch memory it asks for.
        unsafe { (entry.function)(args.as_mut_ptr().cast_const(), scratch.as_mut_ptr().cast(), begin, end) };
    }
    buffers.iter().map(Buffer::values).collect()
}
