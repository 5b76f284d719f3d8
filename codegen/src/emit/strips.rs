//! Loops on lanes as calls of strips: what a body does along one axis becomes a vector program, and the addresses and
//! uniform values that it starts from are put into the strip's frame.

use std::collections::BTreeSet;

use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, InstBuilder, Signature, StackSlotData, StackSlotKind,
    UserExternalName, Value, types,
};
use cranelift_codegen::isa::CallConv;
use ir::{
    Accumulator, Affine, AxisId, BufferId, DType, Primitive, ScalarFn, StoreMode, Var, VectorProgram,
    VectorValue,
};
use smallvec::SmallVec;

use super::{Emitter, Val, primitive};
use crate::nest::{Compute, Nest, Node, Place};
use crate::wide::function::{FrameLayout, MAX_POINTERS, emit_strip};
use crate::wide::strip::{Argument, Reduction, Store, Stream, Strip};
use crate::wide::{Isa, WIDE_NAMESPACE, WideFunction};

/// A strip that grows, with what goes into its frame.
pub struct StripBuilder {
    strip: Strip,
    /// The axis that the run goes along.
    axis: AxisId,
    /// In the epilogue of a contraction, the axis of its rows: what differs from row to row is read in the strip.
    row: Option<AxisId>,
    /// Values that differ along the run.
    varying: Vec<Option<VectorValue>>,
    /// For each pointer, its buffer and where it points but for a constant.
    pointers: Vec<(BufferId, Affine)>,
    /// For each uniform value, where it comes from.
    uniforms: Vec<Uniform>,
    streams: Vec<(BufferId, Affine)>,
}

/// A uniform value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Uniform {
    Var(Var),
    /// A value of Cranelift's, an `i32`.
    Value(Value),
}

/// Whether statements can run along an axis as a strip.
pub fn is_strip(nest: &Nest, axis: AxisId, nodes: &[Node], accumulators: &[Accumulator]) -> bool {
    is_strip_of(nest, axis, nodes, accumulators, None)
}

/// The same where `given` differs along the axis, too.
fn is_strip_of(
    nest: &Nest,
    axis: AxisId,
    nodes: &[Node],
    accumulators: &[Accumulator],
    given: Option<Var>,
) -> bool {
    let mut varying: BTreeSet<Var> = given.into_iter().collect();
    let mut written: BTreeSet<BufferId> = BTreeSet::new();
    Nest::accesses(nodes, &mut |place, is_store| {
        if is_store {
            written.insert(place.buffer);
        }
    });
    let is_stored = |dtype: DType| matches!(dtype, DType::F32 | DType::I32);
    let buffer_dtype = |place: &Place| nest.buffers[place.buffer.0 as usize].ty.dtype;
    for node in nodes {
        let fits = match node {
            Node::For { .. } | Node::Reduce { .. } => false,
            Node::Let { value: Compute::Constant(_), .. } => true,
            Node::Let { var, value: Compute::Index(affine) } => {
                let varies = affine.coefficient(axis) != 0;
                if varies {
                    varying.insert(*var);
                }
                !varies || matches!(nest.dtype(*var), DType::I32 | DType::F32)
            }
            Node::Let { var, value: Compute::Load { place, .. } } => {
                let picks_vary = place.picks.iter().any(|(pick, _)| varying.contains(pick));
                let bounds_vary = place.bounds.iter().any(|bound| {
                    bound.index.coefficient(axis) != 0
                        || bound.pick.is_some_and(|pick| varying.contains(&pick))
                });
                match place.offset.coefficient(axis) {
                    0 => !picks_vary && !bounds_vary && !written.contains(&place.buffer),
                    1 => {
                        varying.insert(*var);
                        place.picks.is_empty() && place.bounds.is_empty() && is_stored(buffer_dtype(place))
                    }
                    _ => false,
                }
            }
            Node::Let { var, value: Compute::Apply { function, operands } } => {
                let varies = operands.iter().any(|operand| varying.contains(operand));
                if varies {
                    varying.insert(*var);
                }
                !varies || is_wide_function(*function, operands.iter().map(|&operand| nest.dtype(operand)))
            }
            Node::Store { place, mode, .. } => {
                *mode == StoreMode::Set
                    && place.offset.coefficient(axis) == 1
                    && place.picks.is_empty()
                    && is_stored(buffer_dtype(place))
            }
        };
        if !fits {
            return false;
        }
    }
    accumulators.iter().all(|accumulator| is_stored(nest.dtype(accumulator.value)))
}

/// Whether what follows from the sum of a contraction can run on the registers of its tiles.
pub fn is_epilogue(nest: &Nest, column: AxisId, row: Option<AxisId>, sum: Var, nodes: &[Node]) -> bool {
    let mut pointers: BTreeSet<(BufferId, i64)> = BTreeSet::new();
    let mut fits = true;
    // What differs from row to row is loaded as it is; there are no indices of rows.
    let varies = |affine: &Affine| row.is_some_and(|row| affine.coefficient(row) != 0);
    Nest::indices(nodes, &mut |affine| fits &= !varies(affine) && affine.coefficient(column) == 0);
    Nest::accesses(nodes, &mut |place, _| {
        pointers.insert((place.buffer, place.offset.coefficient(column)));
        fits &= !varies(&place.offset) || (place.picks.is_empty() && place.bounds.is_empty());
        let dtype = nest.buffers[place.buffer.0 as usize].ty.dtype;
        fits &= !varies(&place.offset) || matches!(dtype, DType::F32 | DType::I32);
    });
    fits && pointers.len() <= MAX_POINTERS && is_strip_of(nest, column, nodes, &[], Some(sum))
}

/// Whether a function computes with lanes of 32 bits throughout.
fn is_wide_function(function: ScalarFn, dtypes: impl Iterator<Item = DType>) -> bool {
    let mut program = VectorProgram::new();
    let operands: SmallVec<[VectorValue; 3]> =
        dtypes.enumerate().map(|(number, dtype)| program.argument(number as u32, dtype)).collect();
    let dtype = program.dtype(*operands.last().expect("functions have operands"));
    (function.row().expand)(&mut program, dtype, &operands);
    program.insts().iter().all(|inst| matches!(inst.dtype, DType::F32 | DType::I32 | DType::Bool))
}

impl StripBuilder {
    /// Nothing yet.
    pub fn new(nest: &Nest, axis: AxisId) -> StripBuilder {
        StripBuilder {
            strip: Strip::default(),
            axis,
            row: None,
            varying: vec![None; nest.vars.len()],
            pointers: Vec::new(),
            uniforms: Vec::new(),
            streams: Vec::new(),
        }
    }

    /// The epilogue of a contraction that has rows and columns, and gives `sum`.
    pub fn of_epilogue(nest: &Nest, column: AxisId, row: Option<AxisId>, sum: Var) -> StripBuilder {
        let mut builder = StripBuilder { row, ..StripBuilder::new(nest, column) };
        builder.varying[sum.0 as usize] = Some(builder.argument(Argument::Sum, nest.dtype(sum)));
        builder
    }

    /// Whether a function of the axes differs along the run, or from row to row.
    fn varies(&self, affine: &Affine) -> bool {
        [Some(self.axis), self.row].into_iter().flatten().any(|axis| affine.coefficient(axis) != 0)
    }

    /// The stream of a place; its number.
    fn stream(&mut self, place: &Place, size_bytes: i64) -> usize {
        let key = (place.buffer, place.offset.clone());
        if let Some(known) = self.streams.iter().position(|stream| *stream == key) {
            return known;
        }
        let constant = place.offset.offset();
        let (base, displacement) = match i32::try_from(constant * size_bytes) {
            Ok(displacement) if displacement.unsigned_abs() < 1 << 30 => {
                (place.offset.shifted(-constant), displacement)
            }
            _ => (place.offset.clone(), 0),
        };
        let start = (place.buffer, base);
        let pointer = self.pointers.iter().position(|pointer| *pointer == start).unwrap_or_else(|| {
            self.pointers.push(start);
            self.pointers.len() - 1
        });
        self.strip.streams.push(Stream { pointer, displacement });
        self.streams.push(key);
        self.streams.len() - 1
    }

    fn uniform(&mut self, uniform: Uniform) -> usize {
        self.uniforms.iter().position(|known| *known == uniform).unwrap_or_else(|| {
            self.uniforms.push(uniform);
            self.uniforms.len() - 1
        })
    }

    fn argument(&mut self, argument: Argument, dtype: DType) -> VectorValue {
        let known = self.strip.arguments.iter().position(|known| *known == argument);
        let is_uniform = matches!(argument, Argument::Uniform(_));
        let number = known.filter(|_| is_uniform).unwrap_or_else(|| {
            self.strip.arguments.push(argument);
            self.strip.arguments.len() - 1
        });
        self.strip.program.argument(number as u32, dtype)
    }
}

/// The epilogue of a contraction, with what goes into the frame of its tiles.
pub struct Epilogue {
    /// What is computed.
    pub strip: Strip,
    /// The addresses of the pointers at the first row and column.
    pub pointers: Vec<Value>,
    /// From a row to the next, in elements, for each pointer.
    pub row_steps: Vec<i64>,
    /// The uniform values.
    pub uniforms: Vec<Value>,
}

impl Emitter<'_, '_> {
    /// The statements that follow from the sum of a contraction as a strip, at the first row and column that `open` gives.
    pub fn epilogue_strip(
        &mut self,
        mut builder: StripBuilder,
        open: &[(AxisId, Value)],
        nodes: &[Node],
    ) -> Epilogue {
        open.iter().for_each(|&(axis, index)| self.open(axis, index));
        self.add_to_strip(&mut builder, nodes);
        let (pointers, uniforms) = self.frame_values(&mut builder);
        let row = builder.row;
        let row_step = |affine: &Affine| row.map_or(0, |row| affine.coefficient(row));
        let row_steps = builder.pointers.iter().map(|(_, affine)| row_step(affine)).collect();
        open.iter().rev().for_each(|&(axis, _)| self.close(axis));
        Epilogue { strip: builder.strip, pointers, row_steps, uniforms }
    }

    /// The pointers and uniform values of a strip that is complete.
    fn frame_values(&mut self, builder: &mut StripBuilder) -> (Vec<Value>, Vec<Value>) {
        builder.strip.pointers = builder.pointers.len();
        builder.strip.uniforms = builder.uniforms.len();
        let place = |(buffer, affine): &(BufferId, Affine)| Place {
            buffer: *buffer,
            offset: affine.clone(),
            picks: SmallVec::new(),
            bounds: SmallVec::new(),
        };
        let places: Vec<Place> = builder.pointers.iter().map(place).collect();
        let pointers = places.iter().map(|place| self.base_address(place)).collect();
        let uniforms = builder.uniforms.iter().map(|&uniform| self.uniform_bits(uniform)).collect();
        (pointers, uniforms)
    }

    /// Runs statements along an axis, for `count` elements from `from` on, as a strip; the results of the accumulators.
    /// `None` where that cannot be.
    pub fn call_strip(
        &mut self,
        axis: AxisId,
        (from, count): (Value, Value),
        nodes: &[Node],
        accumulators: &[Accumulator],
    ) -> Option<Vec<Value>> {
        let isa = self.wide?;
        if !is_strip(self.nest, axis, nodes, accumulators) {
            return None;
        }
        self.open(axis, from);
        let mut builder = StripBuilder::new(self.nest, axis);
        self.add_to_strip(&mut builder, nodes);
        for accumulator in accumulators {
            let value = self.strip_value(&mut builder, accumulator.value);
            builder.strip.reductions.push(Reduction { op: accumulator.op, value });
        }
        let results = self.finish_strip(isa, builder, count);
        self.close(axis);
        results
    }

    /// Adds statements to a strip.
    fn add_to_strip(&mut self, builder: &mut StripBuilder, nodes: &[Node]) {
        for node in nodes {
            match node {
                Node::Let { var, value } => {
                    builder.varying[var.0 as usize] = self.strip_let(builder, *var, value);
                }
                Node::Store { value, place, .. } => {
                    let value = self.strip_value(builder, *value);
                    let size = self.element_bytes(place);
                    let stream = builder.stream(place, size);
                    let after = builder.strip.program.insts().len();
                    builder.strip.stores.push(Store { value, stream, after });
                }
                Node::For { .. } | Node::Reduce { .. } => unreachable!("strips have no loops in them"),
            }
        }
    }

    /// A definition: in the strip where it varies along the run, else before it.
    fn strip_let(&mut self, builder: &mut StripBuilder, var: Var, value: &Compute) -> Option<VectorValue> {
        let varies = match value {
            Compute::Constant(_) => false,
            Compute::Index(affine) => affine.coefficient(builder.axis) != 0,
            Compute::Load { place, .. } => builder.varies(&place.offset),
            Compute::Apply { operands, .. } => {
                operands.iter().any(|operand| builder.varying[operand.0 as usize].is_some())
            }
        };
        if !varies {
            let val = self.compute(var, value);
            self.vals[var.0 as usize] = Some(val);
            return None;
        }
        Some(match value {
            Compute::Constant(_) => unreachable!("constants do not vary"),
            Compute::Index(affine) => {
                let base = self.affine(affine);
                let base = self.b.ins().ireduce(types::I32, base);
                let uniform = builder.uniform(Uniform::Value(base));
                let step = affine.coefficient(builder.axis) as i32;
                let index = builder.argument(Argument::Index { uniform, step }, DType::I32);
                match self.nest.dtype(var) {
                    DType::I32 => index,
                    dtype => builder.strip.program.apply(Primitive::Convert(dtype), &[index]),
                }
            }
            Compute::Load { place, .. } => {
                let size = self.element_bytes(place);
                let stream = builder.stream(place, size);
                let argument = match place.offset.coefficient(builder.axis) {
                    0 => Argument::Scalar(stream),
                    _ => Argument::Stream(stream),
                };
                builder.argument(argument, self.nest.dtype(var))
            }
            Compute::Apply { function, operands } => {
                let dtype = self.nest.dtype(*operands.last().expect("functions have operands"));
                let operands: SmallVec<[VectorValue; 3]> =
                    operands.iter().map(|&operand| self.strip_value(builder, operand)).collect();
                (function.row().expand)(&mut builder.strip.program, dtype, &operands)
            }
        })
    }

    /// A variable as a value of the strip.
    fn strip_value(&mut self, builder: &mut StripBuilder, var: Var) -> VectorValue {
        if let Some(value) = builder.varying[var.0 as usize] {
            return value;
        }
        if let Some(constant) = self.constants[var.0 as usize] {
            return builder.strip.program.constant(constant);
        }
        let uniform = builder.uniform(Uniform::Var(var));
        builder.argument(Argument::Uniform(uniform), self.nest.dtype(var))
    }

    /// Emits the strip's function and its call.
    fn finish_strip(&mut self, isa: Isa, mut builder: StripBuilder, count: Value) -> Option<Vec<Value>> {
        if builder.pointers.len() > MAX_POINTERS {
            return None;
        }
        let (pointers, uniforms) = self.frame_values(&mut builder);
        let strip = &builder.strip;
        let function = emit_strip(isa, strip, self.past_caches && !strip.stores.is_empty()).ok()?;
        let layout = FrameLayout::new(strip);
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, 8 * layout.words as u32, 3);
        let slot = self.b.create_sized_stack_slot(data);
        for (word, value) in pointers.into_iter().chain([count]).chain(uniforms).enumerate() {
            self.b.ins().stack_store(types::I64, value, slot, 8 * word as i32);
        }
        let frame = self.b.ins().stack_addr(types::I64, slot, 0);
        self.call_wide(function, frame);
        let results = builder.strip.reductions.iter().enumerate().map(|(index, reduction)| {
            let ty = primitive::scalar_type(builder.strip.program.dtype(reduction.value));
            self.b.ins().stack_load(types::I64, ty, slot, 8 * (layout.results + index) as i32)
        });
        Some(results.collect())
    }

    /// A uniform value as the strip wants it: truth values are all ones or all zeros.
    fn uniform_bits(&mut self, uniform: Uniform) -> Value {
        match uniform {
            Uniform::Value(value) => value,
            Uniform::Var(var) => {
                let Val::Uniform(value) = self.val(var) else {
                    unreachable!("strips are not inside of loops on lanes")
                };
                match self.nest.dtype(var) {
                    DType::Bool => self.b.ins().bmask(types::I32, value),
                    _ => value,
                }
            }
        }
    }

    /// Calls a function of wide code on a frame.
    pub fn call_wide(&mut self, function: WideFunction, frame: Value) {
        let known = self.functions.iter().position(|known| *known == function);
        let index = known.unwrap_or_else(|| {
            self.functions.push(function);
            self.functions.len() - 1
        });
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params.push(AbiParam::new(types::I64));
        let signature = self.b.import_signature(signature);
        let name = UserExternalName { namespace: WIDE_NAMESPACE, index: index as u32 };
        let name = self.b.func.declare_imported_user_function(name);
        let function = self.b.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: false,
            patchable: false,
        });
        self.b.ins().call(function, &[frame]);
    }
}
