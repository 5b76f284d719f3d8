//! Loops on lanes as calls of strips: what a body does along one axis becomes a vector program, and the addresses and
//! uniform values that it starts from are put into the strip's frame.

use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, InstBuilder, Signature, StackSlotData, StackSlotKind,
    UserExternalName, Value, types,
};
use cranelift_codegen::isa::CallConv;
use ir::{Accumulator, Affine, AxisId, BufferId, DType, Primitive, ReduceOp, Scalar, Var, VectorValue};
use smallvec::SmallVec;

use super::runs::{FARTHEST, is_strip, points};
use super::{Emitter, Val, primitive};
use crate::nest::{Compute, Nest, Node, Place, moved};
use crate::wide::function::{FrameLayout, emit_strip, max_reductions};
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
    pointers: Vec<Pointer>,
    /// The uniform values, each with its dtype.
    uniforms: Vec<(Value, DType)>,
    /// What has been read where bounds decide whether it is there.
    bounded: Vec<(Place, Option<Scalar>, VectorValue)>,
    /// What has been read once for all elements.
    uniform_loads: Vec<(Place, Val)>,
    /// The index along the run, where it is used.
    index: Option<VectorValue>,
}

/// Where a pointer starts.
#[derive(Clone, Debug, PartialEq)]
enum Pointer {
    /// At an element of a buffer; the constant part of its offset is in the displacements.
    Element(BufferId, Affine),
    /// At an address.
    Address(Value),
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
            bounded: Vec::new(),
            uniform_loads: Vec::new(),
            index: None,
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
    fn stream(&mut self, place: &Place, dtype: DType) -> usize {
        let constant = place.offset.offset();
        let size_bytes = dtype.size_bytes() as i64;
        // A row of a large array may be out of reach of a displacement: then the pointer is there.
        match i32::try_from(constant * size_bytes) {
            Ok(displacement) if i64::from(displacement).abs() < FARTHEST => {
                let start = place.offset.shifted(-constant);
                self.stream_at(Pointer::Element(place.buffer, start), displacement, dtype)
            }
            _ => self.stream_at(Pointer::Element(place.buffer, place.offset.clone()), 0, dtype),
        }
    }

    fn stream_at(&mut self, pointer: Pointer, displacement: i32, dtype: DType) -> usize {
        let pointer = number(&mut self.pointers, pointer);
        number(&mut self.strip.streams, Stream { pointer, displacement, dtype })
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

    /// A value that is the same for all elements.
    fn uniform(&mut self, value: Value, dtype: DType) -> VectorValue {
        let uniform = number(&mut self.uniforms, (value, dtype));
        self.argument(Argument::Uniform(uniform), dtype)
    }

    /// The elements that start at an address, as the value of a variable. Truth values are integers in such rows.
    pub fn load_row(&mut self, var: Var, dtype: DType, (address, displacement): (Value, i32)) -> VectorValue {
        let stream = self.stream_at(Pointer::Address(address), displacement, in_row(dtype));
        let value = match dtype {
            DType::Bool => {
                let integer = self.argument(Argument::Stream(stream), DType::I32);
                self.strip.program.apply(Primitive::Convert(DType::Bool), &[integer])
            }
            _ => self.argument(Argument::Stream(stream), dtype),
        };
        self.varying[var.0 as usize] = Some(value);
        value
    }

    /// Stores a value to the elements that start at an address, as [`load_row`](Self::load_row) reads it.
    pub fn store_row(&mut self, value: VectorValue, (address, displacement): (Value, i32)) {
        let value = match self.strip.program.dtype(value) {
            DType::Bool => self.strip.program.apply(Primitive::Convert(DType::I32), &[value]),
            _ => value,
        };
        let dtype = self.strip.program.dtype(value);
        let stream = self.stream_at(Pointer::Address(address), displacement, dtype);
        let after = self.strip.program.insts().len();
        self.strip.stores.push(Store { value, stream, after });
    }

    /// A constant.
    pub fn constant(&mut self, constant: Scalar) -> VectorValue {
        self.strip.program.constant(constant)
    }

    /// Combines a value with what a reduction has so far.
    pub fn combine(&mut self, op: ReduceOp, so_far: VectorValue, value: VectorValue) -> VectorValue {
        let dtype = self.strip.program.dtype(value);
        (op.function().row().expand)(&mut self.strip.program, dtype, &[so_far, value])
    }
}

/// What the elements of a row between strips are in memory, where they are values of `dtype`.
fn in_row(dtype: DType) -> DType {
    if dtype == DType::Bool { DType::I32 } else { dtype }
}

/// The number of an element of a list, which it is added to where it is not in it.
fn number<T: PartialEq>(list: &mut Vec<T>, element: T) -> usize {
    list.iter().position(|known| *known == element).unwrap_or_else(|| {
        list.push(element);
        list.len() - 1
    })
}

/// The epilogue of a contraction, with what goes into the frame of its tiles.
pub struct Epilogue {
    /// What is computed.
    pub strip: Strip,
    /// The addresses of the pointers at the first row and column.
    pub pointers: Vec<Value>,
    /// From a row to the next, in bytes, for each pointer.
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
        let row_steps = (builder.pointers.iter())
            .map(|pointer| match pointer {
                Pointer::Element(buffer, affine) => {
                    row_step(affine) * self.nest.buffer(*buffer).size_bytes() as i64
                }
                Pointer::Address(_) => 0,
            })
            .collect();
        open.iter().rev().for_each(|&(axis, _)| self.close(axis));
        Epilogue { strip: builder.strip, pointers, row_steps, uniforms }
    }

    /// The pointers and uniform values of a strip that is complete.
    fn frame_values(&mut self, builder: &mut StripBuilder) -> (Vec<Value>, Vec<Value>) {
        builder.strip.pointers = builder.pointers.len();
        builder.strip.uniforms = builder.uniforms.len();
        let pointers = builder.pointers.iter().map(|pointer| self.pointer(pointer)).collect();
        // Truth values are all ones or all zeros.
        let uniforms = (builder.uniforms.iter())
            .map(|&(value, dtype)| match dtype {
                DType::Bool => self.b.ins().bmask(types::I32, value),
                _ => value,
            })
            .collect();
        (pointers, uniforms)
    }

    fn pointer(&mut self, pointer: &Pointer) -> Value {
        match pointer {
            Pointer::Address(address) => *address,
            Pointer::Element(buffer, offset) => self.base_address(&Place {
                buffer: *buffer,
                offset: offset.clone(),
                picks: SmallVec::new(),
                bounds: SmallVec::new(),
            }),
        }
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
        if accumulators.len() > max_reductions(isa) || !is_strip(self.nest, axis, nodes, accumulators) {
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
        Some(results)
    }

    /// Adds statements to a strip.
    pub fn add_to_strip(&mut self, builder: &mut StripBuilder, nodes: &[Node]) {
        for node in nodes {
            match node {
                Node::Let { var, value } => {
                    builder.varying[var.0 as usize] = self.strip_let(builder, *var, value);
                }
                Node::Store { value, place, .. } => {
                    let value = self.strip_value(builder, *value);
                    let stream = builder.stream(place, self.nest.element(place));
                    let after = builder.strip.program.insts().len();
                    builder.strip.stores.push(Store { value, stream, after });
                }
                Node::Reduce { axes, accumulators, body } => {
                    self.add_rounds(builder, axes, accumulators, body);
                }
                Node::For { .. } => unreachable!("strips have no such loops in them"),
            }
        }
    }

    /// Adds a reduction of a few rounds, one round after the other.
    fn add_rounds(
        &mut self,
        builder: &mut StripBuilder,
        axes: &[AxisId],
        accumulators: &[Accumulator],
        body: &[Node],
    ) {
        let identity = |accumulator: &Accumulator| {
            builder.constant(accumulator.op.identity(self.nest.dtype(accumulator.result)))
        };
        let mut so_far: SmallVec<[VectorValue; 2]> = accumulators.iter().map(identity).collect();
        for at in points(self.nest, axes) {
            let body = moved(body, &|axis| {
                let index = at.iter().find(|index| index.0 == axis);
                index.map_or(Affine::axis(axis), |index| Affine::constant(index.1))
            });
            self.add_round(builder, accumulators, &mut so_far, &body);
        }
        for (accumulator, total) in accumulators.iter().zip(so_far) {
            builder.varying[accumulator.result.0 as usize] = Some(total);
        }
    }

    /// Adds one round of a reduction to what it has so far.
    pub fn add_round(
        &mut self,
        builder: &mut StripBuilder,
        accumulators: &[Accumulator],
        so_far: &mut [VectorValue],
        body: &[Node],
    ) {
        self.add_to_strip(builder, body);
        for (accumulator, so_far) in accumulators.iter().zip(so_far) {
            let value = self.strip_value(builder, accumulator.value);
            *so_far = builder.combine(accumulator.op, *so_far, value);
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
            let val = self.uniform_in_strip(builder, var, value);
            self.vals[var.0 as usize] = Some(val);
            return None;
        }
        Some(match value {
            Compute::Constant(_) => unreachable!("constants do not vary"),
            Compute::Index(_) => {
                let index = self.index_of_run(builder);
                match self.nest.dtype(var) {
                    DType::I32 => index,
                    dtype => builder.strip.program.apply(Primitive::Convert(dtype), &[index]),
                }
            }
            Compute::Load { place, fill } if !place.bounds.is_empty() => {
                self.load_bounded(builder, place, *fill)
            }
            Compute::Load { place, .. } => {
                let stream = builder.stream(place, self.nest.element(place));
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

    /// The index along the run, as an `i32`. There is one: each takes a register.
    fn index_of_run(&mut self, builder: &mut StripBuilder) -> VectorValue {
        if let Some(index) = builder.index {
            return index;
        }
        let start = self.index_of(builder.axis);
        let start = self.b.ins().ireduce(types::I32, start);
        let uniform = number(&mut builder.uniforms, (start, DType::I32));
        let index = builder.argument(Argument::Index { uniform, step: 1 }, DType::I32);
        *builder.index.insert(index)
    }

    /// A value that is the same for all elements. Rows of a strip read many from the same place, which nothing in it
    /// writes.
    fn uniform_in_strip(&mut self, builder: &mut StripBuilder, var: Var, value: &Compute) -> Val {
        let Compute::Load { place, .. } = value else { return self.compute(var, value) };
        let is_plain = place.picks.is_empty() && place.bounds.is_empty();
        let known = builder.uniform_loads.iter().find(|(other, _)| is_plain && other == place);
        if let Some((_, val)) = known {
            self.constants[var.0 as usize] = None;
            return val.clone();
        }
        let val = self.compute(var, value);
        if is_plain {
            builder.uniform_loads.push((place.clone(), val.clone()));
        }
        val
    }

    /// Elements that are all inside of their bounds, or all `fill`.
    fn load_bounded(
        &mut self,
        builder: &mut StripBuilder,
        place: &Place,
        fill: Option<Scalar>,
    ) -> VectorValue {
        let known = builder.bounded.iter().find(|(other, filled, _)| other == place && *filled == fill);
        if let Some(&(_, _, value)) = known {
            return value;
        }
        let dtype = self.nest.element(place);
        let (address, is_inside) = self.checked(place, 0);
        let stream = builder.stream_at(Pointer::Address(address), 0, dtype);
        let inside = builder.argument(Argument::Stream(stream), dtype);
        let is_inside = builder.uniform(is_inside, DType::Bool);
        let outside = builder.constant(fill.unwrap_or(Scalar::from_i64(dtype, 0)));
        let value = builder.strip.program.select(is_inside, inside, outside);
        builder.bounded.push((place.clone(), fill, value));
        value
    }

    /// A variable as a value of the strip.
    pub fn strip_value(&mut self, builder: &mut StripBuilder, var: Var) -> VectorValue {
        if let Some(value) = builder.varying[var.0 as usize] {
            return value;
        }
        if let Some(constant) = self.constants[var.0 as usize] {
            return builder.strip.program.constant(constant);
        }
        let Val::Uniform(value) = self.val(var) else {
            unreachable!("strips are not inside of loops on lanes")
        };
        builder.uniform(value, self.nest.dtype(var))
    }

    /// Emits the strip's function and its call.
    pub fn finish_strip(&mut self, isa: Isa, mut builder: StripBuilder, count: Value) -> Vec<Value> {
        builder.strip.past_caches = self.stream_past_caches(&builder);
        let (pointers, uniforms) = self.frame_values(&mut builder);
        let strip = &builder.strip;
        let function = emit_strip(isa, strip);
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
        results.collect()
    }

    /// The stream whose stores go past the caches. There is one at most, because it has to be aligned.
    fn stream_past_caches(&self, builder: &StripBuilder) -> Option<usize> {
        let streams = builder.strip.stores.iter().map(|store| store.stream);
        // The elements before the first aligned one are counted in words.
        let mut words = streams.filter(|&stream| builder.strip.streams[stream].dtype != DType::Bool);
        words.find(|&stream| match &builder.pointers[builder.strip.streams[stream].pointer] {
            Pointer::Element(buffer, _) => self.past_caches.contains(buffer),
            Pointer::Address(_) => false,
        })
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
