//! Where the functions that are not exact have their greatest errors.
//!
//! For `f32`, functions of one operand were swept over all 2^32 of them, and `pow` over 78 million pairs: with results of
//! all sizes for bases of all sizes and for bases near 1, of random bits, and of integers and halves. For `f64` 60,000
//! random operands per function were compared with a reference of 140 bits: of random bits, of every exponent, and from
//! where the function is not constant.

use ir::{DType, ScalarFn};

/// The operands at which a function has the greatest error that is known.
pub struct Worst {
    /// The function.
    pub function: ScalarFn,
    /// The dtype of operands and result.
    pub dtype: DType,
    /// The operands.
    pub operands: &'static [f64],
    /// The error in units in the last place.
    pub ulp: f64,
}

macro_rules! worst {
    ($($function:ident $dtype:ident $operands:expr => $ulp:literal,)+) => {
        /// For each function that is not exact, an entry for each dtype.
        pub const WORST: &[Worst] = &[$(
            Worst { function: ScalarFn::$function, dtype: DType::$dtype, operands: &$operands, ulp: $ulp },
        )+];
    };
}

worst! {
    Rsqrt F32 [5.87002e-39] => 0.850,
    Rsqrt F64 [0.4945293447976128] => 0.844,
    Exp F32 [-5.848642] => 0.891,
    Exp F64 [-3.8187845463860235] => 0.831,
    Expm1 F32 [5.227424] => 0.978,
    Expm1 F64 [0.38785871878309575] => 1.176,
    Log F32 [0.3740837] => 0.930,
    Log F64 [0.6260514088091852] => 0.782,
    Log1p F32 [0.49999997] => 1.268,
    Log1p F64 [0.45163856229980676] => 1.078,
    Pow F32 [1.0030922, 28699.902] => 0.506,
    Pow F64 [1.4498715755149312, -1316.226223037629] => 0.931,
    Tanh F32 [0.5101782] => 1.908,
    Tanh F64 [0.48752982764452746] => 1.776,
    Sigmoid F32 [-3.449918e-4] => 1.999,
    Sigmoid F64 [-0.000291170579227326] => 1.958,
    Erf F32 [0.94981766] => 1.195,
    Erf F64 [-1.0011196507696238] => 2.900,
    Sin F32 [3948633.5] => 1.536,
    Sin F64 [1.3281911939179658e203] => 1.336,
    Cos F32 [105615.76] => 1.545,
    Cos F64 [741505.9251475026] => 1.383,
}
