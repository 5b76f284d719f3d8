//! The text form: what is printed parses back to the same thing, and no text at all makes the parser panic.

use std::sync::LazyLock;

use ir::text::{Module, parse_file, parse_graph, parse_kernel, parse_plan};
use ir::verify::{Stage, verify_graph, verify_kernel, verify_plan};
use ir::{Builder, Graph, Kernel, Op, Plan, Sample};
use passes::pipeline::{Options, Pass, Program, run_observed};
use proptest::prelude::*;

/// The sample applied to inputs of its own, with an output for each result.
fn sample_graph(sample: &Sample) -> Graph {
    let mut builder = Builder::new("sample");
    let operands: Vec<_> = (sample.operands.iter().enumerate())
        .map(|(index, operand)| {
            builder.input(&format!("x{index}"), operand.ty.dtype, operand.ty.shape.clone())
        })
        .collect::<Result<_, _>>()
        .expect("the names differ");
    let node = sample.push(&mut builder, &operands).expect("samples are valid");
    for value in builder.graph().results(node).collect::<Vec<_>>() {
        builder.output(&format!("y{}", value.result), value).expect("the names differ");
    }
    builder.finish()
}

const GRAPH: &str = r#"graph @training {
  %x = input : f32[4, 3]
  %w = state init=uniform(-0.08, 0.08, 1) : f32[3, 2]
  %"step-1" = state init=constant(0.0) private=true : i64[]
  %0 = matmul %x, %w : f32[4, 2]
  %1, %2 = split %0 axis=1 sizes=[1, 1] : f32[4, 1], f32[4, 1]
  %parts:0, %parts:1 = split %0 axis=0 sizes=[1, 3] : f32[1, 2], f32[3, 2]
  %3 = fused %parts:0, %parts:1 kind=map domain=[3, 2] reduced=[] : f32[3, 2] {
    %a = input : f32[1, 2]
    %b = input : f32[3, 2]
    %0 = reshape %a shape=[2] : f32[2]
    %1 = broadcast %0 shape=[3, 2] : f32[3, 2]
    %2 = mul %1, %b : f32[3, 2]
    output c = %2
  }
  %4 = constant value=[0.1, -0.0, inf, -inf, 1e-40, 3.4028235e38] : f32[3, 2]
  %5 = add %3, %4 : f32[3, 2]
  %6 = reduce_sum %5 axes=[0, 1] : f32[]
  %dw = grad %6, %w : f32[3, 2]
  %7 = constant value=1 : i64[]
  %8 = add %"step-1", %7 : i64[]
  output loss = %6
  output left = %1
  output right = %2
  update %w = %dw
  update %"step-1" = %8
}
"#;

const KERNEL: &str = "\
kernel @mixed(%x: f32[6, 4], write %y: f32[6, 4], %n: i64[6]) -> (%z: f32[6], %w: f32[]) {
  local %t: f32[4]
  for i in 6 {
    %0, %1 = reduce (add, max) j in 4 {
      %2 = load %x[i, -j + 3]
      %3 = axis j : f32
      %4 = mul %2, %3
      store %4, %t[j]
      yield %4, %2
    }
    for k in 4 {
      %5 = load %t[k]
      %6 = load %x[2*i - 1, k] fill 0.5
      %7 = fma %5, %6, %1
      store %7, %y[i, k]
    }
    store %0, %z[i]
  }
  for seq l in 6 {
    %8 = load %n[l]
    %9 = -0.0 : f32
    store add %9, %z[%8 + l - 3]
  }
  for {
    %10 = reduce min {
      %11 = inf : f32
      yield %11
    }
    store %10, %w[]
  }
}
";

const PLAN: &str = r#"plan @step {
  arena 192
  slot %x : f32[2, 8] = input
  slot %w : f32[16] = state uniform(-0.1, 0.1, 3)
  slot %v2 : f32[16] = at 0
  slot %v2:1 : f32[4, 4] = at 64
  slot %c : f32[2, 2] = constant [1.0, 2.0, 3.0, nan]
  slot %seed : i64[] = state seed private
  slot %h : f64[0, 3] = unplaced
  slot %x:1 : f32[16] = output
  slot %"a b" : f32[2, 2] = output
  slot %kept : f32[2, 2] = at 128
  kernel @neg(%x: f32[16]) -> (%y: f32[16]) {
    for i in 16 {
      %0 = load %x[i]
      %1 = neg %0
      store %1, %y[i]
    }
  }
  kernel @neg:1(%x: f32[16]) -> (%y: f32[16]) {
    for {
    }
  }
  prepare {
    copy %c -> %kept
  }
  steps {
    call @neg(%x, %v2)
    call @neg:1(%v2, %v2:1)
    call @neg(%v2:1, %x:1)
    copy %kept -> %"a b"
  }
  update %w = %v2
}
"#;

#[test]
fn every_sample_of_every_op_reads_back() {
    for sample in Op::samples() {
        let graph = sample_graph(&sample);
        let text = graph.to_string();
        let again = parse_graph(&text).unwrap_or_else(|error| panic!("{}", error.render(&text, "sample")));
        assert_eq!(again, graph, "{text}");
        assert_eq!(again.to_string(), text);
    }
}

/// What parsing gives for a plan: the same with kernels numbered as their text shows them.
fn numbered(plan: &Plan) -> Plan {
    Plan { kernels: plan.kernels.iter().cloned().map(Kernel::numbered).collect(), ..plan.clone() }
}

#[test]
fn every_stage_of_every_sample_reads_back() {
    for sample in Op::samples() {
        let graph = sample_graph(&sample);
        let mut check = |pass: &'static Pass, _: std::time::Duration, program: &Program| {
            let text = program.to_string();
            let again =
                parse_file(&text).unwrap_or_else(|error| panic!("{}", error.render(&text, pass.name)));
            let expected = match program {
                Program::Graph(graph) => Module::Graph(graph.clone()),
                Program::Plan(plan) => Module::Plan(numbered(plan)),
            };
            assert_eq!(again, expected, "after {}:\n{text}", pass.name);
        };
        for optimize in [false, true] {
            let options = Options { optimize, verify: true, ..Options::default() };
            run_observed(graph.clone(), &options, None, &mut check).expect("samples compile");
        }
    }
}

#[test]
fn a_printed_graph_is_its_own_text() {
    let graph = parse_graph(GRAPH).unwrap_or_else(|error| panic!("{}", error.render(GRAPH, "graph")));
    assert_eq!(graph.to_string(), GRAPH);
}

#[test]
fn a_printed_kernel_is_its_own_text() {
    let kernel = parse_kernel(KERNEL).unwrap_or_else(|error| panic!("{}", error.render(KERNEL, "kernel")));
    assert_eq!(kernel.to_string(), KERNEL);
    assert_eq!(verify_kernel(&kernel), Ok(()));
}

#[test]
fn a_printed_plan_is_its_own_text() {
    let plan = parse_plan(PLAN).unwrap_or_else(|error| panic!("{}", error.render(PLAN, "plan")));
    assert_eq!(plan.to_string(), PLAN);
    assert_eq!(verify_plan(&plan, Stage::Kernels), Ok(()));
}

#[test]
fn types_may_be_left_out_where_they_follow() {
    let short = "graph @g { %x = input : f32[2, 3] %0 = exp %x %1 = reduce_sum %0 axes=[1] output y = %1 }";
    let long = "graph @g {
        %x = input : f32[2, 3] // comments end with the line
        %0 = exp %x : f32[2, 3]
        %1 = reduce_sum %0 axes=[1] : f32[2]
        output y = %1
    }";
    assert_eq!(parse_graph(short).expect("valid"), parse_graph(long).expect("valid"));
}

#[test]
fn a_long_graph_is_parsed_in_linear_time() {
    const NODES: usize = 100_000;
    let mut text = String::from("graph @long {\n  %x = input : f32[2]\n  %0 = neg %x\n");
    for node in 1..NODES {
        text.push_str(&format!("  %{node} = neg %{}\n", node - 1));
    }
    text.push_str(&format!("  output y = %{}\n}}\n", NODES - 1));
    let started = std::time::Instant::now();
    let graph = parse_graph(&text).expect("valid");
    assert_eq!(graph.len(), NODES + 1);
    // In quadratic time this takes minutes.
    assert!(started.elapsed().as_secs() < 20, "it took {:?}", started.elapsed());
}

/// Parses `source`, which may be anything; what is valid must verify or not without a panic, and read back.
fn check_any(source: &str) -> Result<(), TestCaseError> {
    let text = match parse_file(source) {
        Ok(Module::Graph(graph)) => {
            Stage::ALL.iter().for_each(|&stage| drop(verify_graph(&graph, stage)));
            graph.to_string()
        }
        Ok(Module::Kernel(kernel)) => {
            let _ = verify_kernel(&kernel);
            kernel.to_string()
        }
        Ok(Module::Plan(plan)) => {
            Stage::ALL.iter().for_each(|&stage| drop(verify_plan(&plan, stage)));
            plan.to_string()
        }
        Err(error) => {
            prop_assert!(source.get(error.span.clone()).is_some(), "span {:?}", error.span);
            prop_assert!(error.render(source, "fuzz.nnir").contains(&error.message));
            let place = format!("{}:{}: ", error.line, error.column);
            prop_assert!(error.to_string().starts_with(&place), "{}", error);
            return Ok(());
        }
    };
    let again = parse_file(&text).map_err(|error| TestCaseError::fail(error.render(&text, "printed")))?;
    let printed = match again {
        Module::Graph(graph) => graph.to_string(),
        Module::Kernel(kernel) => kernel.to_string(),
        Module::Plan(plan) => plan.to_string(),
    };
    prop_assert_eq!(printed, text);
    Ok(())
}

/// Texts to mutate: a graph per sample of an op, and as many larger texts.
static SEEDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let samples = Op::samples();
    let graphs = samples.iter().map(|sample| sample_graph(sample).to_string());
    let larger = [GRAPH, KERNEL, PLAN].into_iter().map(str::to_owned).cycle().take(samples.len());
    graphs.chain(larger).collect()
});

/// A change of the bytes of a text. Places are fractions of 65536 of its length.
#[derive(Clone, Debug)]
enum Edit {
    Delete { at: u16, length: u8 },
    Duplicate { at: u16, length: u8, to: u16 },
    Replace { at: u16, with: u8 },
    Swap { at: u16, with: u16, length: u8 },
    Truncate { at: u16 },
    Insert { at: u16, word: usize },
}

const WORDS: [&str; 28] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ",",
    ":",
    "=",
    "*",
    "+",
    "-",
    "->",
    "%0",
    "%x",
    "@f",
    "\"",
    "//",
    "9999999999999",
    "-1",
    "0",
    "nan",
    "seq ",
    "for ",
    "2147483648",
    "\u{e9}",
    "\n",
    "reduce add ",
];

impl Edit {
    fn apply(&self, text: &mut Vec<u8>) {
        let place = |at: u16, text: &[u8]| usize::from(at) * text.len() / 65536;
        let range = |at: u16, length: u8, text: &[u8]| {
            let start = place(at, text);
            start..(start + usize::from(length)).min(text.len())
        };
        match *self {
            Edit::Delete { at, length } => drop(text.drain(range(at, length, text))),
            Edit::Duplicate { at, length, to } => {
                let copied = text[range(at, length, text)].to_vec();
                let to = place(to, text);
                text.splice(to..to, copied);
            }
            Edit::Replace { at, with } => {
                let at = place(at, text);
                if let Some(byte) = text.get_mut(at) {
                    *byte = with;
                }
            }
            Edit::Swap { at, with, length } => {
                let (first, second) = (range(at, length, text), range(with, length, text));
                for (a, b) in first.zip(second) {
                    text.swap(a, b);
                }
            }
            Edit::Truncate { at } => text.truncate(place(at, text)),
            Edit::Insert { at, word } => {
                let at = place(at, text);
                text.splice(at..at, WORDS[word].bytes());
            }
        }
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<u16>;
    prop_oneof![
        4 => (at(), 1..20u8).prop_map(|(at, length)| Edit::Delete { at, length }),
        4 => (at(), 1..80u8, at()).prop_map(|(at, length, to)| Edit::Duplicate { at, length, to }),
        2 => (at(), any::<u8>()).prop_map(|(at, with)| Edit::Replace { at, with }),
        2 => (at(), at(), 1..20u8).prop_map(|(at, with, length)| Edit::Swap { at, with, length }),
        1 => at().prop_map(|at| Edit::Truncate { at }),
        6 => (at(), 0..WORDS.len()).prop_map(|(at, word)| Edit::Insert { at, word }),
    ]
}

/// A mutated number, the most delicate part of a valid text: one run of digits becomes another.
fn with_number(text: &str, which: usize, number: &str) -> String {
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let starts: Vec<usize> =
        (0..bytes.len()).filter(|&at| is_digit(bytes[at]) && (at == 0 || !is_digit(bytes[at - 1]))).collect();
    if starts.is_empty() {
        return text.to_owned();
    }
    let start = starts[which % starts.len()];
    let end = (start..bytes.len()).find(|&at| !is_digit(bytes[at])).unwrap_or(bytes.len());
    format!("{}{number}{}", &text[..start], &text[end..])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mutated_text_makes_the_parser_panic(
        seed in any::<prop::sample::Index>(),
        edits in prop::collection::vec(edit(), 1..6),
    ) {
        let mut text = seed.get(&SEEDS).clone().into_bytes();
        edits.iter().for_each(|edit| edit.apply(&mut text));
        check_any(&String::from_utf8_lossy(&text))?;
    }

    #[test]
    fn no_number_makes_the_parser_panic(
        seed in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0..1000usize, 0..10usize), 1..4),
    ) {
        const NUMBERS: [&str; 10] = [
            "0", "1", "2", "5", "64", "2147483647", "2147483648", "4294967296", "9223372036854775807",
            "99999999999999999999",
        ];
        let text = seed.get(&SEEDS).clone();
        let text = changes.iter().fold(text, |text, &(which, number)| with_number(&text, which, NUMBERS[number]));
        check_any(&text)?;
    }

    #[test]
    fn no_text_at_all_makes_the_parser_panic(text in "\\PC{0,80}", start in 0..4usize) {
        let starts = ["", "graph @g { ", "kernel @k(%x: f32[2]) { ", "plan @p { "];
        check_any(&format!("{}{text}", starts[start]))?;
    }
}
