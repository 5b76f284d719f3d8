//! What each node is to fusion.

use ir::{Graph, Lowering, Node, NodeId, Value};

use crate::access::{Access, as_view, compose, lowering, resolve};

/// What a node is to fusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Memory that is there before the first kernel: an input, a state or a constant.
    Source,
    /// Costs nothing inside of a kernel: a view, a constant of one value, an iota. Every group has its own copy.
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
}

impl Roles {
    /// Decides the roles. Without `merge`, nothing is free.
    pub fn new(graph: &Graph, merge: bool) -> Roles {
        let mut roles = Roles {
            roles: Vec::with_capacity(graph.len()),
            pinned: pinned(graph),
            indexed: indexed(graph),
        };
        for (id, node) in graph.nodes() {
            let role = roles.role_of(graph, id, node, merge);
            roles.roles.push(role);
            let blocked = role == Role::Free && !node.operands.is_empty() && !roles.composes(graph, node);
            if blocked {
                // The bounds of the operand must be kept, so it is computed to memory.
                roles.roles[node.operands[0].node.0 as usize] = Role::Member;
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

    fn role_of(&self, graph: &Graph, id: NodeId, node: &Node, merge: bool) -> Role {
        let is_view = as_view(graph, node, 0).is_some();
        let may_be_free = merge && !self.indexed[id.0 as usize];
        match lowering(graph, node) {
            Lowering::Leaf if may_be_free && is_splat(node) => Role::Free,
            Lowering::Leaf => Role::Source,
            Lowering::Alias if may_be_free && is_view => Role::Free,
            Lowering::Alias => Role::Alias,
            Lowering::View(_) | Lowering::Iota { .. } if may_be_free && !self.is_pinned(id) => Role::Free,
            Lowering::Kernel(_) => Role::Opaque,
            Lowering::Expand(_) | Lowering::Fused => {
                panic!("pass fuse: `{}` does not belong in a canonical graph:\n{graph}", node.op.name())
            }
            _ => Role::Member,
        }
    }

    /// Whether a free view and the views below it are one view.
    fn composes(&self, graph: &Graph, node: &Node) -> bool {
        let below = self.resolve(graph, node.operands[0]).view;
        (0..node.results.len() as u32)
            .all(|result| as_view(graph, node, result).is_some_and(|view| compose(&below, &view).is_some()))
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
            Lowering::Kernel(_) => true,
            Lowering::Alias => pinned[id.0 as usize] || as_view(graph, node, 0).is_none(),
            _ => false,
        };
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
