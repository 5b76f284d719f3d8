//! What `scan` means, and what it refuses.

use std::collections::BTreeMap;

use crate::eval::{Bindings, evaluate};
use crate::ops::testing::mistake;
use crate::text::parse_graph;
use crate::{Builder, DType, Tensor};

const STEP: &str = "{ %h = input : f32[2] %x = input : f32[2] %n = add %h, %x output n = %n output y = %n }";

fn run(text: &str, inputs: &[(&str, Tensor)]) -> BTreeMap<String, Tensor> {
    let inputs = inputs.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect();
    let graph = parse_graph(text).unwrap();
    assert_eq!(parse_graph(&graph.to_string()).unwrap(), graph, "the text reads back");
    evaluate(&graph, &Bindings { inputs, ..Bindings::default() }).unwrap().outputs
}

fn sums(length: usize, attributes: &str) -> BTreeMap<String, Tensor> {
    let text = format!(
        "graph @g {{ %h = input : f32[2] %xs = input : f32[{length}, 2]
        %last, %all = scan %h, %xs carries=1 stacked=1 length={length} {attributes} : f32[2], f32[{length}, 2] {STEP}
        output last = %last output all = %all }}"
    )
    .replace("%last, %all", "%s:0, %s:1")
    .replace("= %last", "= %s:0")
    .replace("= %all", "= %s:1");
    let xs: Vec<f32> = (0..2 * length).map(|x| x as f32).collect();
    run(
        &text,
        &[
            ("h", Tensor::new([2], vec![10.0f32, 20.0]).unwrap()),
            ("xs", Tensor::new([length, 2], xs).unwrap()),
        ],
    )
}

#[test]
fn a_step_goes_on_from_the_one_before() {
    let forward = sums(3, "");
    assert_eq!(forward["last"].as_slice::<f32>(), Some(&[16.0, 29.0][..]));
    assert_eq!(forward["all"].as_slice::<f32>(), Some(&[10.0, 21.0, 12.0, 24.0, 16.0, 29.0][..]));
}

#[test]
fn reversed_steps_land_at_their_place() {
    let backward = sums(3, "reversed=true");
    assert_eq!(backward["all"].as_slice::<f32>(), Some(&[16.0, 29.0, 16.0, 28.0, 14.0, 25.0][..]));
}

#[test]
fn without_steps_the_carries_pass_through() {
    let none = sums(0, "");
    assert_eq!(none["last"].as_slice::<f32>(), Some(&[10.0, 20.0][..]));
    assert_eq!(none["all"].shape()[..], [0, 2]);
}

#[test]
fn operands_and_bodies_have_to_fit() {
    let scan = |operands: &str, attributes: &str, body: &str| {
        mistake(&format!(
            "%h = input : f32[2] %xs = input : f32[5, 2] %0, %1 = scan {operands} {attributes} {body}"
        ))
    };
    assert_eq!(
        scan("%h, %xs", "carries=1 stacked=1 length=4", STEP),
        "scan: operand 1 is f32[5, 2], its body takes f32[4, 2]; \
         stacked operands have the length as first axis; carries and invariants are as the body has them"
    );
    assert_eq!(
        scan("%h", "carries=1 stacked=1 length=5", STEP),
        "scan: it has 1 operands, its body 2 inputs; \
         give an operand for each input: carries, stacked operands, invariants"
    );
    assert_eq!(
        scan("%h, %xs", "carries=1 stacked=1 length=5", ""),
        "scan: it has no body; write one in braces after the types"
    );
    let grows = "{ %h = input : f32[2] %x = input : f32[2] %n = concat %h, %x axis=0 output n = %n }";
    assert_eq!(
        scan("%h, %xs", "carries=1 stacked=1 length=5", grows),
        "scan: carry 0 is f32[2], and f32[4] after a step; keep the type of each carry from step to step"
    );
    let state =
        "{ %h = input : f32[2] %x = input : f32[2] %s = state init=constant(0.0) : f32[2] output n = %s }";
    assert_eq!(
        scan("%h, %xs", "carries=1 stacked=1 length=5", state),
        "scan: its body has a state; pass the state as an operand, and update it outside"
    );
}

#[test]
fn a_body_uses_what_is_around_it() {
    let mut b = Builder::new("around");
    let [x, w] = ["x", "w"].map(|name| b.input(name, DType::F32, [2]).unwrap());
    let half = b.float(DType::F32, 0.5);
    let outer = b.scan(3, &[x], &[], |b, carries, _| {
        let inner = b.scan(2, &[carries[0]], &[], |b, carries, _| {
            let next = b.eval(carries[0] * w * half + x)?;
            Ok((vec![next], vec![]))
        })?;
        Ok((inner.carries, vec![]))
    });
    let outer = outer.unwrap();
    b.output("y", outer.carries[0]).unwrap();
    let graph = b.finish();
    let text = graph.to_string();
    let inputs = [
        ("x", Tensor::new([2], vec![1.0f32, 2.0]).unwrap()),
        ("w", Tensor::new([2], vec![2.0f32, 4.0]).unwrap()),
    ];
    let y = &run(&text, &inputs)["y"];
    assert_eq!(y.as_slice::<f32>(), Some(&[7.0, 2.0 * 127.0][..]), "{text}");
    assert!(!text.contains("f32[] = input") && text.matches("constant").count() == 3, "{text}");
}

#[test]
fn a_failed_step_leaves_the_builder_as_it_was() {
    let mut b = Builder::new("failed");
    let x = b.input("x", DType::F32, [2]).unwrap();
    let error =
        b.scan(3, &[x], &[], |b, carries, _| Ok((vec![b.add(carries[0], x)?, x], vec![]))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "scan: a step returns 2 carries of 1; return the next value of each carry, in their order"
    );
    let error = b.scan(3, &[], &[x], |_, _, items| Ok((vec![], items.to_vec()))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "scan: stacked operand 0 is f32[2], and there are 3 steps; \
         give operands with an element for each step along the first axis"
    );
    assert!(!b.is_in_body() && b.graph().len() == 1);
}

#[test]
fn a_body_has_neither_inputs_nor_outputs_by_name() {
    let mut b = Builder::new("named");
    let x = b.input("x", DType::F32, [2]).unwrap();
    let error =
        b.scan(3, &[x], &[], |b, _, _| Ok((vec![b.input("y", DType::F32, [2])?], vec![]))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "y: a loop's body declares no inputs; \
         declare it before the loop, and use it in the body or give it as a stacked operand"
    );
    let output = |b: &mut Builder, carries: &[crate::Value], _: &[crate::Value]| {
        b.output("y", carries[0])?;
        Ok((carries.to_vec(), vec![]))
    };
    assert_eq!(
        b.scan(3, &[x], &[], output).unwrap_err().to_string(),
        "y: a loop's body has no outputs by name; \
         return it from the body among what is stacked, and make an output of that"
    );
}
