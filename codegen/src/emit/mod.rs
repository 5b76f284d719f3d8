//! Nests as Cranelift functions.
//!
//! In: a nest and its schedule. Out: the body of a function `(args, scratch, begin, end)` that runs chunks
//! `begin .. end`. Loops stay loops; a loop on lanes is up to three: on the widest vectors, on four lanes, and on one.
//! Each element meets the same primitives in each of them, so where the cuts are does not show in the results.
//!
//! A reduction along the lanes is computed per vector element; the registers of a wide vector are combined pairwise, then
//! their lanes in order, and the parts are added in the order wide, four, one.

mod access;
mod columns;
pub mod cuts;
pub mod memory;
pub mod primitive;
pub mod runs;
pub mod strips;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value, types};
use cranelift_frontend::FunctionBuilder;
use ir::{Accumulator, AxisId, BufferId, DType, ReduceOp, Scalar, ScalarFn, Var, VectorProgram, VectorValue};
use smallvec::{SmallVec, smallvec};

use crate::nest::{Compute, Nest, Node, Place};
use crate::schedule::{Lanes, Schedule, has_loops};
use crate::wide::{Isa, WideFunction};
use primitive::Regs;

/// A variable: the same for all lanes, or one value per lane.
#[derive(Clone)]
pub enum Val {
    /// A scalar.
    Uniform(Value),
    /// Registers.
    Vector(Regs),
}

/// Where a loop ends or begins.
#[derive(Clone, Copy)]
pub enum Limit {
    /// Known now.
    Static(i64),
    /// Known when the kernel runs.
    Dynamic(Value),
}

/// Memory of this thread for rows of sums.
#[derive(Clone, Copy, Default)]
pub struct RowMemory {
    /// Its address, where there is such memory.
    pub address: Option<Value>,
    /// How much of it is used, in bytes.
    pub size_bytes: usize,
}

/// Writes the body of one function.
pub struct Emitter<'a, 'b> {
    /// Where instructions go.
    pub b: &'a mut FunctionBuilder<'b>,
    nest: &'a Nest,
    lanes: Lanes,
    width: usize,
    /// The address of each buffer.
    bases: &'a [Value],
    /// The index of each axis whose loop is open.
    indices: Vec<Option<Value>>,
    /// The axes whose loops are open, outermost first.
    order: Vec<AxisId>,
    vals: Vec<Option<Val>>,
    /// The values that are constants.
    constants: Vec<Option<Scalar>>,
    /// The axis on lanes here, and their number.
    vector: Option<(AxisId, usize)>,
    /// The instruction set of strips, where there is one with wide vectors.
    wide: Option<Isa>,
    /// The functions of wide code that are called.
    pub functions: Vec<WideFunction>,
    /// The buffers that strips store to past the caches.
    pub past_caches: Vec<BufferId>,
    /// Memory of this thread for the sums of columns.
    pub rows: RowMemory,
}

impl<'a, 'b> Emitter<'a, 'b> {
    /// An emitter of `nest`, whose buffers are at `bases`.
    pub fn new(
        b: &'a mut FunctionBuilder<'b>,
        nest: &'a Nest,
        bases: &'a [Value],
        wide: Option<Isa>,
    ) -> Self {
        Emitter {
            b,
            nest,
            lanes: Lanes::Scalar,
            width: 1,
            bases,
            indices: vec![None; nest.extents.len()],
            order: Vec::new(),
            vals: vec![None; nest.vars.len()],
            constants: vec![None; nest.vars.len()],
            vector: None,
            wide,
            functions: Vec::new(),
            past_caches: Vec::new(),
            rows: RowMemory::default(),
        }
    }

    /// The nest.
    pub fn nest(&self) -> &'a Nest {
        self.nest
    }

    /// Emits a top-level loop. `outermost` is the axis that is cut into chunks and the part of it that runs.
    pub fn top_level(
        &mut self,
        schedule: Schedule,
        axes: &[AxisId],
        body: &[Node],
        outermost: Option<(AxisId, Limit, Limit)>,
    ) {
        (self.lanes, self.width) = (schedule.lanes, schedule.width);
        let on_lanes = match self.lanes {
            Lanes::Outer(axis) => Some(axis),
            _ => None,
        };
        let limits = |axis: AxisId, extent: usize| match outermost {
            Some((cut, from, to)) if cut == axis => (from, to),
            _ => (Limit::Static(0), Limit::Static(extent as i64)),
        };
        let outer: Vec<AxisId> = axes.iter().copied().filter(|&axis| Some(axis) != on_lanes).collect();
        let rows = match on_lanes {
            Some(axis) if self.wide.is_some() && self.past_caches.is_empty() => {
                columns::rows_around(self.nest, &outer, axis, body)
            }
            _ => &[],
        };
        let with_rows = [Node::For { axes: rows.into(), sequential: false, body: body.to_vec() }];
        let body = if rows.is_empty() { body } else { &with_rows };
        let loops: Vec<(AxisId, Limit, Limit)> = (outer[..outer.len() - rows.len()].iter())
            .map(|&axis| {
                let (from, to) = limits(axis, self.nest.extent(axis));
                (axis, from, to)
            })
            .collect();
        self.nested(&loops, smallvec![], &mut |emitter, _| {
            match on_lanes {
                Some(axis) => {
                    let (from, to) = limits(axis, emitter.nest.extent(axis));
                    emitter.on_lanes(axis, from, to, body);
                }
                None => emitter.nodes(body),
            }
            smallvec![]
        });
    }

    /// Emits statements.
    pub fn nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            match node {
                Node::Let { var, value } => {
                    let val = self.compute(*var, value);
                    self.vals[var.0 as usize] = Some(val);
                }
                Node::Store { value, place, mode } => self.store(*value, place, *mode),
                Node::For { axes, sequential, body } => self.emit_for(axes, *sequential, body),
                Node::Reduce { axes, accumulators, body } => self.emit_reduce(axes, accumulators, body),
            }
        }
    }

    /// Emits loops over the batches of a contraction.
    pub fn batches(&mut self, loops: &[(AxisId, Limit, Limit)], body: &mut dyn FnMut(&mut Self)) {
        self.nested(loops, smallvec![], &mut |emitter, _| {
            body(emitter);
            smallvec![]
        });
    }

    /// Emits `body` at point `number` of the loops over some axes, counted with the last axis innermost.
    pub fn at_point(&mut self, axes: &[AxisId], number: Value, body: &mut dyn FnMut(&mut Self)) {
        let mut rest = number;
        let mut indices: SmallVec<[Value; 4]> = smallvec![];
        for (position, &axis) in axes.iter().enumerate().rev() {
            let extent = self.nest.extent(axis) as i64;
            indices.push(if position == 0 {
                rest
            } else {
                let extent = self.b.ins().iconst(types::I64, extent);
                let index = self.b.ins().urem(rest, extent);
                rest = self.b.ins().udiv(rest, extent);
                index
            });
        }
        for (&axis, &index) in axes.iter().zip(indices.iter().rev()) {
            self.open(axis, index);
        }
        body(self);
        for &axis in axes.iter().rev() {
            self.close(axis);
        }
    }

    /// Where the loop over `axis`, which is open, is.
    pub fn index_of(&self, axis: AxisId) -> Value {
        self.indices[axis.0 as usize].expect("the loop is open")
    }

    /// The address of a place at the open loops, 0 for the others.
    pub fn base_address(&mut self, place: &Place) -> Value {
        let (address, offset) = self.address(place);
        self.b.ins().iadd_imm_s(address, i64::from(offset))
    }

    /// Emits the epilogue of a contraction for `columns` columns of one row: on as many lanes as are whole vectors, then
    /// one by one. `sum` gives the reduced value for `(first column, lanes)`.
    pub fn epilogue(
        &mut self,
        row: Option<(AxisId, Value)>,
        column: (AxisId, Value),
        columns: usize,
        sum: impl Fn(&mut Self, (usize, usize)) -> (Var, Val),
        nodes: &[Node],
    ) {
        const LANES: usize = 4;
        let whole = columns / LANES * LANES;
        let parts = (whole > 0).then_some((0, whole)).into_iter().chain((whole..columns).map(|at| (at, 1)));
        for (first, lanes) in parts {
            let at = self.b.ins().iadd_imm_s(column.1, first as i64);
            let open: SmallVec<[(AxisId, Value); 2]> = row.into_iter().chain([(column.0, at)]).collect();
            for &(axis, index) in &open {
                self.indices[axis.0 as usize] = Some(index);
                self.order.push(axis);
            }
            self.vector = (lanes > 1).then_some((column.0, lanes));
            let (var, value) = sum(self, (first, lanes));
            self.vals[var.0 as usize] = Some(value);
            self.nodes(nodes);
            self.vector = None;
            for &(axis, _) in &open {
                self.indices[axis.0 as usize] = None;
                self.order.pop();
            }
        }
    }

    fn whole(&self, axes: &[AxisId]) -> Vec<(AxisId, Limit, Limit)> {
        axes.iter()
            .map(|&axis| (axis, Limit::Static(0), Limit::Static(self.nest.extent(axis) as i64)))
            .collect()
    }

    /// Whether the last axis of a loop goes on lanes.
    fn goes_on_lanes(&self, axes: &[AxisId], body: &[Node]) -> bool {
        self.lanes == Lanes::Inner && self.vector.is_none() && !axes.is_empty() && !has_loops(body)
    }

    fn emit_for(&mut self, axes: &[AxisId], sequential: bool, body: &[Node]) {
        let split = if !sequential && self.goes_on_lanes(axes, body) { axes.len() - 1 } else { axes.len() };
        let loops = self.whole(&axes[..split]);
        let inner = self.whole(&axes[split..]);
        self.nested(&loops, smallvec![], &mut |emitter, _| {
            match inner.first() {
                Some(&(axis, from, to)) => emitter.on_lanes(axis, from, to, body),
                None => emitter.nodes(body),
            }
            smallvec![]
        });
    }

    fn emit_reduce(&mut self, axes: &[AxisId], accumulators: &[Accumulator], body: &[Node]) {
        if self.goes_on_lanes(axes, body) {
            return self.reduce_along_lanes(axes, accumulators, body);
        }
        let lanes = self.vector.map_or(1, |(_, lanes)| lanes);
        let start = self.identities(accumulators, lanes);
        let counts: Vec<usize> = start.iter().map(SmallVec::len).collect();
        let loops = self.whole(axes);
        let totals = self.nested(&loops, start.into_iter().flatten().collect(), &mut |emitter, carried| {
            emitter.nodes(body);
            let current = regroup(carried, &counts);
            emitter.combine_all(accumulators, &current, lanes).into_iter().flatten().collect()
        });
        for (accumulator, total) in accumulators.iter().zip(regroup(&totals, &counts)) {
            let val = if lanes == 1 { Val::Uniform(total[0]) } else { Val::Vector(total) };
            self.vals[accumulator.result.0 as usize] = Some(val);
        }
    }

    /// Reduces along the last axis on lanes.
    fn reduce_along_lanes(&mut self, axes: &[AxisId], accumulators: &[Accumulator], body: &[Node]) {
        let (outer, last) = (self.whole(&axes[..axes.len() - 1]), axes[axes.len() - 1]);
        let extent = self.nest.extent(last) as i64;
        let start = self.identities(accumulators, 1).into_iter().flatten().collect();
        let totals = self.nested(&outer, start, &mut |emitter, carried| {
            let mut totals: Regs = SmallVec::from_slice(carried);
            let whole = [0, extent].map(|at| emitter.b.ins().iconst(types::I64, at));
            if let Some(parts) = emitter.call_strip(last, whole.into(), body, accumulators) {
                for ((accumulator, part), total) in accumulators.iter().zip(parts).zip(totals.iter_mut()) {
                    let dtype = emitter.nest.dtype(accumulator.value);
                    *total =
                        emitter.combine(accumulator.op, dtype, &smallvec![*total], &smallvec![part], 1)[0];
                }
                return totals;
            }
            let mut at = 0;
            for width in emitter.widths() {
                let until = extent - (extent - at) % width as i64;
                if until == at {
                    continue;
                }
                let start = emitter.identities(accumulators, width);
                let counts: Vec<usize> = start.iter().map(SmallVec::len).collect();
                let limits = (Limit::Static(at), Limit::Static(until));
                let flat = start.into_iter().flatten().collect();
                let parts = emitter.range(last, limits, width, flat, &mut |emitter, carried| {
                    emitter.vector = (width > 1).then_some((last, width));
                    emitter.nodes(body);
                    let current = regroup(carried, &counts);
                    let next = emitter.combine_all(accumulators, &current, width);
                    emitter.vector = None;
                    next.into_iter().flatten().collect()
                });
                for ((accumulator, part), total) in
                    accumulators.iter().zip(regroup(&parts.1, &counts)).zip(totals.iter_mut())
                {
                    let dtype = emitter.nest.dtype(accumulator.value);
                    let part = emitter.across_lanes(accumulator.op, dtype, &part, width);
                    *total =
                        emitter.combine(accumulator.op, dtype, &smallvec![*total], &smallvec![part], 1)[0];
                }
                at = until;
            }
            totals
        });
        for (accumulator, &total) in accumulators.iter().zip(&totals) {
            self.vals[accumulator.result.0 as usize] = Some(Val::Uniform(total));
        }
    }

    /// The widths of a loop on lanes, widest first.
    fn widths(&self) -> SmallVec<[usize; 3]> {
        let mut widths: SmallVec<[usize; 3]> = smallvec![self.width, 4, 1];
        widths.dedup();
        widths
    }

    fn identities(&mut self, accumulators: &[Accumulator], lanes: usize) -> Vec<Regs> {
        let identity = |accumulator: &Accumulator| {
            let dtype = self.nest.dtype(accumulator.result);
            primitive::constant(self.b, accumulator.op.identity(dtype), lanes)
        };
        accumulators.iter().map(identity).collect()
    }

    /// Each accumulator combined with what the body has yielded.
    fn combine_all(&mut self, accumulators: &[Accumulator], current: &[Regs], lanes: usize) -> Vec<Regs> {
        let mut next = Vec::with_capacity(current.len());
        for (accumulator, current) in accumulators.iter().zip(current) {
            let value = self.lanes_of(accumulator.value, lanes);
            next.push(self.combine(
                accumulator.op,
                self.nest.dtype(accumulator.value),
                current,
                &value,
                lanes,
            ));
        }
        next
    }

    fn combine(&mut self, op: ReduceOp, dtype: DType, x: &Regs, y: &Regs, lanes: usize) -> Regs {
        self.run_program(op.function(), &[dtype, dtype], &[None, None], &[x.clone(), y.clone()], lanes)
    }

    /// All lanes of a vector combined: registers pairwise, then lanes in order.
    fn across_lanes(&mut self, op: ReduceOp, dtype: DType, x: &Regs, lanes: usize) -> Value {
        if lanes == 1 {
            return x[0];
        }
        let per = primitive::lanes_per_register(dtype);
        let mut registers: SmallVec<[Value; 4]> = x.clone();
        while registers.len() > 1 {
            let half = registers.len() / 2;
            let (left, right) =
                (Regs::from_slice(&registers[..half]), Regs::from_slice(&registers[half..2 * half]));
            registers = self.combine(op, dtype, &left, &right, half * per);
        }
        let scalars: Vec<Value> =
            (0..per).map(|lane| primitive::extract(self.b, dtype, &registers, lane)).collect();
        scalars[1..]
            .iter()
            .fold(scalars[0], |sum, &x| self.combine(op, dtype, &smallvec![sum], &smallvec![x], 1)[0])
    }

    /// Loops inside each other that carry values.
    fn nested(
        &mut self,
        loops: &[(AxisId, Limit, Limit)],
        carried: Regs,
        body: &mut dyn FnMut(&mut Self, &[Value]) -> Regs,
    ) -> Regs {
        match loops {
            [] => body(self, &carried),
            [(axis, from, to), inner @ ..] => {
                let limits = (*from, *to);
                self.range(*axis, limits, 1, carried, &mut |emitter, carried| {
                    emitter.nested(inner, SmallVec::from_slice(carried), body)
                })
                .1
            }
        }
    }

    /// A loop on lanes, in parts where bounds along it hold for some indices alone; short parts run one by one.
    fn on_lanes(&mut self, axis: AxisId, from: Limit, to: Limit, body: &[Node]) {
        const SHORT: i64 = 4;
        let parts = match (from, to) {
            (Limit::Static(from), Limit::Static(to)) => cuts::parts(axis, (from, to), body),
            _ => Vec::new(),
        };
        if parts.is_empty() {
            return self.part_on_lanes(axis, from, to, body);
        }
        for part in parts {
            let (from, to) = (Limit::Static(part.from), Limit::Static(part.to));
            if part.to - part.from >= SHORT {
                self.part_on_lanes(axis, from, to, &part.body);
                continue;
            }
            self.range(axis, (from, to), 1, smallvec![], &mut |emitter, _| {
                emitter.nodes(&part.body);
                smallvec![]
            });
        }
    }

    /// A part of a loop on lanes: as a strip where that can be, else on the widest vectors of Cranelift, then on fewer lanes
    /// for the rest.
    fn part_on_lanes(&mut self, axis: AxisId, from: Limit, to: Limit, body: &[Node]) {
        if self.vector.is_none() && self.wide.is_some() {
            let (start, end) = (self.limit(from), self.limit(to));
            let count = self.b.ins().isub(end, start);
            if self.call_strip(axis, (start, count), body, &[]).is_some()
                || self.reduce_columns(axis, (from, to), body)
            {
                return;
            }
        }
        let mut at = from;
        for width in self.widths() {
            let (next, _) = self.range(axis, (at, to), width, smallvec![], &mut |emitter, _| {
                emitter.vector = (width > 1).then_some((axis, width));
                emitter.nodes(body);
                emitter.vector = None;
                smallvec![]
            });
            at = next;
        }
    }

    /// A loop in steps of `step` as long as a whole step fits; gives the first index that is left and what it carried.
    fn range(
        &mut self,
        axis: AxisId,
        (from, to): (Limit, Limit),
        step: usize,
        carried: Regs,
        body: &mut dyn FnMut(&mut Self, &[Value]) -> Regs,
    ) -> (Limit, Regs) {
        let step = step as i64;
        if let (Limit::Static(from), Limit::Static(to)) = (from, to) {
            let trips = (to - from) / step;
            let end = Limit::Static(from + trips * step);
            if trips <= 1 {
                let index = self.b.ins().iconst(types::I64, from);
                return (end, if trips == 1 { self.at(axis, index, &carried, body) } else { carried });
            }
            let from = self.b.ins().iconst(types::I64, from);
            let to = self.b.ins().iconst(types::I64, to);
            let (_, carried) = self.looped(axis, from, to, step, carried, body);
            return (end, carried);
        }
        let [from, to] = [from, to].map(|limit| self.limit(limit));
        let (end, carried) = self.looped(axis, from, to, step, carried, body);
        (Limit::Dynamic(end), carried)
    }

    fn limit(&mut self, limit: Limit) -> Value {
        match limit {
            Limit::Static(at) => self.b.ins().iconst(types::I64, at),
            Limit::Dynamic(value) => value,
        }
    }

    /// Runs `body` with `axis` at `index`.
    fn at(
        &mut self,
        axis: AxisId,
        index: Value,
        carried: &[Value],
        body: &mut dyn FnMut(&mut Self, &[Value]) -> Regs,
    ) -> Regs {
        self.open(axis, index);
        let next = body(self, carried);
        self.close(axis);
        next
    }

    /// Enters the loop over `axis`, which is at `index`.
    fn open(&mut self, axis: AxisId, index: Value) {
        self.indices[axis.0 as usize] = Some(index);
        self.order.push(axis);
    }

    /// Leaves the loop over `axis`, the innermost.
    fn close(&mut self, axis: AxisId) {
        self.order.pop();
        self.indices[axis.0 as usize] = None;
    }

    fn looped(
        &mut self,
        axis: AxisId,
        from: Value,
        to: Value,
        step: i64,
        carried: Regs,
        body: &mut dyn FnMut(&mut Self, &[Value]) -> Regs,
    ) -> (Value, Regs) {
        let [header, inside, after] = [(); 3].map(|()| self.b.create_block());
        let index = self.b.append_block_param(header, types::I64);
        let parameters: Regs = (carried.iter())
            .map(|&value| {
                let ty = self.b.func.dfg.value_type(value);
                self.b.append_block_param(header, ty)
            })
            .collect();
        let arguments = |index: Value, carried: &[Value]| -> Vec<BlockArg> {
            std::iter::once(index).chain(carried.iter().copied()).map(BlockArg::Value).collect()
        };
        let enter = arguments(from, &carried);
        self.b.ins().jump(header, &enter);
        self.b.switch_to_block(header);
        let next = self.b.ins().iadd_imm_s(index, step);
        let fits = self.b.ins().icmp(IntCC::SignedLessThanOrEqual, next, to);
        self.b.ins().brif(fits, inside, &[], after, &[]);
        self.b.switch_to_block(inside);
        let result = self.at(axis, index, &parameters, body);
        let again = arguments(next, &result);
        self.b.ins().jump(header, &again);
        self.b.switch_to_block(after);
        (index, parameters)
    }

    fn compute(&mut self, var: Var, value: &Compute) -> Val {
        self.constants[var.0 as usize] = None;
        match value {
            Compute::Constant(constant) => {
                self.constants[var.0 as usize] = Some(*constant);
                Val::Uniform(primitive::constant(self.b, *constant, 1)[0])
            }
            Compute::Index(affine) => self.index(affine, self.nest.dtype(var)),
            Compute::Load { place, fill } => self.load(place, *fill),
            Compute::Apply { function, operands } => self.apply(*function, operands),
        }
    }

    /// A variable as `lanes` lanes.
    fn lanes_of(&mut self, var: Var, lanes: usize) -> Regs {
        match self.val(var) {
            Val::Vector(registers) => registers,
            Val::Uniform(scalar) => primitive::splat(self.b, self.nest.dtype(var), scalar, lanes),
        }
    }

    fn val(&self, var: Var) -> Val {
        self.vals[var.0 as usize]
            .clone()
            .expect("the verifier has checked that values are defined before they are used")
    }

    fn apply(&mut self, function: ScalarFn, operands: &[Var]) -> Val {
        let is_uniform = operands.iter().all(|&operand| matches!(self.val(operand), Val::Uniform(_)));
        let lanes = if is_uniform { 1 } else { self.vector.map_or(1, |(_, lanes)| lanes) };
        let dtypes: SmallVec<[DType; 3]> = operands.iter().map(|&operand| self.nest.dtype(operand)).collect();
        let known: SmallVec<[Option<Scalar>; 3]> =
            operands.iter().map(|operand| self.constants[operand.0 as usize]).collect();
        let values: SmallVec<[Regs; 3]> =
            operands.iter().map(|&operand| self.lanes_of(operand, lanes)).collect();
        let result = self.run_program(function, &dtypes, &known, &values, lanes);
        if lanes == 1 { Val::Uniform(result[0]) } else { Val::Vector(result) }
    }

    /// Emits the vector program of a function.
    fn run_program(
        &mut self,
        function: ScalarFn,
        dtypes: &[DType],
        known: &[Option<Scalar>],
        operands: &[Regs],
        lanes: usize,
    ) -> Regs {
        run_program(self.b, function, dtypes, known, operands, lanes)
    }
}

/// Emits the vector program of a function on operands of `lanes` lanes; `known` are operands that are constants.
pub fn run_program(
    b: &mut FunctionBuilder<'_>,
    function: ScalarFn,
    dtypes: &[DType],
    known: &[Option<Scalar>],
    operands: &[Regs],
    lanes: usize,
) -> Regs {
    let mut program = VectorProgram::new();
    let arguments: SmallVec<[VectorValue; 3]> = (dtypes.iter().zip(known).enumerate())
        .map(|(index, (&dtype, known))| match known {
            Some(constant) => program.constant(*constant),
            None => program.argument(index as u32, dtype),
        })
        .collect();
    let last = *dtypes.last().expect("functions have operands");
    let result = (function.row().expand)(&mut program, last, &arguments);
    let mut values: Vec<Regs> = Vec::with_capacity(program.insts().len());
    for inst in program.insts() {
        let value = match inst.primitive {
            ir::Primitive::Argument(index) => operands[index as usize].clone(),
            ir::Primitive::Constant(constant) => primitive::constant(b, constant, lanes),
            other => {
                let inputs: SmallVec<[Regs; 3]> =
                    inst.operands.iter().map(|operand| values[operand.0 as usize].clone()).collect();
                let from = program.dtype(*inst.operands.last().expect("primitives have operands"));
                primitive::apply(b, other, from, inst.dtype, lanes, &inputs)
            }
        };
        values.push(value);
    }
    values.swap_remove(result.0 as usize)
}

/// A flat list of registers as one list per accumulator.
fn regroup(flat: &[Value], counts: &[usize]) -> Vec<Regs> {
    let mut rest = flat;
    let take = |&count: &usize| {
        let (first, others) = rest.split_at(count);
        rest = others;
        Regs::from_slice(first)
    };
    counts.iter().map(take).collect()
}
