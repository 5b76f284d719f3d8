//! One kernel to machine code: nest, schedule, function.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_frontend::FunctionBuilder;
use ir::{AxisId, BufferId, Kernel};

use crate::emit::Limit;
use crate::emit::function::{Emitted, emit_function};
use crate::jit::{Compiled, compile_function};
use crate::nest::{Nest, Node, is_local};
use crate::schedule::{Lanes, Schedule, chunk_iterations, schedule, total_work};
use crate::{CompileOptions, Cost, Error, Target, contraction, transpose, winograd};

/// A compiled kernel that is not in executable memory yet.
#[derive(Clone)]
pub struct Part {
    /// Its code.
    pub compiled: Compiled,
    /// The number of chunks.
    pub chunks: u64,
    /// The scratch memory that a thread needs, in bytes.
    pub scratch_bytes: usize,
    /// What running it takes.
    pub cost: Cost,
    /// The text of Cranelift's IR, where it is kept.
    pub clif: String,
    /// How long emitting it took.
    pub emit_time: Duration,
    /// How long Cranelift took.
    pub cranelift_time: Duration,
}

impl Part {
    /// The size of the code, and of what is kept beside it.
    pub fn size_bytes(&self) -> usize {
        let wide = self.compiled.wide.iter().map(|function| function.bytes.len());
        self.compiled.bytes.len() + wide.sum::<usize>() + self.clif.len()
    }
}

/// Compiles kernels, which have the names of those for which errors occur, on as many threads as the machine has cores.
pub fn compile_side_by_side(
    kernels: &[(&str, &Kernel)],
    target: &Target,
    options: CompileOptions,
) -> Result<Vec<Part>, Error> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<Part, Error>)>> = Mutex::new(Vec::with_capacity(kernels.len()));
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((name, kernel)) = kernels.get(index) else { break };
            let part = compile_one(name, kernel, target, options);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((index, part));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(kernels.len());
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        work();
        // A panic goes on as what it was.
        if let Some(panic) = others.into_iter().find_map(|other| other.join().err()) {
            resume_unwind(panic);
        }
    });
    let mut parts = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    parts.sort_by_key(|part| part.0);
    parts.into_iter().map(|part| part.1).collect()
}

fn compile_one(name: &str, kernel: &Kernel, target: &Target, options: CompileOptions) -> Result<Part, Error> {
    let start = Instant::now();
    let mut nest = Nest::new(kernel);
    let (emitted, work) = if let Some(plan) = winograd::plan(&nest, target) {
        (winograd::emit(&plan, &nest, target), plan.multiply_adds(&nest) * Cost::MULTIPLY_ADD)
    } else if let Some(plan) = winograd::gradient::plan(&nest, target) {
        let work = plan.multiply_adds(&nest) * Cost::MULTIPLY_ADD;
        (winograd::gradient::emit(&plan, &nest, target), work)
    } else {
        nest.collapse();
        emit_direct(&nest, target)
    };
    let lanes = target.vector_bytes / 4;
    let clif = if options.keep_clif { emitted.function.display().to_string() } else { String::new() };
    let bytes = nest
        .buffers
        .iter()
        .filter(|buffer| !is_local(buffer))
        .map(|buffer| buffer.ty.size_bytes())
        .sum::<usize>();
    let emit_time = start.elapsed();
    let start = Instant::now();
    let compiled = compile_function(target, name, emitted.function, emitted.wide)?;
    Ok(Part {
        compiled,
        chunks: emitted.chunks,
        scratch_bytes: emitted.scratch_bytes,
        cost: Cost { operations: work / lanes as f64, bytes: bytes as f64 },
        clif,
        emit_time,
        cranelift_time: start.elapsed(),
    })
}

/// Emits a nest as a contraction, a transposition or loops, whichever it is; and what running it takes, in operations.
fn emit_direct(nest: &Nest, target: &Target) -> (Emitted, f64) {
    if let Some(plan) = contraction::plan(nest, target) {
        return (contraction::emit(&plan, nest, target), plan.multiply_adds(nest) * Cost::MULTIPLY_ADD);
    }
    let emitted = match transpose::plan(nest, target) {
        Some(plan) => transpose::emit(&plan, nest, target),
        None => emit(nest, target),
    };
    (emitted, total_work(nest, &nest.body))
}

/// Emits a nest as it is, by its schedule.
fn emit(nest: &Nest, target: &Target) -> Emitted {
    emit_function(nest, target, |emitter, call| {
        let loops = nest.body.iter().filter(|node| matches!(node, Node::For { .. })).count();
        let mut chunks = 1;
        emitter.past_caches = stored_past_caches(nest, target);
        emitter.rows.address = Some(call.take_scratch(emitter, 0));
        for node in &nest.body {
            let Node::For { axes, body, .. } = node else {
                emitter.nodes(std::slice::from_ref(node));
                continue;
            };
            let schedule = schedule(nest, node);
            let cut = (loops == 1).then(|| cut(nest, node, schedule, target)).flatten();
            let outermost = cut.map(|cut| {
                chunks = cut.chunks;
                let (from, to) = limits(emitter.b, cut, call.begin, call.end);
                (cut.axis, from, to)
            });
            emitter.top_level(schedule, axes, body, outermost);
        }
        call.scratch_bytes += emitter.rows.size_bytes;
        if !emitter.past_caches.is_empty() {
            // Such stores are not ordered before the one by which other threads learn that this one is done.
            emitter.b.ins().fence();
        }
        chunks
    })
}

/// The buffers that are stored to past the caches: where a nest works on more than the caches hold, those that are only
/// written. They would be gone from the caches anyway before anything reads them.
fn stored_past_caches(nest: &Nest, target: &Target) -> Vec<BufferId> {
    let parameters = nest.buffers.iter().filter(|buffer| !is_local(buffer));
    let bytes: usize = parameters.map(|buffer| buffer.ty.size_bytes()).sum();
    let mut stored = BTreeSet::new();
    if bytes > target.l3_bytes.max(target.l2_bytes) {
        let mut read = BTreeSet::new();
        Nest::accesses(&nest.body, &mut |place, is_store| {
            let buffers = if is_store { &mut stored } else { &mut read };
            buffers.insert(place.buffer);
        });
        stored.retain(|buffer| !read.contains(buffer) && !is_local(&nest.buffers[buffer.0 as usize]));
    }
    stored.into_iter().collect()
}

/// How the outermost loop is cut.
#[derive(Clone, Copy)]
struct Cut {
    axis: AxisId,
    extent: usize,
    /// Iterations per chunk.
    size: usize,
    chunks: usize,
}

/// Cuts the outermost loop: the first that is not on lanes, or that on lanes where there is no other.
fn cut(nest: &Nest, node: &Node, schedule: Schedule, target: &Target) -> Option<Cut> {
    // Whole vectors at any width, and whole cache lines.
    const WIDE_COLUMNS: usize = 64;
    let Node::For { axes, sequential: false, .. } = node else { return None };
    let on_lanes = match schedule.lanes {
        Lanes::Outer(axis) => Some(axis),
        _ => None,
    };
    let axis = axes.iter().copied().find(|&axis| Some(axis) != on_lanes).or(on_lanes)?;
    let multiple = match target.wide() {
        _ if Some(axis) != on_lanes => 1,
        Some(_) => WIDE_COLUMNS,
        None => schedule.width,
    };
    let extent = nest.extent(axis);
    let size = chunk_iterations(extent, total_work(nest, std::slice::from_ref(node)), multiple);
    Some(Cut { axis, extent, size, chunks: extent.div_ceil(size) })
}

/// The iterations that chunks `begin .. end` cover.
fn limits(b: &mut FunctionBuilder<'_>, cut: Cut, begin: Value, end: Value) -> (Limit, Limit) {
    if cut.chunks <= 1 {
        return (Limit::Static(0), Limit::Static(cut.extent as i64));
    }
    let from = b.ins().imul_imm_s(begin, cut.size as i64);
    let to = b.ins().imul_imm_s(end, cut.size as i64);
    let extent = b.ins().iconst(types::I64, cut.extent as i64);
    let to = b.ins().smin(to, extent);
    (Limit::Dynamic(from), Limit::Dynamic(to))
}
