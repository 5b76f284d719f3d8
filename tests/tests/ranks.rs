//! Ops on tensors of many axes, up to the 32 that a tensor may have: the interpreter, unoptimised and optimised machine code agree
//! on every target.

use codegen::Target;
use ir::text::parse_graph;
use nnc::Options;
use tests::compare::{difference, execute, interpret, seeded_inputs};
use tests::targets::options_for;

/// What initial states and random numbers depend on.
const SEED: u64 = 3;

/// Checks a graph; sums are of at most a few hundred terms.
fn agrees(text: &str) {
    let graph = parse_graph(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let inputs = seeded_inputs(&graph, SEED);
    let expected = interpret(&graph, &inputs, SEED).unwrap_or_else(|error| panic!("{error}\n{text}"));
    for target in Target::available() {
        for optimize in [true, false] {
            let options = Options { optimize, verify: true, ..options_for(&target) };
            let found = execute(&graph, &inputs, SEED, &options);
            let found = found.unwrap_or_else(|error| panic!("{}: {error}\n{text}", target.name));
            let problem = difference(&found, &expected, |_| 1e-4);
            assert_eq!(problem, None, "{}, optimised: {optimize}, of\n{text}", target.name);
        }
    }
}

/// A list as attributes and shapes have it.
fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// Extents of which three are more than 1: those of the first axis, the middle and the last.
fn sparse(rank: usize) -> Vec<usize> {
    let mut extents = vec![1; rank];
    (extents[0], extents[rank / 2], extents[rank - 1]) = (2, 3, 5);
    extents
}

/// Extents of 2, with 3 last.
fn dense(rank: usize) -> Vec<usize> {
    let mut extents = vec![2; rank];
    extents[rank - 1] = 3;
    extents
}

fn shapes() -> impl Iterator<Item = Vec<usize>> {
    [3, 5, 8, 13, 32].map(sparse).into_iter().chain([5, 7, 8].map(dense))
}

#[test]
fn elements_move_and_are_reduced_along_many_axes() {
    for extents in shapes() {
        let rank = extents.len();
        let (shape, turned) = (list(&extents), list(extents.iter().rev()));
        let (reversed, all) = (list((0..rank).rev()), list(0..rank));
        let odd = list((0..rank).filter(|axis| axis % 2 == 1));
        let even = list((0..rank).step_by(2).map(|axis| extents[axis]));
        let (zeros, ones) = (list(vec![0; rank]), list(vec![1; rank]));
        let padded = list(extents.iter().map(|extent| extent + usize::from(rank < 9)));
        let low = if rank < 9 { &ones } else { &zeros };
        agrees(&format!(
            "graph @g {{
               %x = input : f32[{shape}]
               %0 = transpose %x permutation=[{reversed}] : f32[{turned}]
               %1 = tanh %0 : f32[{turned}]
               %2 = transpose %1 permutation=[{reversed}] : f32[{shape}]
               %3 = iota axis={} : f32[{shape}]
               %4 = mul %2, %3 : f32[{shape}]
               %5 = add %4, %x : f32[{shape}]
               %6 = reduce_sum %5 axes=[{odd}] : f32[{even}]
               %7 = reduce_max %5 axes=[{all}] : f32[]
               %8 = broadcast %7 shape=[{shape}] : f32[{shape}]
               %9 = sub %5, %8 : f32[{shape}]
               %10 = slice %9 starts=[{zeros}] ends=[{shape}] strides=[{ones}] : f32[{shape}]
               %11 = pad %10 low=[{low}] high=[{zeros}] interior=[{zeros}] value=0.5 : f32[{padded}]
               %12 = sin %11 : f32[{padded}]
               %loss = reduce_sum %12 axes=[{all}] : f32[]
               %g = grad %loss, %x : f32[{shape}]
               output s = %6
               output d = %9
               output g = %g
             }}",
            rank / 2
        ));
    }
}

#[test]
fn windows_go_along_many_axes() {
    for rank in [2, 4, 5, 6, 8, 10] {
        let extents = if rank > 8 { sparse(rank) } else { dense(rank) };
        let counts = list(extents.iter().map(|&extent| extent.min(2)));
        let sizes = list(extents.iter().map(|&extent| extent.min(2)));
        let shape = list(&extents);
        let all = list(0..2 * rank);
        agrees(&format!(
            "graph @g {{
               %x = input : f32[{shape}]
               %w = window %x sizes=[{sizes}] extents=[{counts}] fill=0.5 : f32[{counts}, {sizes}]
               %v:0, %v:1 = max_pool %x sizes=[{sizes}] extents=[{counts}] : f32[{counts}], i32[{counts}]
               %u = max_unpool %v:0, %v:1 sizes=[{sizes}] extents=[{shape}] : f32[{shape}]
               %r = max_repool %u, %v:1 sizes=[{sizes}] extents=[{counts}] : f32[{counts}]
               %0 = sin %w : f32[{counts}, {sizes}]
               %loss = reduce_sum %0 axes=[{all}] : f32[]
               %g = grad %loss, %x : f32[{shape}]
               output w = %w
               output v = %v:0
               output n = %v:1
               output r = %r
               output g = %g
             }}"
        ));
    }
}

#[test]
fn convolutions_go_along_many_axes() {
    for (axes, extent, size) in [(3, 3, 2), (4, 3, 2), (5, 2, 2), (6, 2, 1), (29, 1, 1)] {
        for (groups, channels) in [(1, 3), (2, 1)] {
            let spatial = |extent: usize| list(vec![extent; axes]);
            let x = format!("f32[2, {groups}, {channels}, {}]", spatial(extent));
            let w = format!("f32[{groups}, 2, {channels}, {}]", spatial(size));
            let y = format!("f32[2, {groups}, 2, {}]", spatial(extent + 1 - size));
            agrees(&format!(
                "graph @g {{
                   %x = input : {x}
                   %w = input : {w}
                   %y = conv %x, %w extents=[{}] : {y}
                   %0 = sin %y : {y}
                   %loss = reduce_sum %0 axes=[{}] : f32[]
                   %g:0, %g:1 = grad %loss, %x, %w : {x}, {w}
                   output y = %y
                   output gx = %g:0
                   output gw = %g:1
                 }}",
                spatial(extent + 1 - size),
                list(0..axes + 3)
            ));
        }
    }
}

#[test]
fn products_and_gathers_have_many_leading_axes() {
    for extents in shapes() {
        let rank = extents.len();
        let shape = |last: &[usize]| list(extents[..rank - 2].iter().chain(last));
        let (a, b, c) = (shape(&[3, 5]), shape(&[5, 17]), shape(&[3, 17]));
        let (last, all) = (rank - 1, list(0..rank));
        agrees(&format!(
            "graph @g {{
               %a = input : f32[{a}]
               %b = input : f32[{b}]
               %i = input : i32[2]
               %c = matmul %a, %b : f32[{c}]
               %0 = gather %c, %i axis={last} : f32[{}]
               %1 = tanh %0 : f32[{}]
               %2 = scatter_add %c, %i, %1 axis={last} : f32[{c}]
               %3 = concat %2, %c axis={last} : f32[{}]
               %loss = reduce_sum %3 axes=[{all}] : f32[]
               %g:0, %g:1 = grad %loss, %a, %b : f32[{a}], f32[{b}]
               output c = %3
               output ga = %g:0
               output gb = %g:1
             }}",
            shape(&[3, 2]),
            shape(&[3, 2]),
            shape(&[3, 34])
        ));
    }
}
