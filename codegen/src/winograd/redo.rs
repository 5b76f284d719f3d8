//! What is not done by Winograd's algorithm after all: results whose transformed sums are not finite, or so large that the last
//! transform might overflow, are computed once more, as the sums of products that they are.
//!
//! A transform adds and subtracts all elements of a tile. So an infinity or a NaN in an image would spoil results that do not
//! depend on it, and a number near the largest one would overflow where the direct sum does not. Both show in the transformed
//! sums, whose greatest magnitude the transforms along the rows keep. The test comes before the epilogue, which may
//! overwrite what it reads. What is redone together depends on the shape alone, so bits do not depend on threads.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

use crate::emit::{Emitter, memory};
use crate::wide::Isa;
use crate::wide::transform::magnitude_bits;

/// Sums below this do not overflow in the last transform, which makes them at most 8.6 times as large: no row of
/// [`ir::winograd::OUTPUT`] or transposed [`ir::winograd::FILTER`] has a greater sum of magnitudes.
const SAFE: f32 = (1_u128 << 124) as f32;

/// Forgets the greatest magnitudes.
pub fn clear(emitter: &mut Emitter<'_, '_>, isa: Isa, greatest: Value) {
    super::steps::zero(emitter, greatest, 0, isa.vector_bytes() as i64);
}

/// Emits `redone` where a magnitude is not below [`SAFE`], and `done` elsewhere.
pub fn choose(
    emitter: &mut Emitter<'_, '_>,
    isa: Isa,
    greatest: Value,
    done: &mut dyn FnMut(&mut Emitter<'_, '_>),
    redone: &mut dyn FnMut(&mut Emitter<'_, '_>),
) {
    let b = &mut *emitter.b;
    let parts: Vec<Value> = (0..isa.vector_bytes() as i32 / 16)
        .map(|part| b.ins().load(types::I32X4, memory::flags(), greatest, 16 * part))
        .collect();
    let all = parts.into_iter().reduce(|x, y| b.ins().umax(x, y)).expect("a vector has parts");
    let limit = b.ins().iconst(types::I32, i64::from(magnitude_bits(SAFE)));
    let limit = b.ins().splat(types::I32X4, limit);
    let is_large = b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, all, limit);
    let is_any = b.ins().vany_true(is_large);
    let [once_more, usual, after] = [(); 3].map(|()| b.create_block());
    b.set_cold_block(once_more);
    b.ins().brif(is_any, once_more, &[], usual, &[]);
    emitter.b.switch_to_block(usual);
    done(emitter);
    emitter.b.ins().jump(after, &[]);
    emitter.b.switch_to_block(once_more);
    redone(emitter);
    emitter.b.ins().jump(after, &[]);
    emitter.b.switch_to_block(after);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::winograd::{FILTER, OUTPUT, POINTS, TAPS};

    #[test]
    fn sums_that_are_safe_do_not_overflow_in_the_last_transform() {
        let of_outputs = OUTPUT.iter().map(|row| row.iter().map(|x| x.abs()).sum::<f32>());
        let of_taps = (0..TAPS).map(|tap| (0..POINTS).map(|point| FILTER[point][tap].abs()).sum::<f32>());
        let greatest = of_outputs.chain(of_taps).fold(0.0, f32::max);
        assert!(greatest < 8.6 && (SAFE * greatest).is_finite());
    }

    #[test]
    fn magnitudes_are_in_the_order_of_numbers() {
        let ascending = [0.0, -1e-45, 1.0, -1.5, SAFE, f32::MAX, f32::NEG_INFINITY, f32::NAN];
        assert!(ascending.is_sorted_by_key(|&x| magnitude_bits(x)));
        assert_eq!(magnitude_bits(-0.0), 0);
    }
}
