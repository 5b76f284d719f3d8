//! Kernels of many statements, values that are all alive at once, accumulators and results: neither a stack nor the number of
//! registers limits them.

mod support;

use codegen::Target;
use support::{numbers, run};

/// Odd, so that there is a tail, and 1, so that there is nothing but one.
const EXTENTS: [usize; 2] = [1, 37];

/// Runs a kernel on every target; each of its buffers after the first is a result, which `expected` gives for `x`.
fn check(text: &str, x: &[f32], expected: &[Vec<f32>]) {
    let mut buffers = vec![x.to_vec()];
    buffers.extend(expected.iter().map(|result| vec![0.0; result.len()]));
    for target in Target::available() {
        let results = run(text, &target, &buffers);
        assert!(results[1..] == *expected, "{}", target.name);
    }
}

#[test]
fn a_chain_of_statements_may_be_long() {
    const STEPS: usize = 20_000;
    for extent in EXTENTS {
        let body: String = (0..STEPS).map(|at| format!("%{} = neg %{at}\n", at + 1)).collect();
        let text = format!(
            "kernel @k(%x: f32[{extent}]) -> (%r: f32[{extent}]) {{
               for i in {extent} {{ %0 = load %x[i] {body} store %{STEPS}, %r[i] }}
             }}"
        );
        let x = numbers(extent, 1);
        check(&text, &x, std::slice::from_ref(&x));
    }
}

#[test]
fn many_values_may_be_alive_at_once() {
    const VALUES: usize = 500;
    for extent in EXTENTS {
        // What is computed first is used last.
        let products: String =
            (1..=VALUES).map(|at| format!("%f{at} = {at}.0 : f32 %p{at} = mul %0, %f{at}\n")).collect();
        let sums: String =
            (1..VALUES).rev().map(|at| format!("%s{at} = add %s{}, %p{at}\n", at + 1)).collect();
        let text = format!(
            "kernel @k(%x: f32[{extent}]) -> (%r: f32[{extent}]) {{
               for i in {extent} {{
                 %0 = load %x[i] {products} %zero = 0.0 : f32
                 %s{VALUES} = add %zero, %p{VALUES} {sums} store %s1, %r[i]
               }}
             }}"
        );
        let x: Vec<f32> = (0..extent).map(|at| (at % 5) as f32).collect();
        let sum = (VALUES * (VALUES + 1) / 2) as f32;
        check(&text, &x, &[x.iter().map(|x| x * sum).collect()]);
    }
}

#[test]
fn a_reduction_may_have_many_accumulators_and_a_kernel_many_results() {
    const RESULTS: usize = 70;
    for extent in EXTENTS {
        let terms: String =
            (1..=RESULTS).map(|at| format!("%f{at} = {at}.0 : f32 %p{at} = mul %0, %f{at}\n")).collect();
        let list = |name: &str| {
            let names: Vec<String> = (1..=RESULTS).map(|at| format!("%{name}{at}")).collect();
            names.join(", ")
        };
        let parameters: Vec<String> = (1..=RESULTS).map(|at| format!("%r{at}: f32[3]")).collect();
        let stores: String = (1..=RESULTS).map(|at| format!("store %s{at}, %r{at}[i]\n")).collect();
        let adds = vec!["add"; RESULTS].join(", ");
        let text = format!(
            "kernel @k(%x: f32[3, {extent}]) -> ({}) {{
               for i in 3 {{
                 {} = reduce ({adds}) j in {extent} {{ %0 = load %x[i, j] {terms} yield {} }}
                 {stores}
               }}
             }}",
            parameters.join(", "),
            list("s"),
            list("p")
        );
        let x: Vec<f32> = numbers(3 * extent, 1).iter().map(|x| x.round().clamp(-4.0, 4.0)).collect();
        let row = |i: usize| x[i * extent..(i + 1) * extent].iter().sum::<f32>();
        let expected: Vec<Vec<f32>> =
            (1..=RESULTS).map(|at| (0..3).map(|i| row(i) * at as f32).collect()).collect();
        check(&text, &x, &expected);
    }
}
