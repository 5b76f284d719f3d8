//! Graphs that builders refuse, and what they say.

use super::*;

fn refused<T>(build: impl FnOnce(&mut Builder) -> Result<T, Error>) -> String {
    build(&mut Builder::new("g")).err().expect("this is wrong").to_string()
}

#[test]
fn names_can_stand_in_the_text() {
    for name in ["", "1x", "a b", "%x"] {
        assert_eq!(
            refused(|b| b.input(name, DType::F32, [])),
            format!(
                "{name:?}: this is no name; use letters, digits, `_`, `.` and `-`, and start with a letter"
            )
        );
    }
}

#[test]
fn names_of_inputs_states_and_outputs_are_unique() {
    assert_eq!(
        refused(|b| {
            b.input("x", DType::F32, [])?;
            b.state("x", DType::F32, [], Init::Constant(0.0))
        }),
        "x: this name is taken; give each input and state a name of its own"
    );
    assert_eq!(
        refused(|b| {
            let x = b.input("x", DType::F32, [])?;
            b.output("y", x)?;
            b.output("y", x)
        }),
        "y: there is an output of this name; give each output a name of its own"
    );
}

#[test]
fn only_states_are_updated_once_each_by_values_of_their_type() {
    assert_eq!(
        refused(|b| {
            let x = b.input("x", DType::F32, [])?;
            b.update(x, x)
        }),
        "x: only a state can be updated; make it a state"
    );
    let state = |b: &mut Builder| b.state("w", DType::F32, [2], Init::Constant(0.0));
    assert_eq!(
        refused(|b| {
            let (w, x) = (state(b)?, b.input("x", DType::F32, [3])?);
            b.update(w, x)
        }),
        "w: the state is f32[2], its update f32[3]; give an update of the state's own type"
    );
    assert_eq!(
        refused(|b| {
            let w = state(b)?;
            b.update(w, w)?;
            b.update(w, w)
        }),
        "w: the state is updated twice; update each state once"
    );
}

#[test]
fn operands_broadcast_together_or_are_refused() {
    assert_eq!(
        refused(|b| {
            let (x, y) = (b.input("x", DType::F32, [2, 3])?, b.input("y", DType::F32, [2])?);
            b.add(x, y)
        }),
        "add: shapes [2, 3] and [2] cannot be broadcast together; make extents equal or 1, aligned from the last axis"
    );
    assert_eq!(
        refused(|b| {
            let (x, y) = (b.input("x", DType::F32, [2, 3, 4])?, b.input("y", DType::F32, [3, 4, 5])?);
            b.matmul(x, y)
        }),
        "matmul: shapes [2] and [3] cannot be broadcast together; make extents equal or 1, aligned from the last axis"
    );
}

#[test]
fn a_scalar_and_leading_axes_are_broadcast() {
    let mut b = Builder::new("g");
    let x = b.input("x", DType::F32, [2, 1, 3]).unwrap();
    let y = b.input("y", DType::F32, [5, 1]).unwrap();
    let sum = b.add(x, y).unwrap();
    assert_eq!(b.ty(sum).to_string(), "f32[2, 5, 3]");
    let batched = b.input("z", DType::F32, [2, 3, 4]).unwrap();
    let shared = b.input("w", DType::F32, [4, 5]).unwrap();
    let product = b.matmul(batched, shared).unwrap();
    assert_eq!(b.ty(product).to_string(), "f32[2, 3, 5]");
}

#[test]
fn results_have_a_size_that_indices_reach() {
    assert_eq!(
        refused(|b| b.input("x", DType::F32, [1 << 31, 3])),
        "input: a result of too many elements, f32[2147483648, 3]; use at most 2147483648"
    );
    let pad = refused(|b| {
        let x = b.input("x", DType::I32, [3])?;
        b.pad(x, &[usize::MAX], &[usize::MAX], &[usize::MAX], Scalar::I32(0))
    });
    assert!(pad.starts_with("pad: a result of too many elements"), "{pad}");
    let empty = refused(|b| b.input("x", DType::F32, [0, usize::MAX, 2]));
    assert!(empty.starts_with("input: a result of too many elements"), "{empty}");
}

#[test]
fn results_have_as_many_axes_as_a_text_may_state() {
    let mut b = Builder::new("g");
    let x = b.input("x", DType::F32, [1; 32].as_slice()).expect("32 axes are allowed");
    assert_eq!(
        b.broadcast(x, [1; 33].as_slice()).unwrap_err().to_string(),
        "broadcast: a result of 33 axes; use at most 32"
    );
    let windows = crate::ops::Windows::new(17);
    let error = b.window(x, &[1; 17], &windows, &[1; 17], Scalar::F32(0.0)).unwrap_err().to_string();
    assert_eq!(error, "window: a result of 49 axes; use at most 32");
}

#[test]
fn a_mistake_leaves_the_graph_as_it_was() {
    let mut b = Builder::new("g");
    let x = b.input("x", DType::F32, [2]).unwrap();
    assert!(b.reshape(x, [3]).is_err());
    assert_eq!(b.graph().len(), 1);
}

#[test]
fn a_mean_is_of_floats() {
    assert_eq!(
        refused(|b| {
            let x = b.input("x", DType::I32, [3])?;
            b.reduce_mean(x, &[0], false)
        }),
        "reduce_mean: it is not defined for i32[3]; convert with `cast_f32` first"
    );
}
