//! Pass `fuse`: groups ops so that each group becomes one kernel.
//!
//! In: a canonical graph. Out: a graph of sources (inputs, states, constants), reshapes that move nothing, ops with a
//! kernel of their own, and `fused` nodes, each with a body, a kind and a loop domain. What a later pass needs to know
//! of a group is written in the node.
//!
//! 1. `roles`: which nodes are members of groups, and which are *free*: views, constants and iotas cost nothing
//!    inside of a kernel, so each group that wants one has its own.
//! 2. `grow`: members join the group of an operand where they run over the same domain, in order of depth.
//! 3. `recompute`: what only other groups use, and is little work on what they can load, is free after all.
//! 4. `absorb`: a group of pointwise ops whose results one other group alone uses becomes part of it.
//! 5. `write`: the groups in topological order, as `fused` nodes.
//!
//! What fits together: pointwise ops over one domain; reductions of one set of axes of it, pointwise ops on the
//! reduced rows, and what uses both (softmax, layer norm); pointwise ops over the result of a contraction; as long as that
//! is no more than a kernel should have (`size`).

mod grow;
mod recompute;
mod roles;
mod size;
mod write;

use ir::{Error, Graph};

use grow::Groups;
use roles::Roles;

/// Groups the nodes of a canonical graph. With `merge` false each node becomes a group of its own.
pub fn fuse(graph: &Graph, merge: bool) -> Result<Graph, Error> {
    let mut groups = Groups::grow(graph, Roles::new(graph, merge), merge);
    if merge {
        groups.recompute();
        groups.absorb();
    }
    write::write(graph, &groups)
}
