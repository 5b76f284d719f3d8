//! From one sequence to another: an encoder reads letters, a decoder writes them in reverse (I. Sutskever, O. Vinyals and Q. V. Le,
//! "Sequence to sequence learning with neural networks", 2014). Words have different lengths: batches hold words of like lengths,
//! padded, and the encoder is told where each ends. In training the decoder is told the right letters (teacher forcing); in use
//! it writes its own, greedily or by a beam search.

use std::collections::BTreeMap;
use std::process::ExitCode;

use ir::{Graph, Scalar, Tensor, Value, scalar};
use nn::loss::{Counted, SequenceCrossEntropy};
use nn::network::training_graph;
use nn::optimizer::LEARNING_RATE;
use nn::sequence::teacher_forcing;
use nn::{Adam, Clip, Context, Embedding, Gru, Linear, Outputs, RecurrentInputs, TrainStep};
use nnc::data::sequences::{PaddedBatch, VariableLength};
use nnc::{Error, Executable, Options, State, compile};

const LETTERS: usize = 10;
/// What the decoder is told first, and what it writes last.
const START: i64 = LETTERS as i64;
const END: i64 = LETTERS as i64;
const TOKENS: usize = LETTERS + 1;
const LENGTHS: std::ops::RangeInclusive<usize> = 2..=8;
const HIDDEN: usize = 96;
const EMBEDDING: usize = 16;

const BATCH: usize = 64;
const WORDS: usize = 64 * BATCH;
const TEST_WORDS: usize = 200;
const EPOCHS: u64 = 12;
const RATE: f64 = 0.01;
/// Words are padded to a multiple of this, so that there are few programs.
const GRANULARITY: usize = 4;
const BEAM: usize = 4;

/// The tokens of `x`, `i64[steps, rows]`, as rows of a table.
fn embedded(cx: &mut Context, scope: &str, x: Value) -> Result<Value, ir::Error> {
    cx.layer(format!("{scope}.embedding"), &Embedding::new(TOKENS, EMBEDDING), x)
}

/// What the encoder has read in the end, `[1, rows, HIDDEN]`.
fn encode(cx: &mut Context, x: Value, lengths: Value) -> Result<Value, ir::Error> {
    let x = embedded(cx, "encoder", x)?;
    let inputs = RecurrentInputs::new(x).lengths(lengths);
    let run = cx.scope("encoder", |cx| Gru::new(EMBEDDING, HIDDEN).run(cx, inputs))?;
    Ok(run.states[0])
}

/// Scores `[steps, rows, TOKENS]` of what follows on what the decoder is told, and its last state.
fn decode(cx: &mut Context, told: Value, state: Value) -> Result<(Value, Value), ir::Error> {
    let told = embedded(cx, "decoder", told)?;
    let inputs = RecurrentInputs::new(told).states(&[state]);
    let run = cx.scope("decoder", |cx| Gru::new(EMBEDDING, HIDDEN).run(cx, inputs))?;
    let logits = cx.layer("decoder.head", &Linear::new(HIDDEN, TOKENS), run.outputs)?;
    Ok((logits, run.states[0]))
}

/// A step of training on words of so many letters and answers of so many.
fn step_graph(steps: usize, target_steps: usize) -> Result<Graph, ir::Error> {
    let network = move |cx: &mut Context, rows: usize| {
        let x = cx.input("x", ir::DType::I64, [steps, rows])?;
        let lengths = cx.input("lengths", ir::DType::I64, [rows])?;
        let y = cx.input("y", ir::DType::I64, [target_steps, rows])?;
        let state = encode(cx, x, lengths)?;
        let told = teacher_forcing(cx, y, START)?;
        let (logits, _) = decode(cx, told, state)?;
        let loss = SequenceCrossEntropy::new(cx, logits, y, Counted::All)?.mean(cx)?;
        Ok(Outputs::new().loss(loss))
    };
    training_graph("reverse", &network, BATCH, &TrainStep::new(Adam::new(RATE)).clip(Clip::Norm(1.0)))
}

/// The state after one word.
fn encoder_graph(steps: usize) -> Result<Graph, ir::Error> {
    let mut cx = Context::new("encoder");
    let x = cx.input("x", ir::DType::I64, [steps, 1])?;
    let lengths = cx.input("lengths", ir::DType::I64, [1])?;
    let state = encode(&mut cx, x, lengths)?;
    cx.output("state", state)?;
    Ok(cx.finish())
}

/// Logarithms of the chances of the next letters, and the next states, of `beam` beginnings.
fn decoder_graph(beam: usize) -> Result<Graph, ir::Error> {
    let mut cx = Context::new("decoder");
    let told = cx.input("told", ir::DType::I64, [1, beam])?;
    let state = cx.input("state", ir::DType::F32, [1, beam, HIDDEN])?;
    let (logits, state) = decode(&mut cx, told, state)?;
    let chances = cx.log_softmax(logits, 2)?;
    cx.output("chances", chances)?;
    cx.output("state", state)?;
    Ok(cx.finish())
}

/// Words that are drawn, with their reverses.
fn words(count: usize, seed: u64) -> Result<VariableLength, Error> {
    let mut drawn = 0;
    let mut below = |bound: usize| {
        drawn += 1;
        (bound as f64 * scalar::uniform(seed, 9, drawn, ir::DType::F64)) as usize
    };
    let mut rows = Vec::new();
    for _ in 0..count {
        let length = LENGTHS.start() + below(LENGTHS.count());
        let word: Vec<i64> = (0..length).map(|_| below(LETTERS) as i64).collect();
        let reversed = word.iter().rev().copied().chain([END]).collect();
        rows.push((word, reversed));
    }
    VariableLength::new("words", rows, LETTERS, TOKENS)
}

/// The programs of training, one for each pair of lengths, on one set of states.
struct Training {
    programs: BTreeMap<(usize, usize), Executable>,
    state: State,
}

impl Training {
    fn step(&mut self, batch: &PaddedBatch, rate: f64) -> Result<f64, Error> {
        let lengths = (batch.steps(), batch.target_steps());
        if !self.programs.contains_key(&lengths) {
            let program = compile(&step_graph(lengths.0, lengths.1)?, &Options::default())?;
            self.state.adopt(program.plan(), 1)?;
            self.programs.insert(lengths, program);
        }
        let program = self.programs.get_mut(&lengths).expect("it has just been made");
        self.state.set(LEARNING_RATE, &Tensor::scalar(Scalar::F32(rate as f32)))?;
        program.run(&mut self.state, &[&batch.x, &batch.lengths, &batch.y])?;
        Ok(program.outputs()[0].get(0).as_f64())
    }
}

/// A beginning of an answer.
#[derive(Clone)]
struct Beginning {
    letters: Vec<i64>,
    chance: f64,
    state: Vec<f32>,
}

/// Writes answers, of which it keeps the `beam` likeliest beginnings; 1 is to be greedy.
struct Writer {
    encoder: Executable,
    decoder: Executable,
    beam: usize,
}

impl Writer {
    fn new(beam: usize) -> Result<Writer, Error> {
        let steps = LENGTHS.end().next_multiple_of(GRANULARITY);
        let encoder = compile(&encoder_graph(steps)?, &Options::default())?;
        let decoder = compile(&decoder_graph(beam)?, &Options::default())?;
        Ok(Writer { encoder, decoder, beam })
    }

    fn write(&mut self, weights: &State, word: &[i64]) -> Result<Vec<i64>, Error> {
        let steps = LENGTHS.end().next_multiple_of(GRANULARITY);
        let padded = word.iter().copied().chain(std::iter::repeat(0)).take(steps).collect();
        let x = Tensor::new([steps, 1], padded).expect("one for each step");
        let lengths = Tensor::new([1], vec![word.len() as i64]).expect("one word");
        self.encoder.infer(weights, &[&x, &lengths])?;
        let state = self.encoder.outputs()[0].as_slice::<f32>().unwrap_or_default().to_vec();
        let mut open = vec![Beginning { letters: vec![], chance: 0.0, state }];
        let mut best: Option<Beginning> = None;
        for _ in 0..=*LENGTHS.end() {
            let mut next = self.continuations(weights, &open)?;
            next.sort_by(|a, b| b.chance.total_cmp(&a.chance));
            next.truncate(self.beam);
            let (ended, going): (Vec<_>, Vec<_>) =
                next.into_iter().partition(|it| it.letters.last() == Some(&END));
            for it in ended {
                if best.as_ref().is_none_or(|best| it.chance > best.chance) {
                    best = Some(it);
                }
            }
            open = going;
            // What goes on becomes less likely.
            let can_win = |it: &Beginning| best.as_ref().is_none_or(|best| it.chance > best.chance);
            if !open.first().is_some_and(can_win) {
                break;
            }
        }
        Ok(best.map_or(Vec::new(), |best| best.letters))
    }

    /// All beginnings that are longer by one letter.
    fn continuations(&mut self, weights: &State, open: &[Beginning]) -> Result<Vec<Beginning>, Error> {
        // Rows that are left over do what the first does.
        let rows: Vec<&Beginning> = (0..self.beam).map(|row| open.get(row).unwrap_or(&open[0])).collect();
        let told = rows.iter().map(|it| it.letters.last().copied().unwrap_or(START)).collect();
        let told = Tensor::new([1, self.beam], told).expect("one for each beginning");
        let states: Vec<f32> = rows.iter().flat_map(|it| it.state.iter().copied()).collect();
        let states = Tensor::new([1, self.beam, HIDDEN], states).expect("one for each beginning");
        self.decoder.infer(weights, &[&told, &states])?;
        let [chances, states] =
            [0, 1].map(|output| self.decoder.outputs()[output].as_slice::<f32>().unwrap_or_default());
        let mut all = Vec::new();
        for (row, it) in open.iter().enumerate() {
            for token in 0..TOKENS {
                let mut letters = it.letters.clone();
                letters.push(token as i64);
                let chance = it.chance + f64::from(chances[row * TOKENS + token]);
                let state = states[row * HIDDEN..][..HIDDEN].to_vec();
                all.push(Beginning { letters, chance, state });
            }
        }
        Ok(all)
    }
}

/// A word as letters.
fn text(word: &[i64]) -> String {
    let letter = |&token: &i64| char::from(b'a' + token as u8);
    word.iter().filter(|&&token| token != END).map(letter).collect()
}

fn main() -> ExitCode {
    match reverse_sequence() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn reverse_sequence() -> Result<(), Error> {
    let (train, test) = (words(WORDS, 1)?, words(TEST_WORDS, 2)?);
    let mut training = Training { programs: BTreeMap::new(), state: State::empty() };
    let steps = EPOCHS * (WORDS / BATCH) as u64;
    let mut number = 0;
    for epoch in 0..EPOCHS {
        let (mut loss, batches) = (0.0, train.batches(BATCH, 1, epoch)?);
        for rows in &batches {
            let left = 1.0 - number as f64 / steps as f64;
            loss += training.step(&train.batch(rows, GRANULARITY)?, RATE * left)? / batches.len() as f64;
            number += 1;
        }
        if (epoch + 1) % 4 == 0 {
            println!("epoch {:>2}  loss {loss:.4}  programs {}", epoch + 1, training.programs.len());
        }
    }
    for (name, beam) in [("greedy", 1), ("beam search", BEAM)] {
        let mut writer = Writer::new(beam)?;
        let mut right = 0;
        for row in 0..test.len() {
            let (word, reversed) = test.row(row);
            let written = writer.write(&training.state, word)?;
            right += usize::from(written == reversed);
            if row < 3 && beam > 1 {
                println!("{} -> {}", text(word), text(&written));
            }
        }
        println!("{name:<11}  {right} of {TEST_WORDS} words right");
    }
    Ok(())
}
