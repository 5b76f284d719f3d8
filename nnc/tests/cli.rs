//! The program as its users meet it: exit codes, messages, JSON. `dump`, `bench`, `check` and `run`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use ir::Tensor;
use nnc::npy;
use serde_json::Value;

const GRAPH: &str = "graph @scale {
  %x = input : f32[2, 3]
  %s = state init=constant(2) : f32[2, 3]
  %y = mul %x, %s
  output y = %y
  update %s = %y
}
";

/// A folder with files to work on.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        fs::write(folder.path("scale.nnir"), GRAPH).unwrap();
        let x = Tensor::new([2, 3], vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        npy::write(&folder.path("x.npy"), &x).unwrap();
        npy::npz::write(&folder.path("x.npz"), [("x", &x)]).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs nnc in the folder.
    fn nnc(&self, arguments: &str) -> Output {
        let arguments = arguments.split_whitespace();
        Command::new(env!("CARGO_BIN_EXE_nnc")).args(arguments).current_dir(self.0.path()).output().unwrap()
    }

    /// What a run that succeeds prints on stdout.
    fn stdout(&self, arguments: &str) -> String {
        let output = self.nnc(arguments);
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.stdout(arguments)).unwrap()
    }

    /// What a run with bad input says: it exits with 2, prints nothing else, and does not panic.
    fn refusal(&self, arguments: &str) -> String {
        let output = self.nnc(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{arguments}");
        stderr
    }
}

#[test]
fn run_prints_outputs_and_compiled_and_interpreted_agree() {
    let folder = Folder::new();
    let expected = "y: f32[2, 3] = 2, 4, 6, 8, 10, 12\n";
    for flags in ["", "--reference", "--threads 2", "--no-optimize"] {
        assert_eq!(folder.stdout(&format!("run scale.nnir --input x=x.npy {flags}")), expected, "{flags}");
        assert_eq!(folder.stdout(&format!("run scale.nnir --inputs x.npz {flags}")), expected, "{flags}");
    }
}

#[test]
fn run_takes_states_from_step_to_step() {
    let folder = Folder::new();
    for flags in ["", "--reference"] {
        let json = folder.json(&format!("run scale.nnir --input x=x.npy --steps 3 --json {flags}"));
        assert_eq!(json["outputs"]["y"]["type"], "f32[2, 3]");
        assert_eq!(json["outputs"]["y"]["values"][1], 16.0, "{json}");
    }
    // A state can be given, too.
    let json = folder.json("run scale.nnir --input x=x.npy --input s=x.npy --json");
    assert_eq!(json["outputs"]["y"]["values"][5], 36.0);
}

#[test]
fn run_writes_outputs_to_an_archive() {
    let folder = Folder::new();
    folder.stdout("run scale.nnir --input x=x.npy --output out.npz");
    let arrays = npy::npz::read(&folder.path("out.npz")).unwrap();
    assert_eq!(arrays[0].0, "y");
    assert_eq!(arrays[0].1.as_slice::<f32>().unwrap(), [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
}

#[test]
fn run_names_missing_inputs_with_their_types() {
    let folder = Folder::new();
    for flags in ["", "--reference"] {
        let expected = "error: inputs are missing: `x` (f32[2, 3]); give a tensor for each\n";
        assert_eq!(folder.refusal(&format!("run scale.nnir {flags}")), expected);
    }
}

#[test]
fn run_refuses_arrays_that_do_not_fit() {
    let folder = Folder::new();
    npy::write(&folder.path("y.npy"), &Tensor::new([3, 2], vec![0.0f32; 6]).unwrap()).unwrap();
    let error = folder.refusal("run scale.nnir --input x=y.npy");
    assert_eq!(
        error,
        "error: y.npy: the array for `x` is f32[3, 2], the graph wants f32[2, 3]; give an array of that type\n"
    );
    let error = folder.refusal("run scale.nnir --input z=x.npy");
    assert_eq!(error, "error: x.npy: @scale has no input or state `z`; its inputs and states are x, s\n");
    let error = folder.refusal("run scale.nnir --input x=none.npy");
    assert!(error.starts_with("error: none.npy: cannot read: "), "{error}");
    fs::write(folder.path("cut.npy"), &fs::read(folder.path("x.npy")).unwrap()[..100]).unwrap();
    let error = folder.refusal("run scale.nnir --input x=cut.npy");
    assert!(error.starts_with("error: cut.npy: "), "{error}");
}

#[test]
fn run_does_not_overwrite_what_it_cannot_write_anew() {
    let folder = Folder::new();
    let error = folder.refusal("run scale.nnir --input x=x.npy --output none/out.npz");
    assert!(error.starts_with("error: none/out.npz: cannot write: "), "{error}");
    let error = folder.refusal("run scale.nnir --input x=x.npy --threads 0");
    assert!(error.contains("0 threads cannot be started"), "{error}");
}

#[test]
fn check_accepts_what_holds() {
    let folder = Folder::new();
    assert_eq!(folder.stdout("check scale.nnir"), "scale.nnir: graph @scale holds (stage source, 3 nodes)\n");
    let json = folder.json("check scale.nnir --json");
    assert_eq!((&json["ok"], &json["kind"]), (&Value::Bool(true), &Value::from("graph")));
}

#[test]
fn check_shows_the_line_at_fault() {
    let folder = Folder::new();
    fs::write(folder.path("bad.nnir"), GRAPH.replace("mul", "mull")).unwrap();
    let error = folder.refusal("check bad.nnir");
    assert!(
        error.contains("bad.nnir:4:") && error.contains("%y = mull %x, %s") && error.contains('^'),
        "{error}"
    );
    let output = folder.nnc("check bad.nnir --json");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &json["line"]), (Some(2), &Value::from(4)));
}

#[test]
fn a_file_cut_anywhere_is_refused_without_a_panic() {
    let folder = Folder::new();
    for length in (0..GRAPH.len() - 2).step_by(13) {
        fs::write(folder.path("cut.nnir"), &GRAPH[..length]).unwrap();
        folder.refusal("check cut.nnir");
    }
}

#[test]
fn dump_prints_every_stage() {
    let folder = Folder::new();
    for (stage, start) in [
        ("source", "graph @mlp_train {"),
        ("differentiated", "graph @mlp_train stage differentiated {"),
        ("canonical", "graph @mlp_train stage canonical {"),
        ("fused", "graph @mlp_train stage fused {"),
        ("kernels", "plan @mlp_train {"),
        ("plan", "plan @mlp_train {"),
        ("clif", "; kernel @"),
        ("asm", "; kernel @"),
    ] {
        let text = folder.stdout(&format!("dump mlp --train --batch 8 --stage {stage}"));
        assert!(text.starts_with(start), "{stage}: {}", &text[..100]);
        if start != "; kernel @" {
            fs::write(folder.path("dumped.nnir"), &text).unwrap();
            folder.stdout("check dumped.nnir");
        }
    }
}

#[test]
fn dump_prints_what_each_pass_leaves() {
    let folder = Folder::new();
    for pass in passes::PASSES {
        let text = folder.stdout(&format!("dump scale.nnir --after {}", pass.name));
        assert!(text.contains("@scale"), "{}: {text}", pass.name);
    }
}

#[test]
fn strict_programs_keep_the_functions_that_they_name() {
    let folder = Folder::new();
    let text = "graph @root { %x = input : f32[3]\n%1 = constant value=1.0 : f32[3]\n%s = sqrt %x\n%y = div %1, %s\noutput y = %y }";
    fs::write(folder.path("root.nnir"), text).unwrap();
    assert!(folder.stdout("dump root.nnir --stage canonical").contains("rsqrt"));
    let strict = folder.stdout("dump root.nnir --stage canonical --strict");
    assert!(!strict.contains("rsqrt") && strict.contains("div"), "{strict}");
}

#[test]
fn dump_draws_graphs_and_writes_files() {
    let folder = Folder::new();
    let dot = folder.stdout("dump mlp --format dot");
    assert!(dot.starts_with("digraph \"mlp\" {"), "{dot}");
    assert_eq!(folder.stdout("dump mlp --format dot -o mlp.dot"), "");
    assert_eq!(fs::read_to_string(folder.path("mlp.dot")).unwrap().trim_end(), dot.trim_end());
    assert_eq!(folder.json("dump scale.nnir --json")["nodes"][2]["op"], "mul");
}

#[test]
fn dump_shows_an_arena_smaller_than_its_values() {
    let json = Folder::new().json("dump mlp --train --stage plan --json");
    assert!(json["arena_bytes"].as_u64() < json["value_bytes"].as_u64(), "{}", json["arena_bytes"]);
}

#[test]
fn dump_refuses_what_it_cannot_show() {
    let folder = Folder::new();
    let error = folder.refusal("dump nlp");
    let problem = "error: nlp: there is no model or file of this name; did you mean `mlp`? the models are mlp, logistic, perceptron, lenet, ";
    let help = ", dcgan, biggan; or give a workload of `nnc list workloads`, or a .nnir file\n";
    assert!(error.starts_with(problem) && error.ends_with(help), "{error}");
    assert!(folder.refusal("dump mlp --stage fuse").contains("the stages are source"));
    assert!(folder.refusal("dump mlp --after fuze").contains("the passes are autodiff"));
    assert!(folder.refusal("dump mlp --stage plan --format dot").contains("only graphs can be drawn"));
    assert!(folder.refusal("dump scale.nnir --train").contains("only models have training steps"));
    assert!(folder.refusal("dump mlp --batch 0").contains("0 is not in 1.."));
}

#[test]
fn bench_reports_all_its_figures() {
    let folder = Folder::new();
    let json = folder.json("bench mlp_small_train_b32 --budget 0.05 --profile --json");
    assert_eq!((&json["workload"], &json["threads"]), (&Value::from("mlp_small_train_b32"), &Value::from(1)));
    for key in
        ["median_ms", "min_ms", "compile_ms", "compiler_ms", "first_run_ms", "rss_mb", "loss_first", "gflops"]
    {
        assert!(json[key].as_f64().is_some_and(|figure| figure > 0.0), "{key}: {json}");
    }
    let [whole, compiler, first_run] =
        ["compile_ms", "compiler_ms", "first_run_ms"].map(|key| json[key].as_f64().unwrap());
    assert_eq!(
        whole,
        compiler + first_run,
        "as the peers' benchmark has it: until the first step has been done"
    );
    assert!(!json["kernels"].as_array().unwrap().is_empty());
    let phases: Vec<&Value> =
        json["phases"].as_array().unwrap().iter().map(|phase| &phase["phase"]).collect();
    assert_eq!((phases[0], phases[phases.len() - 1]), (&Value::from("autodiff"), &Value::from("memory")));
    let text = folder.stdout("bench ew_chain_1m --budget 0.01 --profile");
    assert!(text.starts_with("ew_chain_1m on 1 thread: ") && text.contains("us/call"), "{text}");
    let text = folder.stdout("bench ew_chain_1m --budget 0.01 --time-passes");
    assert!(
        text.contains("compiled in") && text.contains("plan_memory") && text.contains("cranelift"),
        "{text}"
    );
    assert_eq!(folder.json("bench ew_chain_1m --budget 0.01 --json")["gflops"], Value::Null);
}

#[test]
fn bench_takes_parameters_and_data_from_an_archive() {
    let folder = Folder::new();
    let (x, y) = (vec![1.0f32; 64 * 64], vec![0.5f32; 64 * 64]);
    let [x, y] = [x, y].map(|elements| Tensor::new([64, 64], elements).unwrap());
    npy::npz::write(&folder.path("g.npz"), [("x", &x), ("y0", &y)]).unwrap();
    let json = folder.json("bench sgemm_64 --inputs g.npz --budget 0.01 --json");
    assert_eq!(json["loss_first"], 32.0);
    let error = folder.refusal("bench sgemm_128 --inputs g.npz --budget 0.01");
    assert!(
        error.contains("error: x: the array is f32[64, 64], the workload wants f32[128, 128]"),
        "{error}"
    );
}

#[test]
fn bench_refuses_what_is_no_workload() {
    assert!(Folder::new().refusal("bench mlp").contains("the workloads are mlp_train_b128"));
}

#[test]
fn list_shows_what_there_is() {
    let folder = Folder::new();
    for (kind, first) in [
        ("targets", "x86-64-v2"),
        ("models", "mlp"),
        ("passes", "autodiff"),
        ("ops", "constant"),
        ("datasets", "digits"),
        ("workloads", "mlp_train_b128"),
    ] {
        assert!(folder.stdout(&format!("list {kind}")).contains(first), "{kind}");
        let json = folder.json(&format!("list {kind} --json"));
        let column = if kind == "passes" { "pass" } else { kind.trim_end_matches('s') };
        assert_eq!(json[kind][0][column], first, "{json}");
    }
    assert!(
        folder
            .refusal("list kernels")
            .contains("[possible values: targets, models, passes, ops, datasets, workloads]")
    );
}

#[test]
fn list_targets_says_which_this_machine_has() {
    let json = Folder::new().json("list targets --json");
    let rows = json["targets"].as_array().unwrap();
    let available = rows.iter().filter(|row| row["available"] == true && row["target"] != "native");
    let names: Vec<&str> = available.map(|row| row["target"].as_str().unwrap()).collect();
    let expected: Vec<&str> = codegen::Target::available().iter().map(|target| target.name).collect();
    let expected = if expected == ["native"] { vec![] } else { expected };
    assert_eq!(names, expected);
    assert_eq!(rows[3]["target"], "native");
}

#[test]
fn run_gives_the_same_on_every_target_of_this_machine() {
    let folder = Folder::new();
    let names = codegen::Target::available().into_iter().map(|target| target.name).chain(["native"]);
    for name in names {
        let text = folder.stdout(&format!("run scale.nnir --input x=x.npy --target {name}"));
        assert_eq!(text, "y: f32[2, 3] = 2, 4, 6, 8, 10, 12\n", "{name}");
    }
}

#[test]
fn every_command_that_makes_code_refuses_an_unknown_target() {
    let folder = Folder::new();
    for command in ["train mlp", "dump mlp --stage asm", "bench sgemm_64", "run scale.nnir"] {
        let error = folder.refusal(&format!("{command} --target v9"));
        let expected = "there is no target `v9`; the targets are x86-64-v2, x86-64-v3, x86-64-v4, native";
        assert!(error.contains(expected), "{command}: {error}");
    }
}

#[test]
fn bench_says_which_target_it_measured() {
    let json = Folder::new().json("bench sgemm_64 --budget 0.01 --json");
    assert_eq!(json["target"], codegen::Target::host().unwrap().name);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn dump_shows_code_for_a_narrow_target_without_the_instructions_of_wider_ones() {
    let folder = Folder::new();
    if codegen::Target::named("v2").is_err() {
        println!("skipped: this machine has no x86-64-v2");
        return;
    }
    let text = folder.stdout("dump mlp --train --stage asm --target v2");
    let vex =
        text.lines().find(|line| line.split_whitespace().nth(1).is_some_and(|name| name.starts_with('v')));
    assert_eq!(vex, None);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn dump_shows_all_code_of_a_wide_target_and_nothing_else_as_instructions() {
    let folder = Folder::new();
    if codegen::Target::named("v4").is_err() {
        println!("skipped: this machine has no x86-64-v4");
        return;
    }
    let text = folder.stdout("dump mlp_train_b128 --stage asm --target v4");
    for part in ["zmm", "\n; strip 0\n", "\n; tile ", "\n; pack ", "  ; tile ", "  dd 0x"] {
        assert!(text.contains(part), "no {part:?}");
    }
    assert!(!text.contains("(bad)"));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_nnc"))
        .args(["dump", "mlp", "--train", "--stage", "kernels"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take()); // before it has printed anything
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !stderr.contains("panicked") && !stderr.contains("error"), "{stderr}");
}
