//! Nests as Cranelift functions.
//!
//! In: a nest and its schedule. Out: the body of a function `(args, scratch, begin, end)` that runs chunks
//! `begin .. end`. Loops stay loops; a loop on lanes is up to three: on the widest vectors, on four lanes, and on one.
//! Each element meets the same primitives in each of them, so where the cuts are does not show in the results.
//!
//! | module | what it holds |
//! |---|---|
//! | [`function`] | what all functions begin and end with |
//! | [`loops`] | loops, with and without values that they carry |
//! | [`cuts`] | loops on lanes in parts, where bounds begin or cease to hold |
//! | `reduce` | reductions along the lanes, and others |
//! | [`cascade`] | long sums in blocks, whose partial sums are added as a tree |
//! | [`runs`], [`strips`] | loops on lanes that wide code can do, and its calls |
//! | `columns`, `row_blocks` | reductions of columns, as strips; the blocks of long ones |
//! | `access` | loads and stores |
//! | [`primitive`] | the instructions of each primitive |
//! | `cold` | what few lanes want, in blocks out of the way |
//! | [`memory`] | flags of loads and stores |

mod access;
pub mod cascade;
mod cold;
mod columns;
pub mod cuts;
pub mod function;
pub mod loops;
pub mod memory;
pub mod primitive;
mod reduce;
mod row_blocks;
pub mod runs;
pub mod strips;

use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;
use ir::{AxisId, BufferId, DType, Scalar, ScalarFn, Var, VectorProgram, VectorValue};
use smallvec::{SmallVec, smallvec};

use crate::nest::{Compute, Nest, Node, Place};
use crate::schedule::{Lanes, Schedule, has_loops};
use crate::wide::{Isa, WideFunction};
pub use loops::Limit;
use primitive::Regs;

/// A variable: the same for all lanes, or one value per lane.
#[derive(Clone)]
pub enum Val {
    /// A scalar.
    Uniform(Value),
    /// Registers.
    Vector(Regs),
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
                self.open(axis, index);
            }
            self.vector = (lanes > 1).then_some((column.0, lanes));
            let (var, value) = sum(self, (first, lanes));
            self.vals[var.0 as usize] = Some(value);
            self.nodes(nodes);
            self.vector = None;
            for &(axis, _) in open.iter().rev() {
                self.close(axis);
            }
        }
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

    /// The widths of a loop on lanes, widest first.
    fn widths(&self) -> SmallVec<[usize; 3]> {
        let mut widths: SmallVec<[usize; 3]> = smallvec![self.width, 4, 1];
        widths.dedup();
        widths
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
    values_of_program(b, &program, operands, lanes).swap_remove(result.0 as usize)
}

/// Emits a vector program on operands of `lanes` lanes; the value of each instruction.
fn values_of_program(
    b: &mut FunctionBuilder<'_>,
    program: &VectorProgram,
    operands: &[Regs],
    lanes: usize,
) -> Vec<Regs> {
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
    values
}
