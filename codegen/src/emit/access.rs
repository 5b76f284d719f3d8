//! Accesses to memory: addresses, loads and stores of lanes that follow each other, that are strided, or that are checked
//! one by one.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use ir::{Affine, AxisId, DType, ReduceOp, Scalar, StoreMode, Var};
use smallvec::smallvec;

use super::{Emitter, Val, memory, primitive};
use crate::nest::Place;

impl Emitter<'_, '_> {
    /// The value of an affine function of the axes, as `dtype`.
    pub(super) fn index(&mut self, affine: &Affine, dtype: DType) -> Val {
        let base = self.affine(affine);
        let step = self.vector.map_or(0, |(axis, _)| affine.coefficient(axis));
        let int = if dtype.size_bytes() == 8 { DType::I64 } else { DType::I32 };
        let base = if int == DType::I32 { self.b.ins().ireduce(types::I32, base) } else { base };
        let (lanes, integers) = match self.vector {
            Some((_, lanes)) if step != 0 => {
                let start = primitive::splat(self.b, int, base, lanes);
                let per = primitive::lanes_per_register(int);
                let registers = start.iter().enumerate().map(|(register, &start)| {
                    let offsets = (0..per).map(|lane| (register * per + lane) as i64 * step);
                    let bytes: Vec<u8> = match int {
                        DType::I32 => offsets.flat_map(|x| (x as i32).to_le_bytes()).collect(),
                        _ => offsets.flat_map(i64::to_le_bytes).collect(),
                    };
                    let offsets = primitive::register_constant(self.b, primitive::vector_type(int), bytes);
                    self.b.ins().iadd(start, offsets)
                });
                (lanes, registers.collect())
            }
            _ => (1, smallvec![base]),
        };
        let result = primitive::apply(self.b, ir::Primitive::Convert(dtype), int, dtype, lanes, &[integers]);
        if lanes == 1 { Val::Uniform(result[0]) } else { Val::Vector(result) }
    }

    /// The value of an affine function of the axes at lane 0.
    pub fn affine(&mut self, affine: &Affine) -> Value {
        let mut sum = self.b.ins().iconst(types::I64, affine.offset());
        for &(axis, coefficient) in affine.terms() {
            let index = self.indices[axis.0 as usize].expect("the verifier has checked that axes are open");
            let term = self.scaled(index, coefficient);
            sum = self.b.ins().iadd(sum, term);
        }
        sum
    }

    fn scaled(&mut self, index: Value, factor: i64) -> Value {
        if factor == 1 { index } else { self.b.ins().imul_imm_s(index, factor) }
    }

    /// The address of a place without what data decides, as a value and a constant offset in bytes. Inner axes are added
    /// last, so that the rest does not change in inner loops.
    pub(super) fn address(&mut self, place: &Place) -> (Value, i32) {
        let size = self.element_bytes(place);
        let mut address = self.bases[place.buffer.0 as usize];
        for axis in self.order.clone() {
            let coefficient = place.offset.coefficient(axis);
            if coefficient != 0 {
                let index = self.indices[axis.0 as usize].expect("the loops of the order are open");
                let term = self.scaled(index, coefficient * size);
                address = self.b.ins().iadd(address, term);
            }
        }
        let constant = place.offset.offset() * size;
        match i32::try_from(constant) {
            Ok(constant) if constant < i32::MAX / 2 => (address, constant),
            _ => (self.b.ins().iadd_imm_s(address, constant), 0),
        }
    }

    pub(super) fn element_bytes(&self, place: &Place) -> i64 {
        self.nest.element(place).size_bytes() as i64
    }

    pub(super) fn load(&mut self, place: &Place, fill: Option<Scalar>) -> Val {
        let ty = &self.nest.buffers[place.buffer.0 as usize].ty;
        let dtype = ty.dtype;
        if !place.picks.is_empty() || !place.bounds.is_empty() {
            let fill = fill.unwrap_or(Scalar::from_i64(dtype, 0));
            if ty.shape.elements() == 0 {
                return Val::Uniform(primitive::constant(self.b, fill, 1)[0]);
            }
            let lanes =
                self.vector.filter(|&(axis, _)| self.varies(place, axis)).map_or(1, |(_, lanes)| lanes);
            let scalars: Vec<Value> = (0..lanes)
                .map(|lane| {
                    let (address, is_inside) = self.checked(place, lane);
                    let value = memory::load(self.b, dtype, 1, address, 0)[0];
                    let fill = primitive::constant(self.b, fill, 1)[0];
                    self.b.ins().select(is_inside, value, fill)
                })
                .collect();
            return match lanes {
                1 => Val::Uniform(scalars[0]),
                _ => Val::Vector(primitive::gather_lanes(self.b, dtype, &scalars)),
            };
        }
        let step = self.vector.map_or(0, |(axis, _)| place.offset.coefficient(axis));
        let (address, offset) = self.address(place);
        match (self.vector, step) {
            (None, _) | (_, 0) => Val::Uniform(memory::load(self.b, dtype, 1, address, offset)[0]),
            (Some((_, lanes)), 1) => Val::Vector(memory::load(self.b, dtype, lanes, address, offset)),
            (Some((_, lanes)), step) => {
                let scalars: Vec<Value> = (0..lanes)
                    .map(|lane| {
                        let (address, offset) =
                            self.lane_address(address, offset, lane, step * dtype.size_bytes() as i64);
                        memory::load(self.b, dtype, 1, address, offset)[0]
                    })
                    .collect();
                Val::Vector(primitive::gather_lanes(self.b, dtype, &scalars))
            }
        }
    }

    /// The address of a lane of a strided access.
    fn lane_address(&mut self, address: Value, offset: i32, lane: usize, step_bytes: i64) -> (Value, i32) {
        let constant = i64::from(offset) + lane as i64 * step_bytes;
        match i32::try_from(constant) {
            Ok(constant) => (address, constant),
            Err(_) => (self.b.ins().iadd_imm_s(address, constant), 0),
        }
    }

    /// Whether a checked access differs from lane to lane.
    fn varies(&self, place: &Place, axis: AxisId) -> bool {
        let picks = place.picks.iter().any(|(pick, _)| matches!(self.val(*pick), Val::Vector(_)));
        picks
            || place.offset.coefficient(axis) != 0
            || place.bounds.iter().any(|b| b.index.coefficient(axis) != 0)
    }

    /// The address of a checked access in a lane, and whether it is inside; where it is not, the address is that of the
    /// buffer's first element.
    pub(super) fn checked(&mut self, place: &Place, lane: usize) -> (Value, Value) {
        let shift = |emitter: &Self, affine: &Affine| {
            emitter.vector.map_or(0, |(axis, _)| affine.coefficient(axis) * lane as i64)
        };
        let mut is_inside: Option<Value> = None;
        for bound in &place.bounds {
            let moved = bound.index.shifted(shift(self, &bound.index));
            let mut index = self.affine(&moved);
            if let Some(pick) = bound.pick {
                let pick = self.pick(pick, lane);
                index = self.b.ins().iadd(index, pick);
            }
            let extent = self.b.ins().iconst(types::I64, bound.extent as i64);
            let fits = self.b.ins().icmp(IntCC::UnsignedLessThan, index, extent);
            is_inside = Some(is_inside.map_or(fits, |others| self.b.ins().band(others, fits)));
        }
        let is_inside = is_inside.unwrap_or_else(|| self.b.ins().iconst(types::I8, 1));
        let mut offset = self.affine(&place.offset.shifted(shift(self, &place.offset)));
        for &(pick, stride) in &place.picks {
            let pick = self.pick(pick, lane);
            let term = self.scaled(pick, stride);
            offset = self.b.ins().iadd(offset, term);
        }
        let zero = self.b.ins().iconst(types::I64, 0);
        let offset = self.b.ins().select(is_inside, offset, zero);
        let bytes = self.scaled(offset, self.element_bytes(place));
        (self.b.ins().iadd(self.bases[place.buffer.0 as usize], bytes), is_inside)
    }

    /// An index read from data, in a lane, as `i64`.
    fn pick(&mut self, var: Var, lane: usize) -> Value {
        let dtype = self.nest.dtype(var);
        let scalar = match self.val(var) {
            Val::Uniform(scalar) => scalar,
            Val::Vector(registers) => primitive::extract(self.b, dtype, &registers, lane),
        };
        if dtype == DType::I32 { self.b.ins().sextend(types::I64, scalar) } else { scalar }
    }

    pub(super) fn store(&mut self, value: Var, place: &Place, mode: StoreMode) {
        let dtype = self.nest.dtype(value);
        if mode == StoreMode::Add {
            return self.store_add(value, place, dtype);
        }
        let step = self.vector.map_or(0, |(axis, _)| place.offset.coefficient(axis));
        let (address, offset) = self.address(place);
        match (self.vector, step) {
            (None, _) | (_, 0) => {
                let value = match self.val(value) {
                    Val::Uniform(scalar) => scalar,
                    Val::Vector(registers) => primitive::extract(self.b, dtype, &registers, 0),
                };
                memory::store(self.b, dtype, 1, &smallvec![value], address, offset);
            }
            (Some((_, lanes)), 1) => {
                let value = self.lanes_of(value, lanes);
                memory::store(self.b, dtype, lanes, &value, address, offset);
            }
            (Some((_, lanes)), step) => {
                let value = self.lanes_of(value, lanes);
                for lane in 0..lanes {
                    let scalar = primitive::extract(self.b, dtype, &value, lane);
                    let (address, offset) =
                        self.lane_address(address, offset, lane, step * dtype.size_bytes() as i64);
                    memory::store(self.b, dtype, 1, &smallvec![scalar], address, offset);
                }
            }
        }
    }

    /// Adds to an element; one outside is left as it is. Runs in loops that are not on lanes.
    fn store_add(&mut self, value: Var, place: &Place, dtype: DType) {
        if self.nest.buffers[place.buffer.0 as usize].ty.shape.elements() == 0 {
            return;
        }
        let Val::Uniform(value) = self.val(value) else { panic!("sequential loops are not on lanes") };
        let (address, is_inside) = self.checked(place, 0);
        let old = memory::load(self.b, dtype, 1, address, 0)[0];
        let sum = self.combine_two(ReduceOp::Add, dtype, old, value);
        let kept = self.b.ins().select(is_inside, sum, old);
        memory::store(self.b, dtype, 1, &smallvec![kept], address, 0);
    }
}
