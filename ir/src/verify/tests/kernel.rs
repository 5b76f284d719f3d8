//! Errors of kernels.

use super::message;
use crate::kernel::Axis;
use crate::text::parse_kernel;
use crate::verify::verify_kernel;
use crate::{Access, AxisId, BufferId, DType, Inst, Kernel, Stmt, Type, Var, Winograd};

/// A kernel with `%x: f32[6]`, `%n: i64[6]`, the written `%y: f32[6]`, and these statements.
fn kernel(statements: &str) -> Kernel {
    let source = format!("kernel @k(%x: f32[6], %n: i64[6]) -> (%y: f32[6]) {{ {statements} }}");
    parse_kernel(&source).unwrap_or_else(|error| panic!("{}", error.render(&source, "test")))
}

fn check(kernel: &Kernel) -> String {
    message(verify_kernel(kernel))
}

/// The statements of the body of the first loop.
fn body(kernel: &mut Kernel) -> &mut Vec<Stmt> {
    match &mut kernel.body[0] {
        Stmt::For { body, .. } => body,
        _ => panic!("the kernel starts with a loop"),
    }
}

const COPY: &str = "for i in 6 { %0 = load %x[i] store %0, %y[i] }";

#[test]
fn a_copy_is_valid() {
    assert_eq!(check(&kernel(COPY)), "valid");
}

#[test]
fn parameters_come_before_local_memory() {
    let mut wrong = kernel("local %t: f32[6] for i in 6 { %0 = load %x[i] store %0, %y[i] }");
    wrong.buffer("z", Type::new(DType::F32, [6]), Access::Read);
    assert_eq!(check(&wrong), "kernel @k: a parameter comes after local memory; add parameters first");
}

#[test]
fn top_level_statements_are_loops() {
    assert_eq!(
        check(&kernel("%0 = 1.0 : f32")),
        "kernel @k: a statement is outside of any loop; put it in a `for`, which may have no axes"
    );
}

#[test]
fn variables_are_defined_before_their_use() {
    let mut wrong = kernel(COPY);
    body(&mut wrong).swap(0, 1);
    assert_eq!(check(&wrong), "kernel @k: %0 is used before it is defined; define it first");
}

#[test]
fn variables_end_with_their_block() {
    let mut wrong = kernel("for i in 6 { for { %0 = load %x[i] } %1 = load %x[i] store %1, %y[i] }");
    let statements = body(&mut wrong);
    let Some(Stmt::Store { value, .. }) = statements.last_mut() else { panic!("a store comes last") };
    *value = Var(0);
    assert_eq!(check(&wrong), "kernel @k: %0 is used after its block; hand it out with a reduction");
}

#[test]
fn variables_are_defined_once() {
    let mut wrong = kernel(COPY);
    let first = body(&mut wrong)[0].clone();
    body(&mut wrong).push(first);
    assert_eq!(check(&wrong), "kernel @k: %0 is defined twice; define each variable once");
}

#[test]
fn variables_exist() {
    let mut wrong = kernel(COPY);
    wrong.vars.clear();
    assert_eq!(check(&wrong), "kernel @k: there is no variable %0; add it with `Kernel::var`");
}

#[test]
fn variables_have_the_dtype_of_their_definition() {
    let mut wrong = kernel(COPY);
    wrong.vars[0] = DType::F64;
    assert_eq!(
        check(&wrong),
        "kernel @k: %0 is declared f64, but it is f32; declare it with the dtype of what defines it"
    );
}

#[test]
fn axes_exist() {
    let mut wrong = kernel(COPY);
    wrong.axes.clear();
    assert_eq!(check(&wrong), "kernel @k: there is no axis 0; add it with `Kernel::axis`");
}

#[test]
fn each_loop_has_axes_of_its_own() {
    let mut wrong = kernel(COPY);
    let first = wrong.body[0].clone();
    wrong.body.push(first);
    assert_eq!(check(&wrong), "kernel @k: two loops run over axis `i`; give each loop axes of its own");
}

#[test]
fn axes_are_used_inside_of_their_loop() {
    let mut wrong = kernel("for i in 6 { %0 = axis i : f32 store %0, %y[i] }");
    wrong.axes.push(Axis { name: "j".into(), extent: 6 });
    let Stmt::Let { inst, .. } = &mut body(&mut wrong)[0] else { panic!("a definition comes first") };
    *inst = Inst::Axis(AxisId(1));
    assert_eq!(
        check(&wrong),
        "kernel @k: axis `j` is used outside of its loop; use it in the loop that runs over it"
    );
}

#[test]
fn an_axis_is_no_bool() {
    assert_eq!(
        check(&kernel("for i in 6 { %0 = axis i : bool }")),
        "kernel @k: an axis is no bool; compare it with a number"
    );
}

#[test]
fn nested_loops_have_a_bounded_number_of_iterations() {
    let loops = "for i in 2147483648, j in 2147483648 { }";
    assert_eq!(
        check(&kernel(loops)),
        "kernel @k: nested loops have too many iterations; keep the product of extents below 2^62"
    );
}

#[test]
fn a_reduction_has_a_result() {
    let mut wrong = kernel("for { %r = reduce add i in 6 { %v = load %x[i] yield %v } }");
    let Stmt::Reduce { accumulators, .. } = &mut body(&mut wrong)[0] else {
        panic!("a reduction comes first")
    };
    accumulators.clear();
    assert_eq!(check(&wrong), "kernel @k: a reduction has no result; use a `for`");
}

#[test]
fn there_is_no_reduction_of_bool() {
    let source = "for { %r = reduce add i in 6 { %v = load %x[i] %b = lt %v, %v yield %b } }";
    assert_eq!(check(&kernel(source)), "kernel @k: a reduction of bool; convert it with `cast_i32` first");
}

#[test]
fn functions_take_operands_of_their_dtypes() {
    let mut wrong = kernel("for i in 6 { %0 = load %x[i] %1 = load %x[i] %2 = add %0, %1 store %2, %y[i] }");
    let Stmt::Let { inst: Inst::Load { buffer, .. }, .. } = &mut body(&mut wrong)[1] else {
        panic!("a load")
    };
    *buffer = BufferId(1);
    wrong.vars[1] = DType::I64;
    assert_eq!(
        check(&wrong),
        "kernel @k: `add` does not take (f32, i64); see the table of elementwise functions in docs/IR.md"
    );
}

#[test]
fn buffers_exist() {
    let mut wrong = kernel(COPY);
    wrong.buffers.clear();
    assert_eq!(check(&wrong), "kernel @k: there is no buffer 0; add it with `Kernel::buffer`");
}

#[test]
fn an_access_has_an_index_per_axis() {
    let mut wrong = kernel(COPY);
    wrong.buffers[0].ty = Type::new(DType::F32, [2, 3]);
    assert_eq!(check(&wrong), "kernel @k: 1 indices for %x, which is f32[2, 3]; give one index per axis");
}

#[test]
fn loads_are_within_the_buffer() {
    assert_eq!(
        check(&kernel("for i in 6 { %0 = load %x[2*i - 1] store %0, %y[i] }")),
        "kernel @k: index 0 of %x runs from -1 to 9, its extent is 6; keep it within, or load with `fill`"
    );
    assert_eq!(check(&kernel("for i in 6 { %0 = load %x[2*i - 1] fill 0.5 store %0, %y[i] }")), "valid");
}

#[test]
fn a_loop_without_iterations_accesses_nothing() {
    assert_eq!(check(&kernel("for i in 0 { %0 = load %x[i + 9] store %0, %y[i] }")), "valid");
}

#[test]
fn an_index_does_not_overflow() {
    let source = "for i in 2147483648 { %0 = load %x[2147483647*i + 2147483647] fill 0.0 store %0, %y[i] }";
    let mut wrong = kernel(source);
    let Stmt::Let { inst: Inst::Load { indices, .. }, .. } = &mut body(&mut wrong)[0] else {
        panic!("a load")
    };
    indices[0].affine = indices[0].affine.times(4);
    assert_eq!(check(&wrong), "kernel @k: index 0 of %x may overflow; use smaller coefficients");
}

#[test]
fn an_index_from_data_needs_a_fill() {
    assert_eq!(
        check(&kernel("for i in 6 { %0 = load %n[i] %1 = load %x[%0] store %1, %y[i] }")),
        "kernel @k: index 0 of %x is read from data, so it may be outside; load with `fill`, store with `add`"
    );
}

#[test]
fn an_index_from_data_is_an_integer() {
    assert_eq!(
        check(&kernel("for i in 6 { %0 = load %x[i] %1 = load %x[%0] fill 0.0 store %1, %y[i] }")),
        "kernel @k: index 0 of %x is f32; index with i32 or i64"
    );
}

#[test]
fn a_fill_has_the_dtype_of_the_buffer() {
    let mut wrong = kernel("for i in 6 { %0 = load %x[i] fill 0.0 store %0, %y[i] }");
    wrong.buffers[0].ty.dtype = DType::F64;
    assert_eq!(
        check(&wrong),
        "kernel @k: a load of %x (f64[6]) fills with f32; fill with the dtype of the buffer"
    );
}

#[test]
fn a_store_goes_to_a_written_buffer() {
    assert_eq!(
        check(&kernel("for i in 6 { %0 = load %x[i] store %0, %x[i] }")),
        "kernel @k: a store to %x, which is read only; make it a written parameter"
    );
}

#[test]
fn a_store_has_the_dtype_of_the_buffer() {
    assert_eq!(
        check(&kernel("for i in 6 { %0 = load %n[i] store %0, %y[i] }")),
        "kernel @k: a store of i64 to %y, which is f32[6]; convert the value with a cast"
    );
}

#[test]
fn parallel_iterations_store_to_elements_of_their_own() {
    assert_eq!(
        check(&kernel("for i in 6 { %0 = load %x[i] store %0, %y[0] }")),
        "kernel @k: all iterations of `i` store to the same element of %y; index with the axis, or reduce over it"
    );
    assert_eq!(check(&kernel("for seq i in 6 { %0 = load %x[i] store %0, %y[0] }")), "valid");
}

#[test]
fn local_memory_belongs_to_an_iteration_of_the_outermost_loop() {
    let local = "local %t: f32[6] for i in 6 { for j in 6 { %0 = load %x[j] store %0, %t[j] } }";
    assert_eq!(check(&kernel(local)), "valid");
    let shared = "local %t: f32[6] for i in 6 { for j in 6 { %0 = load %x[j] store %0, %t[0] } }";
    assert!(check(&kernel(shared)).contains("all iterations of `j` store to the same element of %t"));
}

#[test]
fn stores_at_indices_from_data_are_sequential() {
    let statements = "{ %0 = load %n[i] %1 = load %x[i] store add %1, %y[%0] }";
    assert_eq!(
        check(&kernel(&format!("for i in 6 {statements}"))),
        "kernel @k: parallel stores to %y may collide; put it in a `for seq`"
    );
    assert_eq!(check(&kernel(&format!("for seq i in 6 {statements}"))), "valid");
}

#[test]
fn transformed_filters_are_four_times_the_filters() {
    let check = |w: &str, u: &str| {
        let store = "for i in 4 { %0 = 1.0 : f32 store %0, %y[i] }";
        let source = format!("kernel @k(%w: {w}, {u}) -> (%y: f32[4]) {{ winograd %u of %w {store} }}");
        check(&parse_kernel(&source).unwrap_or_else(|error| panic!("{}", error.render(&source, "test"))))
    };
    let filters = "f32[3, 3, 16, 32]";
    assert_eq!(check(filters, "%u: f32[36, 1, 16, 32]"), "valid");
    assert_eq!(
        check(filters, "%u: f32[36, 1, 16, 16]"),
        "kernel @k: %u cannot be %w (f32[3, 3, 16, 32]) transformed; read as many f32 as \
         `winograd::filter_shape` says"
    );
    for u in ["%u: f64[36, 1, 16, 32]", "write %u: f32[36, 1, 16, 32]"] {
        assert!(check(filters, u).contains("%u cannot be %w"), "{u}");
    }
    assert!(check("f64[3, 3, 16, 32]", "%u: f32[36, 1, 16, 32]").contains("%u cannot be %w"));
}

#[test]
fn transformed_filters_exist() {
    let mut wrong = kernel(COPY);
    wrong.winograd = Some(Winograd::Convolution { filters: BufferId(0), transformed: Some(BufferId(7)) });
    assert!(check(&wrong).contains("buffer 7"), "{}", check(&wrong));
    wrong.winograd = Some(Winograd::Convolution { filters: BufferId(8), transformed: None });
    assert!(check(&wrong).contains("buffer 8"), "{}", check(&wrong));
}

#[test]
fn an_address_does_not_overflow_where_no_index_does() {
    let source = "kernel @k(%x: f32[2, 1073741824]) -> (%y: f32[2]) {
      for i in 2147483648 { %0 = load %x[i, 0] fill 0.0 } for j in 2 { %1 = load %x[j, 0] store %1, %y[j] } }";
    let far = parse_kernel(source).unwrap_or_else(|error| panic!("{}", error.render(source, "test")));
    assert_eq!(check(&far), "kernel @k: index 0 of %x may overflow; use smaller coefficients");
}

#[test]
fn buffers_are_within_the_limits_of_a_text() {
    for shape in [&[1 << 31, 2][..], &[1 << 31, 1 << 31], &[0, 1 << 40]] {
        let mut wrong = kernel(COPY);
        wrong.buffer("t", Type::new(DType::F32, shape), Access::Local);
        let expected =
            format!("kernel @k: %t has too many elements, {}; use at most 2^31", wrong.buffers[3].ty);
        assert_eq!(check(&wrong), expected);
    }
}

#[test]
fn blocks_are_nested_32_deep() {
    let nested = |depth: usize| {
        let mut deep = kernel(COPY);
        for _ in 1..depth {
            let body = std::mem::take(&mut deep.body);
            deep.body = vec![Stmt::For { axes: Default::default(), sequential: false, body }];
        }
        check(&deep)
    };
    assert_eq!(nested(32), "valid");
    assert_eq!(nested(33), "kernel @k: blocks are nested more than 32 deep; give one loop several axes");
}
