//! Plans with loops, as text: before and after pass `plan_memory` they leave the same bits, in the interpreter of plans and as
//! machine code on every target, on one thread and on two. All kernels are exact up to single roundings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use ir::plan::flat_steps;
use ir::verify::verify_plan;
use ir::{Place, Plan, Stage, Step, Tensor, VerifiedPlan};
use nnc::{Executable, Options, Pool, State};
use tests::compare::{StepResult, same_bits, seeded_tensor};
use tests::golden;
use tests::run_plan::run_plan;
use tests::targets::{for_each_target, options_for};

const SEED: u64 = 11;

/// The inputs of the golden files of `plan_memory` that have loops.
fn plans() -> Vec<(String, Plan)> {
    let folder = golden::folder().join("plan_memory");
    let files =
        fs::read_dir(&folder).expect("there are golden files").map(|entry| entry.expect("a file").path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    let read = |path: std::path::PathBuf| {
        let name = path.file_stem()?.to_str()?.to_owned();
        let text = fs::read_to_string(&path).expect("a text");
        let input = text.split("// expect:").next()?;
        let plan = name.starts_with("loop").then(|| ir::text::parse_plan(input))?;
        Some((name, plan.unwrap_or_else(|error| panic!("{}", error.render(input, "golden file")))))
    };
    let plans: Vec<_> = files.into_iter().filter_map(read).collect();
    assert!(plans.len() >= 8, "the files are found");
    plans
}

/// One run of a program on the inputs that the interpreter makes up.
fn execute(program: &mut Executable) -> StepResult {
    let plan = program.plan().clone();
    let mut state = State::new(&plan, SEED).expect("states");
    let inputs: Vec<Tensor> =
        program.inputs().zip(0..).map(|((_, ty), stream)| seeded_tensor(ty, SEED, stream)).collect();
    program.run(&mut state, &inputs.iter().collect::<Vec<_>>()).expect("it runs");
    let outputs = program.output_types().map(|(name, _)| name.to_owned());
    let outputs = outputs.zip(program.outputs().to_vec()).collect();
    let states = plan.slots_where(|place| matches!(place, Place::State { .. }));
    let states: BTreeMap<String, Tensor> =
        states.map(|(_, slot)| (slot.name.clone(), state.get(&slot.name).expect("a state"))).collect();
    StepResult { outputs, states }
}

#[test]
fn machine_code_has_the_bits_of_the_interpreter() {
    let pools = [1, 2].map(|threads| Arc::new(Pool::new(threads).expect("threads")));
    for_each_target(|target| {
        for (name, plan) in plans() {
            let expected = run_plan(&plan, SEED).expect("it runs");
            for optimize in [true, false] {
                let options = Options { optimize, verify: true, ..options_for(target) };
                for pool in &pools {
                    let program = nnc::compile_plan(plan.clone(), &options, pool.clone());
                    let program = program.unwrap_or_else(|error| panic!("{name}: {error}"));
                    let mut program = program.cut_for(pool.clone()).expect("memory");
                    let found = execute(&mut program);
                    let case = format!("{name}, optimize {optimize}, {} threads", pool.threads());
                    assert!(
                        same_bits(&found, &expected),
                        "{case}:\n{}\n{found:?}\n{expected:?}",
                        **program.plan()
                    );
                }
            }
        }
    });
}

/// Plans of stage `kernels` with loops, drawn from a seed and written as text: carries by copies, rows of results, loops within
/// loops, and results that are read by other loops.
struct Writer {
    random: u64,
    slots: String,
    steps: String,
    kernels: BTreeSet<&'static str>,
    names: usize,
    /// Slots of several rows, and how many.
    stacks: Vec<(String, usize)>,
}

const KERNELS: [(&str, usize, &str); 4] = [
    ("add", 2, "%1 = load %b[i] %2 = add %0, %1"),
    ("mix", 2, "%1 = load %b[3 - i] %3 = mul %0, %1 %2 = add %3, %0"),
    ("neg", 1, "%2 = neg %0"),
    ("turn", 1, "%1 = load %a[3 - i] %3 = sub %1, %0 %2 = mul %3, %1"),
];

impl Writer {
    fn below(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.random >> 33) as usize % bound
    }

    fn pick(&mut self, of: &[String]) -> String {
        of[self.below(of.len())].clone()
    }

    /// A new slot.
    fn slot(&mut self, prefix: &str, ty: &str, place: &str) -> String {
        self.names += 1;
        let name = format!("%{prefix}{}", self.names);
        self.slots += &format!("slot {name} : {ty} = {place}\n");
        name
    }

    fn step(&mut self, step: &str) {
        self.steps += &format!("{step}\n");
    }

    fn copy(&mut self, from: &str, to: &str) {
        self.step(&format!("copy {from} -> {to}"));
    }

    /// A call on some of these values; its result.
    fn call(&mut self, values: &[String]) -> String {
        let (name, operands, _) = KERNELS[self.below(KERNELS.len())];
        self.kernels.insert(name);
        let operands: Vec<String> = (0..operands).map(|_| self.pick(values)).collect();
        let result = self.slot("v", "f32[4]", "unplaced");
        self.step(&format!("call @{name}({}, {result})", operands.join(", ")));
        result
    }

    /// Rows for a loop: of an input, or of what another loop has written.
    fn rows(&mut self, count: usize, t: &str) -> String {
        let fitting: Vec<String> =
            self.stacks.iter().filter(|(_, rows)| *rows == count).map(|(name, _)| name.clone()).collect();
        let whole = match fitting.is_empty() || self.below(2) == 0 {
            true => self.slot("xs", &format!("f32[{count}, 4]"), "input"),
            false => self.pick(&fitting),
        };
        let shift = ["", "", "+1", "-1"][self.below(4)];
        self.slot("x.", "f32[4]", &format!("{whole}[{t}{shift}]"))
    }

    /// A loop that reads these values; its carries, which have their last values behind it.
    fn scan(&mut self, outer: &[String], depth: usize) -> Vec<String> {
        let count = 1 + self.below(4);
        let t = if depth == 0 { "t".to_owned() } else { format!("t{depth}") };
        let carries: Vec<String> = (0..1 + self.below(3))
            .map(|_| {
                let first = self.pick(outer);
                let carry = self.slot("h", "f32[4]", "unplaced");
                self.copy(&first, &carry);
                carry
            })
            .collect();
        let mut values: Vec<String> = outer.iter().chain(&carries).cloned().collect();
        values.push(self.rows(count, &t));
        let reversed = if self.below(2) == 0 { " reversed" } else { "" };
        self.step(&format!("loop {count}{reversed} {{"));
        let (mut computed, mut matrices) = (Vec::new(), Vec::new());
        for _ in 0..1 + self.below(4) {
            computed.push(self.call(&values));
            values.extend(computed.last().cloned());
            if depth < 2 && self.below(8) == 0 {
                let before = self.stacks.len();
                let inner = self.scan(&values, depth + 1);
                values.extend(inner.iter().cloned());
                computed.extend(inner);
                for (stack, rows) in self.stacks.split_off(before) {
                    // Rows of rows, in the shape of the stack or in another.
                    let shape = [format!("{rows}, 4"), format!("{}", 4 * rows)][self.below(2)].clone();
                    let place = if depth == 0 && self.below(4) == 0 { "output" } else { "unplaced" };
                    let whole = self.slot("zs", &format!("f32[{count}, {shape}]"), place);
                    let row = self.slot("z.", &format!("f32[{shape}]"), &format!("{whole}[{t}]"));
                    self.copy(&stack, &row);
                    if place == "unplaced" && depth == 0 {
                        matrices.push((whole, count * rows * 4));
                    }
                }
            }
        }
        let mut stacks = Vec::new();
        for _ in 0..self.below(4) {
            let value = if self.below(3) == 0 { self.pick(&carries) } else { self.pick(&computed) };
            let place = if depth == 0 && self.below(4) == 0 { "output" } else { "unplaced" };
            let whole = self.slot("ys", &format!("f32[{count}, 4]"), place);
            let row = self.slot("y.", "f32[4]", &format!("{whole}[{t}]"));
            self.copy(&value, &row);
            stacks.push((whole, count));
        }
        for carry in &carries {
            let next = if self.below(6) == 0 { self.pick(&values) } else { self.pick(&computed) };
            if next != *carry {
                self.copy(&next, carry);
            }
            if self.below(8) == 0 {
                self.call(&values);
            }
        }
        self.step("}");
        for (matrix, elements) in matrices {
            self.output(&matrix, &format!("f32[{elements}]"));
        }
        self.stacks.extend(stacks);
        if self.below(8) == 0 {
            let carry = self.pick(&carries);
            self.copy(&outer[0], &carry);
        }
        carries
    }

    fn output(&mut self, from: &str, ty: &str) {
        let output = self.slot("out", ty, "output");
        self.copy(from, &output);
    }

    /// A whole plan.
    fn plan(seed: u64) -> String {
        let mut writer = Writer {
            random: seed,
            slots: String::new(),
            steps: String::new(),
            kernels: BTreeSet::new(),
            names: 0,
            stacks: Vec::new(),
        };
        let mut values =
            vec![writer.slot("x", "f32[4]", "input"), writer.slot("s", "f32[4]", "state uniform(-1, 1, 3)")];
        let state = values[1].clone();
        for _ in 0..1 + writer.below(3) {
            let results = writer.scan(&values, 0);
            values.extend(results);
            if writer.below(2) == 0 {
                let result = writer.call(&values);
                values.push(result);
            }
        }
        for (whole, rows) in writer.stacks.clone() {
            match writer.below(4) {
                0 => {
                    let shapes = [format!("{rows}, 4"), format!("{rows}, 2, 2"), format!("2, {}", 2 * rows)];
                    writer.output(&whole, &format!("f32[{}]", shapes[writer.random as usize % 3]));
                }
                1 => {
                    let row = writer.below(rows);
                    let part = writer.slot("p", "f32[4]", &format!("{whole}[{row}]"));
                    writer.output(&part, "f32[4]");
                }
                _ => {}
            }
        }
        for value in &values {
            if writer.below(2) == 0 {
                writer.output(value, "f32[4]");
            }
        }
        let next = writer.pick(&values);
        let update = if writer.below(2) == 0 { format!("update {state} = {next}") } else { String::new() };
        let kernels = KERNELS.iter().filter(|kernel| writer.kernels.contains(kernel.0));
        let kernels: String = kernels
            .map(|(name, operands, body)| {
                let parameters = ["%a: f32[4]", "%a: f32[4], %b: f32[4]"][operands - 1];
                format!(
                    "kernel @{name}({parameters}) -> (%c: f32[4]) {{ for i in 4 {{ %0 = load %a[i] {body} store %2, %c[i] }} }}\n"
                )
            })
            .collect();
        format!("plan @random {{\n{}{kernels}steps {{\n{}}}\n{update} }}", writer.slots, writer.steps)
    }
}

/// The copies in loops.
fn copies_in_loops(plan: &Plan) -> usize {
    let loops = plan.steps.iter().filter(|step| matches!(step, Step::Loop { .. }));
    let steps = loops.flat_map(|step| flat_steps(std::slice::from_ref(step)));
    steps.filter(|step| matches!(step, Step::Copy { .. })).count()
}

#[test]
fn random_plans_with_loops_leave_the_same_bits() {
    let (mut before, mut after) = (0, 0);
    for seed in 0..1000 {
        let text = Writer::plan(seed);
        let plan =
            ir::text::parse_plan(&text).unwrap_or_else(|error| panic!("{}", error.render(&text, "random")));
        verify_plan(&plan, Stage::Kernels).unwrap_or_else(|error| panic!("{error}\n{plan}"));
        let expected = run_plan(&plan, SEED).expect("it runs");
        for reuse in [false, true] {
            let placed = passes::plan_memory::plan_memory(plan.clone(), reuse);
            if let Err(error) = VerifiedPlan::new(placed.clone()) {
                panic!("seed {seed}, reuse {reuse}: {error}\n{plan}\n{placed}");
            }
            let found = run_plan(&placed, SEED).expect("it runs");
            assert!(same_bits(&found, &expected), "seed {seed}, reuse {reuse}:\n{plan}\n{placed}");
            let read_back = ir::text::parse_plan(&placed.to_string()).expect("it reads back");
            assert_eq!(read_back, placed);
            if reuse {
                after += copies_in_loops(&placed);
            } else {
                before += copies_in_loops(&placed);
            }
        }
    }
    assert!(after * 3 < before * 2, "{after} of {before} copies in loops are left");
}
