//! Tensors of another dtype with the same numbers.

use ir::{DType, Scalar, Tensor, Type};

use crate::{Error, memory};

/// The tensor with its elements as `dtype`, which has all of them; `subject` is what an error calls it.
///
/// ```
/// use nnc::ir::{DType, Tensor};
/// use nnc::npy::converted;
/// let pixels = Tensor::new([2], vec![0i32, 255]).expect("two");
/// let floats = converted(&pixels, DType::F32, "x.npy")?;
/// assert_eq!(floats.as_slice::<f32>(), Some(&[0.0, 255.0][..]));
/// let halves = Tensor::new([1], vec![0.5f32]).expect("one");
/// let error = converted(&halves, DType::I64, "x.npy").unwrap_err().to_string();
/// assert_eq!(error, "x.npy: element 0 is 0.5, which i64 has not; give numbers that it has: numpy's astype rounds to them");
/// # Ok::<(), nnc::Error>(())
/// ```
///
/// # Errors
/// Where an element is one that `dtype` has not: a number between, or beyond its own. NaN and infinities are floating-point numbers.
pub fn converted(tensor: &Tensor, dtype: DType, subject: &str) -> Result<Tensor, Error> {
    if tensor.dtype() == dtype {
        return Ok(tensor.clone());
    }
    let ty = Type { dtype, shape: tensor.shape().clone() };
    memory::check(subject, ty.size_bytes())?;
    let count = ty.shape.elements();
    if let Some(at) = (0..count).find(|&at| same(tensor.get(at), dtype).is_none()) {
        let element = match tensor.get(at) {
            Scalar::F32(x) => format!("{x:?}"),
            Scalar::F64(x) => format!("{x:?}"),
            Scalar::I32(x) => x.to_string(),
            Scalar::I64(x) => x.to_string(),
            Scalar::Bool(x) => x.to_string(),
        };
        let problem = format!("element {at} is {element}, which {dtype} has not");
        let help = "give numbers that it has: numpy's astype rounds to them";
        return Err(Error::invalid(subject, problem, help));
    }
    Ok(Tensor::from_fn(&ty, |at| same(tensor.get(at), dtype).expect("it was looked for")))
}

/// The same number as another dtype has it.
fn same(element: Scalar, dtype: DType) -> Option<Scalar> {
    let integer = match element {
        Scalar::Bool(x) => Some(i64::from(x)),
        Scalar::I32(x) => Some(x.into()),
        Scalar::I64(x) => Some(x),
        Scalar::F32(x) => whole(x.into()),
        Scalar::F64(x) => whole(x),
    };
    let float = match element {
        Scalar::F32(x) => Some(f64::from(x)),
        Scalar::F64(x) => Some(x),
        _ => None,
    };
    Some(match dtype {
        DType::Bool => Scalar::Bool(match integer? {
            0 => false,
            1 => true,
            _ => return None,
        }),
        DType::I32 => Scalar::I32(integer?.try_into().ok()?),
        DType::I64 => Scalar::I64(integer?),
        DType::F32 => Scalar::F32(match (float, integer) {
            (Some(x), _) => Some(x as f32).filter(|&y| f64::from(y) == x || x.is_nan())?,
            (None, x) => x.map(|x| (x, x as f32)).filter(|&(x, y)| y as i128 == i128::from(x))?.1,
        }),
        DType::F64 => Scalar::F64(match (float, integer) {
            (Some(x), _) => x,
            (None, x) => x.map(|x| (x, x as f64)).filter(|&(x, y)| y as i128 == i128::from(x))?.1,
        }),
    })
}

/// The integer that a floating-point number is. The negative zero is no integer.
fn whole(x: f64) -> Option<i64> {
    let is_integer = x.fract() == 0.0 && (x != 0.0 || x.is_sign_positive());
    // 2^63 is the first that i64 has not, and -2^63 the last that it has.
    let bound = 9_223_372_036_854_775_808.0;
    (is_integer && (-bound..bound).contains(&x)).then_some(x as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(element: Scalar, dtype: DType) -> Option<Scalar> {
        same(element, dtype)
    }

    #[test]
    fn numbers_stay_what_they_are_or_are_refused() {
        assert_eq!(of(Scalar::I64(1 << 24), DType::F32), Some(Scalar::F32(16_777_216.0)));
        assert_eq!(of(Scalar::I64((1 << 24) + 1), DType::F32), None);
        assert_eq!(of(Scalar::I64(i64::MAX), DType::F64), None);
        assert_eq!(of(Scalar::I64(i64::MIN), DType::F64), Some(Scalar::F64(-9_223_372_036_854_775_808.0)));
        assert_eq!(of(Scalar::F64(9_223_372_036_854_775_808.0), DType::I64), None);
        assert_eq!(of(Scalar::F64(-9_223_372_036_854_775_808.0), DType::I64), Some(Scalar::I64(i64::MIN)));
        assert_eq!(of(Scalar::F64(0.1), DType::F32), None);
        assert_eq!(of(Scalar::F64(0.5), DType::F32), Some(Scalar::F32(0.5)));
        assert_eq!(of(Scalar::F64(1e300), DType::F32), None);
        assert_eq!(of(Scalar::F64(f64::INFINITY), DType::F32), Some(Scalar::F32(f32::INFINITY)));
        assert!(matches!(of(Scalar::F64(f64::NAN), DType::F32), Some(Scalar::F32(x)) if x.is_nan()));
        assert_eq!(of(Scalar::F32(0.1), DType::F64), Some(Scalar::F64(0.1f32.into())));
        assert_eq!(of(Scalar::F32(-0.0), DType::I64), None);
        assert_eq!(of(Scalar::I64(1 << 31), DType::I32), None);
        assert_eq!(of(Scalar::F32(f32::NAN), DType::I32), None);
        assert_eq!(of(Scalar::I32(1), DType::Bool), Some(Scalar::Bool(true)));
        assert_eq!(of(Scalar::I32(2), DType::Bool), None);
        assert_eq!(of(Scalar::Bool(true), DType::F32), Some(Scalar::F32(1.0)));
    }
}
