//! The workloads that `nnc bench` measures: those of the peers' benchmark, with the same shapes and arithmetic, and on
//! request the same parameters and data.
//!
//! | module | what it holds |
//! |---|---|
//! | [`table`] | the table of workloads |
//! | [`workload`] | what a workload is |
//! | [`networks`], [`adversaries`], [`micro`] | their graphs |
//! | [`data`] | parameters and inputs, read or drawn |
//! | [`measure`] | the method of measuring |

pub mod adversaries;
pub mod data;
pub mod measure;
pub mod micro;
pub mod networks;
pub mod table;
pub mod workload;

use std::time::{Duration, Instant};

use ir::{AxisId, Inst, Kernel, Place, Stmt, Tensor};
use runtime::{KernelTime, Memory, RunError};

use crate::{Error, Executable, Options, State, compile};
use data::Data;
use measure::{Measurement, peak_memory_mb};
pub use table::WORKLOADS;
pub use workload::{Model, Workload};

/// What measuring a workload gave.
#[derive(Clone, Debug)]
pub struct Report {
    /// The name of the workload.
    pub workload: &'static str,
    /// The number of threads.
    pub threads: usize,
    /// The times of a step.
    pub measurement: Measurement,
    /// Building the graph and compiling it.
    pub compile_ms: f64,
    /// The first step: memory that no step has touched, and what is prepared once, beside what every step does.
    pub first_run_ms: f64,
    /// The greatest size that the memory of the process had.
    pub rss_mb: Option<f64>,
    /// The size of the states, parameters for the most part.
    pub state_bytes: usize,
    /// What the program has beside them.
    pub memory: Memory,
    /// The loss of the first step; of workloads without a loss, the mean absolute value of the output.
    pub loss_first: f64,
    /// What the arithmetic of the workload's matrix products and the median amount to, in GFLOP/s.
    pub gflops: Option<f64>,
    /// What the bytes that the workload must move and the median amount to, in GB/s.
    pub gigabytes_per_s: Option<f64>,
}

/// A workload that is compiled and has run once.
pub struct Prepared {
    /// The program.
    pub program: Executable,
    /// The times of kernels in the first step, and so of those that run in it alone.
    pub first_run: Vec<KernelTime>,
    state: State,
    inputs: Vec<Tensor>,
    compile_ms: f64,
    first_run_ms: f64,
    loss_first: f64,
    flops: Option<f64>,
}

/// Compiles a workload, none of it known from before, and runs its first step.
pub fn prepare(workload: &Workload, data: Data, options: &Options) -> Result<Prepared, Error> {
    codegen::forget_compiled();
    let start = Instant::now();
    let model = workload.model()?;
    let mut program = compile(&model.graph, options)?;
    let compile_ms = milliseconds(start.elapsed());
    let flops = model.flops();
    let (parameters, inputs) = data.bind(&model)?;
    let mut state = State::new(program.plan(), 0)?;
    // Each goes once it has been copied.
    for (name, tensor) in parameters {
        state.set(&name, &tensor)?;
    }
    let inputs: Vec<Tensor> = in_order(&program, inputs)?;
    program.set_profiling(true);
    let start = Instant::now();
    step(&mut program, &mut state, &inputs)?;
    let first_run_ms = milliseconds(start.elapsed());
    let first_run = program.kernel_times();
    program.set_profiling(false);
    let loss_first = mean_magnitude(&program.outputs()[0]);
    Ok(Prepared { program, first_run, state, inputs, compile_ms, first_run_ms, loss_first, flops })
}

impl Prepared {
    /// Runs one step.
    pub fn step(&mut self) -> Result<(), RunError> {
        step(&mut self.program, &mut self.state, &self.inputs)
    }

    /// Measures steps for about `budget`.
    pub fn measure(&mut self, workload: &Workload, budget: Duration) -> Result<Report, Error> {
        let measurement = measure::measure(budget, || self.step())?;
        let rate = |amount: f64| amount / measurement.median_ms * 1e-6;
        Ok(Report {
            workload: workload.name,
            threads: self.program.pool().threads(),
            compile_ms: self.compile_ms,
            first_run_ms: self.first_run_ms,
            rss_mb: peak_memory_mb(),
            state_bytes: self.state.bytes(),
            memory: self.program.memory(),
            loss_first: self.loss_first,
            gflops: self.flops.map(rate),
            gigabytes_per_s: workload.bytes.map(|bytes| rate(bytes as f64)),
            measurement,
        })
    }

    /// The times of kernels over `steps` steps.
    pub fn profile(&mut self, steps: u32) -> Result<Vec<KernelTime>, Error> {
        self.program.set_profiling(true);
        for _ in 0..steps {
            self.step()?;
        }
        let times = self.program.kernel_times();
        self.program.set_profiling(false);
        Ok(times)
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn step(program: &mut Executable, state: &mut State, inputs: &[Tensor]) -> Result<(), RunError> {
    // No workload has more than three inputs.
    match inputs {
        [] => program.run(state, &[]),
        [x] => program.run(state, &[x]),
        [x, y] => program.run(state, &[x, y]),
        [x, y, z] => program.run(state, &[x, y, z]),
        more => program.run(state, &more.iter().collect::<Vec<&Tensor>>()),
    }
}

/// The inputs in the order in which the program takes them.
fn in_order(program: &Executable, mut inputs: Vec<(String, Tensor)>) -> Result<Vec<Tensor>, Error> {
    let place = |name: &str| program.inputs().position(|(known, _)| known == name);
    inputs.retain(|(name, _)| place(name).is_some());
    inputs.sort_by_key(|(name, _)| place(name));
    Ok(inputs.into_iter().map(|(_, tensor)| tensor).collect())
}

/// The mean of the absolute values of the elements; of a scalar that is positive, as losses are, itself.
fn mean_magnitude(tensor: &Tensor) -> f64 {
    let count = tensor.shape().elements();
    if count == 1 {
        return tensor.get(0).as_f64();
    }
    (0..count).map(|i| tensor.get(i).as_f64().abs()).sum::<f64>() / count as f64
}

/// The bytes that the parameters of a kernel of a plan have.
pub fn kernel_bytes(program: &Executable, time: &KernelTime) -> usize {
    let plan = program.plan();
    match time.kernel {
        Some(kernel) => plan.kernel(kernel).parameters().map(|(_, buffer)| buffer.ty.size_bytes()).sum(),
        None => plan
            .slots_where(|place| matches!(place, Place::Output))
            .map(|(_, slot)| slot.ty.size_bytes())
            .sum(),
    }
}

/// The additions, multiplications and other elementwise functions that one call of a kernel computes.
pub fn kernel_flops(kernel: &Kernel) -> f64 {
    /// The functions within statements that run `times` times.
    fn count(kernel: &Kernel, body: &[Stmt], times: f64) -> f64 {
        let within = |axes: &[AxisId], body: &[Stmt]| {
            let iterations: f64 = axes.iter().map(|&axis| kernel.extent(axis) as f64).product();
            count(kernel, body, times * iterations)
        };
        let of = |stmt: &Stmt| match stmt {
            Stmt::For { axes, body, .. } => within(axes, body),
            Stmt::Reduce { axes, accumulators, body } => {
                let iterations: f64 = axes.iter().map(|&axis| kernel.extent(axis) as f64).product();
                within(axes, body) + times * iterations * accumulators.len() as f64
            }
            Stmt::Let { inst: Inst::Apply { .. }, .. } => times,
            Stmt::Let { .. } | Stmt::Store { .. } => 0.0,
        };
        body.iter().map(of).sum()
    }
    count(kernel, &kernel.body, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_product_has_two_operations_per_term() {
        let source = "kernel @p(%x: f32[2, 3], %y: f32[3, 5]) -> (%z: f32[2, 5]) { for i in 2, j in 5 {
            %r = reduce add k in 3 { %a = load %x[i, k]  %b = load %y[k, j]  %c = mul %a, %b  yield %c }
            store %r, %z[i, j] } }";
        assert_eq!(kernel_flops(&ir::text::parse_kernel(source).unwrap()), 60.0);
    }
}
