//! Kernels with flat addresses: what schedules and emitters work on.
//!
//! In: a kernel. Out: the same statements with indices folded into one offset per access, loops over axes of extent 1
//! gone, reductions of nothing replaced by their identity, and values that do not change in a loop moved out of it.

use std::collections::BTreeSet;

use ir::{
    Access, Accumulator, Affine, AxisId, Buffer, BufferId, DType, Inst, Kernel, Scalar, ScalarFn, Stmt,
    StoreMode, Var, Winograd,
};
use smallvec::{SmallVec, smallvec};

/// A kernel with flat addresses.
#[derive(Clone, Debug)]
pub struct Nest {
    /// The buffers of the kernel.
    pub buffers: Vec<Buffer>,
    /// The extent of each axis.
    pub extents: Vec<usize>,
    /// The dtype of each variable.
    pub vars: Vec<DType>,
    /// See [`Kernel::winograd`].
    pub winograd: Option<Winograd>,
    /// The statements.
    pub body: Vec<Node>,
}

/// A statement.
#[derive(Clone, Debug)]
pub enum Node {
    /// See [`Stmt::For`].
    For {
        /// The axes, none of extent 0 or 1.
        axes: SmallVec<[AxisId; 4]>,
        /// Whether iterations run in order.
        sequential: bool,
        /// What runs.
        body: Vec<Node>,
    },
    /// See [`Stmt::Reduce`].
    Reduce {
        /// The axes, none of extent 0 or 1.
        axes: SmallVec<[AxisId; 4]>,
        /// What is reduced.
        accumulators: SmallVec<[Accumulator; 1]>,
        /// What runs.
        body: Vec<Node>,
    },
    /// See [`Stmt::Let`].
    Let {
        /// The variable.
        var: Var,
        /// Its value.
        value: Compute,
    },
    /// See [`Stmt::Store`].
    Store {
        /// The value.
        value: Var,
        /// Where it goes.
        place: Place,
        /// How.
        mode: StoreMode,
    },
}

/// What a variable is.
#[derive(Clone, Debug)]
pub enum Compute {
    /// A constant.
    Constant(Scalar),
    /// An affine function of the axes, converted to the dtype of the variable.
    Index(Affine),
    /// An element in memory; what is outside of the bounds reads as `fill`.
    Load {
        /// Which.
        place: Place,
        /// What is outside.
        fill: Option<Scalar>,
    },
    /// An elementwise function.
    Apply {
        /// The function.
        function: ScalarFn,
        /// Its operands.
        operands: SmallVec<[Var; 3]>,
    },
}

/// An element of a buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The buffer.
    pub buffer: BufferId,
    /// Its offset in elements, without the part that data decides.
    pub offset: Affine,
    /// Indices read from data, each with its stride in elements.
    pub picks: SmallVec<[(Var, i64); 1]>,
    /// What must hold for the element to be inside of the buffer.
    pub bounds: SmallVec<[Bound; 1]>,
}

/// `0 <= index + pick < extent`.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The part of the index that loops decide.
    pub index: Affine,
    /// The part that data decides.
    pub pick: Option<Var>,
    /// The extent of the axis.
    pub extent: usize,
}

impl Nest {
    /// The nest of a kernel.
    pub fn new(kernel: &Kernel) -> Nest {
        let mut nest = Nest {
            buffers: kernel.buffers.clone(),
            extents: kernel.axes.iter().map(|axis| axis.extent).collect(),
            vars: kernel.vars.clone(),
            winograd: kernel.winograd,
            body: Vec::new(),
        };
        let body = kernel.body.iter().flat_map(|stmt| nest.node(stmt)).collect();
        nest.body = hoist(body);
        nest
    }

    /// The extent of an axis.
    pub fn extent(&self, axis: AxisId) -> usize {
        self.extents[axis.0 as usize]
    }

    /// The dtype of a variable.
    pub fn dtype(&self, var: Var) -> DType {
        self.vars[var.0 as usize]
    }

    /// The dtype of what is in memory at a place.
    pub fn element(&self, place: &Place) -> DType {
        self.buffer(place.buffer)
    }

    /// The dtype of a buffer's elements.
    pub fn buffer(&self, buffer: BufferId) -> DType {
        self.buffers[buffer.0 as usize].ty.dtype
    }

    fn loops(&self, axes: &[AxisId]) -> SmallVec<[AxisId; 4]> {
        axes.iter().copied().filter(|&axis| self.extent(axis) != 1).collect()
    }

    fn is_empty(&self, axes: &[AxisId]) -> bool {
        axes.iter().any(|&axis| self.extent(axis) == 0)
    }

    fn block(&self, stmts: &[Stmt]) -> Vec<Node> {
        stmts.iter().flat_map(|stmt| self.node(stmt)).collect()
    }

    fn node(&self, stmt: &Stmt) -> Vec<Node> {
        match stmt {
            Stmt::For { axes, .. } if self.is_empty(axes) => vec![],
            Stmt::For { axes, sequential, body } => {
                vec![Node::For { axes: self.loops(axes), sequential: *sequential, body: self.block(body) }]
            }
            Stmt::Reduce { axes, accumulators, .. } if self.is_empty(axes) => {
                let identity = |accumulator: &Accumulator| Node::Let {
                    var: accumulator.result,
                    value: Compute::Constant(accumulator.op.identity(self.dtype(accumulator.result))),
                };
                accumulators.iter().map(identity).collect()
            }
            Stmt::Reduce { axes, accumulators, body } => vec![Node::Reduce {
                axes: self.loops(axes),
                accumulators: accumulators.clone(),
                body: self.block(body),
            }],
            Stmt::Let { var, inst } => vec![Node::Let { var: *var, value: self.compute(inst) }],
            Stmt::Store { value, buffer, indices, mode } => {
                let is_checked = *mode == StoreMode::Add;
                vec![Node::Store {
                    value: *value,
                    place: self.place(*buffer, indices, is_checked),
                    mode: *mode,
                }]
            }
        }
    }

    fn compute(&self, inst: &Inst) -> Compute {
        match inst {
            Inst::Constant(value) => Compute::Constant(*value),
            Inst::Axis(axis) => Compute::Index(self.affine(&Affine::axis(*axis))),
            Inst::Load { buffer, indices, fill } => {
                Compute::Load { place: self.place(*buffer, indices, fill.is_some()), fill: *fill }
            }
            Inst::Apply { function, operands } => {
                Compute::Apply { function: *function, operands: operands.clone() }
            }
        }
    }

    /// An affine function without the axes of extent 1, which are 0.
    fn affine(&self, affine: &Affine) -> Affine {
        affine
            .substitute(|axis| if self.extent(axis) == 1 { Affine::constant(0) } else { Affine::axis(axis) })
    }

    /// Folds indices into an offset; bounds that always hold are left out.
    fn place(&self, buffer: BufferId, indices: &[ir::Index], is_checked: bool) -> Place {
        let shape = &self.buffers[buffer.0 as usize].ty.shape;
        let mut place =
            Place { buffer, offset: Affine::constant(0), picks: SmallVec::new(), bounds: SmallVec::new() };
        for ((index, &stride), &extent) in indices.iter().zip(&shape.strides()).zip(shape.iter()) {
            let affine = self.affine(&index.affine);
            let (low, high) = affine.range(|axis| self.extent(axis));
            let is_inside = index.var.is_none() && low >= 0 && high < extent as i64;
            if is_checked && !is_inside {
                place.bounds.push(Bound { index: affine.clone(), pick: index.var, extent });
            }
            place.offset = place.offset.plus(&affine.times(stride as i64));
            place.picks.extend(index.var.map(|var| (var, stride as i64)));
        }
        place
    }

    /// Calls `visit` for each access to memory, with whether it writes.
    pub fn accesses<'a>(nodes: &'a [Node], visit: &mut dyn FnMut(&'a Place, bool)) {
        for node in nodes {
            match node {
                Node::For { body, .. } | Node::Reduce { body, .. } => Nest::accesses(body, visit),
                Node::Let { value: Compute::Load { place, .. }, .. } => visit(place, false),
                Node::Let { .. } => {}
                Node::Store { place, .. } => visit(place, true),
            }
        }
    }

    /// Calls `visit` for each `Let` of an index.
    pub fn indices<'a>(nodes: &'a [Node], visit: &mut dyn FnMut(&'a Affine)) {
        for node in nodes {
            match node {
                Node::For { body, .. } | Node::Reduce { body, .. } => Nest::indices(body, visit),
                Node::Let { value: Compute::Index(affine), .. } => visit(affine),
                Node::Let { .. } | Node::Store { .. } => {}
            }
        }
    }

    /// Calls `visit` for each variable that statements read.
    pub fn uses(nodes: &[Node], visit: &mut dyn FnMut(Var)) {
        fn picks(place: &Place, visit: &mut dyn FnMut(Var)) {
            place.picks.iter().for_each(|&(pick, _)| visit(pick));
            place.bounds.iter().filter_map(|bound| bound.pick).for_each(&mut *visit);
        }
        for node in nodes {
            match node {
                Node::For { body, .. } => Nest::uses(body, visit),
                Node::Reduce { body, accumulators, .. } => {
                    Nest::uses(body, visit);
                    accumulators.iter().for_each(|accumulator| visit(accumulator.value));
                }
                Node::Let { value: Compute::Load { place, .. }, .. } => picks(place, visit),
                Node::Let { value: Compute::Apply { operands, .. }, .. } => {
                    operands.iter().copied().for_each(&mut *visit);
                }
                Node::Let { .. } => {}
                Node::Store { value, place, .. } => {
                    visit(*value);
                    picks(place, visit);
                }
            }
        }
    }

    /// Merges neighbouring axes of a loop into one wherever every access steps through both as through one.
    pub fn collapse(&mut self) {
        let mut body = std::mem::take(&mut self.body);
        for node in &mut body {
            if let Node::For { axes, body, sequential: false } = node {
                self.merge_axes(axes, body);
                for node in body {
                    if let Node::Reduce { axes, body, .. } | Node::For { axes, body, sequential: false } =
                        node
                    {
                        self.merge_axes(axes, body);
                    }
                }
            }
        }
        self.body = body;
    }

    fn merge_axes(&mut self, axes: &mut SmallVec<[AxisId; 4]>, body: &mut [Node]) {
        let mut at = axes.len();
        while at >= 2 {
            at -= 1;
            if self.is_one_loop(body, axes[at - 1], axes[at]) {
                let (outer, inner) = (axes[at - 1], axes[at]);
                self.extents[inner.0 as usize] *= self.extents[outer.0 as usize];
                drop_axis(body, outer);
                axes.remove(at - 1);
            }
        }
    }

    fn is_one_loop(&self, body: &[Node], outer: AxisId, inner: AxisId) -> bool {
        let extent = self.extent(inner) as i64;
        let uses = |affine: &Affine| affine.coefficient(outer) != 0 || affine.coefficient(inner) != 0;
        let mut fits = true;
        Nest::accesses(body, &mut |place, _| {
            let is_step = place.offset.coefficient(outer) == extent * place.offset.coefficient(inner);
            fits &= is_step && !place.bounds.iter().any(|bound| uses(&bound.index));
        });
        Nest::indices(body, &mut |affine| fits &= !uses(affine));
        fits
    }
}

impl Node {
    /// The variables that the statement defines for those after it.
    pub fn defines(&self) -> SmallVec<[Var; 1]> {
        match self {
            Node::Let { var, .. } => smallvec![*var],
            Node::Reduce { accumulators, .. } => {
                accumulators.iter().map(|accumulator| accumulator.result).collect()
            }
            Node::For { .. } | Node::Store { .. } => SmallVec::new(),
        }
    }
}

/// Statements with other functions in the place of axes that no loop in them is over.
pub fn moved(nodes: &[Node], value: &dyn Fn(AxisId) -> Affine) -> Vec<Node> {
    let mut nodes = nodes.to_vec();
    substitute(&mut nodes, value);
    nodes
}

/// Removes an axis whose steps another has taken over.
fn drop_axis(nodes: &mut [Node], gone: AxisId) {
    substitute(nodes, &|axis| if axis == gone { Affine::constant(0) } else { Affine::axis(axis) });
}

fn substitute(nodes: &mut [Node], value: &dyn Fn(AxisId) -> Affine) {
    for node in nodes {
        match node {
            Node::For { body, .. } | Node::Reduce { body, .. } => substitute(body, value),
            Node::Let { value: Compute::Load { place, .. }, .. } | Node::Store { place, .. } => {
                place.offset = place.offset.substitute(value);
                for bound in &mut place.bounds {
                    bound.index = bound.index.substitute(value);
                }
            }
            Node::Let { value: Compute::Index(affine), .. } => *affine = affine.substitute(value),
            Node::Let { .. } => {}
        }
    }
}

/// Moves what does not change in a loop out of it: constants, loads of parameters that are only read, and functions
/// of such.
fn hoist(nodes: Vec<Node>) -> Vec<Node> {
    let mut result = Vec::new();
    for node in nodes {
        match node {
            Node::For { axes, sequential, body } => {
                let (before, body) = split(hoist(body), &axes);
                result.extend(before);
                result.push(Node::For { axes, sequential, body });
            }
            Node::Reduce { axes, accumulators, body } => {
                let (before, body) = split(hoist(body), &axes);
                result.extend(before);
                result.push(Node::Reduce { axes, accumulators, body });
            }
            other => result.push(other),
        }
    }
    result
}

/// The statements of a loop body that can run before the loop, and the others.
fn split(body: Vec<Node>, axes: &[AxisId]) -> (Vec<Node>, Vec<Node>) {
    let mut inside: BTreeSet<Var> = BTreeSet::new();
    let written = written(&body);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for node in body {
        match &node {
            Node::Let { var, value } => {
                let moves = match value {
                    Compute::Constant(_) => true,
                    Compute::Index(affine) => !uses_any(affine, axes),
                    Compute::Load { place, .. } => {
                        let picks = place.picks.iter().any(|(pick, _)| inside.contains(pick));
                        !picks
                            && !uses_any(&place.offset, axes)
                            && !written.contains(&place.buffer)
                            && !place.bounds.iter().any(|bound| uses_any(&bound.index, axes))
                    }
                    Compute::Apply { operands, .. } => {
                        !operands.iter().any(|operand| inside.contains(operand))
                    }
                };
                if moves {
                    before.push(node);
                } else {
                    inside.insert(*var);
                    after.push(node);
                }
            }
            Node::Reduce { accumulators, .. } => {
                inside.extend(accumulators.iter().map(|accumulator| accumulator.result));
                after.push(node);
            }
            Node::For { .. } | Node::Store { .. } => after.push(node),
        }
    }
    (before, after)
}

fn written(nodes: &[Node]) -> BTreeSet<BufferId> {
    let mut written = BTreeSet::new();
    Nest::accesses(nodes, &mut |place, is_store| {
        if is_store {
            written.insert(place.buffer);
        }
    });
    written
}

fn uses_any(affine: &Affine, axes: &[AxisId]) -> bool {
    axes.iter().any(|&axis| affine.coefficient(axis) != 0)
}

/// Whether a buffer is memory of the kernel's own.
pub fn is_local(buffer: &Buffer) -> bool {
    buffer.access == Access::Local
}
