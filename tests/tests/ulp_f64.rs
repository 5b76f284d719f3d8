//! `f64` functions that are not exact, in machine code on every target, where sweeps found their greatest errors, and at the
//! angles that are hardest to reduce.
//!
//! The exact values are given as sums of two numbers, computed with 1,400 bits (mpmath 1.3).

use ir::{Builder, DType, ScalarFn, Tensor};
use nnc::State;
use tests::targets::{for_each_target, options_for};
use tests::worst::WORST;

/// What `f64` functions are off by at most, in units in the last place.
const BOUND: f64 = 3.0;

/// Functions, operands, and what they are exactly: a number and what is left.
#[rustfmt::skip]
const VALUES: &[(ScalarFn, &[f64], f64, f64)] = &[
    (ScalarFn::Exp, &[-3.8187845463860235], 0.021954469322940946, 5.861601842730842e-19),
    (ScalarFn::Exp, &[294.3146522796176], 6.5952221444749e127, -1.9954447213559517e111),
    (ScalarFn::Exp, &[256.19612115128996], 1.8389151933969993e111, -5.806290905553472e94),
    (ScalarFn::Exp, &[3.8788451964627395], 48.368326892635864, -1.557326467898946e-15),
    (ScalarFn::Expm1, &[0.38785871878309575], 0.47382154627687045, -9.756772420736023e-18),
    (ScalarFn::Expm1, &[0.34870667379704656], 0.4172334176693539, -8.691970100091878e-18),
    (ScalarFn::Expm1, &[0.36366242065083476], 0.43858849441052117, -8.023145082570636e-18),
    (ScalarFn::Expm1, &[0.3483893776602436], 0.4167838063147244, -6.318478799192541e-18),
    (ScalarFn::Log, &[0.6260514088091852], -0.4683227885555438, 1.2115651367262325e-17),
    (ScalarFn::Log, &[0.7037778948977315], -0.35129246280368426, -1.297116726932139e-17),
    (ScalarFn::Log, &[1.279112816592677], 0.2461667255813578, -6.705640237721172e-18),
    (ScalarFn::Log, &[1.5828959517073125], 0.45925605018989907, 1.407280325895234e-17),
    (ScalarFn::Log1p, &[0.45163856229980676], 0.3726929613799284, 4.341785724176944e-18),
    (ScalarFn::Log1p, &[0.4707265263471681], 0.3857565143067713, 2.8474708169351738e-18),
    (ScalarFn::Log1p, &[0.455257405644449], 0.37518279607237454, 2.351136660809842e-18),
    (ScalarFn::Log1p, &[0.41570997179357655], 0.3476311521129231, -3.676503427191615e-20),
    (ScalarFn::Tanh, &[0.48752982764452746], 0.4522536897366052, 1.2460190156091203e-17),
    (ScalarFn::Tanh, &[-0.493031486828035], -0.45661916986679885, -1.597549406075891e-17),
    (ScalarFn::Tanh, &[0.19745587289316102], 0.19492908162534592, 9.387174546962014e-18),
    (ScalarFn::Tanh, &[-0.5020820409836224], -0.46375299738934594, 1.9126864951469286e-17),
    (ScalarFn::Sigmoid, &[-0.000291170579227326], 0.49992720735570745, 2.338194325068273e-18),
    (ScalarFn::Sigmoid, &[-1.4933526628070514e-8], 0.49999999626661834, 2.3589049366044384e-18),
    (ScalarFn::Sigmoid, &[-0.002434854207997064], 0.4993912867487312, -2.943345024913485e-18),
    (ScalarFn::Sigmoid, &[-4.3694781101637837e-5], 0.49998907630472633, -3.480167087796715e-18),
    (ScalarFn::Erf, &[-1.0011196507696238], -0.8431650481868372, -1.1108252546803009e-17),
    (ScalarFn::Erf, &[-1.0359880376012176], -0.8571086365308199, -1.3531549175100027e-17),
    (ScalarFn::Erf, &[-1.0180580674930015], -0.8500622902012723, -4.733638882623183e-17),
    (ScalarFn::Erf, &[1.0236701909747064], 0.852295747355555, 2.7529075570663166e-17),
    (ScalarFn::Sin, &[1.3281911939179658e203], -0.2479367368240201, 9.334319205698348e-18),
    (ScalarFn::Sin, &[1879539251.3148794], -0.49274483382229134, -1.8435074414383394e-17),
    (ScalarFn::Sin, &[-13.087317646628275], -0.4977017676693305, 1.7634111177432416e-17),
    (ScalarFn::Sin, &[137.7273129683234], -0.48184915804546713, 1.6627502932697773e-17),
    (ScalarFn::Sin, &[5.319372648326541e255], 1.0, -1.098476220074687e-37),
    (ScalarFn::Sin, &[1e20], -0.6452512852657808, -5.0185382399526676e-17),
    (ScalarFn::Sin, &[1e22], -0.8522008497671888, -6.7806825896773284e-18),
    (ScalarFn::Sin, &[1.7976931348623157e308], 0.004961954789184062, -2.5049377676494104e-19),
    (ScalarFn::Sin, &[1073741824.0], -0.6173264150460421, -3.8969684709160755e-17),
    (ScalarFn::Sin, &[1073741824.0000002], -0.6173262274804302, -3.789670389611317e-18),
    (ScalarFn::Sin, &[std::f64::consts::PI], 1.2246467991473532e-16, -2.99476980971834e-33),
    (ScalarFn::Cos, &[741505.9251475026], -0.49992284247454766, 2.1250665132055778e-17),
    (ScalarFn::Cos, &[595606375047.0928], 0.24942311181755952, -8.874892609644794e-18),
    (ScalarFn::Cos, &[4960005805.235709], -0.4940400979136079, 1.738223445067427e-17),
    (ScalarFn::Cos, &[91733159.81753626], 0.48395303231062087, 1.7278012647805698e-17),
    (ScalarFn::Cos, &[5.319372648326541e255], -4.687165924254628e-19, 4.3720557429382733e-36),
    (ScalarFn::Cos, &[1e20], 0.7639704044417283, 4.349442753957891e-17),
    (ScalarFn::Cos, &[1e22], 0.523214785395139, -4.7143201076575164e-17),
    (ScalarFn::Cos, &[1.7976931348623157e308], -0.9999876894265599, -2.6032890267216748e-17),
    (ScalarFn::Cos, &[1073741824.0], 0.7867071229411882, -4.425992365508206e-17),
    (ScalarFn::Cos, &[1073741824.0000002], 0.7867072701232525, -6.502859394426124e-19),
    (ScalarFn::Cos, &[std::f64::consts::FRAC_PI_2], 6.123233995736766e-17, -1.4973849048591698e-33),
    (ScalarFn::Rsqrt, &[0.4945293447976128], 1.422014308631846, 3.466741715152634e-17),
    (ScalarFn::Rsqrt, &[2.45054736325524e-32], 6388052101077284.0, 0.16940496610878228),
    (ScalarFn::Rsqrt, &[7.292893913400629], 0.3702968792336705, 9.583219045533635e-18),
    (ScalarFn::Rsqrt, &[0.1159280643309452], 2.937011910857532, 7.679827733465061e-17),
    (ScalarFn::Pow, &[1.4498715755149312, -1316.226223037629], 4.506450417525231e-213, 4.550516601006422e-230),
    (ScalarFn::Pow, &[1.0743404553261238e-283, -1.0272366162867879], 4.7421171488845346e290, -5.840199532994384e273),
    (ScalarFn::Pow, &[0.4813468089255308, -495.35465571531836], 1.9763325646099216e157, 3.031865487045547e140),
    (ScalarFn::Pow, &[0.9999372937643041, -6992541.5916573275], 2.7143205233235033e190, 4.038859911269923e173),
];

/// The distance of `found` from `high + low` in units in the last place of `f64` at `high`.
fn ulps(found: f64, high: f64, low: f64) -> f64 {
    const MANTISSA: i32 = 52;
    let exponent = ((high.abs().to_bits() >> MANTISSA) as i32 - 1023).max(-1022);
    let unit = f64::from(exponent - MANTISSA).exp2();
    ((found - high) / unit - low / unit).abs()
}

#[test]
fn the_hardest_f64_operands_have_the_errors_that_are_stated() {
    for_each_target(|target| {
        for &(function, operands, high, low) in VALUES {
            let mut b = Builder::new("hard");
            let values: Vec<_> = (0..operands.len())
                .map(|i| b.input(&format!("x{i}"), DType::F64, [1]).expect("a new name"))
                .collect();
            let y = b.apply(function, &values).expect("floats");
            b.output("y", y).expect("the only output");
            let mut executable = nnc::compile(&b.finish(), &options_for(target)).expect("one kernel");
            let mut state = State::new(executable.plan(), 0).expect("no states");
            let tensors: Vec<Tensor> =
                operands.iter().map(|&x| Tensor::new([1], vec![x]).expect("one element")).collect();
            executable.run(&mut state, &tensors.iter().collect::<Vec<_>>()).expect("the inputs fit");
            let found = executable.output("y").and_then(|y| y.as_slice::<f64>()).expect("floats")[0];
            let ulp = ulps(found, high, low);
            let name = function.name();
            assert!(ulp <= BOUND, "{name} of {operands:?}: {found:e}, {ulp} ulp");
            let stated = WORST.iter().find(|worst| {
                worst.function == function && worst.dtype == DType::F64 && worst.operands == operands
            });
            if let Some(worst) = stated {
                assert!((ulp - worst.ulp).abs() < 1e-3, "{name} of {operands:?}: {ulp} ulp");
            }
        }
    });
}

#[test]
fn the_worst_operands_of_every_function_are_among_them() {
    for worst in WORST.iter().filter(|worst| worst.dtype == DType::F64) {
        let is_known =
            |entry: &&(ScalarFn, &[f64], f64, f64)| entry.0 == worst.function && entry.1 == worst.operands;
        assert!(VALUES.iter().any(|entry| is_known(&entry)), "{}", worst.function.name());
        assert!(worst.ulp <= BOUND, "{}", worst.function.name());
    }
}
