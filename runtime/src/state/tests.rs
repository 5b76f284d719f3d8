//! States by name, and in the order in which programs want them.

use super::*;

/// A plan with nothing but these states, all of which start at 2.
fn plan(states: &[(&str, Type)]) -> VerifiedPlan {
    VerifiedPlan::new(unverified(states)).unwrap()
}

fn unverified(states: &[(&str, Type)]) -> Plan {
    let place = state_place(Init::Constant(2.0), AxisOrder::default());
    let slot =
        |(name, ty): &(&str, Type)| Slot { name: (*name).into(), ty: ty.clone(), place: place.clone() };
    Plan {
        name: "p".into(),
        kernels: vec![],
        slots: states.iter().map(slot).collect(),
        prepare: vec![],
        steps: vec![],
        arena_bytes: 0,
        updates: vec![],
    }
}

fn state_place(init: Init, order: AxisOrder) -> Place {
    Place::State { init, order, is_private: false }
}

fn ty(dtype: DType, shape: &[usize]) -> Type {
    Type::new(dtype, shape)
}

#[test]
fn what_is_set_is_what_one_gets_in_every_dtype() {
    let names = DType::ALL.map(|dtype| (dtype.name(), ty(dtype, &[3])));
    let mut state = State::new(&plan(&names), 0).unwrap();
    let values = [
        Tensor::new([3], vec![1.5f32, f32::NAN, -0.0]).unwrap(),
        Tensor::new([3], vec![1.5f64, f64::INFINITY, -0.0]).unwrap(),
        Tensor::new([3], vec![i32::MIN, 0, 7]).unwrap(),
        Tensor::new([3], vec![i64::MAX, 0, 7]).unwrap(),
        Tensor::new([3], vec![true, false, true]).unwrap(),
    ];
    for value in &values {
        state.set(value.dtype().name(), value).unwrap();
        let got = state.get(value.dtype().name()).unwrap();
        assert!((0..3).all(|i| got.get(i) == value.get(i)), "{got:?}");
    }
    assert!(state.iter().map(|(name, _)| name).eq(DType::ALL.map(DType::name)));
}

#[test]
fn adopt_keeps_values_and_adds_what_is_missing() {
    let weight = ("w", ty(DType::F32, &[2]));
    let mut state = State::new(&plan(std::slice::from_ref(&weight)), 0).unwrap();
    state.set("w", &Tensor::new([2], vec![5.0f32, 6.0]).unwrap()).unwrap();
    state.adopt(&plan(&[("m", ty(DType::F32, &[0])), weight]), 0).unwrap();
    assert_eq!(state.get("w").unwrap().as_slice::<f32>().unwrap(), [5.0, 6.0]);
    assert_eq!(state.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["w", "m"]);
}

#[test]
fn adopting_another_type_names_both_and_adds_nothing() {
    let mut state = State::new(&plan(&[("w", ty(DType::F32, &[2]))]), 0).unwrap();
    let error =
        state.adopt(&plan(&[("m", ty(DType::F32, &[1])), ("w", ty(DType::F32, &[3]))]), 0).unwrap_err();
    assert_eq!(error.to_string(), "state `w` is f32[2], not f32[3]; give a value of its own type");
    assert_eq!(state.len(), 1);
    assert!(state.get("m").is_err());
}

/// A program of this name with a private state and one that others may share.
fn optimizer(name: &str) -> VerifiedPlan {
    let mut plan = unverified(&[("rate", ty(DType::F32, &[])), ("w", ty(DType::F32, &[2]))]);
    plan.name = name.into();
    let Place::State { is_private, .. } = &mut plan.slots[0].place else { panic!("a state") };
    *is_private = true;
    VerifiedPlan::new(plan).unwrap()
}

#[test]
fn a_private_state_is_shared_by_programs_of_one_name_alone() {
    let mut state = State::new(&optimizer("a"), 0).unwrap();
    state.adopt(&optimizer("a"), 0).unwrap();
    let expected = "state `rate` belongs to program `a`, and program `b` would share it; name the optimizers, as in \
        `Adam::new(1e-3).named(\"b\")`, or give each program states of its own";
    assert_eq!(state.adopt(&optimizer("b"), 0).unwrap_err().to_string(), expected);
    assert_eq!(state.address(&optimizer("b").slots[0], "b").unwrap_err().to_string(), expected);
    assert_eq!(state.clone().adopt(&optimizer("b"), 0).unwrap_err().to_string(), expected);
    state.address(&optimizer("b").slots[1], "b").unwrap();
    // Who says nothing of the kind may read it.
    state.adopt(&plan(&[("rate", ty(DType::F32, &[]))]), 0).unwrap();
}

#[test]
fn a_stamp_lasts_until_a_value_changes() {
    let weight = ("w", ty(DType::F32, &[2]));
    let mut state = State::new(&plan(std::slice::from_ref(&weight)), 0).unwrap();
    let before = state.stamp();
    state.get("w").unwrap();
    state.adopt(&plan(&[weight]), 1).unwrap();
    assert_eq!(state.stamp(), before);
    state.set("w", &Tensor::zeros(&ty(DType::F32, &[2]))).unwrap();
    assert_ne!(state.stamp(), before);
    assert_ne!(State::empty().stamp(), State::empty().stamp());
}

#[test]
fn a_clone_has_the_values_and_memory_of_its_own() {
    let large = ("m", ty(DType::F32, &[1 << 20])); // so that its memory is a mapping
    let mut state = State::new(&plan(&[("w", ty(DType::F32, &[2])), large]), 0).unwrap();
    let clone = state.clone();
    assert_ne!(state.stamp(), clone.stamp());
    state.set("w", &Tensor::new([2], vec![5.0f32, 6.0]).unwrap()).unwrap();
    assert_eq!(clone.get("w").unwrap().as_slice::<f32>().unwrap(), [2.0, 2.0]);
    assert_eq!(clone.get("m").unwrap(), state.get("m").unwrap());
    drop(state);
    assert_eq!(clone.get("w").unwrap().as_slice::<f32>().unwrap(), [2.0, 2.0]);
}

#[test]
fn a_state_whose_axes_lie_in_another_order_is_known_as_it_was() {
    let placed = |order: AxisOrder| {
        let mut plan = unverified(&[("w", Type::new(DType::F32, order.in_memory(&[2, 3, 1].into())))]);
        let init = Init::Uniform { low: 0.0, high: 1.0, stream: 3 };
        plan.slots[0].place = state_place(init, order);
        VerifiedPlan::new(plan).unwrap()
    };
    let plain = State::new(&placed(AxisOrder::default()), 5).unwrap();
    let order = AxisOrder::new(&[2, 1, 0]);
    let mut state = State::new(&placed(order.clone()), 5).unwrap();
    assert_eq!(state.get("w").unwrap(), plain.get("w").unwrap());
    let value = Tensor::new([2, 3, 1], vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    state.set("w", &value).unwrap();
    let in_memory: Vec<u8> = [1.0f32, 4.0, 2.0, 5.0, 3.0, 6.0].iter().flat_map(|x| x.to_ne_bytes()).collect();
    assert_eq!(state.read(0), in_memory);
    // A program that wants it row-major finds it so.
    state.address(&placed(AxisOrder::default()).slots[0], "p").unwrap();
    assert_eq!(state.get("w").unwrap(), value);
    assert_eq!(state.read(0)[4..8], 2.0f32.to_ne_bytes());
}

#[test]
fn an_unknown_name_lists_those_that_there_are() {
    let mut state = State::new(&plan(&[("w", ty(DType::F32, &[2])), ("b", ty(DType::F32, &[]))]), 0).unwrap();
    let message = "there is no state `v`; the states are w, b";
    assert_eq!(state.get("v").unwrap_err().to_string(), message);
    assert_eq!(state.set("v", &Tensor::zeros(&ty(DType::F32, &[2]))).unwrap_err().to_string(), message);
    let error = state.set("w", &Tensor::zeros(&ty(DType::F64, &[2]))).unwrap_err();
    assert_eq!(error.to_string(), "state `w` is f32[2], not f64[2]; give a value of its own type");
}
