//! What inputs hold. It depends on their names and types alone, so a graph in a file is run on the same values again.
//!
//! Floats are uniform in -1..1, integers in -1..5, truth values even. Where the name of a float input begins with one of
//! these words, one element in six is special instead:
//!
//! | word | special elements |
//! |---|---|
//! | `whole` | none, but all elements are integers in -3..4 |
//! | `nan` | NaN |
//! | `inf` | infinities of both signs |
//! | `huge` | numbers near the largest of the dtype, and powers of ten that overflow when squared |
//! | `tiny` | subnormal numbers, and powers of ten that underflow when squared |
//! | `zero` | zeros of both signs |

use std::collections::BTreeMap;

use ir::{DType, Graph, Scalar, Tensor, Type};

use super::Rng;

/// One in this many elements is special.
const SPECIAL: usize = 6;

/// A tensor for each input of a graph.
pub fn inputs(graph: &Graph, seed: u64) -> BTreeMap<String, Tensor> {
    let inputs = graph.inputs().map(|(_, node)| {
        let name = node.name.clone().unwrap_or_default();
        let tensor = tensor(&name, &node.results[0], Rng::of_case(seed, hash(&name)));
        (name, tensor)
    });
    inputs.collect()
}

/// A number for a name, by FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo, "The FNV non-cryptographic hash algorithm").
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

fn tensor(name: &str, ty: &Type, mut rng: Rng) -> Tensor {
    let specials = specials(name, ty.dtype);
    let is_whole = name.starts_with("whole");
    let elements: Vec<Scalar> = (0..ty.shape.elements())
        .map(|_| match ty.dtype {
            DType::F32 | DType::F64 => {
                let is_special = !specials.is_empty() && rng.one_in(SPECIAL);
                let value = match (is_special, is_whole) {
                    (true, _) => rng.pick(&specials),
                    (false, true) => rng.below(7) as f64 - 3.0,
                    (false, false) => 2.0 * rng.unit() - 1.0,
                };
                Scalar::from_f64(ty.dtype, value)
            }
            DType::I32 | DType::I64 => Scalar::from_i64(ty.dtype, rng.below(6) as i64 - 1),
            DType::Bool => Scalar::Bool(rng.one_in(2)),
        })
        .collect();
    Tensor::from_fn(ty, |i| elements[i])
}

/// The special elements that a name asks for.
fn specials(name: &str, dtype: DType) -> Vec<f64> {
    let (max, least, power) = match dtype {
        DType::F32 => (f64::from(f32::MAX), f64::from(f32::from_bits(1)), 25),
        _ => (f64::MAX, f64::from_bits(1), 200),
    };
    let large = 10f64.powi(power);
    match name {
        _ if name.starts_with("nan") => vec![f64::NAN],
        _ if name.starts_with("inf") => vec![f64::INFINITY, f64::NEG_INFINITY],
        _ if name.starts_with("huge") => vec![max, -max, max / 3.0, large, -large, large / 3.0],
        _ if name.starts_with("tiny") => vec![least, -least, least * 1000.0, 1.0 / large, -1.0 / large],
        _ if name.starts_with("zero") => vec![0.0, -0.0],
        _ => vec![],
    }
}
