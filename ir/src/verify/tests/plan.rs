//! Errors of plans.

use super::message;
use crate::text::parse_plan;
use crate::verify::{Stage, verify_plan};
use crate::{AxisOrder, AxisPart, KernelId, Place, Plan, SlotId, Step};

const KERNEL: &str = "kernel @neg(%x: f32[16]) -> (%y: f32[16]) {
  for i in 16 { %0 = load %x[i] %1 = neg %0 store %1, %y[i] }
}";

fn plan(items: &str) -> Plan {
    let source =
        format!("plan @p {{ slot %x : f32[16] = input slot %out : f32[16] = output {KERNEL} {items} }}");
    parse_plan(&source).unwrap_or_else(|error| panic!("{}", error.render(&source, "test")))
}

fn check(plan: &Plan, stage: Stage) -> String {
    message(verify_plan(plan, stage))
}

const CALL: &str = "steps { call @neg(%x, %out) }";

#[test]
fn a_call_is_valid_at_both_stages() {
    assert_eq!(check(&plan(CALL), Stage::Kernels), "valid");
    assert_eq!(check(&plan(CALL), Stage::Plan), "valid");
}

#[test]
fn kernels_are_verified() {
    let mut wrong = plan(CALL);
    wrong.kernels[0].vars.clear();
    assert!(check(&wrong, Stage::Kernels).starts_with("kernel @neg: there is no variable"));
}

#[test]
fn names_of_the_user_are_unique() {
    assert_eq!(
        check(&plan(&format!("slot %x:1 : f32[] = input {CALL}")), Stage::Kernels),
        "slot %x: there are two inputs of this name; a name stands for one tensor of the user"
    );
}

#[test]
fn a_step_writes_no_state_before_its_updates_are_made() {
    let written = plan("slot %s : f32[16] = state constant(0.0) steps { call @neg(%x, %s) copy %s -> %out }");
    assert_eq!(
        check(&written, Stage::Kernels),
        "step 0 (call @neg): slot %s is written, which is for pass `plan_memory` to do; \
         write to a slot of its own, and make that the update of the state"
    );
    assert_eq!(check(&written, Stage::Plan), "valid");
}

#[test]
fn a_constant_has_the_type_of_its_slot() {
    let mut wrong = plan(&format!("slot %c : f32[2] = constant [1.0, 2.0] {CALL}"));
    wrong.slots[2].ty.shape = [1, 2].into();
    assert_eq!(
        check(&wrong, Stage::Kernels),
        "slot %c: it is f32[1, 2], its constant f32[2]; give the slot the type of the constant"
    );
}

#[test]
fn called_kernels_and_slots_exist() {
    let mut wrong = plan(CALL);
    wrong.steps[0] = Step::Call { kernel: KernelId(7), slots: Default::default() };
    assert_eq!(check(&wrong, Stage::Kernels), "step 0: there is no kernel 7; call a kernel of the plan");
    let mut wrong = plan(CALL);
    wrong.steps.push(Step::Copy { from: SlotId(0), to: SlotId(9) });
    assert_eq!(check(&wrong, Stage::Kernels), "step 1 (copy): there is no slot 9; use a slot of the plan");
}

#[test]
fn a_call_has_a_slot_per_parameter() {
    assert_eq!(
        check(&plan("steps { call @neg(%x) }"), Stage::Kernels),
        "step 0: 1 slots for the 2 parameters of @neg; give a slot for each parameter"
    );
}

#[test]
fn a_slot_fits_its_parameter() {
    assert_eq!(
        check(&plan("slot %h : f32[8] = unplaced steps { call @neg(%x, %h) }"), Stage::Kernels),
        "step 0: slot %h is f32[8], parameter %y of @neg is f32[16]; give a slot of this dtype and number of elements"
    );
    assert_eq!(
        check(
            &plan(&format!("slot %h : f32[4, 4] = unplaced steps {{ call @neg(%x, %h) }} {CALL}")),
            Stage::Kernels
        ),
        "valid"
    );
}

#[test]
fn a_copy_is_between_slots_of_one_type() {
    assert_eq!(
        check(&plan("slot %h : f64[16] = unplaced steps { copy %x -> %h }"), Stage::Kernels),
        "step 0 (copy): slot %x is f32[16], slot %h is f64[16]; copy between slots of one dtype and number of elements"
    );
}

#[test]
fn inputs_and_constants_are_read_only() {
    assert_eq!(
        check(&plan("steps { call @neg(%x, %x) }"), Stage::Kernels),
        "step 0 (call @neg): slot %x is written, but it is read only; write to a slot of the arena, an output or a state"
    );
}

#[test]
fn a_slot_is_written_before_it_is_read() {
    assert_eq!(
        check(&plan("slot %h : f32[16] = unplaced steps { call @neg(%h, %out) }"), Stage::Kernels),
        "step 0 (call @neg): slot %h is read before it is written; order the steps"
    );
}

#[test]
fn a_call_writes_no_slot_twice() {
    let kernel =
        "kernel @two() -> (%a: f32[], %b: f32[]) { for { %0 = 1.0 : f32 store %0, %a[] store %0, %b[] } }";
    let items = format!("slot %h : f32[] = unplaced {kernel} steps {{ call @two(%h, %h) }} {CALL}");
    assert_eq!(
        check(&plan(&items), Stage::Kernels),
        "step 0 (call @two): slot %h is written as two parameters; give each written parameter a slot of its own"
    );
}

#[test]
fn every_kernel_is_called() {
    assert_eq!(
        check(&plan("steps { copy %x -> %out }"), Stage::Kernels),
        "kernel @neg: no step calls it; remove it"
    );
}

#[test]
fn every_output_is_written() {
    assert_eq!(
        check(&plan(&format!("slot %o : f32[] = output {CALL}")), Stage::Kernels),
        "slot %o: the output is never written; write it by a call or a copy"
    );
}

#[test]
fn updates_are_of_states_once_and_of_their_type() {
    let state = "slot %s : f32[16] = state constant(0.0)";
    assert_eq!(
        check(&plan(&format!("{CALL} update %x = %out")), Stage::Kernels),
        "slot %x: only a state can be updated; make it a state"
    );
    assert_eq!(
        check(&plan(&format!("{state} {CALL} update %s = %x update %s = %x")), Stage::Kernels),
        "slot %s: the state is updated twice; update each state once"
    );
    assert_eq!(
        check(&plan(&format!("{state} slot %n : f32[2] = input {CALL} update %s = %n")), Stage::Kernels),
        "slot %s: the state is f32[16], its update f32[2]; give an update of its type"
    );
}

#[test]
fn at_stage_plan_no_update_is_left() {
    let with_update = plan(&format!("slot %s : f32[16] = state constant(0.0) {CALL} update %s = %x"));
    assert_eq!(check(&with_update, Stage::Kernels), "valid");
    assert_eq!(check(&with_update, Stage::Plan), "slot %s: its update is left; run pass `plan_memory`");
}

#[test]
fn at_stage_plan_every_slot_has_a_place() {
    let unplaced = plan(&format!("slot %h : f32[16] = unplaced {CALL}"));
    assert_eq!(check(&unplaced, Stage::Kernels), "valid");
    assert_eq!(check(&unplaced, Stage::Plan), "slot %h: it has no place; run pass `plan_memory`");
}

#[test]
fn places_are_aligned_and_within_the_arena() {
    let at = |offset: &str| plan(&format!("arena 127 slot %h : f32[16] = at {offset} {CALL}"));
    assert_eq!(check(&at("0"), Stage::Plan), "valid");
    assert_eq!(check(&at("4"), Stage::Plan), "slot %h: offset 4 is no multiple of 64; align it");
    assert_eq!(
        check(&at("64"), Stage::Plan),
        "slot %h: 64 bytes from 64 on end after the arena of 127 bytes; make the arena larger"
    );
}

/// `%a` and `%b` in an arena, `%b` at this offset; both are read at the end.
fn two_values(offset: usize, steps: &str) -> Plan {
    plan(&format!("arena 192 slot %a : f32[16] = at 0 slot %b : f32[16] = at {offset} steps {{ {steps} }}"))
}

#[test]
fn values_alive_at_the_same_time_are_apart() {
    let steps = "call @neg(%x, %a) call @neg(%x, %b) call @neg(%a, %out) call @neg(%b, %out)";
    assert_eq!(check(&two_values(64, steps), Stage::Plan), "valid");
    assert_eq!(
        check(&two_values(0, steps), Stage::Plan),
        "step 1: slot %b is written over slot %a, which is alive; place them apart, or order the steps"
    );
    let mut partly = two_values(64, steps);
    partly.slots[2].ty.shape = [2, 8].into();
    assert_eq!(check(&partly, Stage::Plan), "valid");
    partly.slots[3].place = Place::Arena { offset: 0 };
    assert!(check(&partly, Stage::Plan).contains("is written over slot %a"));
}

#[test]
fn a_place_is_used_again_after_the_last_use() {
    let steps = "call @neg(%x, %a) call @neg(%a, %out) call @neg(%x, %b) call @neg(%b, %out)";
    assert_eq!(check(&two_values(0, steps), Stage::Plan), "valid");
}

#[test]
fn a_step_in_place_ends_the_value_that_it_overwrites() {
    assert_eq!(
        check(&two_values(0, "call @neg(%x, %a) call @neg(%a, %b) call @neg(%b, %out)"), Stage::Plan),
        "valid"
    );
    let steps = "call @neg(%x, %a) call @neg(%a, %b) call @neg(%b, %out) call @neg(%a, %out)";
    assert!(check(&two_values(0, steps), Stage::Plan).contains("step 1: slot %b is written over slot %a"));
}

#[test]
fn results_of_one_step_are_apart() {
    let kernel =
        "kernel @two() -> (%a: f32[], %b: f32[]) { for { %0 = 1.0 : f32 store %0, %a[] store %0, %b[] } }";
    let slots = "arena 64 slot %g : f32[] = at 0 slot %h : f32[] = at 0";
    let steps = format!("steps {{ call @two(%g, %h) }} {CALL}");
    assert!(
        check(&plan(&format!("{slots} {kernel} {steps}")), Stage::Plan)
            .contains("slot %h is written over slot %g")
    );
}

/// `%s` is a state, `%h` and `%g` are in the arena; one step reads `%h`.
fn prepared(prepare: &str, steps: &str) -> Plan {
    plan(&format!(
        "arena 192 slot %s : f32[16] = state constant(0) slot %h : f32[16] = at 0 slot %g : f32[16] = at 64
         prepare {{ {prepare} }} steps {{ call @neg(%h, %out) {steps} }}"
    ))
}

#[test]
fn what_is_prepared_is_read_by_steps_and_by_what_is_prepared_later() {
    let valid = prepared("call @neg(%s, %g) call @neg(%g, %h)", "");
    assert_eq!(check(&valid, Stage::Plan), "valid");
    assert_eq!(
        check(&prepared("call @neg(%g, %h) call @neg(%s, %g)", ""), Stage::Plan),
        "prepare step 0 (call @neg): slot %g is read before it is written; order the steps"
    );
}

#[test]
fn what_changes_from_run_to_run_is_not_prepared() {
    assert_eq!(
        check(&prepared("call @neg(%x, %h)", ""), Stage::Plan),
        "prepare step 0: slot %x is read, which is not the same in each run; read it in a step that runs each time"
    );
    let problem = "prepare step 0: slot %s is read, which is not the same in each run; \
                   read it in a step that runs each time";
    assert_eq!(check(&prepared("call @neg(%s, %h)", "copy %h -> %s"), Stage::Plan), problem);
    let mut updated = prepared("call @neg(%s, %h)", "");
    updated.updates.push((SlotId(2), SlotId(0)));
    assert_eq!(check(&updated, Stage::Kernels), problem);
}

#[test]
fn what_is_prepared_is_in_the_arena_and_nothing_overwrites_it() {
    assert_eq!(
        check(&prepared("call @neg(%s, %h) call @neg(%s, %out)", ""), Stage::Plan),
        "prepare step 1: slot %out is written, which is not in the arena; keep the result in a slot of the arena"
    );
    assert_eq!(
        check(&prepared("call @neg(%s, %h)", "call @neg(%x, %h)"), Stage::Plan),
        "prepare step 0: slot %h is written, which a step overwrites; give the result a slot of its own"
    );
}

#[test]
fn no_other_value_is_placed_over_what_is_prepared() {
    let with_places = |h: usize, g: usize| {
        let mut plan = prepared("call @neg(%s, %h)", "call @neg(%x, %g) call @neg(%g, %out)");
        plan.slots[3].place = Place::Arena { offset: h };
        plan.slots[4].place = Place::Arena { offset: g };
        check(&plan, Stage::Plan)
    };
    assert_eq!(with_places(0, 64), "valid");
    let problem = "is written over slot %h, which is alive; place them apart, or order the steps";
    assert_eq!(with_places(64, 64), format!("step 1: slot %g {problem}"), "after its last use in a run");
}

#[test]
fn slots_are_within_the_limits_of_a_text() {
    let mut wrong = plan(CALL);
    wrong.slots[0].ty.shape = [1 << 31, 1 << 31].into();
    assert_eq!(
        check(&wrong, Stage::Plan),
        "slot %x: it has too many elements, f32[2147483648, 2147483648]; use at most 2^31"
    );
}

#[test]
fn the_order_of_a_state_names_each_of_its_axes_once() {
    let cut = [AxisPart::Block { axis: 0, size: 2 }, AxisPart::Whole(1)];
    let wholes = [&[1, 1][..], &[1], &[2, 1, 0], &[1, 2]].map(AxisOrder::new);
    for order in wholes.into_iter().chain([AxisOrder::of_parts(cut)]) {
        let mut wrong = plan(&format!("slot %s : f32[2, 3] = state constant(0) {CALL}"));
        let Place::State { order: of_state, .. } = &mut wrong.slots[2].place else { panic!("a state") };
        *of_state = order.clone();
        let help = "name each axis once, counted from 0, or its blocks and the places in them";
        assert_eq!(
            check(&wrong, Stage::Plan),
            format!("slot %s: `{order}` is no order of the axes [2, 3]; {help}")
        );
    }
}

/// `%s` is a state and `%h`, `%g` are at one place; `@turn` reads what it has written before. Of `kernels` some step calls each.
fn in_place_with(kernels: &str, steps: &str) -> String {
    let source = format!(
        "plan @p {{ arena 64 slot %x : f32[16] = input slot %s : f32[16] = state constant(0)
         slot %h : f32[16] = at 0 slot %g : f32[16] = at 0 {KERNEL} {kernels} steps {{ call @neg(%x, %h) {steps} }} }}"
    );
    let plan = parse_plan(&source).unwrap_or_else(|error| panic!("{}", error.render(&source, "test")));
    check(&plan, Stage::Plan)
}

fn in_place(steps: &str) -> String {
    let turn =
        "kernel @turn(%x: f32[16]) -> (%y: f32[16]) { for i in 16 { %0 = load %x[15 - i] store %0, %y[i] } }";
    in_place_with(turn, steps)
}

#[test]
fn what_a_kernel_reads_back_of_its_result_is_no_operand() {
    let sum = "kernel @sum(%x: f32[16]) -> (%y: f32[16]) { for {
        for i in 16 { %0 = load %x[i] store %0, %y[i] }
        %1 = reduce add j in 16 { %2 = load %y[j] yield %2 }
        for k in 16 { store %1, %y[k] } } }";
    assert_eq!(in_place_with(sum, "call @sum(%h, %g) call @neg(%g, %s) call @sum(%s, %s)"), "valid");
}

#[test]
fn what_is_written_over_an_operand_has_been_read_before() {
    assert_eq!(in_place("call @neg(%h, %g) call @turn(%g, %s) call @neg(%s, %s)"), "valid");
    assert_eq!(
        in_place("call @neg(%h, %g) call @turn(%s, %s)"),
        "step 2: @turn writes slot %s over slot %s, which it has not read to the end; place them apart"
    );
    assert_eq!(
        in_place("call @turn(%h, %g) call @neg(%g, %s)"),
        "step 1: @turn writes slot %g over slot %h, which it has not read to the end; place them apart"
    );
}
