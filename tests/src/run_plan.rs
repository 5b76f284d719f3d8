//! A slow, obvious interpreter of plans and kernels: the judge of passes `lower` and `plan_memory`.
//!
//! Memory is bytes, placed as the plan says, so values that share memory overwrite each other here as they would in
//! machine code. Loops run in the order of the text; floats are reduced in `f64`, and the result is rounded.

use std::collections::BTreeMap;

use ir::{Access, Buffer, BufferId, DType, Indices, Inst, Kernel, Num, Place, Plan, Scalar, Shape};
use ir::{Slot, SlotId, Step, Stmt, StoreMode, Tensor, Type, Var};

use crate::compare::{StepResult, seeded_tensor};

/// Runs a plan of stage `kernels` or `plan` once, on seeded inputs and initial states.
pub fn run_plan(plan: &Plan, seed: u64) -> Result<StepResult, String> {
    let mut memory = Memory::new(plan, seed);
    run_steps(plan, &plan.prepare, &mut memory)?;
    run_steps(plan, &plan.steps, &mut memory)?;
    let location = |slot: SlotId| memory.location(plan, slot);
    let values: Vec<(Location, Vec<u8>)> = (plan.updates.iter())
        .map(|&(state, value)| {
            let Location { piece, offset, size_bytes } = location(value);
            (location(state), memory.pieces[piece][offset..][..size_bytes].to_vec())
        })
        .collect();
    for (Location { piece, offset, size_bytes }, bytes) in values {
        memory.pieces[piece][offset..][..size_bytes].copy_from_slice(&bytes);
    }
    let named = |is: fn(&Place) -> bool| -> BTreeMap<String, Tensor> {
        plan.slots_where(is).map(|(id, slot)| (slot.name.clone(), memory.known_tensor(id, slot))).collect()
    };
    let states = named(|place| matches!(place, Place::State { .. }));
    Ok(StepResult { outputs: named(|place| *place == Place::Output), states })
}

fn run_steps(plan: &Plan, steps: &[Step], memory: &mut Memory) -> Result<(), String> {
    for step in steps {
        match step {
            Step::Copy { from, to } => {
                let places = [from, to].map(|slot| memory.location(plan, *slot));
                memory.copy(&places[0], &places[1]);
            }
            Step::Call { kernel, slots } => {
                let places = slots.iter().map(|&slot| memory.location(plan, slot)).collect();
                run_kernel(plan.kernel(*kernel), places, memory)?;
            }
            Step::Loop { count, reversed, body } => {
                for iteration in 0..*count {
                    memory.iterations.push(if *reversed { count - 1 - iteration } else { iteration });
                    run_steps(plan, body, memory)?;
                    memory.iterations.pop();
                }
            }
        }
    }
    Ok(())
}

/// A range of bytes in one of the pieces of memory.
#[derive(Clone)]
struct Location {
    piece: usize,
    offset: usize,
    size_bytes: usize,
}

/// The arena, which is piece 0, and a piece for each slot outside of it.
struct Memory {
    pieces: Vec<Vec<u8>>,
    /// Where each slot is; of a part of another, nothing of use.
    places: Vec<Location>,
    /// The iterations of the loops that are running, outermost first.
    iterations: Vec<usize>,
}

impl Memory {
    fn new(plan: &Plan, seed: u64) -> Memory {
        let pieces = vec![vec![0xa5; plan.arena_bytes]];
        let mut memory = Memory { pieces, places: Vec::new(), iterations: Vec::new() };
        let mut inputs = 0;
        for Slot { ty, place, .. } in &plan.slots {
            let size_bytes = ty.size_bytes();
            let content = match place {
                Place::Arena { offset } => {
                    memory.places.push(Location { piece: 0, offset: *offset, size_bytes });
                    continue;
                }
                Place::Part { .. } => {
                    memory.places.push(Location { piece: 0, offset: 0, size_bytes: 0 });
                    continue;
                }
                Place::Unplaced | Place::Output => None,
                Place::Constant(tensor) => Some(tensor.clone()),
                Place::State { init, order, .. } => {
                    let known = Type::new(ty.dtype, order.known(&ty.shape));
                    let value = init.materialize(&known, seed);
                    let elements = order.elements(&known.shape);
                    Some(Tensor::from_fn(ty, |index| value.get(elements[index])))
                }
                Place::Input => {
                    inputs += 1;
                    Some(seeded_tensor(ty, seed, inputs - 1))
                }
            };
            let location = Location { piece: memory.pieces.len(), offset: 0, size_bytes };
            memory.pieces.push(vec![0xa5; size_bytes]);
            if let Some(tensor) = content {
                for index in 0..ty.shape.elements() {
                    memory.write(&location, ty.dtype, index, tensor.get(index));
                }
            }
            memory.places.push(location);
        }
        memory
    }

    /// Where a slot is in these iterations; within its root, if it is a part.
    fn location(&self, plan: &Plan, slot: SlotId) -> Location {
        let (root, first) = plan.place_in_root(slot, &self.iterations);
        let Location { piece, offset, size_bytes: whole } = self.places[root.0 as usize];
        let size_bytes = plan.slot(slot).ty.size_bytes();
        assert!(first + size_bytes <= whole, "a part outside of its slot");
        Location { piece, offset: offset + first, size_bytes }
    }

    fn copy(&mut self, from: &Location, to: &Location) {
        assert_eq!(from.size_bytes, to.size_bytes, "a copy between slots of two sizes");
        let bytes = self.pieces[from.piece][from.offset..][..from.size_bytes].to_vec();
        self.pieces[to.piece][to.offset..][..to.size_bytes].copy_from_slice(&bytes);
    }

    /// The tensor as the user knows it.
    fn known_tensor(&self, id: SlotId, slot: &Slot) -> Tensor {
        let in_memory = self.tensor(id, &slot.ty);
        let Place::State { order, .. } = &slot.place else { return in_memory };
        let known = Type::new(slot.ty.dtype, order.known(&slot.ty.shape));
        let mut places = vec![0; known.shape.elements()];
        order.elements(&known.shape).into_iter().enumerate().for_each(|(at, element)| places[element] = at);
        Tensor::from_fn(&known, |index| in_memory.get(places[index]))
    }

    fn tensor(&self, slot: SlotId, ty: &Type) -> Tensor {
        let place = &self.places[slot.0 as usize];
        Tensor::from_fn(ty, |index| self.read(place, ty.dtype, index))
    }

    fn read(&self, place: &Location, dtype: DType, index: usize) -> Scalar {
        let size = dtype.size_bytes();
        assert!((index + 1) * size <= place.size_bytes, "a read outside of its buffer");
        let bytes = &self.pieces[place.piece][place.offset + index * size..][..size];
        let wide = |bytes: &[u8]| bytes.try_into().expect("the size is that of the dtype");
        match dtype {
            DType::F32 => Scalar::F32(f32::from_ne_bytes(bytes.try_into().expect("four bytes"))),
            DType::F64 => Scalar::F64(f64::from_ne_bytes(wide(bytes))),
            DType::I32 => Scalar::I32(i32::from_ne_bytes(bytes.try_into().expect("four bytes"))),
            DType::I64 => Scalar::I64(i64::from_ne_bytes(wide(bytes))),
            DType::Bool => Scalar::Bool(bytes[0] != 0),
        }
    }

    fn write(&mut self, place: &Location, dtype: DType, index: usize, value: Scalar) {
        let size = dtype.size_bytes();
        assert_eq!(value.dtype(), dtype, "a store of another dtype than its buffer's");
        assert!((index + 1) * size <= place.size_bytes, "a write outside of its buffer");
        let bytes = value.bits().to_le_bytes();
        self.pieces[place.piece][place.offset + index * size..][..size].copy_from_slice(&bytes[..size]);
    }
}

/// A kernel that is running.
struct Run<'a> {
    kernel: &'a Kernel,
    /// Where each buffer is.
    buffers: Vec<Location>,
    axes: Vec<i64>,
    vars: Vec<Num>,
    memory: &'a mut Memory,
}

fn run_kernel(kernel: &Kernel, places: Vec<Location>, memory: &mut Memory) -> Result<(), String> {
    if kernel.parameters().count() != places.len() {
        return Err(format!("kernel {} is called with {} slots", kernel.name, places.len()));
    }
    let pieces = memory.pieces.len();
    let mut places = places.into_iter();
    let mut buffers = Vec::new();
    for Buffer { ty, access, .. } in &kernel.buffers {
        let location = match if *access == Access::Local { None } else { places.next() } {
            Some(place) => place,
            None => {
                memory.pieces.push(vec![0xa5; ty.size_bytes()]);
                Location { piece: memory.pieces.len() - 1, offset: 0, size_bytes: ty.size_bytes() }
            }
        };
        if location.size_bytes != ty.size_bytes() {
            return Err(format!("kernel {} has a parameter {ty} of another size than its slot", kernel.name));
        }
        buffers.push(location);
    }
    let (axes, vars) = (vec![0; kernel.axes.len()], vec![Num::Int(0); kernel.vars.len()]);
    Run { kernel, buffers, axes, vars, memory }.block(&kernel.body);
    memory.pieces.truncate(pieces);
    Ok(())
}

impl Run<'_> {
    fn block(&mut self, body: &[Stmt]) {
        for stmt in body {
            match stmt {
                Stmt::For { axes, body, .. } => self.each(axes, &mut |run| run.block(body)),
                Stmt::Reduce { axes, accumulators, body } => {
                    let identity =
                        |var: Var, op: ir::ReduceOp| Num::from_scalar(op.identity(self.dtype(var)));
                    let mut totals: Vec<Num> = accumulators
                        .iter()
                        .map(|accumulator| identity(accumulator.result, accumulator.op))
                        .collect();
                    self.each(axes, &mut |run| {
                        run.block(body);
                        for (total, accumulator) in totals.iter_mut().zip(accumulators) {
                            let operands = [*total, run.vars[accumulator.value.0 as usize]];
                            let function = accumulator.op.function().row().eval;
                            *total = function(run.dtype(accumulator.value), &operands);
                        }
                    });
                    for (total, accumulator) in totals.into_iter().zip(accumulators) {
                        let total = rounded(self.dtype(accumulator.result), total);
                        self.vars[accumulator.result.0 as usize] = total;
                    }
                }
                Stmt::Let { var, inst } => {
                    self.vars[var.0 as usize] = rounded(self.dtype(*var), self.value(*var, inst));
                }
                Stmt::Store { value, buffer, indices, mode } => self.store(*value, *buffer, indices, *mode),
            }
        }
    }

    /// Runs `body` for each value of the axes, the first outermost.
    fn each(&mut self, axes: &[ir::AxisId], body: &mut dyn FnMut(&mut Self)) {
        let Some((first, rest)) = axes.split_first() else { return body(self) };
        for value in 0..self.kernel.extent(*first) as i64 {
            self.axes[first.0 as usize] = value;
            self.each(rest, body);
        }
    }

    fn dtype(&self, var: Var) -> DType {
        self.kernel.vars[var.0 as usize]
    }

    fn value(&self, var: Var, inst: &Inst) -> Num {
        match inst {
            Inst::Constant(value) => Num::from_scalar(*value),
            Inst::Axis(axis) => Num::of(self.dtype(var), self.axes[axis.0 as usize]),
            Inst::Load { buffer, indices, fill } => match (self.element(*buffer, indices), fill) {
                (Some(index), _) => {
                    let dtype = self.kernel.buffers[buffer.0 as usize].ty.dtype;
                    Num::from_scalar(self.memory.read(&self.buffers[buffer.0 as usize], dtype, index))
                }
                (None, Some(fill)) => Num::from_scalar(*fill),
                (None, None) => panic!("a load outside of its buffer:\n{}", self.kernel),
            },
            Inst::Apply { function, operands } => {
                let values: Vec<Num> =
                    operands.iter().map(|&operand| self.vars[operand.0 as usize]).collect();
                (function.row().eval)(self.dtype(operands[0]), &values)
            }
        }
    }

    fn store(&mut self, value: Var, buffer: BufferId, indices: &Indices, mode: StoreMode) {
        let Some(index) = self.element(buffer, indices) else {
            assert_eq!(mode, StoreMode::Add, "a store outside of its buffer:\n{}", self.kernel);
            return;
        };
        let dtype = self.kernel.buffers[buffer.0 as usize].ty.dtype;
        let place = &self.buffers[buffer.0 as usize];
        let mut number = self.vars[value.0 as usize];
        if mode == StoreMode::Add {
            let old = Num::from_scalar(self.memory.read(place, dtype, index));
            number = (ir::ScalarFn::Add.row().eval)(dtype, &[old, number]);
        }
        let scalar = match number {
            Num::Float(x) => Scalar::from_f64(dtype, x),
            Num::Int(x) => Scalar::from_i64(dtype, x),
        };
        self.memory.write(place, dtype, index, scalar);
    }

    /// The number of an element in row-major order; `None` outside of the extents.
    fn element(&self, buffer: BufferId, indices: &Indices) -> Option<usize> {
        let shape: &Shape = &self.kernel.buffers[buffer.0 as usize].ty.shape;
        assert_eq!(shape.rank(), indices.len(), "an index per axis");
        let mut element = 0;
        for (index, &extent) in indices.iter().zip(shape.iter()) {
            let read = index.var.map_or(0, |var| match self.vars[var.0 as usize] {
                Num::Int(value) => value,
                Num::Float(value) => panic!("an index of {value}"),
            });
            let at = index.affine.evaluate(|axis| self.axes[axis.0 as usize]).checked_add(read)?;
            let at = usize::try_from(at).ok().filter(|&at| at < extent)?;
            element = element * extent + at;
        }
        Some(element)
    }
}

/// A number as a variable of this dtype holds it: rounded as machine code rounds, so that a value that is computed again
/// equals the one that was stored.
fn rounded(dtype: DType, number: Num) -> Num {
    match number {
        Num::Float(x) if dtype == DType::F32 => Num::Float(f64::from(x as f32)),
        other => other,
    }
}
