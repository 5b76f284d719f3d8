//! Errors of plans with loops, and of slots that are parts of others.

use super::message;
use crate::text::parse_plan;
use crate::verify::{Stage, verify_plan};
use crate::{Place, Plan, Row, SlotId, Step};

const KERNELS: &str = "
kernel @neg(%x: f32[16]) -> (%y: f32[16]) { for i in 16 { %0 = load %x[i] %1 = neg %0 store %1, %y[i] } }
kernel @turn(%x: f32[16]) -> (%y: f32[16]) { for i in 16 { %0 = load %x[15 - i] store %0, %y[i] } }
kernel @two(%x: f32[16]) -> (%y: f32[16], %z: f32[16]) {
  for i in 16 { %0 = load %x[i] store %0, %y[i] store %0, %z[i] }
}";

/// A plan over `%xs` and `%out`, two rows of 16 and one, whose kernels are all called at the end.
fn plan(slots: &str, steps: &str) -> Plan {
    let source = format!(
        "plan @p {{ arena 1024 slot %xs : f32[2, 16] = input slot %x.t : f32[16] = %xs[t] slot %x : f32[16] = %xs[1]
         slot %out : f32[16] = output slot %out:1 : f32[2, 16] = output slot %u : f32[16] = state constant(0)
         slot %v : f32[16] = state constant(0) slot %d : f32[2, 16] = state constant(0)
         {slots} {KERNELS} steps {{ {steps}
         copy %xs -> %out:1 call @neg(%x, %u) call @turn(%x, %u) call @two(%x, %u, %v) copy %x -> %out }} }}"
    );
    let mut plan = parse_plan(&source).unwrap_or_else(|error| panic!("{}", error.render(&source, "test")));
    plan.slots[4].name = "outs".to_owned();
    plan
}

fn check(slots: &str, steps: &str) -> String {
    message(verify_plan(&plan(slots, steps), Stage::Plan))
}

#[test]
fn rows_are_touched_in_loops() {
    assert_eq!(check("", "loop 2 { copy %x.t -> %out }"), "valid");
    assert_eq!(check("slot %o : f32[16] = %out:1[t+1]", "loop 2 reversed { call @neg(%x.t, %o) }"), "valid");
    assert_eq!(
        check("", "copy %x.t -> %out"),
        "step 0 (copy): slot %x.t counts with the loop of depth 0, which is not around it; \
         touch it in such a loop, or use a row that stays"
    );
    assert_eq!(
        check("slot %i : f32[16] = %xs[t1]", "loop 2 { call @neg(%i, %out) }"),
        "step 0.0 (call @neg): slot %i counts with the loop of depth 1, which is not around it; \
         touch it in such a loop, or use a row that stays"
    );
    let within = "slot %i : f32[] = %x.t[t1]  slot %o : f32[] = %out[t]";
    assert_eq!(check(within, "loop 2 { loop 16 { copy %i -> %o } }"), "valid");
    let problem = check(within, "loop 16 { copy %i -> %o }");
    assert!(problem.starts_with("step 0.0 (copy): slot %i counts with the loop of depth 1"), "{problem}");
}

#[test]
fn loops_have_iterations_and_are_nested_4_deep() {
    assert_eq!(
        check("", "loop 0 { copy %x.t -> %out }"),
        "plan @p: a loop has 0 iterations; give it one at least and 2^31 at most"
    );
    assert_eq!(
        check("", "loop 4294967296 { copy %x.t -> %out }"),
        "plan @p: a loop has 4294967296 iterations; give it one at least and 2^31 at most"
    );
    let mut deep = plan("", "");
    for depth in 0..5 {
        assert_eq!(message(verify_plan(&deep, Stage::Plan)), "valid", "{depth}");
        let body = std::mem::take(&mut deep.steps);
        deep.steps.push(Step::Loop { count: 1, reversed: false, body });
    }
    assert_eq!(
        message(verify_plan(&deep, Stage::Plan)),
        "plan @p: more than 4 loops are nested; nest fewer loops"
    );
}

#[test]
fn parts_are_rows_of_their_slot() {
    let part = |ty: &str, of: &str| check(&format!("slot %p : {ty} = {of}"), "");
    assert_eq!(part("f32[2, 16]", "%xs[0]"), "valid");
    assert_eq!(part("f32[4, 4]", "%xs[t]"), "valid");
    let help = "make it as large as rows that end within it, or as one row of a loop";
    for (ty, of) in
        [("f32[2, 16]", "%xs[1]"), ("f32[16]", "%xs[2]"), ("f32[8]", "%xs[0]"), ("f32[2, 16]", "%xs[t]")]
    {
        assert_eq!(
            part(ty, of),
            format!("slot %p: it is {ty}, which is no rows of slot %xs, f32[2, 16]; {help}")
        );
    }
    assert_eq!(
        part("i32[16]", "%xs[t]"),
        "slot %p: it is i32[16], and a part of slot %xs, f32[2, 16]; give a part the dtype of what it is of"
    );
    assert_eq!(
        check("slot %e : f32[0, 4] = at 0 slot %p : f32[4] = %e[t]", ""),
        "slot %p: slot %e has no rows, f32[0, 4]; make it a part of a slot whose leading axis counts rows"
    );
    assert_eq!(
        check("slot %e : f32[] = at 0 slot %p : f32[] = %e[0]", ""),
        "slot %p: slot %e has no rows, f32[]; make it a part of a slot whose leading axis counts rows"
    );
    let mut wrong = plan("", "");
    wrong.slots[1].place = Place::Part { of: SlotId(99), row: Row::At(0) };
    assert_eq!(
        message(verify_plan(&wrong, Stage::Plan)),
        "slot %x.t: there is no slot 99; use a slot of the plan"
    );
    wrong.slots[1].place = Place::Part { of: SlotId(0), row: Row::Step { depth: 0, shift: i64::MIN } };
    assert_eq!(
        message(verify_plan(&wrong, Stage::Plan)),
        format!("slot %x.t: its row is shifted by {}; shift it by at most 2^31", i64::MIN)
    );
    wrong.slots[1].place = Place::Part { of: SlotId(0), row: Row::At(usize::MAX) };
    assert!(message(verify_plan(&wrong, Stage::Plan)).contains("which is no rows of slot %xs"));
}

#[test]
fn chains_of_parts_end() {
    let chain = |length: usize| {
        let part = |at: usize| format!("slot %p{} : f32[1] = %p{at}[0]", at + 1);
        let parts: Vec<String> = (0..length).map(part).collect();
        check(&format!("slot %p0 : f32[1] = at 0 {}", parts.join(" ")), "")
    };
    assert_eq!(chain(8), "valid");
    let problem =
        "it is a part of a part, more than 8 times; make it a part of a slot that has memory of its own";
    assert_eq!(chain(9), format!("slot %p9: {problem}"));
    let cycle = "slot %p : f32[1] = %q[t] slot %q : f32[1] = %p[0]";
    assert_eq!(check(cycle, ""), format!("slot %p: {problem}"));
}

#[test]
fn a_part_is_as_writable_as_its_root_and_written_with_it() {
    assert_eq!(
        check("", "loop 2 { call @neg(%x, %x.t) }"),
        "step 0.0 (call @neg): slot %x.t is written, but it is read only; \
         write to a slot of the arena, an output or a state"
    );
    let state = "slot %s : f32[2, 16] = state constant(0) slot %s.t : f32[16] = %s[t]";
    assert_eq!(check(state, "loop 2 { call @neg(%x, %s.t) }"), "valid");
    let mut kernels = plan(&format!("slot %w : f32[] = unplaced {state}"), "loop 2 { call @neg(%x, %s.t) }");
    kernels.steps.truncate(1);
    assert_eq!(
        message(verify_plan(&kernels, Stage::Kernels)),
        "step 0.0 (call @neg): slot %s.t is written, which is for pass `plan_memory` to do; \
         write to a slot of its own, and make that the update of the state"
    );
    let arena = "slot %a : f32[2, 16] = at 0 slot %a.t : f32[16] = %a[t]";
    assert_eq!(
        check(arena, "loop 2 { copy %a.t -> %out }"),
        "step 0.0 (copy): slot %a.t is read before it is written; order the steps"
    );
    assert_eq!(check(arena, "loop 2 { copy %x.t -> %a.t } copy %a -> %out:1"), "valid");
}

#[test]
fn what_a_call_writes_is_apart() {
    let rows = |a: &str, b: &str| {
        let slots =
            format!("slot %s : f32[3, 16] = at 0 slot %p : f32[16] = %s[{a}] slot %q : f32[16] = %s[{b}]");
        check(&slots, "loop 3 { loop 3 { call @two(%x, %p, %q) } }")
    };
    assert_eq!(rows("t", "t+1"), "valid");
    assert_eq!(rows("0", "1"), "valid");
    let problem = "step 0.0.0 (call @two): slot %p and slot %q are written, which may overlap; \
                   give each written parameter memory of its own";
    for (a, b) in [("t", "t"), ("t", "t+3"), ("t", "0"), ("t", "t1"), ("2", "2")] {
        assert_eq!(rows(a, b), problem);
    }
    let whole = "slot %s : f32[16] = at 0 slot %p : f32[] = %s[3] slot %q : f32[8] = %s[8]";
    assert_eq!(check(whole, "copy %x -> %s copy %p -> %p copy %q -> %q"), "valid");
}

#[test]
fn a_row_is_written_over_as_a_slot_is() {
    let rows = |kernel: &str, from: &str, to: &str| {
        let slots = format!(
            "slot %s : f32[3, 16] = at 0 slot %first : f32[16] = %s[0] slot %p : f32[16] = %s[{from}]
             slot %q : f32[16] = %s[{to}]"
        );
        check(&slots, &format!("copy %x -> %first loop 3 {{ loop 3 {{ {kernel}(%p, %q) }} }}"))
    };
    assert_eq!(rows("call @turn", "t", "t+1"), "valid");
    assert_eq!(rows("call @neg", "t", "t+3"), "valid");
    assert_eq!(
        rows("call @turn", "t", "t+3"),
        "step 1.0.0: @turn writes slot %q over slot %p, which it has not read to the end; place them apart"
    );
    for (from, to) in [("t", "t1"), ("1", "t"), ("t", "2")] {
        assert_eq!(
            rows("call @neg", from, to),
            "step 1.0.0: slot %q is written, which may overlap slot %p, which is read; place them apart"
        );
    }
    let copies = |from: &str, to: &str| {
        let slots = format!("slot %p : f32[16] = %d[{from}] slot %q : f32[16] = %d[{to}]");
        check(&slots, "loop 3 { loop 3 { copy %p -> %q } }")
    };
    assert_eq!([copies("t", "t+1"), copies("t", "t+2")], ["valid", "valid"]);
    assert!(copies("t", "t1").contains("may overlap"), "{}", copies("t", "t1"));
}

/// `%a` at 0, and `%b` at this offset.
fn two_values(offset: usize, steps: &str) -> String {
    check(&format!("slot %a : f32[16] = at 0 slot %b : f32[16] = at {offset}"), steps)
}

#[test]
fn what_each_iteration_writes_first_ends_with_its_last_use() {
    let steps = "loop 5 { call @neg(%x, %a) call @neg(%a, %out) call @neg(%x, %b) call @neg(%b, %out) }";
    assert_eq!(two_values(0, steps), "valid");
    let steps = "loop 5 { call @neg(%x, %a) call @neg(%a, %b) call @neg(%b, %out) }";
    assert_eq!(two_values(0, steps), "valid", "in place");
}

#[test]
fn what_an_iteration_hands_to_the_next_is_alive_between_them() {
    // `%a` is read first in each iteration, and written last.
    let carried =
        |rest: &str| format!("call @neg(%x, %a) loop 5 {{ call @neg(%a, %out) {rest} call @neg(%x, %a) }}");
    let other = "call @neg(%x, %b) call @neg(%b, %out)";
    assert_eq!(two_values(64, &carried(other)), "valid");
    assert_eq!(
        two_values(0, &carried(other)),
        "step 1.1: slot %b is written over slot %a, which is alive; place them apart, or order the steps"
    );
    // What only the first iteration seems to have to keep: `%a` is last used before `%b` is written, in the text.
    let before = "call @neg(%x, %a) loop 5 { call @neg(%a, %out) call @neg(%x, %b) call @neg(%b, %out) }";
    assert_eq!(
        two_values(0, before),
        "step 1.1: slot %b is written over slot %a, which is alive; place them apart, or order the steps"
    );
    // What the last iteration leaves, which is written after `%b` is used, in the text.
    let after = "loop 5 { call @neg(%x, %b) call @neg(%b, %out) call @neg(%x, %a) } call @neg(%a, %out)";
    assert_eq!(two_values(64, after), "valid");
    assert_eq!(
        two_values(0, after),
        "step 0.0: slot %b is written over slot %a, which is alive; place them apart, or order the steps"
    );
    // In place of what the next iteration reads again.
    let in_place = "call @neg(%x, %a) loop 5 { call @neg(%a, %b) call @neg(%b, %out) }";
    assert!(two_values(0, in_place).contains("step 1.0: slot %b is written over slot %a, which is alive"));
}

#[test]
fn inner_loops_keep_what_outer_iterations_hand_to_them() {
    let steps =
        "loop 2 { call @neg(%x, %a) loop 3 { call @neg(%a, %out) call @neg(%x, %b) call @neg(%b, %out) } }";
    assert!(two_values(0, steps).contains("slot %b is written over slot %a, which is alive"));
    assert_eq!(two_values(64, steps), "valid");
    let steps =
        "loop 2 { call @neg(%x, %a) loop 3 { call @neg(%a, %out) } call @neg(%x, %b) call @neg(%b, %out) }";
    assert_eq!(two_values(0, steps), "valid");
}

#[test]
fn a_slot_with_parts_is_alive_throughout_the_loops_that_touch_them() {
    let slots = |offset: usize| {
        format!("slot %s : f32[2, 16] = at 0 slot %s.t : f32[16] = %s[t] slot %b : f32[16] = at {offset}")
    };
    let steps = "loop 2 { call @neg(%x, %s.t) call @neg(%s.t, %out) call @neg(%x, %b) call @neg(%b, %out) }";
    assert_eq!(check(&slots(128), steps), "valid");
    for offset in [0, 64] {
        assert_eq!(
            check(&slots(offset), steps),
            "step 0.2: slot %b is written over slot %s, which is alive; place them apart, or order the steps"
        );
    }
    let part = "slot %s : f32[2, 16] = at 0 slot %p : f32[16] = %s[0] slot %b : f32[16] = at 0";
    let problem = check(part, "copy %xs -> %s call @neg(%p, %b) call @neg(%b, %out)");
    assert!(
        problem.contains("slot %b is written over slot %s, which is alive"),
        "in place of a part: {problem}"
    );
}

#[test]
fn what_is_prepared_in_loops_is_held_to_the_same() {
    let mut prepared = plan(
        "slot %s : f32[2, 16] = state constant(0) slot %s.t : f32[16] = %s[t] slot %h : f32[2, 16] = at 0
         slot %h.t : f32[16] = %h[t]",
        "loop 2 { call @neg(%s.t, %h.t) } copy %h -> %out:1",
    );
    let step = prepared.steps.remove(0);
    prepared.prepare.push(step);
    assert_eq!(message(verify_plan(&prepared, Stage::Plan)), "valid");
    let mut changed = prepared.clone();
    changed.slots[8].place = Place::Input;
    assert_eq!(
        message(verify_plan(&changed, Stage::Plan)),
        "prepare step 0.0: slot %s.t is read, which is not the same in each run; read it in a step that runs each time"
    );
    let mut outside = prepared.clone();
    outside.slots[10].place = Place::Output;
    assert_eq!(
        message(verify_plan(&outside, Stage::Plan)),
        "prepare step 0.0: slot %h.t is written, which is not in the arena; keep the result in a slot of the arena"
    );
    let mut again = prepared.clone();
    again.steps.insert(0, Step::Loop { count: 2, reversed: false, body: again.prepare.clone() });
    again.steps.insert(0, again.prepare[0].clone());
    assert_eq!(
        message(verify_plan(&again, Stage::Plan)),
        "prepare step 0.0: slot %h.t is written, which a step overwrites; give the result a slot of its own"
    );
}

#[test]
fn an_update_is_no_row_that_moves() {
    let mut updated = plan("", "");
    updated.updates.push((SlotId(5), SlotId(2)));
    updated.steps.truncate(1);
    let error = |plan: &Plan| message(verify_plan(plan, Stage::Kernels));
    assert!(!error(&updated).contains("counts with"), "{}", error(&updated));
    updated.kernels.clear();
    updated.steps.push(Step::Copy { from: SlotId(2), to: SlotId(3) });
    assert_eq!(error(&updated), "valid");
    updated.updates[0].1 = SlotId(1);
    assert_eq!(
        error(&updated),
        "slot %u: slot %x.t counts with the loop of depth 0, which is not around it; update it from a row that stays"
    );
}
