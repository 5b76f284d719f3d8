//! A server: threads that answer requests from one copy of the weights. Each has a fork of one program, which is the same machine
//! code with memory of its own for what it computes. The answers of all threads are those of one, to the bit.
//!
//! Requests are the rows of the embedded digits, one at a time.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use nnc::data::digits;
use nnc::prelude::*;

const REQUESTS: usize = 20_000;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn serve() -> Result<(), Error> {
    let (train, test) = digits();
    let layers = nn::models::Mlp::new(&[64, 512, 256, 10], Relu);
    let network = Supervised::new([64], layers, Loss::cross_entropy());
    let program = compile(&nn::network::inference_graph("server", &network, 1)?, &Options::default())?;
    let mut trainer = Trainer::new("server", network, Adam::new(1e-3), TrainerOptions::default())?;
    trainer.fit(&train, None, &FitOptions::epochs(3), &mut silent)?;

    let row = |index: usize| Tensor::new([1, 64], test.row(index).to_vec()).expect("a digit has 64 pixels");
    let requests: Vec<Tensor> = (0..test.len()).map(row).collect();
    let (expected, _) = answer(&program, trainer.state(), &requests, 1)?;
    println!("threads  requests/s  answers");
    for threads in [1, 2, 8] {
        let (answers, per_second) = answer(&program, trainer.state(), &requests, threads)?;
        let verdict = if answers == expected { "those of one thread" } else { "others" };
        println!("{threads:>7}  {per_second:>10.0}  {verdict}");
    }
    Ok(())
}

/// What so many threads answer, in the order of requests, and how many requests per second.
fn answer(
    program: &Executable,
    state: &State,
    requests: &[Tensor],
    threads: usize,
) -> Result<(Vec<Tensor>, f64), Error> {
    let next = AtomicUsize::new(0);
    let thread = || -> Result<Vec<(usize, Tensor)>, Error> {
        let mut program = program.fork(Arc::new(Pool::new(1)?))?;
        let mut answers = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= REQUESTS {
                return Ok(answers);
            }
            program.infer(state, &[&requests[number % requests.len()]])?;
            answers.push((number, program.outputs()[0].clone()));
        }
    };
    let start = Instant::now();
    let shares: Result<Vec<_>, Error> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(thread)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread answers or fails")).collect()
    });
    let mut answers = shares?.concat();
    let per_second = REQUESTS as f64 / start.elapsed().as_secs_f64();
    answers.sort_by_key(|(number, _)| *number);
    Ok((answers.into_iter().map(|(_, answer)| answer).collect(), per_second))
}
