//! What is computed again wherever it is used, instead of being stored once and loaded.
//!
//! A pointwise op often joins the group of its operand though nobody there wants its result: the mask of an activation,
//! factors of gradients. Where other groups can load what it is made of, because that is stored for others too or is small,
//! and it is little work, each of them has its own copy, and one store and its memory are saved.

use std::collections::{BTreeMap, BTreeSet};

use ir::{Lowering, NodeId, Value};

use super::grow::{GroupId, Groups, Users};
use super::roles::{MOST_FREE_WORK, Role, SMALL};
use crate::access::lowering;

/// At most this is the work of what is computed again, that of free nodes of other groups included.
const MOST_TOTAL_WORK: usize = 16;

/// The work of computing a member again, per element: from what other groups compute, and from what is in memory.
#[derive(Clone, Copy)]
struct Work {
    here: usize,
    total: usize,
}

impl Groups<'_> {
    /// Makes the members free that are computed again where they are used.
    pub fn recompute(&mut self) {
        let users = self.users();
        for index in 0..self.all.len() {
            let candidates = self.candidates(GroupId(index), &users);
            let free = self.recomputed(GroupId(index), &users, &candidates);
            self.all[index].members.retain(|member| !free.contains(member));
            for id in free {
                self.home[id.0 as usize] = None;
                self.roles.set_free(id, candidates[&id]);
            }
        }
    }

    /// The members of a group that could be free, with the work of each from what is in memory, once per use.
    fn candidates(&self, group: GroupId, users: &Users) -> BTreeMap<NodeId, usize> {
        let mut works: BTreeMap<NodeId, Work> = BTreeMap::new();
        let members = &self.all[group.0].members; // each after those that it reads
        for &id in members.iter().filter(|&&id| self.is_recomputable(group, id, users)) {
            let own = self.roles.own_work(id);
            let mut work = Work { here: own, total: own };
            for &operand in &self.graph.node(id).operands {
                let base = self.roles.resolve(self.graph, operand).base.node;
                let free = || Work { here: 0, total: self.roles.free_work(base) };
                let below = works.get(&base).copied().unwrap_or_else(free);
                work.here = work.here.saturating_add(below.here);
                work.total = work.total.saturating_add(below.total);
            }
            works.insert(id, work);
        }
        let is_little = |work: &Work| work.here <= MOST_FREE_WORK && work.total <= MOST_TOTAL_WORK;
        works.into_iter().filter(|(_, work)| is_little(work)).map(|(id, work)| (id, work.total)).collect()
    }

    /// The members of a group that are free: the largest set of candidates that others than themselves do not use in the
    /// group, and whose operands can be loaded or are in the set.
    fn recomputed(
        &self,
        group: GroupId,
        users: &Users,
        candidates: &BTreeMap<NodeId, usize>,
    ) -> BTreeSet<NodeId> {
        let mut free: BTreeSet<NodeId> = candidates.keys().copied().collect();
        let mut unchecked: Vec<NodeId> = candidates.keys().copied().collect();
        while let Some(id) = unchecked.pop() {
            if !free.contains(&id) || self.stays_free(group, id, users, &free) {
                continue;
            }
            free.remove(&id);
            // What depends on its being free: what it reads, and what reads it.
            unchecked.extend(self.reads(id).iter().map(|read| read.access.base.node));
            unchecked.extend(users[&id].iter().map(|(user, _)| *user));
        }
        free
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
            && self.reads(id).iter().all(|read| {
                let base = read.access.base;
                free.contains(&base.node) || !is_here(base.node) || self.is_loadable(group, id, base, users)
            })
    }

    /// Whether a member is stored for others than `id`, or small beside it.
    fn is_loadable(&self, group: GroupId, id: NodeId, base: Value, users: &Users) -> bool {
        let elements = |value: Value| self.graph.ty(value).shape.elements();
        let is_small = elements(base) * SMALL <= elements(Value::new(id, 0));
        let is_elsewhere = |user: NodeId| self.home[user.0 as usize] != Some(group);
        is_small
            || self.roles.is_stored(base.node)
            || users[&base.node].iter().any(|(user, _)| is_elsewhere(*user))
    }
}
