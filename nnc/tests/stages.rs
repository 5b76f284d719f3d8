//! Files of every stage, given to every command: each goes on from where the file is, or says what to do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fs;
use std::path::Path;
use std::process::Command;

use ir::{Scalar, Stage, Tensor};
use nnc::npy;
use passes::PASSES;

/// A step of training: a matrix product, softmax, a gradient, an update, and an input that is returned as it is.
const DENSE: &str = "graph @dense {
  %x = input : f32[5, 3]
  %w = state init=uniform(-0.5, 0.5, 1) : f32[3, 4]
  %0 = matmul %x, %w
  %1 = reduce_max %0 axes=[1]
  %2 = reshape %1 shape=[5, 1]
  %3 = broadcast %2 shape=[5, 4]
  %4 = sub %0, %3
  %5 = exp %4
  %loss = reduce_sum %5 axes=[0, 1]
  %dw = grad %loss, %w : f32[3, 4]
  %next = add %w, %dw
  output y = %5
  output loss = %loss
  output same = %x
  update %w = %next
}
";

/// Two convolutions with fixed filters, which `layout`, `winograd` and `prepack` all work on.
const CONVOLUTION: &str = "graph @convolution {
  %x = input : f32[2, 32, 14, 14]
  %w = state init=uniform(-0.1, 0.1, 1) : f32[64, 32, 3, 3]
  %u = state init=uniform(-0.1, 0.1, 2) : f32[32, 64, 1, 1]
  %0 = reshape %x shape=[2, 1, 32, 14, 14]
  %1 = reshape %w shape=[1, 64, 32, 3, 3]
  %2 = conv %0, %1 low=[1, 1] extents=[14, 14]
  %3 = relu %2
  %4 = reshape %u shape=[1, 32, 64, 1, 1]
  %5 = conv %3, %4 extents=[14, 14]
  output y = %5
}
";

/// The example of docs/IR.md: a graph of stage `fused` that was written by hand.
const SOFTMAX: &str = "graph @softmax stage fused {
  %x = input : f32[2, 3]
  %y = fused %x kind=rows domain=[2, 3] reduced=[1] : f32[2, 3] {
    %a = input : f32[2, 3]
    %0 = reduce_max %a axes=[1] : f32[2]
    %1 = reshape %0 shape=[2, 1] : f32[2, 1]
    %2 = broadcast %1 shape=[2, 3] : f32[2, 3]
    %3 = sub %a, %2 : f32[2, 3]
    %4 = exp %3 : f32[2, 3]
    %5 = reduce_sum %4 axes=[1] : f32[2]
    %6 = reshape %5 shape=[2, 1] : f32[2, 1]
    %7 = broadcast %6 shape=[2, 3] : f32[2, 3]
    %8 = div %4, %7 : f32[2, 3]
    output y = %8
  }
  output y = %y
}
";

/// A folder with a source and the array that it wants.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(source: &str, shape: &[usize]) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        fs::write(folder.path().join("source.nnir"), source).unwrap();
        let ty = ir::Type::new(ir::DType::F32, shape);
        let x = Tensor::from_fn(&ty, |i| Scalar::F32(((i * 37 % 19) as f32 - 9.0) / 8.0));
        npy::write(&folder.path().join("x.npy"), &x).unwrap();
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// What a command prints; or, where it refuses with an error, that. Nothing else may happen.
    fn nnc(&self, arguments: &str) -> Result<String, String> {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let output = Command::new(env!("CARGO_BIN_EXE_nnc"))
            .args(&arguments)
            .current_dir(self.path())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        match output.status.code() {
            Some(0) => Ok(stdout),
            Some(2) if stderr.contains("error: ") && !stderr.contains("panicked") => Err(stderr),
            code => panic!("{arguments:?} ends with {code:?}: {stderr}"),
        }
    }

    /// The outputs of the last of two runs.
    fn outputs(&self, file: &str, flags: &str) -> Vec<(String, Tensor)> {
        let arguments = format!("run {file} --input x=x.npy --steps 2 --output out.npz {flags}");
        self.nnc(&arguments).unwrap_or_else(|error| panic!("{arguments}: {error}"));
        npy::npz::read(&self.path().join("out.npz")).unwrap()
    }

    /// Writes what each pass leaves to a file of its name; the names, with the stage of each.
    fn files(&self) -> Vec<(String, Stage)> {
        let mut files = vec![("source".to_owned(), Stage::Source)];
        for pass in PASSES {
            let (name, stage) = (pass.name, pass.stage);
            self.nnc(&format!("dump source.nnir --after {name} -o {name}.nnir")).unwrap();
            files.push((name.to_owned(), stage));
        }
        files
    }
}

/// Checks that outputs differ by rounding at most.
fn assert_close(found: &[(String, Tensor)], expected: &[(String, Tensor)], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for ((name, found), (expected_name, expected)) in found.iter().zip(expected) {
        assert_eq!((name, found.ty()), (expected_name, expected.ty()), "{what}");
        for i in 0..found.shape().elements() {
            let (a, b) = (found.get(i).as_f64(), expected.get(i).as_f64());
            assert!((a - b).abs() <= 2e-5 * b.abs().max(1.0), "{what}: {name}[{i}] is {a}, not {b}");
        }
    }
}

#[test]
fn files_of_every_stage_check_and_run_to_the_same_results() {
    for (source, shape) in [(DENSE, &[5, 3][..]), (CONVOLUTION, &[2, 32, 14, 14])] {
        let folder = Folder::new(source, shape);
        let expected = folder.outputs("source.nnir", "--no-optimize");
        for (name, stage) in folder.files() {
            let file = format!("{name}.nnir");
            let checked = folder.nnc(&format!("check {file}")).unwrap();
            assert!(checked.contains(&format!("(stage {stage}, ")), "{checked}");
            for flags in ["", "--no-optimize"] {
                assert_close(&folder.outputs(&file, flags), &expected, &format!("{file} {flags}"));
            }
        }
    }
}

#[test]
fn graphs_of_every_stage_are_interpreted_and_plans_refused() {
    let folder = Folder::new(DENSE, &[5, 3]);
    let expected = folder.outputs("source.nnir", "");
    for (name, stage) in folder.files() {
        if stage <= Stage::Fused {
            assert_close(&folder.outputs(&format!("{name}.nnir"), "--reference"), &expected, &name);
        } else {
            let refused = folder.nnc(&format!("run {name}.nnir --input x=x.npy --reference")).unwrap_err();
            assert!(refused.contains("a plan cannot be interpreted; leave out --reference"), "{refused}");
        }
    }
}

#[test]
fn files_of_every_stage_are_dumped_at_later_stages_and_refused_at_earlier_ones() {
    let folder = Folder::new(DENSE, &[5, 3]);
    let mut files = folder.files();
    files.dedup_by_key(|file| file.1);
    for (name, own) in files {
        let text = folder.nnc(&format!("dump {name}.nnir")).unwrap();
        for stage in Stage::ALL {
            let dumped = folder.nnc(&format!("dump {name}.nnir --stage {stage}"));
            if stage < own {
                let problem =
                    format!("--stage {stage}: the program is of stage {own}, which is past it; give {own}");
                assert!(dumped.unwrap_err().contains(&problem));
                continue;
            }
            let dumped = dumped.unwrap();
            let has_its_stage = ir::text::parse_file(&dumped).is_ok_and(|module| match module {
                ir::text::Module::Graph(graph) => graph.stage == stage,
                ir::text::Module::Plan(plan) => plan.stage() == stage,
                ir::text::Module::Kernel(_) => false,
            });
            assert!(has_its_stage, "{name} at {stage}: {dumped}");
            assert!(stage != own || dumped == text, "{name} at its own stage: {dumped}");
        }
        for pass in PASSES {
            let dumped = folder.nnc(&format!("dump {name}.nnir --after {}", pass.name));
            assert_eq!(dumped.is_ok(), pass.takes >= own, "{name} after {}: {dumped:?}", pass.name);
            if let Err(error) = dumped {
                assert!(error.contains(&format!("go on from stage {own}; `nnc list passes`")), "{error}");
            }
        }
        for view in ["clif", "asm"] {
            assert!(folder.nnc(&format!("dump {name}.nnir --stage {view}")).unwrap().contains("; kernel @"));
        }
        let drawn = folder.nnc(&format!("dump {name}.nnir --format dot"));
        assert_eq!(drawn.is_ok(), own <= Stage::Fused, "{drawn:?}");
        assert!(folder.nnc(&format!("dump {name}.nnir --format json")).unwrap().starts_with('{'));
        let refused = folder.nnc(&format!("bench {name}.nnir")).unwrap_err();
        assert!(refused.contains("run the file with `nnc run FILE --steps N`"), "{refused}");
    }
}

#[test]
fn a_fused_graph_that_was_written_by_hand_runs_and_goes_on_at_lower() {
    let folder = Folder::new(SOFTMAX, &[2, 3]);
    folder.nnc("check source.nnir").unwrap();
    let expected = folder.outputs("source.nnir", "--reference");
    assert_close(&folder.outputs("source.nnir", ""), &expected, "softmax");
    assert!(folder.nnc("dump source.nnir --stage plan").unwrap().starts_with("plan @softmax"));
}

#[test]
fn a_group_in_a_graph_without_its_stage_is_refused_with_the_line() {
    let folder = Folder::new(&SOFTMAX.replace("stage fused ", ""), &[2, 3]);
    for command in ["check source.nnir", "run source.nnir --input x=x.npy", "dump source.nnir --stage plan"] {
        let error = folder.nnc(command).unwrap_err();
        assert!(error.contains("a group is in a graph of stage source"), "{error}");
        assert!(error.contains("help: write `graph @softmax stage fused {`"), "{error}");
    }
}

#[test]
fn a_kernel_alone_is_checked_and_becomes_code_and_nothing_else() {
    let kernel = "kernel @double(%x: f32[3]) -> (%y: f32[3]) {
      for i in 3 { %0 = load %x[i] %1 = add %0, %0 store %1, %y[i] } }";
    let folder = Folder::new(kernel, &[3]);
    for command in ["check source.nnir", "dump source.nnir", "dump source.nnir --stage asm"] {
        folder.nnc(command).unwrap_or_else(|error| panic!("{command}: {error}"));
    }
    for stage in Stage::ALL {
        let error = folder.nnc(&format!("dump source.nnir --stage {stage}")).unwrap_err();
        assert!(error.contains("leave out --stage and --after, or give --stage clif or asm"), "{error}");
    }
    let error = folder.nnc("run source.nnir --input x=x.npy").unwrap_err();
    assert!(
        error.contains("the file holds a kernel, which is no program; give a graph or a plan"),
        "{error}"
    );
}
