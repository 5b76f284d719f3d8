//! What each node is to fusion.

use ir::{Contraction, Graph, Lowering, Node, NodeId, Value, View};
use smallvec::{SmallVec, smallvec};

use crate::access::{Access, as_view, compose, lowering, resolve, work};
use crate::transpose_left::is_read_from_memory;

/// What a node is to fusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Memory that is there before the first kernel: an input, a state or a constant.
    Source,
    /// Costs next to nothing inside of a kernel: a view, a constant of one value, an iota, a little arithmetic on what
    /// is in memory anyway. Every group has its own copy.
    Free,
    /// A reshape: another name for the memory of its operand.
    Alias,
    /// An op with a kernel of its own.
    Opaque,
    /// Computed in a group.
    Member,
}

/// The role of each node, and which nodes must have memory whatever the groups are.
pub struct Roles {
    roles: Vec<Role>,
    pinned: Vec<bool>,
    /// Whether a gather indexes the node, which then must have memory of just its shape.
    indexed: Vec<bool>,
    /// Whether a contraction reads the node, which then has memory.
    contracted: Vec<bool>,
    /// Whether a reduction reads the node, and it is a contraction: these are never in one group.
    reduced: Vec<bool>,
    /// The work of each node itself, per element.
    own_work: Vec<usize>,
    /// The work of computing a free node from what is in memory, per element; 0 of nodes that are not free.
    free_work: Vec<usize>,
    /// How many free nodes lie one below the other, the node itself included; 0 of nodes that are not free.
    free_depth: Vec<usize>,
}

/// A free node is at most this much work.
pub const MOST_FREE_WORK: usize = 4;

/// At most so many free nodes lie one below the other: every group that reads the last has a copy of all of them.
const MOST_FREE_DEPTH: usize = 16;

/// Values of so many times fewer elements than what is computed from them cost nothing to load.
pub const SMALL: usize = 16;

impl Roles {
    /// Decides the roles. Without `merge`, nothing is free.
    pub fn new(graph: &Graph, merge: bool) -> Roles {
        let mut roles = Roles {
            roles: Vec::with_capacity(graph.len()),
            pinned: pinned(graph),
            indexed: indexed(graph),
            contracted: contracted(graph),
            reduced: reduced(graph),
            own_work: graph.nodes().map(|(_, node)| work(graph, node)).collect(),
            free_work: Vec::with_capacity(graph.len()),
            free_depth: Vec::with_capacity(graph.len()),
        };
        for (id, node) in graph.nodes() {
            let below = node.operands.iter().map(|operand| roles.free_work[operand.node.0 as usize]);
            let total = below.sum::<usize>() + roles.own_work(id);
            let deepest = node.operands.iter().map(|operand| roles.free_depth[operand.node.0 as usize]).max();
            let depth = 1 + deepest.unwrap_or(0);
            let role = roles.role_of(graph, id, node, merge && depth <= MOST_FREE_DEPTH, total);
            let is_free = role == Role::Free;
            roles.roles.push(role);
            roles.free_work.push(if is_free { total } else { 0 });
            roles.free_depth.push(if is_free { depth } else { 0 });
            if role == Role::Alias {
                roles.store(graph, node.operands[0].node);
            }
            if merge {
                for (views, &operand) in views_of(graph, node).iter().zip(&node.operands) {
                    roles.keep_bounds(graph, operand, views);
                    roles.keep_padding(graph, node, operand);
                }
            }
        }
        roles
    }

    /// The role of a node.
    pub fn of(&self, id: NodeId) -> Role {
        self.roles[id.0 as usize]
    }

    /// Whether the results of a node must be in memory: outputs, updates, operands of ops with their own kernel.
    pub fn is_pinned(&self, id: NodeId) -> bool {
        self.pinned[id.0 as usize]
    }

    /// Follows free views from an operand to what a kernel loads or computes.
    pub fn resolve(&self, graph: &Graph, value: Value) -> Access {
        resolve(graph, value, |base| self.of(base.node) != Role::Free)
    }

    fn role_of(&self, graph: &Graph, id: NodeId, node: &Node, merge: bool, work: usize) -> Role {
        let is_view = as_view(graph, node, 0).is_some();
        let may_be_free = merge && !self.indexed[id.0 as usize];
        match lowering(graph, node) {
            Lowering::Leaf if may_be_free && is_splat(node) => Role::Free,
            Lowering::Leaf => Role::Source,
            Lowering::Alias if may_be_free && is_view => Role::Free,
            Lowering::Alias => Role::Alias,
            Lowering::View(_) | Lowering::Iota { .. } if may_be_free && !self.is_pinned(id) => Role::Free,
            Lowering::Apply(_)
                if may_be_free && !self.is_pinned(id) && self.is_light(graph, id, node, work) =>
            {
                Role::Free
            }
            Lowering::Kernel(_) | Lowering::Scan => Role::Opaque,
            Lowering::Expand(_) | Lowering::Fused => {
                panic!("pass fuse: `{}` does not belong in a canonical graph:\n{graph}", node.op.name())
            }
            _ => Role::Member,
        }
    }

    /// Whether the results of a node are in memory whatever the groups are.
    pub fn is_stored(&self, id: NodeId) -> bool {
        let at = id.0 as usize;
        self.pinned[at] || self.contracted[at] || self.reduced[at]
    }

    /// Whether a contraction or a gather reads a node, so that it is no part of what they compute.
    pub fn is_operand(&self, id: NodeId) -> bool {
        self.contracted[id.0 as usize] || self.indexed[id.0 as usize]
    }

    /// The work of a node itself, per element.
    pub fn own_work(&self, id: NodeId) -> usize {
        self.own_work[id.0 as usize]
    }

    /// The work of computing a free node from what is in memory, per element; 0 of nodes that are not free.
    pub fn free_work(&self, id: NodeId) -> usize {
        self.free_work[id.0 as usize]
    }

    /// Makes a member free that is `work` from what is in memory.
    pub fn set_free(&mut self, id: NodeId, work: usize) {
        self.roles[id.0 as usize] = Role::Free;
        self.free_work[id.0 as usize] = work;
    }

    /// Whether a pointwise node is little work on what is in memory anyway, or small.
    fn is_light(&self, graph: &Graph, id: NodeId, node: &Node, work: usize) -> bool {
        let elements = |value: Value| graph.ty(value).shape.elements();
        let result = elements(Value::new(id, 0));
        let in_memory = |operand: &Value| {
            let base = self.resolve(graph, *operand).base;
            matches!(self.of(base.node), Role::Source | Role::Free)
                || self.is_stored(base.node)
                || elements(base) * SMALL <= result
        };
        work <= MOST_FREE_WORK && !self.contracted[id.0 as usize] && node.operands.iter().all(in_memory)
    }

    /// Where the bounds of an operand that is read through these views would be lost, it has memory of just its shape.
    fn keep_bounds(&mut self, graph: &Graph, operand: Value, views: &[View]) {
        let below = self.resolve(graph, operand);
        let (base, between) = (&graph.ty(below.base).shape, &graph.ty(operand).shape);
        if views.iter().any(|view| compose(&below.view, view, base, between).is_none()) {
            self.store(graph, operand.node);
        } else if views.iter().any(|view| view.fill.is_some()) {
            self.store(graph, below.base.node);
        }
    }

    /// What a contraction reads beyond the bounds of a value that is padded, it has as memory: its own bounds are those that
    /// it runs by.
    fn keep_padding(&mut self, graph: &Graph, node: &Node, operand: Value) {
        let is_padded = |view: View| view.fill.is_some();
        let by = graph.node(operand.node);
        let is_read = matches!(lowering(graph, node), Lowering::Contract(_));
        if is_read && as_view(graph, by, operand.result).is_some_and(is_padded) {
            self.store(graph, operand.node);
        }
    }

    /// Puts the results of a node that would be free into memory; those of a reshape are that of its operand.
    fn store(&mut self, graph: &Graph, mut id: NodeId) {
        loop {
            let at = id.0 as usize;
            self.pinned[at] = true;
            if self.of(id) != Role::Free {
                return;
            }
            (self.free_work[at], self.free_depth[at]) = (0, 0);
            let node = graph.node(id);
            match lowering(graph, node) {
                Lowering::Alias => {
                    self.roles[at] = Role::Alias;
                    id = node.operands[0].node;
                }
                Lowering::Leaf => return self.roles[at] = Role::Source,
                _ => return self.roles[at] = Role::Member,
            }
        }
    }
}

/// Through which views a node reads each of its operands, where it does so through others than the operands themselves.
fn views_of(graph: &Graph, node: &Node) -> SmallVec<[SmallVec<[View; 1]>; 2]> {
    match lowering(graph, node) {
        Lowering::Contract(Contraction { left, right, .. }) => smallvec![smallvec![left], smallvec![right]],
        Lowering::View(views) => smallvec![views],
        Lowering::Alias => as_view(graph, node, 0).into_iter().map(|view| smallvec![view]).collect(),
        _ => SmallVec::new(),
    }
}

/// Whether the node is a constant of one value.
pub fn is_splat(node: &Node) -> bool {
    matches!(&node.op, ir::Op::Constant(constant) if constant.tensor.splat_value().is_some())
}

/// The nodes whose results must be in memory.
fn pinned(graph: &Graph) -> Vec<bool> {
    let mut pinned = vec![false; graph.len()];
    for value in graph.roots() {
        pinned[value.node.0 as usize] = true;
    }
    for (id, node) in graph.nodes().rev() {
        let through = match lowering(graph, node) {
            Lowering::Kernel(_) | Lowering::Scan => true,
            Lowering::Alias => pinned[id.0 as usize] || as_view(graph, node, 0).is_none(),
            _ => false,
        };
        if is_read_from_memory(graph, node) {
            pinned[node.operands[0].node.0 as usize] = true;
        }
        if through {
            node.operands.iter().for_each(|operand| pinned[operand.node.0 as usize] = true);
        }
    }
    pinned
}

/// The nodes that a gather indexes.
fn indexed(graph: &Graph) -> Vec<bool> {
    let mut indexed = vec![false; graph.len()];
    for (_, node) in graph.nodes() {
        if let Lowering::Gather { .. } = lowering(graph, node) {
            indexed[node.operands[0].node.0 as usize] = true;
        }
    }
    indexed
}

/// The contractions that a reduction reads, through views or not.
fn reduced(graph: &Graph) -> Vec<bool> {
    let mut reduced = vec![false; graph.len()];
    // What each node is a view of, itself where it is none.
    let mut bases: Vec<NodeId> = Vec::with_capacity(graph.len());
    for (id, node) in graph.nodes() {
        let is_view = as_view(graph, node, 0).is_some();
        bases.push(if is_view { bases[node.operands[0].node.0 as usize] } else { id });
        if let Lowering::Reduce { .. } = lowering(graph, node) {
            let base = bases[node.operands[0].node.0 as usize];
            reduced[base.0 as usize] = matches!(lowering(graph, graph.node(base)), Lowering::Contract(_));
        }
    }
    reduced
}

/// The nodes that a contraction reads, through views or not.
fn contracted(graph: &Graph) -> Vec<bool> {
    let mut contracted = vec![false; graph.len()];
    for (id, node) in graph.nodes().rev() {
        let is_read = contracted[id.0 as usize] && as_view(graph, node, 0).is_some();
        if is_read || matches!(lowering(graph, node), Lowering::Contract(_)) {
            node.operands.iter().for_each(|operand| contracted[operand.node.0 as usize] = true);
        }
    }
    contracted
}
