//! docs/IR.md is true: its examples parse, verify and compute what they say, and it names every op and function.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Mutex;

use ir::eval::{Bindings, evaluate};
use ir::scalar::Signature;
use ir::text::{Module, parse_file};
use ir::verify::{verify_graph, verify_kernel, verify_plan};
use ir::{DType, Graph, Op, Scalar, ScalarFn, Tensor, Type};
use tests::worst::{WORST, Worst};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/IR.md")
}

fn document() -> String {
    std::fs::read_to_string(path()).expect("docs/IR.md is there")
}

/// The fenced blocks: language, number of the first line, content.
fn blocks(document: &str) -> Vec<(&str, usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, usize, String)> = None;
    for (number, line) in document.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => open = Some((language, number + 2, String::new())),
            (None, Some((_, _, content))) => content.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fenced block does not end");
    blocks
}

fn parse_example(line: usize, source: &str) -> Module {
    parse_file(source)
        .unwrap_or_else(|error| panic!("docs/IR.md:{line}\n{}", error.render(source, "example")))
}

#[test]
fn examples_parse_verify_and_read_back() {
    let document = document();
    let examples: Vec<_> = blocks(&document).into_iter().filter(|block| block.0 == "nnir").collect();
    assert!(examples.len() > 10, "the examples are found");
    for (_, line, source) in examples {
        let parsed = parse_example(line, &source);
        let (verified, printed) = match &parsed {
            Module::Graph(graph) => (verify_graph(graph, graph.stage), graph.to_string()),
            Module::Kernel(kernel) => (verify_kernel(kernel), kernel.to_string()),
            Module::Plan(plan) => (verify_plan(plan, plan.stage()), plan.to_string()),
        };
        verified.unwrap_or_else(|error| panic!("docs/IR.md:{line}: {error}"));
        assert_eq!(parse_example(line, &printed), parsed, "docs/IR.md:{line}");
    }
}

/// `input`, `output` or `state`, a name, and elements.
type Line<'a> = (&'a str, &'a str, Vec<f64>);

fn values(content: &str) -> Vec<Line<'_>> {
    let line = |line| -> Option<Line<'_>> {
        let (left, right): (&str, &str) = str::split_once(line, " = ")?;
        let (role, name) = left.split_once(' ')?;
        let list = right.strip_prefix('[')?.strip_suffix(']')?;
        let elements =
            list.split(',').map(|element| element.trim().parse().ok()).collect::<Option<Vec<f64>>>()?;
        Some((role, name, elements))
    };
    content.lines().map(|text| line(text).unwrap_or_else(|| panic!("no values: {text}"))).collect()
}

fn tensor(ty: &Type, elements: &[f64]) -> Tensor {
    assert_eq!(ty.shape.elements(), elements.len(), "elements for {ty}");
    Tensor::from_fn(ty, |index| Scalar::from_f64(ty.dtype, elements[index]))
}

fn run(graph: &Graph, lines: &[Line<'_>], line: usize) {
    let inputs: BTreeMap<String, Tensor> = (graph.inputs())
        .map(|(_, node)| {
            let name = node.name.clone().expect("inputs have names");
            let given = lines.iter().find(|(role, of, _)| *role == "input" && *of == name);
            let (_, _, elements) =
                given.unwrap_or_else(|| panic!("docs/IR.md:{line}: input {name} is missing"));
            (name, tensor(&node.results[0], elements))
        })
        .collect();
    let bindings = Bindings { inputs, ..Bindings::default() };
    let evaluation = evaluate(graph, &bindings).unwrap_or_else(|error| panic!("docs/IR.md:{line}: {error}"));
    for (role, name, expected) in lines.iter().filter(|(role, _, _)| *role != "input") {
        let of = if *role == "state" { &evaluation.states } else { &evaluation.outputs };
        let actual = &of[*name];
        let actual: Vec<f64> =
            (0..actual.shape().elements()).map(|index| actual.get(index).as_f64()).collect();
        assert_eq!(actual.len(), expected.len(), "docs/IR.md:{line}: {name}");
        // The page shows 8 digits.
        let is_close = |(a, b): (&f64, &f64)| a == b || (a - b).abs() <= 1e-7 * b.abs();
        assert!(actual.iter().zip(expected).all(is_close), "docs/IR.md:{line}: {name} is {actual:?}");
    }
}

#[test]
fn examples_compute_what_they_say() {
    let document = document();
    let blocks = blocks(&document);
    let mut count = 0;
    for pair in blocks.windows(2).filter(|pair| pair[1].0 == "values") {
        let (_, line, source) = &pair[0];
        let Module::Graph(graph) = parse_example(*line, source) else {
            panic!("docs/IR.md:{line}: not a graph")
        };
        run(&graph, &values(&pair[1].2), *line);
        count += 1;
    }
    assert!(count >= 8, "the values are found");
}

#[test]
fn every_op_and_function_is_described() {
    let document = document();
    for name in Op::names().into_iter().chain(ScalarFn::ALL.iter().map(|function| function.name())) {
        assert!(document.contains(&format!("`{name}`")), "docs/IR.md does not describe `{name}`");
    }
}

/// The table of elementwise functions as the page shows it.
fn table() -> String {
    let mut table = String::from("| name | operands | dtypes | meaning | ulp |\n|---|---|---|---|---|\n");
    for function in ScalarFn::ALL {
        let row = function.row();
        let dtypes = match row.signature {
            Signature::Float => "float".to_owned(),
            Signature::Number => "number".to_owned(),
            Signature::Compare => "any, alike -> `bool`".to_owned(),
            Signature::Logic => "`bool`".to_owned(),
            Signature::Select => "`bool`, any, the same -> that".to_owned(),
            Signature::Cast(to) => format!("any -> `{to}`"),
            Signature::HighWord => "`i64` -> `i32`".to_owned(),
            Signature::I32 => "`i32`".to_owned(),
        };
        let doc = row.doc.replace('|', "\\|");
        writeln!(table, "| `{}` | {} | {dtypes} | {doc} | {} |", row.name, row.arity, row.ulp)
            .expect("a String takes all text");
    }
    table
}

/// The greatest errors as the page shows them, one line per function.
fn errors() -> String {
    let mut table = String::from("| name | `f32` | at | `f64` | at |\n|---|---|---|---|---|\n");
    for &function in ScalarFn::ALL.iter().filter(|function| function.row().ulp > 0.0) {
        let of = |dtype| {
            let is_it = |worst: &&Worst| worst.function == function && worst.dtype == dtype;
            let worst = WORST.iter().find(is_it).expect("every function that is not exact has an entry");
            let operands: Vec<String> = worst.operands.iter().map(|x| format!("{x:e}")).collect();
            format!("{:.2} | {}", worst.ulp, operands.join(", "))
        };
        writeln!(table, "| `{}` | {} | {} |", function.name(), of(DType::F32), of(DType::F64))
            .expect("a String takes all text");
    }
    table
}

#[test]
fn the_table_of_functions_is_that_of_the_program() {
    compare("elementwise functions", &table());
}

#[test]
fn the_table_of_errors_is_that_of_the_program() {
    compare("greatest errors", &errors());
}

/// Compares a table of the page, between two marks of this name, with that of the program. With `BLESS=1` in the
/// environment, it is written anew.
fn compare(name: &str, table: &str) {
    let start =
        format!("<!-- {name}: tests/tests/ir_doc.rs compares this with the table of the program -->\n");
    let end = format!("<!-- end of {name} -->");
    // One test at a time writes the page.
    static PAGE: Mutex<()> = Mutex::new(());
    let _page = PAGE.lock().expect("no test panics with it, or all fail");
    let document = document();
    let start = document.find(&start).expect("the mark is there") + start.len();
    let end = start + document[start..].find(&end).expect("the mark is there");
    let expected = format!("\n{table}\n");
    if std::env::var_os("BLESS").is_some() {
        let blessed = format!("{}{expected}{}", &document[..start], &document[end..]);
        std::fs::write(path(), blessed).expect("docs/IR.md can be written");
        return;
    }
    assert_eq!(&document[start..end], expected, "run with BLESS=1 to rewrite the table");
}
