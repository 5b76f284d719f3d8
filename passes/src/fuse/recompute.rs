//! What is computed again wherever it is used, instead of being stored once and loaded.
//!
//! A pointwise op often joins the group of its operand though nobody there wants its result: the mask of an activation,
//! factors of gradients. Where other groups can load what it is made of, because that is stored for others too or is small,
//! and it is little work, each of them has its own copy, and one store and its memory are saved.

use std::collections::BTreeSet;

use ir::{Lowering, NodeId, Value};

use super::grow::{GroupId, Groups, Users};
use super::roles::{MOST_FREE_WORK, Role, SMALL};
use crate::access::{lowering, work};

impl Groups<'_> {
    /// Makes the members free that are computed again where they are used.
    pub fn recompute(&mut self) {
        let users = self.users();
        for index in 0..self.all.len() {
            let free = self.recomputed(GroupId(index), &users);
            self.all[index].members.retain(|member| !free.contains(member));
            for &id in &free {
                self.home[id.0 as usize] = None;
                self.roles.set_free(id);
            }
        }
    }

    /// The members of a group that are free: the largest set of candidates that others than themselves do not use in the
    /// group, and whose operands can be loaded or are in the set.
    fn recomputed(&self, group: GroupId, users: &Users) -> BTreeSet<NodeId> {
        let members = &self.all[group.0].members;
        let mut free: BTreeSet<NodeId> =
            members.iter().copied().filter(|&id| self.is_recomputable(group, id, users)).collect();
        loop {
            let lost: Vec<NodeId> =
                free.iter().copied().filter(|&id| !self.stays_free(group, id, users, &free)).collect();
            if lost.is_empty() {
                return free;
            }
            lost.iter().for_each(|id| {
                free.remove(id);
            });
        }
    }

    /// Whether a member is pointwise over the whole domain, and nobody needs it in memory.
    fn is_recomputable(&self, group: GroupId, id: NodeId, users: &Users) -> bool {
        let node = self.graph.node(id);
        let is_whole = node.results[0].shape.elements() == self.all[group.0].domain.elements();
        let reads = users.get(&id).map(Vec::as_slice).unwrap_or_default();
        self.roles.of(id) == Role::Member
            && matches!(lowering(self.graph, node), Lowering::Apply(_))
            && is_whole
            && !self.roles.is_stored(id)
            && !self.roles.is_operand(id)
            && !reads.is_empty()
            && reads.iter().all(|(_, read)| read.access.view.fill.is_none())
    }

    fn stays_free(&self, group: GroupId, id: NodeId, users: &Users, free: &BTreeSet<NodeId>) -> bool {
        let is_here = |id: NodeId| self.home[id.0 as usize] == Some(group);
        let is_used_outside = users[&id].iter().all(|(user, _)| !is_here(*user) || free.contains(user));
        is_used_outside
            && self.work_of(id, free) <= MOST_FREE_WORK
            && self.reads(id).iter().all(|read| {
                let base = read.access.base;
                free.contains(&base.node) || !is_here(base.node) || self.is_loadable(group, id, base, users)
            })
    }

    /// Whether a member is stored for others than `id`, or small beside it.
    fn is_loadable(&self, group: GroupId, id: NodeId, base: Value, users: &Users) -> bool {
        let elements = |value: Value| self.graph.ty(value).shape.elements();
        let is_small = elements(base) * SMALL <= elements(Value { node: id, result: 0 });
        let is_elsewhere = |user: NodeId| self.home[user.0 as usize] != Some(group);
        is_small
            || self.roles.is_stored(base.node)
            || users[&base.node].iter().any(|(user, _)| is_elsewhere(*user))
    }

    /// The work of a member, with that of its operands in the set.
    fn work_of(&self, id: NodeId, free: &BTreeSet<NodeId>) -> usize {
        let below = self.reads(id).into_iter().map(|read| read.access.base.node);
        let below: usize =
            below.filter(|base| free.contains(base)).map(|base| self.work_of(base, free)).sum();
        work(self.graph, self.graph.node(id)) + below
    }
}
