//! Random strips against the interpreter of vector programs, element by element and bit by bit.
#![allow(unsafe_code, reason = "calling compiled strips")]

use ir::{ColdFn, Comparison, DType, Primitive, ReduceOp, Scalar, VectorProgram, VectorValue};

use super::Isa;
use super::function::{FrameLayout, emit_strip, unroll};
use super::strip::{Argument, Reduction, Store, Stream, Strip};
use crate::Target;
use crate::jit::{Compiled, ExecutableMemory};

/// A generator of numbers (G. Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    /// Any bits, with those at which functions break more often than by chance.
    fn bits(&mut self) -> u32 {
        const SPECIAL: [u32; 12] = [
            0,
            0x8000_0000,
            0x7f80_0000,
            0xff80_0000,
            0x7fc0_0000,
            0xffc0_0000,
            1,
            0x807f_ffff,
            0x7fff_ffff,
            u32::MAX,
            0x4f00_0000,
            0x3f00_0000,
        ];
        match self.below(4) {
            0 => self.pick(&SPECIAL),
            1 => self.next() as u32,
            _ => ((self.next() % 4096) as f32 / 64.0 - 32.0).to_bits(),
        }
    }
}

fn isas() -> Vec<Isa> {
    let mut isas = Vec::new();
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        isas.push(Isa::Avx2);
    }
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
        isas.push(Isa::Avx512);
    }
    isas
}

/// Three streams are read, two more are written; the uniform values are of `f32`, `i32`, `bool` and `i32`.
const INPUTS: [DType; 3] = [DType::F32, DType::F32, DType::I32];
const UNIFORMS: [DType; 4] = [DType::F32, DType::I32, DType::Bool, DType::I32];
const STEP: i32 = 3;

/// A strip of `length` random instructions on these arguments. All values stay in use until the end.
fn random_strip(random: &mut Random, length: usize) -> Strip {
    let mut strip = Strip { pointers: 5, uniforms: UNIFORMS.len(), ..Strip::default() };
    let dtypes = INPUTS.into_iter().chain([DType::F32, DType::I32]).enumerate();
    strip.streams =
        dtypes.map(|(pointer, dtype)| Stream { pointer, displacement: 8 * pointer as i32, dtype }).collect();
    let mut values: [Vec<VectorValue>; 3] = Default::default();
    let streams = INPUTS.iter().enumerate().map(|(stream, &dtype)| (Argument::Stream(stream), dtype));
    let uniforms =
        UNIFORMS.iter().enumerate().take(3).map(|(number, &dtype)| (Argument::Uniform(number), dtype));
    let index = (Argument::Index { uniform: 3, step: STEP }, DType::I32);
    for (number, (argument, dtype)) in streams.chain(uniforms).chain([index]).enumerate() {
        strip.arguments.push(argument);
        values[kind(dtype)].push(strip.program.argument(number as u32, dtype));
    }
    for _ in 0..length {
        let value = random_value(random, &mut strip.program, &values);
        values[kind(strip.program.dtype(value))].push(value);
    }
    let p = &mut strip.program;
    let [floats, ints, truths] = &values;
    let float = floats.iter().copied().reduce(|x, y| p.max(y, x)).expect("there are arguments");
    let int = ints.iter().copied().reduce(|x, y| p.add(x, y)).expect("there are arguments");
    let truth = truths.iter().copied().reduce(|x, y| p.xor(x, y)).expect("there are arguments");
    let other = p.neg(int);
    let int = p.select(truth, int, other);
    let after = p.insts().len();
    strip.stores = vec![Store { value: float, stream: 3, after }, Store { value: int, stream: 4, after }];
    strip
}

fn kind(dtype: DType) -> usize {
    match dtype {
        DType::F32 => 0,
        DType::I32 => 1,
        _ => 2,
    }
}

fn random_value(random: &mut Random, p: &mut VectorProgram, values: &[Vec<VectorValue>; 3]) -> VectorValue {
    const COMPARISONS: [Comparison; 6] =
        [Comparison::Eq, Comparison::Ne, Comparison::Lt, Comparison::Le, Comparison::Gt, Comparison::Ge];
    let mut any = |kind: usize| random.pick(&values[kind]);
    let [x, y, z] = [any(0), any(0), any(0)];
    let [i, j] = [any(1), any(1)];
    let [a, b, c] = [any(2), any(2), any(2)];
    let how = random.pick(&COMPARISONS);
    let by = 1 + random.below(31) as u32;
    let of_kind = |kind: usize| [(x, y), (i, j), (a, b)][kind];
    match random.below(41) {
        0 => p.add(x, y),
        1 => p.sub(x, y),
        2 => p.mul(x, y),
        3 => p.div(x, y),
        4..=6 => p.fma(x, y, z),
        7 => p.min(x, y),
        8 => p.max(x, y),
        9 => p.neg(x),
        10 => p.abs(x),
        11 => p.sqrt(x),
        12 => p.floor(x),
        13 => p.ceil(x),
        14 => p.round(x),
        15 => p.add(i, j),
        16 => p.sub(i, j),
        17 => p.mul(i, j),
        18 => p.mul_high_unsigned(i, j),
        19 => p.min(i, j),
        20 => p.max(i, j),
        21 => p.neg(i),
        22 => p.abs(i),
        23 => p.apply(random.pick(&[Primitive::And, Primitive::Or, Primitive::Xor]), &[i, j]),
        24 => p.apply(random.pick(&[Primitive::And, Primitive::Or, Primitive::Xor]), &[a, b]),
        25 => p.not(i),
        26 => p.not(a),
        27 => p.apply(Primitive::ShiftLeft(by), &[i]),
        28 => p.apply(Primitive::ShiftRightLogical(by), &[i]),
        29 => p.apply(Primitive::ShiftRightArithmetic(by), &[i]),
        30 | 31 => {
            let (x, y) = of_kind(random.below(3));
            p.apply(Primitive::Compare(how), &[x, y])
        }
        32 | 33 => {
            let (x, y) = of_kind(random.below(3));
            p.select(c, x, y)
        }
        34 => {
            // What is one instruction on x86.
            let how = random.pick(&[Comparison::Lt, Comparison::Gt]);
            let is_first = p.apply(Primitive::Compare(how), &[x, y]);
            p.select(is_first, x, y)
        }
        35 => p.apply(Primitive::Bitcast(DType::F32), &[i]),
        36 => {
            // Which NaN it is, is not defined.
            let is_number = p.apply(Primitive::Compare(Comparison::Eq), &[x, x]);
            let zero = p.float(DType::F32, 0.0);
            let number = p.select(is_number, x, zero);
            p.apply(Primitive::Bitcast(DType::I32), &[number])
        }
        37 => {
            let from = [x, i, a][random.below(3)];
            let to = random.pick(&[DType::F32, DType::I32, DType::Bool]);
            if p.dtype(from) == to { from } else { p.apply(Primitive::Convert(to), &[from]) }
        }
        38 => {
            let [mantissa, one] = [0x007f_ffff, 0x3f80_0000].map(|bits| p.int(DType::I32, bits));
            let bits = p.and(i, mantissa);
            let bits = p.or(bits, one);
            let number = p.apply(Primitive::Bitcast(DType::F32), &[bits]);
            let exponent = p.apply(Primitive::ShiftRightArithmetic(24), &[j]);
            let quarter = p.apply(Primitive::ShiftRightArithmetic(2), &[exponent]);
            let exponent = p.add(exponent, quarter);
            let exponent = p.apply(Primitive::Convert(DType::F32), &[exponent]);
            p.scale(number, exponent)
        }
        39 => {
            let function = random.pick(&[ColdFn::SineOfLarge, ColdFn::CosineOfLarge]);
            p.apply(Primitive::Cold(function), &[c, x, y])
        }
        _ => p.constant(match random.below(3) {
            0 => Scalar::F32(f32::from_bits(random.bits())),
            1 => Scalar::I32(random.bits() as i32),
            _ => Scalar::Bool(random.below(2) == 1),
        }),
    }
}

/// A strip in executable memory, and what it works on.
struct Machine {
    memory: ExecutableMemory,
    layout: FrameLayout,
}

/// The memory behind the pointers of a strip. Elements of stream `s` start at word `2 s + skew`.
type Words = [Vec<u32>; 5];

impl Machine {
    fn new(isa: Isa, strip: &Strip) -> Machine {
        let target = Target::available().into_iter().next_back().expect("this machine runs some target");
        let compiled = Compiled::of_bytes(emit_strip(isa, strip).bytes);
        let memory = ExecutableMemory::new(&target, &[&compiled]).expect("there is memory for a strip");
        Machine { memory, layout: FrameLayout::new(strip) }
    }

    /// Runs the strip on elements from `skew` on; the results of its reductions.
    fn run(&self, words: &mut Words, uniforms: &[u32], count: usize, skew: usize) -> Vec<u32> {
        let mut frame: Vec<u64> = words.iter_mut().map(|words| words[skew..].as_mut_ptr() as u64).collect();
        frame.push(count as u64);
        frame.extend(uniforms.iter().map(|&bits| u64::from(bits)));
        frame.resize(self.layout.words, 0);
        // SAFETY: a strip takes the address of its frame as its first argument, and the frame is laid out as it expects;
        // each of the pointers has `count` elements and the displacement of its stream behind it.
        unsafe { self.memory.function(0)(frame.as_mut_ptr() as *const *mut u8, std::ptr::null_mut(), 0, 0) };
        frame[self.layout.results..].iter().map(|&word| word as u32).collect()
    }
}

/// Room for `count` elements of each stream behind any skew, filled at random.
fn random_words(random: &mut Random, count: usize) -> Words {
    std::array::from_fn(|_| (0..count + 64).map(|_| random.bits()).collect())
}

fn random_uniforms(random: &mut Random) -> [u32; 4] {
    [random.bits(), random.bits(), if random.below(2) == 1 { u32::MAX } else { 0 }, random.bits()]
}

/// The arguments of the program at an element.
fn arguments(words: &Words, uniforms: &[u32; 4], element: usize, skew: usize) -> Vec<Scalar> {
    let scalar = |dtype: DType, bits: u32| match dtype {
        DType::F32 => Scalar::F32(f32::from_bits(bits)),
        DType::I32 => Scalar::I32(bits as i32),
        _ => Scalar::Bool(bits != 0),
    };
    let streams = (0..3).map(|stream| scalar(INPUTS[stream], words[stream][skew + 2 * stream + element]));
    let given = (0..3).map(|number| scalar(UNIFORMS[number], uniforms[number]));
    let index = Scalar::I32((uniforms[3] as i32).wrapping_add(STEP.wrapping_mul(element as i32)));
    streams.chain(given).chain([index]).collect()
}

fn is_same(dtype: DType, found: u32, expected: Scalar) -> bool {
    match expected {
        Scalar::F32(x) => found == x.to_bits() || (x.is_nan() && f32::from_bits(found).is_nan()),
        other => dtype == DType::I32 && found == other.bits() as u32,
    }
}

/// A program with the value of each instruction.
fn listing(program: &VectorProgram, values: &[Scalar]) -> String {
    let line = |(index, (inst, value)): (usize, (&ir::VectorInst, &Scalar))| {
        let operands: Vec<u32> = inst.operands.iter().map(|operand| operand.0).collect();
        format!("{index}: {:?} of {operands:?} is {value:?}\n", inst.primitive)
    };
    program.insts().iter().zip(values).enumerate().map(line).collect()
}

/// Numbers of elements around those at which the loops change.
fn counts(isa: Isa) -> [usize; 9] {
    let lanes = isa.lanes();
    [0, 1, 3, lanes - 1, lanes, lanes + 1, 2 * lanes + 5, 4 * lanes, 13 * lanes + 7]
}

fn check(strip: &Strip, isa: Isa, random: &mut Random, what: &str) {
    let machine = Machine::new(isa, strip);
    for count in counts(isa) {
        let skew = random.below(24);
        let before = random_words(random, count);
        let uniforms = random_uniforms(random);
        let mut words = before.clone();
        machine.run(&mut words, &uniforms, count, skew);
        for element in 0..count {
            let values = strip.program.run(&arguments(&before, &uniforms, element, skew));
            for store in &strip.stores {
                let found = words[store.stream][skew + 2 * store.stream + element];
                let (expected, dtype) = (values[store.value.0 as usize], strip.program.dtype(store.value));
                assert!(
                    is_same(dtype, found, expected),
                    "{what}, {isa:?}: element {element} of {count} is {found:#x}, not {expected:?}:\n{}",
                    listing(&strip.program, &values)
                );
            }
        }
        for (stream, (after, before)) in words.iter().zip(&before).enumerate() {
            let run = skew + 2 * stream..skew + 2 * stream + count;
            let is_written = strip.stores.iter().any(|store| store.stream == stream);
            let changed =
                (0..after.len()).find(|at| after[*at] != before[*at] && !(is_written && run.contains(at)));
            assert_eq!(
                changed, None,
                "{what}, {isa:?}: a strip of {count} wrote to stream {stream} outside of it"
            );
        }
    }
}

#[test]
fn random_strips_have_the_bits_of_the_interpreter() {
    for isa in isas() {
        for seed in 0..150 {
            let mut random = Random::new(seed);
            let length = random.pick(&[0, 3, 10, 30, 80]);
            let strip = random_strip(&mut random, length);
            check(&strip, isa, &mut random, &format!("seed {seed}"));
        }
    }
}

#[test]
fn stores_past_the_caches_align_themselves() {
    for isa in isas() {
        for seed in 100..120 {
            let mut random = Random::new(seed);
            let mut strip = random_strip(&mut random, 6);
            strip.past_caches = Some(random.pick(&[3, 4]));
            check(&strip, isa, &mut random, &format!("seed {seed}"));
        }
    }
}

#[test]
fn a_strip_may_write_to_what_it_reads() {
    for isa in isas() {
        for seed in 200..220 {
            let mut random = Random::new(seed);
            let mut strip = random_strip(&mut random, 12);
            strip.stores[0].stream = 0;
            strip.stores[1].stream = 2;
            check(&strip, isa, &mut random, &format!("seed {seed}"));
        }
    }
}

#[test]
fn truth_values_are_a_byte_each_in_memory() {
    for isa in isas() {
        let stream = |pointer, dtype| Stream { pointer, displacement: pointer as i32, dtype };
        let mut strip = Strip {
            streams: vec![stream(0, DType::Bool), stream(1, DType::F32), stream(2, DType::Bool)],
            arguments: vec![Argument::Stream(0), Argument::Stream(1)],
            pointers: 3,
            ..Strip::default()
        };
        let p = &mut strip.program;
        let (truth, x) = (p.argument(0, DType::Bool), p.argument(1, DType::F32));
        let zero = p.constant(Scalar::F32(0.0));
        let is_positive = p.apply(Primitive::Compare(Comparison::Gt), &[x, zero]);
        let other = p.xor(truth, is_positive);
        let after = p.insts().len();
        // One is written over what it is computed from.
        strip.stores =
            vec![Store { value: is_positive, stream: 2, after }, Store { value: other, stream: 0, after }];
        let compiled = Compiled::of_bytes(emit_strip(isa, &strip).bytes);
        let target = Target::available().into_iter().next_back().expect("this machine runs some target");
        let memory = ExecutableMemory::new(&target, &[&compiled]).expect("there is memory for a strip");
        let mut random = Random::new(11);
        for count in counts(isa) {
            let truths: Vec<u8> = (0..count + 2).map(|_| random.below(2) as u8).collect();
            let numbers: Vec<f32> = (0..count).map(|_| random.below(3) as f32 - 1.0).collect();
            let (mut first, mut second) = (truths.clone(), vec![7u8; count + 3]);
            let mut at = vec![0u8; 1];
            at.extend(numbers.iter().flat_map(|x| x.to_le_bytes()));
            let mut frame =
                [first.as_mut_ptr() as u64, at.as_ptr() as u64, second.as_mut_ptr() as u64, count as u64];
            // SAFETY: a strip takes the address of its frame as its first argument, and the frame is laid out as it
            // expects; `count` elements are behind each pointer and the displacement of its stream.
            unsafe { memory.function(0)(frame.as_mut_ptr() as *const *mut u8, std::ptr::null_mut(), 0, 0) };
            let positive: Vec<u8> = numbers.iter().map(|&x| u8::from(x > 0.0)).collect();
            let differs = truths.iter().zip(&positive).map(|(x, y)| x ^ y);
            let expected: Vec<u8> = differs.chain(truths[count..].iter().copied()).collect();
            assert_eq!(first, expected, "{isa:?}, {count} elements");
            assert_eq!(second, [&[7, 7], &positive[..], &[7]].concat(), "{isa:?}, {count} elements");
        }
    }
}

/// A reduction of elements in the order that [`Reduction`] states.
fn reduced(op: ReduceOp, terms: &[f32], lanes: usize, accumulators: usize) -> f32 {
    let combine = |x: f32, y: f32| match op {
        ReduceOp::Add => x + y,
        ReduceOp::Mul => x * y,
        ReduceOp::Max if x == y => f32::from_bits(x.to_bits() & y.to_bits()),
        ReduceOp::Min if x == y => f32::from_bits(x.to_bits() | y.to_bits()),
        ReduceOp::Max => {
            if x > y || x.is_nan() {
                x
            } else {
                y
            }
        }
        ReduceOp::Min => {
            if x < y || x.is_nan() {
                x
            } else {
                y
            }
        }
    };
    let Scalar::F32(identity) = op.identity(DType::F32) else { unreachable!("of floats") };
    let mut sums = vec![vec![identity; lanes]; accumulators];
    let rounds = terms.len() / (lanes * accumulators) * accumulators;
    for (vector, terms) in terms.chunks(lanes).enumerate() {
        let accumulator = if vector < rounds { vector % accumulators } else { 0 };
        for (sum, &term) in sums[accumulator].iter_mut().zip(terms) {
            *sum = combine(*sum, term);
        }
    }
    let halve = |values: Vec<f32>| -> Vec<f32> {
        let (low, high) = values.split_at(values.len() / 2);
        low.iter().zip(high).map(|(&x, &y)| combine(x, y)).collect()
    };
    while sums.len() > 1 {
        let high = sums.split_off(sums.len() / 2);
        for (low, high) in sums.iter_mut().zip(high) {
            low.iter_mut().zip(high).for_each(|(x, y)| *x = combine(*x, y));
        }
    }
    let mut lanes = sums.remove(0);
    while lanes.len() > 1 {
        lanes = halve(lanes);
    }
    lanes[0]
}

#[test]
fn reductions_have_the_order_that_is_stated() {
    for isa in isas() {
        for op in [ReduceOp::Add, ReduceOp::Mul, ReduceOp::Max, ReduceOp::Min] {
            for with_nan in [false, true] {
                let mut strip = Strip { pointers: 5, uniforms: 4, ..Strip::default() };
                strip.streams = vec![Stream { pointer: 0, displacement: 0, dtype: DType::F32 }];
                strip.arguments = vec![Argument::Stream(0)];
                let x = strip.program.argument(0, DType::F32);
                let y = strip.program.abs(x);
                strip.reductions = vec![Reduction { op, value: x }, Reduction { op, value: y }];
                let machine = Machine::new(isa, &strip);
                let mut random = Random::new(7);
                for count in counts(isa) {
                    let mut words = random_words(&mut random, count);
                    let small = |bits: u32| f32::from_bits(bits & 0x80ff_ffff | 0x3f00_0000) - 0.5;
                    words[0].iter_mut().for_each(|word| *word = small(*word).to_bits());
                    if with_nan {
                        words[0][count / 2] = 0xffc0_0000;
                    }
                    let terms: Vec<f32> =
                        words[0][..count].iter().map(|&bits| f32::from_bits(bits)).collect();
                    let sizes: Vec<f32> = terms.iter().map(|x| x.abs()).collect();
                    let results = machine.run(&mut words, &[0; 4], count, 0);
                    for (found, terms) in results.into_iter().zip([terms, sizes]) {
                        let expected = reduced(op, &terms, isa.lanes(), unroll(&strip));
                        let found_at = format!("{op:?} of {count} on {isa:?}: {found:#x}, not {expected}");
                        assert!(is_same(DType::F32, found, Scalar::F32(expected)), "{found_at}");
                    }
                }
            }
        }
    }
}
