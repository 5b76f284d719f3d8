//! Names that a user chooses and names that passes invent: they meet, and every stage still reads back and holds.

use ir::text::{Module, parse_file};
use ir::verify::{Stage, verify_graph, verify_plan};
use ir::{Builder, DType, Error, Graph, Init, Kernel, Plan};
use nn::functional::{ConvOptions, Padding, conv};
use nnc::{Options, compile};
use passes::pipeline::{Program, run_observed};

/// Inputs and states under every name that a pass could invent, and words of the text form; outputs under the same names.
const NAMES: [&str; 40] = [
    "v0", "v1", "v2", "v3", "v4", "v5", "v1_", "v1__", "r0", "r1", "r2", "c0", "c1", "c9", "t0", "t1", "x0",
    "x", "i", "j", "rk", "i0", "k0_add", "copy", "body", "for", "seq", "in", "reduce", "yield", "graph",
    "stage", "plan", "output", "update", "inf", "nan", "true", "f32", "x-1",
];

/// Elementwise work, a row reduction and a product over inputs of these names, as many groups that read several of them.
fn elementwise(name: &str) -> Result<Graph, Error> {
    let mut b = Builder::new(name);
    let mut values = Vec::new();
    for (index, name) in NAMES.iter().enumerate() {
        values.push(match index % 3 {
            0 => b.state(name, DType::F32, [4, 4], Init::Constant(0.5))?,
            _ => b.input(name, DType::F32, [4, 4])?,
        });
    }
    let mut results = Vec::new();
    for (index, window) in values.windows(4).enumerate() {
        let product = b.matmul(window[0], window[1])?;
        let sum = b.add(product, window[2])?;
        let rows = b.reduce_sum(sum, &[1], true)?;
        let rows = b.broadcast(rows, [4, 4])?;
        let result = b.sub(window[3], rows)?;
        b.output(NAMES[index], result)?;
        results.push(result);
    }
    for index in (0..results.len()).step_by(3) {
        b.update(values[index], results[index])?;
    }
    // Two states exchange their values, for which one of them is kept under another name.
    let (first, second) = (
        b.state("w", DType::F32, [4], Init::Constant(0.0))?,
        b.state("w.next", DType::F32, [4], Init::Constant(1.0))?,
    );
    b.update(first, second)?;
    b.update(second, first)?;
    Ok(b.finish())
}

/// A convolution whose filter is transformed or packed, beside states of the names that these get.
fn convolution() -> Result<Graph, Error> {
    let mut b = Builder::new("w");
    let x = b.input("x", DType::F32, [2, 32, 14, 14])?;
    let init = Init::Uniform { low: -1.0, high: 1.0, stream: 1 };
    let w = b.state("w", DType::F32, [64, 32, 3, 3], init)?;
    let u = b.state("w.packed", DType::F32, [32, 64, 1, 1], init)?;
    let options = ConvOptions { padding: Padding::Same, ..ConvOptions::new(2) };
    let y = conv(&mut b, x, w, &options)?;
    let y = conv(&mut b, y, u, &options)?;
    for (stream, name) in
        ["w.transformed", "w.packed.packed", "winograd.forwards", "x.ordered"].iter().enumerate()
    {
        let scale = b.state(name, DType::F32, [1], Init::Constant(stream as f64))?;
        let scaled = b.mul(scale, y)?;
        b.output(name, scaled)?;
    }
    b.output("w", y)?;
    Ok(b.finish())
}

fn numbered(plan: &Plan) -> Plan {
    Plan { kernels: plan.kernels.iter().cloned().map(Kernel::numbered).collect(), ..plan.clone() }
}

/// Checks that what a pass left holds and reads back.
fn check(pass: &str, program: &Program) {
    let text = program.to_string();
    let again =
        parse_file(&text).unwrap_or_else(|error| panic!("after {pass}: {}", error.render(&text, pass)));
    let (expected, verified) = match program {
        Program::Graph(graph) => (Module::Graph(graph.clone()), verify_graph(graph, graph.stage)),
        Program::Plan(plan) => (Module::Plan(numbered(plan)), verify_plan(plan, plan.stage())),
    };
    assert_eq!(verified, Ok(()), "after {pass}:\n{text}");
    assert_eq!(again, expected, "after {pass}:\n{text}");
}

#[test]
fn every_stage_reads_back_whatever_names_the_user_has_chosen() {
    for graph in [elementwise("v1").expect("it is well-formed"), convolution().expect("it is well-formed")] {
        assert_eq!(verify_graph(&graph, Stage::Source), Ok(()));
        check("nothing", &Program::Graph(graph.clone()));
        for optimize in [true, false] {
            let options = Options { optimize, verify: true, ..Options::default() };
            let mut observe = |pass: &'static passes::Pass, _, program: &Program| check(pass.name, program);
            run_observed(graph.clone(), &options.for_passes(), None, &mut observe).expect("it compiles");
            compile(&graph, &options).unwrap_or_else(|error| panic!("{error}"));
        }
    }
}

#[test]
fn a_graph_has_any_name() {
    let long = "x".repeat(10_000);
    for name in [
        "",
        " ",
        "12",
        "for",
        "a b",
        "q\"uo\\te",
        "line\nfeed",
        "tab\t\r",
        "\u{e9}\u{4e2d}\u{202e}",
        "a:1",
        "%",
        &long,
    ] {
        let graph = elementwise(name).expect("it is well-formed");
        let options = Options { verify: true, ..Options::default() };
        let mut observe = |pass: &'static passes::Pass, _, program: &Program| check(pass.name, program);
        run_observed(graph, &options.for_passes(), None, &mut observe).expect("it compiles");
    }
}

#[test]
fn other_names_are_refused_when_they_are_given() {
    for name in ["", " ", "12", "1x", "a b", "a\"b", "a\nb", "\u{e9}", "a:1", "%x", "@x", "-x"] {
        let mut b = Builder::new("g");
        let x = b.input("x", DType::F32, [2]).expect("it is a name");
        let errors = [
            b.input(name, DType::F32, [2]).expect_err("it is none"),
            b.state(name, DType::F32, [2], Init::Constant(0.0)).expect_err("it is none"),
            b.output(name, x).expect_err("it is none"),
        ];
        assert!(
            errors.iter().all(|error| error.to_string().contains("this is no name; use letters")),
            "{errors:?}"
        );
    }
    let mut b = Builder::new("g");
    let x = b.input("x", DType::F32, [2]).expect("it is a name");
    b.output("x", x).expect("an output may have the name of an input");
    for error in [
        b.state("x", DType::F32, [2], Init::Seed).expect_err("taken"),
        b.input("x", DType::F32, [2]).expect_err("taken"),
    ] {
        assert!(error.to_string().contains("this name is taken"), "{error}");
    }
    assert!(b.output("x", x).expect_err("taken").to_string().contains("there is an output of this name"));
}

#[test]
fn node_names_that_only_code_can_give_are_refused_when_the_graph_is_compiled() {
    for name in ["a b", "x", ""] {
        let mut b = Builder::new("g");
        let x = b.input("x", DType::F32, [2]).expect("it is a name");
        let op = ir::ops::Elementwise { function: ir::ScalarFn::Neg };
        let node = b.push_with_body(op, &[x], Some(name.into()), None).expect("names are checked later");
        b.output("y", ir::Value::new(node, 0)).expect("it is a name");
        let error =
            compile(&b.finish(), &Options::default()).expect_err("the name is none, or taken").to_string();
        assert!(error.contains("this is no name") || error.contains("this name is taken"), "{error}");
    }
}
