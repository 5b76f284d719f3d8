//! One test per error of the parser, and what the text form promises in the small.

use super::*;
use crate::verify::verify_kernel;
use crate::{BufferId, Stage, Winograd};

/// The error of a graph with an input `%x: f32[2, 3]` and these statements on line 2.
fn graph_error(statements: &str) -> String {
    let source = format!("graph @g {{ %x = input : f32[2, 3]\n{statements}\n}}");
    parse_graph(&source).err().map_or_else(|| "valid".to_owned(), |error| error.to_string())
}

/// The error of a kernel with `%x: f32[6]`, `%n: i64[6]`, the written `%y: f32[6]`, and these statements on line 2.
fn kernel_error(statements: &str) -> String {
    let source = format!("kernel @k(%x: f32[6], %n: i64[6]) -> (%y: f32[6]) {{\n{statements}\n}}");
    parse_kernel(&source).err().map_or_else(|| "valid".to_owned(), |error| error.to_string())
}

/// The error of a plan with these items on line 2.
fn plan_error(items: &str) -> String {
    let source = format!("plan @p {{ slot %x : f32[2] = input\n{items}\n}}");
    parse_plan(&source).err().map_or_else(|| "valid".to_owned(), |error| error.to_string())
}

macro_rules! errors {
    ($parse:ident: $($name:ident: $source:expr => $message:expr;)+) => {
        $(#[test]
        fn $name() {
            assert_eq!($parse($source), *$message);
        })+
    };
}

errors! { graph_error:
    an_unknown_op_has_a_suggestion: "%y = matmull %x, %x" =>
        "2:6: matmull: there is no op of this name; did you mean `matmul`?";
    an_undefined_value_has_a_suggestion: "%weight = neg %x %y = neg %weigth" =>
        "2:27: there is no value `%weigth` here; did you mean `%weight`?";
    an_undefined_value_unlike_any_other: "%y = neg %something" =>
        "2:10: there is no value `%something` here; define it above";
    a_value_is_defined_once: "%x = neg %x" =>
        "2:1: there is a value `%x` already; give each value a name of its own";
    a_number_is_defined_once: "%0 = neg %x %0 = neg %x" =>
        "2:13: there is a value `%0` already; give each value a name of its own";
    a_declared_type_is_the_inferred_one: "%y = neg %x : f32[3, 2] output y = %y" =>
        "2:13: `neg` is declared f32[3, 2], but it is f32[2, 3]; correct the type, or leave it out";
    a_graph_returns_something: "%y = neg %x" =>
        "3:1: this graph returns nothing; add `output name = %value` before the brace";
    an_output_has_a_name: "output %x = %x" =>
        "2:8: expected the name of the output, found `%x`; write a word, or any text in quotes";
    output_names_are_unique: "output a = %x output a = %x" =>
        "2:22: there is an output `a` already; give each output a name of its own";
    an_output_is_written_with_an_equals_sign: "output a %x" =>
        "2:10: expected `=`, found `%x`; write `output name = %value`";
    only_states_are_updated: "update %x = %x" =>
        "2:8: only a state can be updated; make it a state";
    an_update_has_an_equals_sign: "update %x %x" =>
        "2:11: expected `=`, found `%x`; write `update %state = %value`";
    a_state_is_updated_once: "%s = state init=seed : i64[] update %s = %s update %s = %s" =>
        "2:52: the state is updated twice; update each state once";
    an_update_has_the_type_of_the_state: "%s = state init=constant(0.0) : f32[] update %s = %x" =>
        "2:51: the state is f32[], its update f32[2, 3]; give an update of the state's own type";
    operands_are_separated_by_commas: "%y = add %x %x" =>
        "2:13: expected `,`, found `%x`; operands are separated by commas";
    results_are_separated_by_commas: "%a %b = split %x axis=1 sizes=[1, 2]" =>
        "2:4: expected `,`, found `%b`; a statement is `%name = op ..`; operands and results are separated by commas";
    a_statement_starts_with_a_value_or_a_word: "= neg %x" =>
        "2:1: expected the name of an op, found `=`; a statement is `%name = op ..`";
    results_are_named_alike: "%a, %b = split %x axis=1 sizes=[1, 2]" =>
        "2:1: `%a` does not name this result; write `%name` for one result; `%name:0, %name:1` or numbers for several";
    every_result_is_named: "%a = split %x axis=1 sizes=[1, 2]" =>
        "2:6: `split` has 2 results, of which 1 are named; name each result before the `=`";
    an_unknown_attribute_is_shown: "%y = neg %x axis=1" =>
        "2:13: neg: there is no attribute `axis`; remove `axis=..`";
    a_missing_attribute_is_named: "%y = reduce_sum %x" =>
        "2:6: reduce_sum: attribute `axes` is missing; write `axes=..`";
    an_attribute_is_given_once: "%y = reduce_sum %x axes=[0] axes=[1]" =>
        "2:29: attribute `axes` is given twice; give it once";
    an_attribute_of_another_kind_is_shown: "%y = reduce_sum %x axes=1" =>
        "2:20: reduce_sum: attribute `axes` is not a list of integers as in `[0, 1]`; give a list of integers as in `[0, 1]`";
    an_attribute_has_a_value: "%y = reduce_sum %x axes=:" =>
        "2:25: expected a value, found `:`; write a number, `inf`, `nan`, `true` or `false`";
    a_list_has_commas: "%y = reduce_sum %x axes=[0 1]" =>
        "2:28: expected `,`, found `1`; the numbers of a list are separated by commas and end with `]`";
    a_list_of_integers_holds_no_fraction: "%y = reduce_sum %x axes=[0.5]" =>
        "2:26: `0.5` is no integer; write an integer of at most 64 bits";
    a_huge_integer_does_not_fit: "%y = reduce_sum %x axes=[99999999999999999999]" =>
        "2:26: `99999999999999999999` is no integer; write an integer of at most 64 bits";
    an_integer_of_a_list_is_bounded: "%y = reduce_sum %x axes=[2147483649]" =>
        "2:26: `2147483649` is out of range; use integers up to 2147483648";
    shapes_that_disagree_are_shown: "%y = matmul %x, %x" =>
        "2:6: matmul: f32[2, 3] and f32[2, 3] cannot be multiplied: 3 columns on the left, 2 rows on the right; make these equal, or transpose an operand";
    a_dtype_is_known: "%y = constant value=1.0 : f16[]" =>
        "2:27: there is no dtype `f16`; the dtypes are f32, f64, i32, i64, bool";
    a_dtype_is_a_word: "%y = constant value=1.0 : [2]" =>
        "2:27: expected a dtype, found `[`; the dtypes are f32, f64, i32, i64, bool";
    a_scalar_has_brackets: "%y = constant value=1.0 : f32 output y = %y" =>
        "2:31: expected `[`, found `output`; write `f32[]` for the type of a scalar";
    an_extent_is_not_negative: "%y = constant value=1.0 : f32[-2]" =>
        "2:31: expected an extent, found `-`; extents are integers that are not negative";
    an_extent_is_bounded: "%y = constant value=1.0 : f32[99999999999999999999]" =>
        "2:31: `99999999999999999999` is no extent; use an integer from 0 to 2147483648";
    extents_have_commas: "%y = constant value=1.0 : f32[2 3]" =>
        "2:33: expected `,`, found `3`; extents are separated by commas and end with `]`";
    a_tensor_is_bounded: "%y = constant value=1.0 : f32[65536, 0, 65536]" =>
        "2:30: a tensor of too many elements; use at most 2147483648";
    an_inferred_tensor_is_bounded: "%y = broadcast %x shape=[65536, 65536, 2, 3]" =>
        "2:6: a result of too many elements, f32[65536, 65536, 2, 3]; use at most 2147483648";
    a_rank_is_bounded: &format!("%y = constant value=1.0 : f32[{}1]", "1, ".repeat(32)) =>
        "2:30: a shape of 33 axes; use at most 32";
    an_inferred_rank_is_bounded: &format!("%z = constant value=1.0 : f32[]\n  %y = broadcast %z shape=[{}1]", "1, ".repeat(32)) =>
        "3:8: a result of 33 axes; use at most 32";
    constants_of_one_number_are_bounded: "%y = constant value=1.0 : f32[65536, 32768]" =>
        "2:15: the constants up to here have too many elements for f32[65536, 32768]; repeat a scalar with `broadcast` instead";
    a_constant_has_an_element_for_each: "%y = constant value=[1.0, 2.0] : f32[3]" =>
        "2:15: 2 elements are given for a tensor of f32[3]; give 3 elements, or one number for all of them";
    a_constant_has_a_type: "%y = constant value=1.0 output y = %y" =>
        "2:15: the type of this value is missing; write it at the end, as in `: f32[2, 3]`";
    an_input_has_a_type: "%y = input output y = %y" =>
        "2:6: input: the result type is missing; write it at the end, as in `: f32[2, 3]`";
    an_i32_is_an_integer: "%y = constant value=1.5 : i32[]" =>
        "2:21: `1.5` is no i32; write an integer within its range";
    an_i32_is_within_its_range: "%y = constant value=-2147483649 : i32[]" =>
        "2:21: `-2147483649` is no i32; write an integer within its range";
    an_f32_is_within_its_range: "%y = constant value=1e39 : f32[]" =>
        "2:21: `1e39` is no f32; write a number within its range, `inf` or `nan`";
    a_bool_is_true_or_false: "%y = constant value=-true : bool[]" =>
        "2:21: `-true` is no bool; write `true` or `false`";
    an_element_is_a_number: "%y = constant value=truth : bool[]" =>
        "2:15: `truth` is no value; did you mean `true`?";
    an_element_is_no_init: "%y = constant value=seed : i64[]" =>
        "2:15: an init is no value; write a number, or a list as in `[1, 2]`";
    an_init_is_known: "%s = state init=zero(1) : f32[]" =>
        "2:17: there is no init `zero`; an init is `constant(x)`, `uniform(low, high, stream)`, `normal(mean, deviation, stream)` or `seed`";
    a_stream_is_a_natural_number: "%s = state init=uniform(-1.0, 1.0, 0.5) : f32[]" =>
        "2:36: `0.5` is no stream; write an integer that is not negative";
    a_body_has_braces_that_close: "%y = fused %x kind=map domain=[] reduced=[] { output a" =>
        "3:1: expected `=`, found `}`; write `output name = %value`";
    a_name_follows_the_sigil: "% = neg %x" =>
        "2:1: a name is expected after `%`; write a name as in `%x` or `%\"any text\"`";
    a_part_of_a_name_is_small: "%y = neg %x:99999999999" =>
        "2:13: `99999999999` is no part of a name; write a small number";
    an_escape_is_known: "output \"a\\q\" = %x" =>
        "2:8: this string has an unknown escape; the escapes are `\\\"`, `\\\\` and `\\n`";
}

errors! { kernel_error:
    transformed_filters_are_a_buffer: "winograd %X of %x for i in 6 { %0 = load %x[i] }" =>
        "2:10: there is no buffer `%X` here; did you mean `%x`?";
    transformed_filters_are_those_of_a_buffer: "winograd %x of %X for i in 6 { %0 = load %x[i] }" =>
        "2:16: there is no buffer `%X` here; did you mean `%x`?";
    a_buffer_that_is_missing_has_a_suggestion: "for i in 6 { %0 = load %X[i] }" =>
        "2:24: there is no buffer `%X` here; did you mean `%x`?";
    a_variable_is_no_buffer: "for i in 6 { %0 = 1.0 : f32 %1 = load %0[i] }" =>
        "2:39: `%0` is no buffer; name a buffer";
    a_buffer_is_no_variable: "for i in 6 { %0 = neg %x }" =>
        "2:23: `%x` is a buffer, not a value; load an element of it first";
    a_variable_is_defined_before_its_use: "for i in 6 { %0 = neg %1 }" =>
        "2:23: there is no value `%1` here; define it above";
    a_variable_ends_with_its_block: "for i in 6 { %0 = load %x[i] } for j in 6 { %1 = neg %0 }" =>
        "2:54: `%0` ended with its block; a reduction hands values out of its block";
    a_name_is_used_once: "for i in 6 { %x = 1.0 : f32 }" =>
        "2:14: there is a `%x` already; use each name of a kernel once";
    a_function_is_known: "for i in 6 { %0 = lod %x[i] }" =>
        "2:19: there is no function `lod`; did you mean `load`?";
    a_function_takes_its_operands: "for i in 6 { %0 = load %x[i] %1 = load %n[i] %2 = add %0, %1 }" =>
        &format!("2:51: `add` does not take (f32, i64); it takes 2 operands: {}", crate::ScalarFn::Add.row().doc);
    a_value_follows_the_equals_sign: "for i in 6 { %0 = }" =>
        "2:19: expected a function, found `}`; a value is `load ..`, `axis ..`, a constant as in `0.5 : f32`, or a function of values";
    a_constant_has_a_dtype: "for { %0 = 1.0 }" =>
        "2:16: expected `:`, found `}`; end with the dtype as in `: f32`";
    an_axis_is_known: "for i in 6 { %0 = load %x[j] }" =>
        "2:27: there is no axis `j` here; did you mean `i`?";
    an_axis_is_that_of_an_open_loop: "for i in 6 { } for j in 6 { %0 = axis i : f32 }" =>
        "2:39: there is no axis `i` here; did you mean `j`?";
    an_axis_has_an_extent: "for i { }" =>
        "2:7: expected `in`, found `{`; an axis is written `i in 64`";
    an_axis_name_is_used_once: "for i in 6 { } for i in 6 { }" =>
        "2:20: there is an axis `i` already; give each axis of a kernel a name of its own";
    an_axis_name_is_not_reserved: "for in in 6 { }" =>
        "2:5: `in` is no name of an axis; use another";
    an_access_has_an_index_per_axis: "for i in 6 { %0 = load %x[i, i] }" =>
        "2:24: 2 indices for `%x`, which is f32[6]; give one index per axis";
    an_access_has_brackets: "for i in 6 { %0 = load %x }" =>
        "2:27: expected `[`, found `}`; an element is `%buffer[i, j]`, and `%buffer[]` where the buffer is a scalar";
    an_index_is_a_sum: "for i in 6 { %0 = load %x[i*2] }" =>
        "2:28: expected `,`, found `*`; indices are separated by commas and end with `]`";
    an_index_has_terms: "for i in 6 { %0 = load %x[i + ] }" =>
        "2:31: expected an index, found `]`; an index is a sum of terms as in `i + 2*k - 1`";
    an_index_has_one_value: "for { %0 = 1 : i64 %1 = load %x[%0 + %0] fill 0.0 }" =>
        "2:38: an index is one value and terms of axes; compute the sum of values first; an index takes one of them";
    an_index_has_integers: "for i in 6 { %0 = load %x[0.5] }" =>
        "2:27: `0.5` is no coefficient of an index; write an integer";
    an_index_is_bounded: "for i in 6 { %0 = load %x[2147483647*i + i] }" =>
        "2:27: this index is too large; use numbers of at most 31 bits";
    a_store_has_a_place: "for i in 6 { %0 = load %x[i] store %0 %y[i] }" =>
        "2:39: expected `,`, found `%y`; a store is `store %value, %buffer[i, j]`";
    a_reduction_is_known: "for { %r = reduce sum i in 6 { %v = load %x[i] yield %v } }" =>
        "2:19: there is no reduction `sum`; the reductions are add, mul, max, min";
    a_reduction_yields: "for { %r = reduce add i in 6 { %v = load %x[i] } }" =>
        "2:48: expected a statement or `yield`, found `}`; the block is not complete";
    a_reduction_has_a_result_per_function: "for { %r = reduce (add, max) i in 6 { } }" =>
        "2:19: 1 results of 2 reductions; write `%a, %b = reduce (add, max) ..`, a result for each reduction";
    a_reduction_yields_a_value_per_function: "for { %r = reduce add i in 6 { %v = load %x[i] yield %v, %v } }" =>
        "2:48: 2 values are yielded to 1 reductions; yield one value to each";
    yield_comes_last: "for { %r = reduce add i in 6 { %v = load %x[i] yield %v %w = neg %v } }" =>
        "2:57: expected `}`, found `%w`; nothing follows `yield`; close the block with `}`";
    only_a_reduction_has_several_results: "for { %a, %b = 1.0 : f32 }" =>
        "2:11: only a reduction has several results; write one name before the `=`";
    a_statement_is_known: "for i in 6 { lod %x[i] }" =>
        "2:14: expected a statement, found `lod`; statements are `for ..`, `store ..`, `%name = ..` and, at the end of a reduction, `yield ..`";
    a_definition_has_an_equals_sign: "for { %a neg }" =>
        "2:10: expected `=`, found `neg`; a definition is `%name = ..`";
    blocks_end: "for { " =>
        "3:2: expected a statement or `}`, found the end of the file; the block is not complete";
    blocks_are_nested_32_deep: &"for {".repeat(33) =>
        "2:165: expected no block, found `{`; blocks can be nested 32 deep";
    a_buffer_has_a_name: "local %0: f32[2] for { }" =>
        "2:7: this is no name of a buffer; use a name as in `%x`";
    a_buffer_has_a_type: "local %t for { }" =>
        "2:10: expected `:`, found `for`; a buffer has a type as in `%x: f32[2]`";
}

errors! { plan_error:
    an_item_is_known: "slots" =>
        "2:1: expected an item of a plan, found `slots`; a plan holds `arena`, `slot`, `kernel`, `prepare`, `steps` and `update`, and ends with `}`";
    an_arena_has_a_size: "arena -1" =>
        "2:7: expected number of bytes, found `-`; write an integer that is not negative";
    a_place_is_known: "slot %y : f32[] = inputs" =>
        "2:19: there is no place `inputs`; a place is `unplaced`, `at BYTES`, `input`, `output`, `state INIT` or `constant VALUE`";
    a_slot_has_a_name: "slot %0 : f32[] = input" =>
        "2:6: this is no name of a slot; use a name as in `%x`";
    a_slot_is_defined_once: "slot %x : f32[] = input" =>
        "2:6: there is a `x` already; write `name:1`, `name:2`, .. for further ones of one name";
    a_slot_is_known: "steps { copy %x -> %y }" =>
        "2:20: there is no slot `%y`; did you mean `x`?";
    a_kernel_is_known: "steps { call @k(%x) }" =>
        "2:14: there is no kernel `@k`; define it above";
    a_step_is_known: "steps { jump }" =>
        "2:9: expected a step or `}`, found `jump`; a step is `call @kernel(..)`, `copy %from -> %to` or `loop COUNT { .. }`";
    a_loop_has_a_count: "steps { loop { } }" =>
        "2:14: expected number of iterations, found `{`; write an integer that is not negative";
    loops_are_nested_4_deep: &format!("steps {{ {}", "loop 2 { ".repeat(5)) =>
        "2:45: expected no loop, found `loop`; loops can be nested 4 deep";
    the_slot_of_a_part_is_known: "slot %p : f32[] = %xx[t]" =>
        "2:19: there is no slot `%xx`; did you mean `x`?";
    a_part_has_a_row: "slot %p : f32[] = %x" =>
        "3:1: expected `[`, found `}`; a part is a row of another slot: `%xs[t+1]`, `%xs[3]`";
    a_row_is_known: "slot %p : f32[] = %x[i]" =>
        "2:22: there is no row `i`; a row is a number, or counts with a loop: `t`, `t+1`; `t1`, `t2`, .. are those of inner loops";
    a_loop_of_a_row_is_a_number: "slot %p : f32[] = %x[t01]" =>
        "2:22: there is no row `t01`; a row is a number, or counts with a loop: `t`, `t+1`; `t1`, `t2`, .. are those of inner loops";
    a_shift_has_one_sign: "slot %p : f32[] = %x[t+-1]" =>
        "2:24: expected number of rows, found `-`; write an integer that is not negative";
    a_shift_is_limited: "slot %p : f32[] = %x[t-2147483649]" =>
        "2:24: this shift is too large; use at most 2147483648";
    a_copy_has_an_arrow: "steps { copy %x, %x }" =>
        "2:16: expected `->`, found `,`; a copy is `copy %from -> %to`";
    a_plan_update_has_an_equals_sign: "update %x %x" =>
        "2:11: expected `=`, found `%x`; an update is `update %state = %slot`";
}

#[test]
fn loops_and_parts_of_plans_print_as_they_are_written() {
    let text = "\
plan @p {
  arena 0
  slot %x.t : f32[2] = %xs[t]
  slot %xs : f32[8, 2] = input
  slot %before : f32[2] = %xs[t-1]
  slot %after : f32[2] = %xs[t1+12]
  slot %few : f32[3, 2] = %xs[5]
  slot %of.few : f32[2] = %few[t3]
  slot %y : f32[2] = output
  slot %y:1 : f32[2] = unplaced
  slot %part : f32[] = %y:1[0]
  prepare {
    loop 1 {
    }
  }
  steps {
    loop 8 {
      copy %x.t -> %y
      loop 2 reversed {
        copy %after -> %y
      }
    }
    copy %few -> %few
  }
}
";
    let plan = parse_plan(text).unwrap_or_else(|error| panic!("{}", error.render(text, "test")));
    assert_eq!(plan.to_string(), text);
    assert_eq!(parse_plan(&plan.to_string()).expect("valid"), plan);
}

#[test]
fn a_file_starts_with_what_it_holds() {
    let error = parse_file("module {}").expect_err("invalid").to_string();
    assert_eq!(
        error,
        "1:1: expected `graph`, `kernel` or `plan`, found `module`; a file starts with one of these words"
    );
}

#[test]
fn a_file_holds_one_thing() {
    let error = parse_file("plan @p { } plan @q { }").expect_err("invalid").to_string();
    assert_eq!(
        error,
        "1:13: expected the end of the file, found `plan`; a file holds one graph, kernel or plan"
    );
}

#[test]
fn a_graph_says_its_stage_unless_it_is_a_source() {
    for stage in Stage::OF_GRAPHS {
        let mut graph = parse_graph("graph @g { %x = input : f32[2] output y = %x }").expect("valid");
        graph.stage = stage;
        let text = graph.to_string();
        assert_eq!(text.contains(&format!("graph @g stage {stage} {{")), stage != Stage::Source, "{text}");
        assert_eq!(parse_graph(&text).expect("valid"), graph);
    }
}

#[test]
fn a_stage_is_one_of_graphs() {
    let error = |stage: &str| {
        let source = format!("graph @g stage {stage} {{ %x = input : f32[2] output y = %x }}");
        parse_graph(&source).expect_err("invalid").to_string()
    };
    let stages = "the stages of graphs are source, differentiated, canonical, fused";
    assert_eq!(error("plan"), format!("1:16: there is no stage `plan` of graphs; {stages}"));
    assert_eq!(error(""), format!("1:17: expected a stage, found `{{`; {stages}"));
}

#[test]
fn a_truncated_file_says_so() {
    let error = parse_graph("graph @g { %x = input : f32[2]\n").expect_err("invalid").to_string();
    assert_eq!(
        error,
        "2:1: expected a statement or `}`, found the end of the file; close the graph with `}`"
    );
}

#[test]
fn bodies_are_nested_32_deep() {
    let open = "%y = fused kind=map domain=[] reduced=[] {";
    let error = parse_graph(&format!("graph @g {{ {}", open.repeat(40))).expect_err("invalid");
    assert_eq!(error.message, "expected no body, found `{`");
}

#[test]
fn no_depth_of_nesting_takes_the_stack() {
    const DEPTH: usize = 100_000;
    let graph = format!("graph @g {{ {}", "%y = fused kind=map domain=[] reduced=[] {".repeat(DEPTH));
    let loops = format!("kernel @k() {{ {}", "for {".repeat(DEPTH));
    let reductions = format!("kernel @k() {{ for {{ {}", "%a = reduce add {".repeat(DEPTH));
    let lists = format!("graph @g {{ %x = constant value={}", "[".repeat(DEPTH));
    let shapes = format!("plan @p {{ slot %x : f32{}", "[".repeat(DEPTH));
    let steps = format!("plan @p {{ steps {{ {}", "loop 2 {".repeat(DEPTH));
    for source in [graph, loops, reductions, lists, shapes, steps] {
        let parse = move || parse_file(&source).expect_err("it is nested too deep").to_string();
        let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(parse);
        let error = thread.expect("a thread").join().expect("the stack is large enough");
        assert!(error.contains(": expected "), "{error}");
    }
}

#[test]
fn an_error_shows_the_line_a_caret_and_the_help() {
    let source = "graph @g {\n  %x = input : f32[2]\n  %y = exp %xx\n}\n";
    let error = parse_graph(source).expect_err("invalid");
    let expected = "\
error: there is no value `%xx` here
 --> model.nnir:3:12
  |
3 |   %y = exp %xx
  |            ^^^
  |
  = help: did you mean `%x`?";
    assert_eq!(error.render(source, "model.nnir"), expected);
}

#[test]
fn an_error_at_the_end_of_an_empty_file_is_rendered() {
    let error = parse_graph("").expect_err("invalid");
    assert!(error.render("", "empty.nnir").contains("expected `graph`, found the end of the file"));
}

#[test]
fn names_that_are_no_words_stand_in_quotes() {
    let source =
        "graph @\"my net\" {\n  %\"fc-1\" = input : f32[]\n  output \"a \\\"b\\\"\\n\" = %\"fc-1\"\n}\n";
    let graph = parse_graph(source).expect("valid");
    assert_eq!(graph.name, "my net");
    assert_eq!(graph.outputs[0].name, "a \"b\"\n");
    assert_eq!(graph.to_string(), source);
}

#[test]
fn floats_read_back_as_the_same_bits() {
    let values =
        [0.1, -0.0, 1e-45, f32::MAX, f32::MIN_POSITIVE, 16_777_217.0, f32::INFINITY, f32::NEG_INFINITY];
    let list: Vec<String> = values.iter().map(|value: &f32| format!("{value:?}")).collect();
    let source = format!("graph @g {{ %c = constant value=[{}] : f32[8] output c = %c }}", list.join(", "));
    let graph = parse_graph(&source).expect("valid");
    let again = parse_graph(&graph.to_string()).expect("valid");
    let crate::Op::Constant(constant) = &again.node(crate::NodeId(0)).op else { panic!("a constant") };
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(constant.tensor.as_slice().expect("f32")), bits(&values));
}

#[test]
fn a_kernel_is_printed_numbered() {
    let source = "kernel @k(write %y: f32[4], %x: f32[4]) {
        local %t: f32[4]
        for row in 1 {
            %sum, %top = reduce (add, max) k in 4 { %v = load %x[-k + 3] fill -inf yield %v, %v }
            for j in 4 { %a = axis j : f32 %b = mul %a, %sum store %b, %t[j] }
            for seq l in 4 { %p = 2 : i32 %c = load %t[%p + 2*l - 1] fill 0.5 store add %c, %y[l] }
        } }";
    let kernel = parse_kernel(source).expect("valid");
    assert!(verify_kernel(&kernel).is_ok());
    let expected = "\
kernel @k(write %y: f32[4], %x: f32[4]) -> () {
  local %t: f32[4]
  for row in 1 {
    %0, %1 = reduce (add, max) k in 4 {
      %2 = load %x[-k + 3] fill -inf
      yield %2, %2
    }
    for j in 4 {
      %3 = axis j : f32
      %4 = mul %3, %0
      store %4, %t[j]
    }
    for seq l in 4 {
      %5 = 2 : i32
      %6 = load %t[%5 + 2*l - 1] fill 0.5
      store add %6, %y[l]
    }
  }
}
";
    assert_eq!(kernel.to_string(), expected);
    assert_eq!(parse_kernel(expected).expect("valid"), kernel);
}

#[test]
fn transformed_filters_are_named_before_the_statements() {
    let source = "\
kernel @k(%w: f32[3, 3, 16, 16], %u: f32[36, 1, 16, 16]) -> (%y: f32[4]) {
  local %t: f32[4]
  winograd %u of %w
  for i in 4 {
    %0 = 1.0 : f32
    store %0, %t[i]
    store %0, %y[i]
  }
}
";
    let kernel = parse_kernel(source).expect("valid");
    assert!(verify_kernel(&kernel).is_ok());
    let winograd = Winograd::Convolution { filters: BufferId(0), transformed: Some(BufferId(1)) };
    assert_eq!(kernel.winograd, Some(winograd));
    assert_eq!(kernel.to_string(), source);
    let source = source.replace("winograd %u of %w", "winograd %w");
    let kernel = parse_kernel(&source).expect("valid");
    let winograd = Winograd::Convolution { filters: BufferId(0), transformed: None };
    assert_eq!(kernel.winograd, Some(winograd));
    assert_eq!(kernel.to_string(), source);
}

#[test]
fn a_gradient_of_filters_says_how_it_is_computed() {
    let source = "\
kernel @k(%x: f32[4]) -> (%y: f32[4]) {
  winograd gradient
  for i in 4 {
    %0 = load %x[i]
    store %0, %y[i]
  }
}
";
    let kernel = parse_kernel(source).expect("valid");
    assert!(verify_kernel(&kernel).is_ok());
    assert_eq!(kernel.winograd, Some(Winograd::Gradient));
    assert_eq!(kernel.to_string(), source);
}

#[test]
fn an_invalid_kernel_is_printed_too() {
    let source = "kernel @k(%x: f32[4]) { winograd %x of %x for i in 4 { %0 = load %x[i] } }";
    let mut kernel = parse_kernel(source).expect("valid");
    kernel.axes.clear();
    kernel.vars.clear();
    kernel.buffers.clear();
    assert!(kernel.to_string().contains("%0 = load %missing[missing]"));
}
