//! Writing the body of a group as statements of the kernel language.
//!
//! Values are computed where they are first needed and kept for the statements of the same block and of the blocks
//! inside of it. Views disappear into the indices of loads.

use std::collections::BTreeMap;

use ir::ops::Fused;
use ir::{
    Access, Accumulator, Affine, AxisId, BufferId, DType, Graph, Index, Indices, Inst, Kernel, Lowering,
};
use ir::{NodeId, Op, ReduceOp, Scalar, ScalarFn, Stmt, StoreMode, Value, Var, View};
use smallvec::{SmallVec, smallvec};

use crate::access::{AxisMap, align, as_view, lowering, work};

/// The indices at which a value is wanted, one per axis of the value, and what lies outside.
type At = (Vec<Affine>, Option<Scalar>);

/// What a block knows: the variable that holds a value at given indices.
#[derive(Default)]
struct Block {
    stmts: Vec<Stmt>,
    known: Vec<(Value, At, Var)>,
    index: BTreeMap<Value, Vec<usize>>,
}

/// A value on its way to be computed.
struct Wanted {
    value: Value,
    at: At,
    /// What it is computed from, and where that is read.
    operands: SmallVec<[(Value, At); 3]>,
    /// The first operand that has not been looked at.
    next: usize,
}

/// Where a value can be read back.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The buffer that holds it.
    pub buffer: BufferId,
    /// For each axis of the buffer, the axis of the value that indexes it.
    pub axes: SmallVec<[usize; 4]>,
}

/// Writes one kernel.
pub struct KernelWriter<'a> {
    /// The body that is lowered.
    pub body: &'a Graph,
    /// What `fuse` wrote down of the group.
    pub fused: &'a Fused,
    kernel: Kernel,
    /// The buffer of each input of the body.
    inputs: BTreeMap<NodeId, BufferId>,
    /// The buffer of each output, in order.
    pub outputs: Vec<BufferId>,
    /// The loop of each axis of the domain; an extent of 1 has none.
    pub domain_axes: Vec<Option<AxisId>>,
    /// The values computed in an earlier loop over the row that can be read back.
    pub stored: BTreeMap<Value, Stored>,
    /// The open blocks, innermost last.
    blocks: Vec<Block>,
}

impl<'a> KernelWriter<'a> {
    /// A writer of the kernel for this body.
    pub fn new(name: String, body: &'a Graph, fused: &'a Fused) -> KernelWriter<'a> {
        const NAMES: [&str; 6] = ["i", "j", "k", "l", "m", "n"];
        let mut kernel = Kernel::new(name);
        let inputs = body
            .inputs()
            .map(|(id, node)| {
                let name = node.name.clone().expect("inputs have names");
                (id, kernel.buffer(name, node.results[0].clone(), Access::Read))
            })
            .collect();
        let outputs = body
            .outputs
            .iter()
            .map(|output| kernel.buffer(output.name.clone(), body.ty(output.value).clone(), Access::Write));
        let outputs = outputs.collect();
        let domain_axes = (fused.domain.iter().enumerate())
            .map(|(axis, &extent)| (extent != 1).then(|| kernel.axis(axis_name(&NAMES, "i", axis), extent)))
            .collect();
        let stored = BTreeMap::new();
        KernelWriter {
            body,
            fused,
            kernel,
            inputs,
            outputs,
            domain_axes,
            stored,
            blocks: vec![Block::default()],
        }
    }

    /// The finished kernel.
    pub fn finish(mut self) -> Kernel {
        let block = self.blocks.pop().expect("the outermost block is open");
        self.kernel.body = block.stmts;
        self.kernel
    }

    /// One loop over the domain.
    pub fn write_map(&mut self) {
        self.open();
        self.store_outputs();
        let axes = self.loops();
        self.close_for(axes);
    }

    /// One loop over the domain with a reduction in it, and what follows from its result.
    pub fn write_contraction(&mut self) {
        let (id, contraction) = (self.body.nodes())
            .find_map(|(id, node)| match lowering(self.body, node) {
                Lowering::Contract(contraction) => Some((id, contraction)),
                _ => None,
            })
            .expect("the fuse pass puts one contraction into a group of that kind");
        self.open();
        let result = Value::new(id, 0);
        let dtype = self.body.ty(result).dtype;
        let at = self.domain_indices(result);
        const NAMES: [&str; 4] = ["rk", "rl", "rm", "rn"];
        let reduced: SmallVec<[Option<AxisId>; 4]> = (contraction.reduced.iter().enumerate())
            .map(|(axis, &extent)| {
                (extent != 1).then(|| self.kernel.axis(axis_name(&NAMES, "r", axis), extent))
            })
            .collect();
        self.open();
        let rank = at.len();
        let index = |axis: AxisId| match (axis.0 as usize).checked_sub(rank) {
            None => at[axis.0 as usize].clone(),
            Some(reduced_axis) => loop_index(reduced[reduced_axis]),
        };
        let operands = self.body.node(id).operands.clone();
        let read = |writer: &mut Self, operand: usize, view: &View| {
            let indices = view.indices.iter().map(|affine| affine.substitute(index)).collect();
            writer.value(operands[operand], (indices, view.fill))
        };
        let left = read(self, 0, &contraction.left);
        let right = read(self, 1, &contraction.right);
        let product = self.apply(ScalarFn::Mul, &[left, right], dtype);
        let sum = self.kernel.var(dtype);
        let accumulator = Accumulator { result: sum, op: ReduceOp::Add, value: product };
        self.close_reduce(reduced.into_iter().flatten().collect(), SmallVec::from_elem(accumulator, 1));
        self.know(result, (at, None), sum);
        self.store_outputs();
        let axes = self.loops();
        self.close_for(axes);
    }

    /// Stores every output at its place in the domain.
    fn store_outputs(&mut self) {
        for index in 0..self.outputs.len() {
            self.store_output(index);
        }
    }

    /// Stores one output at its place in the domain.
    pub fn store_output(&mut self, index: usize) {
        let value = self.body.outputs[index].value;
        let at = self.domain_indices(value);
        let var = self.value(value, (at.clone(), None));
        self.store(var, self.outputs[index], at);
    }

    /// Writes `var` to a buffer.
    pub fn store(&mut self, var: Var, buffer: BufferId, at: Vec<Affine>) {
        let indices = at.into_iter().map(|affine| Index { affine, var: None }).collect();
        self.push(Stmt::Store { value: var, buffer, indices, mode: StoreMode::Set });
    }

    /// The axes of the domain along which a value runs: those of its whole domain or of its rows; `None` for what runs
    /// along others, which is computed where it is used.
    pub fn map_of(&self, value: Value) -> Option<AxisMap> {
        let shape = &self.body.ty(value).shape;
        let all: Vec<usize> = (0..self.fused.domain.rank()).collect();
        let kept: Vec<usize> =
            all.iter().copied().filter(|axis| !self.fused.reduced.contains(axis)).collect();
        align(shape, &self.fused.domain, &all).or_else(|| align(shape, &self.fused.domain, &kept))
    }

    /// The indices of a value at the current iteration of the domain.
    pub fn domain_indices(&self, value: Value) -> Vec<Affine> {
        let index = |axis: &Option<usize>| loop_index(axis.and_then(|axis| self.domain_axes[axis]));
        let map = self.map_of(value).unwrap_or_else(|| {
            panic!("pass lower: a value of type {} in a domain of {}", self.body.ty(value), self.fused.domain)
        });
        map.iter().map(index).collect()
    }

    /// The loops over the axes of the domain.
    fn loops(&self) -> SmallVec<[AxisId; 4]> {
        self.domain_axes.iter().copied().flatten().collect()
    }

    /// Memory of one row.
    pub fn local(&mut self, ty: ir::Type) -> BufferId {
        let name = format!("t{}", self.kernel.buffers.len());
        self.kernel.buffer(name, ty, Access::Local)
    }

    /// A further axis over the same extent as one of the domain.
    pub fn twin_axis(&mut self, domain_axis: usize, suffix: usize) -> Option<AxisId> {
        let axis = self.domain_axes[domain_axis]?;
        let name =
            format!("{}{suffix}", self.kernel.axes[axis.0 as usize].name.trim_end_matches(char::is_numeric));
        let extent = self.kernel.extent(axis);
        Some(self.kernel.axis(name, extent))
    }

    /// A variable of this dtype.
    pub fn var(&mut self, dtype: DType) -> Var {
        self.kernel.var(dtype)
    }

    /// The dtype of a variable.
    fn dtype(&self, var: Var) -> DType {
        self.kernel.vars[var.0 as usize]
    }

    /// Opens a block.
    pub fn open(&mut self) {
        self.blocks.push(Block::default());
    }

    fn close(&mut self) -> Vec<Stmt> {
        self.blocks.pop().expect("an opened block is closed once").stmts
    }

    /// Closes a block as the body of a loop.
    pub fn close_for(&mut self, axes: SmallVec<[AxisId; 4]>) {
        let body = self.close();
        self.push(Stmt::For { axes, sequential: false, body });
    }

    /// Closes a block as the body of a reduction.
    pub fn close_reduce(&mut self, axes: SmallVec<[AxisId; 4]>, accumulators: SmallVec<[Accumulator; 1]>) {
        let body = self.close();
        self.push(Stmt::Reduce { axes, accumulators, body });
    }

    fn push(&mut self, stmt: Stmt) {
        self.blocks.last_mut().expect("a block is open").stmts.push(stmt);
    }

    /// Remembers in the current block that `var` holds `value` at these indices.
    pub fn know(&mut self, value: Value, at: At, var: Var) {
        let block = self.blocks.last_mut().expect("a block is open");
        block.index.entry(value).or_default().push(block.known.len());
        block.known.push((value, at, var));
    }

    fn lookup(&self, value: Value, at: &At) -> Option<Var> {
        let candidates = self.blocks.iter().rev().flat_map(|block| {
            let entries = block.index.get(&value).into_iter().flatten();
            entries.map(move |&entry| &block.known[entry])
        });
        candidates.into_iter().find(|(_, known, _)| known == at).map(|&(_, _, var)| var)
    }

    fn define(&mut self, dtype: DType, inst: Inst) -> Var {
        let var = self.kernel.var(dtype);
        self.push(Stmt::Let { var, inst });
        var
    }

    fn apply(&mut self, function: ScalarFn, operands: &[Var], dtype: DType) -> Var {
        self.define(dtype, Inst::Apply { function, operands: SmallVec::from_slice(operands) })
    }

    /// The variable that holds `value` at these indices, computed here if it is not known, and before it what it needs.
    pub fn value(&mut self, value: Value, at: At) -> Var {
        if let Some(var) = self.lookup(value, &at) {
            return var;
        }
        let mut open = vec![self.wanted(value, at)];
        loop {
            let innermost = open.last_mut().expect("the value that is wanted is still open");
            let operand = innermost.operands.get(innermost.next).cloned();
            innermost.next += 1;
            if let Some((value, at)) = operand {
                if self.lookup(value, &at).is_none() {
                    open.push(self.wanted(value, at));
                }
                continue;
            }
            let wanted = open.pop().expect("the innermost is open");
            let var = self.compute(&wanted);
            self.know(wanted.value, wanted.at, var);
            if open.is_empty() {
                return var;
            }
        }
    }

    /// A value that is wanted at these indices, and what it is computed from.
    fn wanted(&self, value: Value, at: At) -> Wanted {
        let node = self.body.node(value.node);
        let (indices, fill) = &at;
        let operands = if self.stored.contains_key(&value) {
            SmallVec::new()
        } else if let Some(view) = as_view(self.body, node, value.result) {
            let through =
                view.indices.iter().map(|index| index.substitute(|axis| indices[axis.0 as usize].clone()));
            smallvec![(node.operands[0], (through.collect(), fill.or(view.fill)))]
        } else {
            match lowering(self.body, node) {
                Lowering::Apply(_) => {
                    node.operands.iter().map(|&operand| (operand, (indices.clone(), None))).collect()
                }
                Lowering::Gather { axis } => {
                    let picks = node.operands[1];
                    let after = axis + self.body.ty(picks).shape.rank();
                    smallvec![(picks, (indices[axis..after].to_vec(), None))]
                }
                _ => SmallVec::new(),
            }
        };
        Wanted { value, at, operands, next: 0 }
    }

    /// Computes a value whose operands are known.
    fn compute(&mut self, wanted: &Wanted) -> Var {
        let Wanted { value, at: (indices, fill), operands, .. } = wanted;
        let node = self.body.node(value.node);
        let dtype = node.results[value.result as usize].dtype;
        if let Some(stored) = self.stored.get(value).cloned() {
            let at: Vec<Affine> = stored.axes.iter().map(|&axis| indices[axis].clone()).collect();
            return self.load(stored.buffer, plain(&at), None, dtype);
        }
        let known: SmallVec<[Var; 3]> = (operands.iter())
            .map(|(operand, at)| self.lookup(*operand, at).expect("operands are computed before"))
            .collect();
        match lowering(self.body, node) {
            Lowering::View(_) | Lowering::Alias => known[0],
            Lowering::Leaf => match &node.op {
                Op::Constant(constant) => {
                    let value =
                        constant.tensor.splat_value().expect("only constants of one value are in bodies");
                    self.define(dtype, Inst::Constant(value))
                }
                _ => self.load(self.inputs[&value.node], plain(indices), *fill, dtype),
            },
            Lowering::Iota { axis } => self.affine(&indices[axis], dtype),
            Lowering::Apply(function) => self.apply(function, &known, dtype),
            Lowering::Gather { axis } => self.gather(*value, axis, indices, known[0]),
            _ => panic!("pass lower: `{}` is used before it is computed, in\n{}", node.op.name(), self.body),
        }
    }

    fn load(&mut self, buffer: BufferId, indices: Indices, fill: Option<Scalar>, dtype: DType) -> Var {
        self.define(dtype, Inst::Load { buffer, indices, fill })
    }

    /// `x[a.., indices[i..], b..]`, 0 where the index, which `pick` holds, is outside. The operand that is indexed is an
    /// input of the body.
    fn gather(&mut self, value: Value, axis: usize, at: &[Affine], pick: Var) -> Var {
        let node = self.body.node(value.node);
        let (x, picks) = (node.operands[0], node.operands[1]);
        let after = axis + self.body.ty(picks).shape.rank();
        let picked = Index { affine: Affine::constant(0), var: Some(pick) };
        let indices = plain(&at[..axis]).into_iter().chain([picked]).chain(plain(&at[after..])).collect();
        let dtype = self.body.ty(value).dtype;
        self.load(self.inputs[&x.node], indices, Some(Scalar::from_i64(dtype, 0)), dtype)
    }

    /// The value of an affine function of the axes, as an element of `dtype`.
    fn affine(&mut self, affine: &Affine, dtype: DType) -> Var {
        let mut terms: Vec<Var> = Vec::new();
        for &(axis, coefficient) in affine.terms() {
            let index = self.define(dtype, Inst::Axis(axis));
            terms.push(match coefficient {
                1 => index,
                _ => {
                    let factor = self.define(dtype, Inst::Constant(Scalar::from_i64(dtype, coefficient)));
                    self.apply(ScalarFn::Mul, &[index, factor], dtype)
                }
            });
        }
        if affine.offset() != 0 || terms.is_empty() {
            terms.push(self.define(dtype, Inst::Constant(Scalar::from_i64(dtype, affine.offset()))));
        }
        let first = terms[0];
        terms[1..].iter().fold(first, |sum, &term| self.apply(ScalarFn::Add, &[sum, term], dtype))
    }

    /// Whether a value is better kept than computed again.
    pub fn is_expensive(&self, value: Value) -> bool {
        const CHEAP: usize = 8;
        work(self.body, self.body.node(value.node)) > CHEAP
    }

    /// The dtype of a value that a reduction yields.
    pub fn accumulator(&mut self, op: ReduceOp, value: Var) -> Accumulator {
        let dtype = self.dtype(value);
        Accumulator { result: self.var(dtype), op, value }
    }
}

/// The name of an axis: one of a list, and a number behind `prefix` where the list ends.
fn axis_name(names: &[&str], prefix: &str, axis: usize) -> String {
    names.get(axis).map_or_else(|| format!("{prefix}{axis}"), |name| (*name).to_owned())
}

/// The index that is a loop, 0 where there is none.
pub fn loop_index(axis: Option<AxisId>) -> Affine {
    axis.map_or_else(|| Affine::constant(0), Affine::axis)
}

fn plain(indices: &[Affine]) -> Indices {
    indices.iter().map(|affine| Index { affine: affine.clone(), var: None }).collect()
}
