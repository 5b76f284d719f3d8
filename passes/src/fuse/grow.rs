//! Growing groups: which members run in one kernel.

use std::collections::{BTreeMap, BTreeSet};

use ir::ops::FusedKind;
use ir::{Graph, Lowering, NodeId, Shape, Value};
use smallvec::SmallVec;

use super::roles::{Role, Roles};
use super::size::Size;
use crate::access::{Access, AxisMap, align, compose, is_aligned, lowering, resolve};
use crate::order::Order;

/// An index into [`Groups::all`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub usize);

/// Nodes that run together.
#[derive(Clone, Debug)]
pub struct Group {
    /// What it runs as; `None` for a single reshape or op with its own kernel.
    pub kind: Option<FusedKind>,
    /// The shape it loops over.
    pub domain: Shape,
    /// The axes of the domain that its reductions reduce.
    pub reduced: SmallVec<[usize; 4]>,
    /// Its nodes; none once another group has absorbed it.
    pub members: Vec<NodeId>,
    /// How much is in it.
    size: Size,
}

/// All groups of a graph.
pub struct Groups<'a> {
    pub(super) graph: &'a Graph,
    /// What each node is.
    pub roles: Roles,
    /// The groups.
    pub all: Vec<Group>,
    /// The group of each node that has one.
    pub(super) home: Vec<Option<GroupId>>,
    /// The axes of its group's domain along which each member runs.
    maps: BTreeMap<NodeId, AxisMap>,
    /// How many reductions of its group each member waits for, one after the other, itself included.
    stages: Vec<usize>,
    /// An order in which the groups can run.
    order: Order,
}

/// Something that a node reads.
#[derive(Clone, Debug)]
pub struct Read {
    /// The operand through which it is read.
    position: usize,
    /// What is read, by the axes of that operand.
    pub access: Access,
}

/// How a node would run in a group.
struct Fit {
    map: AxisMap,
    reduced: SmallVec<[usize; 4]>,
}

impl<'a> Groups<'a> {
    /// Puts each member into a group; with `merge`, into that of an operand where it fits.
    pub fn grow(graph: &'a Graph, roles: Roles, merge: bool) -> Groups<'a> {
        let mut groups = Groups {
            graph,
            roles,
            all: Vec::new(),
            home: vec![None; graph.len()],
            maps: BTreeMap::new(),
            stages: vec![0; graph.len()],
            order: Order::default(),
        };
        let depths = depths(graph);
        let mut order: Vec<NodeId> = graph.ids().collect();
        order.sort_by_key(|id| depths[id.0 as usize]);
        for id in order {
            match groups.roles.of(id) {
                Role::Source => {}
                Role::Free if !(groups.roles.is_pinned(id) && is_alias(graph, id)) => {}
                Role::Free | Role::Alias | Role::Opaque => groups.start(id, None),
                Role::Member => {
                    let joined = merge && groups.join(id);
                    if !joined {
                        groups.start_kernel(id);
                    }
                }
            }
        }
        groups
    }

    /// The group that computes a value; `None` for sources and what is free.
    pub fn home(&self, value: Value) -> Option<GroupId> {
        self.home[value.node.0 as usize]
    }

    /// What a node reads of memory and of members, with free nodes followed.
    pub fn reads(&self, id: NodeId) -> SmallVec<[Read; 3]> {
        let mut reads = SmallVec::new();
        for (position, &operand) in self.graph.node(id).operands.iter().enumerate() {
            let access = match self.roles.of(id) {
                Role::Member => self.roles.resolve(self.graph, operand),
                _ => resolve(self.graph, operand, |_| true),
            };
            self.follow(position, access, &mut reads);
        }
        reads
    }

    /// Follows free arithmetic to its operands.
    fn follow(&self, position: usize, access: Access, reads: &mut SmallVec<[Read; 3]>) {
        let node = self.graph.node(access.base.node);
        let is_free = self.roles.of(access.base.node) == Role::Free && self.home(access.base).is_none();
        if !is_free || node.operands.is_empty() {
            return reads.push(Read { position, access });
        }
        for &operand in &node.operands {
            let below = self.roles.resolve(self.graph, operand);
            let view = compose(
                &below.view,
                &access.view,
                &self.graph.ty(below.base).shape,
                &self.graph.ty(operand).shape,
            )
            .expect("what is padded is in memory");
            self.follow(position, Access { base: below.base, view }, reads);
        }
    }

    /// Makes a group of one node.
    fn start(&mut self, id: NodeId, kind: Option<FusedKind>) {
        let group = GroupId(self.order.push());
        let needs: BTreeSet<usize> =
            self.reads(id).iter().filter_map(|read| Some(self.home(read.access.base)?.0)).collect();
        let needs: Vec<usize> = needs.into_iter().collect();
        assert!(self.order.run_before(&needs, group.0), "pass fuse: nothing depends on a new group");
        let domain = self.graph.node(id).results[0].shape.clone();
        let size = Size::default();
        self.all.push(Group { kind, domain, reduced: SmallVec::new(), members: vec![id], size });
        self.home[id.0 as usize] = Some(group);
    }

    fn start_kernel(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        let (kind, domain, reduced) = match lowering(self.graph, node) {
            Lowering::Contract(_) => (FusedKind::Contraction, node.results[0].shape.clone(), SmallVec::new()),
            Lowering::Reduce { axes, .. } => {
                (FusedKind::Rows, self.graph.ty(node.operands[0]).shape.clone(), axes)
            }
            _ => (FusedKind::Map, node.results[0].shape.clone(), SmallVec::new()),
        };
        self.start(id, Some(kind));
        let size = self.size_of(id, &self.reads(id), None);
        let group = self.all.last_mut().expect("a group was just started");
        group.domain = domain;
        group.size = size;
        self.stages[id.0 as usize] = group.size.stages;
        group.reduced = reduced.into_iter().filter(|&axis| group.domain[axis] != 1).collect();
        let map = self.own_map(id, GroupId(self.all.len() - 1));
        self.maps.insert(id, map);
    }

    /// The axes along which the node that started a group runs.
    fn own_map(&self, id: NodeId, group: GroupId) -> AxisMap {
        let group = &self.all[group.0];
        let kept: Vec<usize> =
            (0..group.domain.rank()).filter(|axis| !group.reduced.contains(axis)).collect();
        align(&self.graph.node(id).results[0].shape, &group.domain, &kept)
            .expect("a result runs along the kept axes of its own domain")
    }

    /// Adds a member to the group of one of its operands, where one takes it: the largest that does.
    fn join(&mut self, id: NodeId) -> bool {
        let reads = self.reads(id);
        let homes: BTreeSet<GroupId> = reads.iter().filter_map(|read| self.home(read.access.base)).collect();
        let mut candidates: Vec<GroupId> = homes.iter().copied().collect();
        candidates.sort_by_key(|home| std::cmp::Reverse((self.all[home.0].members.len(), *home)));
        for candidate in candidates {
            let Some(fit) = self.fit(candidate, id, &reads) else { continue };
            let own = self.size_of(id, &reads, Some(candidate));
            let size = self.all[candidate.0].size.with(&own);
            if !size.is_within_limits() {
                continue;
            }
            let others: Vec<usize> =
                homes.iter().filter(|&&home| home != candidate).map(|home| home.0).collect();
            if !self.order.run_before(&others, candidate.0) {
                continue;
            }
            let group = &mut self.all[candidate.0];
            group.members.push(id);
            group.size = size;
            self.stages[id.0 as usize] = own.stages;
            if !fit.reduced.is_empty() {
                group.kind = Some(FusedKind::Rows);
                group.reduced = fit.reduced;
            }
            self.home[id.0 as usize] = Some(candidate);
            self.maps.insert(id, fit.map);
            return true;
        }
        false
    }

    /// How much a node would add to a group.
    fn size_of(&self, id: NodeId, reads: &[Read], group: Option<GroupId>) -> Size {
        let is_here = |value: Value| group.is_some() && self.home(value) == group;
        let bases = || reads.iter().map(|read| read.access.base);
        let waits = bases().filter(|&base| is_here(base)).map(|base| self.stages[base.node.0 as usize]).max();
        let is_reduction = matches!(lowering(self.graph, self.graph.node(id)), Lowering::Reduce { .. });
        Size {
            work: 1 + self.roles.own_work(id),
            operands: bases().filter(|&base| !is_here(base)).collect(),
            stages: waits.unwrap_or(0) + usize::from(is_reduction),
        }
    }

    /// Whether a node can run in a group, reading the members it uses where they are computed.
    fn fit(&self, group_id: GroupId, id: NodeId, reads: &[Read]) -> Option<Fit> {
        let group = &self.all[group_id.0];
        let kind = group.kind?;
        let node = self.graph.node(id);
        let all: Vec<usize> = (0..group.domain.rank()).collect();
        let kept: Vec<usize> = all.iter().copied().filter(|axis| !group.reduced.contains(axis)).collect();
        let fits = |map: &AxisMap| self.reads_in_place(group_id, id, reads, map);
        if let Lowering::Reduce { axes, .. } = lowering(self.graph, node) {
            let operand = align(&self.graph.ty(node.operands[0]).shape, &group.domain, &all)?;
            let reduced: SmallVec<[usize; 4]> = axes.iter().filter_map(|&axis| operand[axis]).collect();
            let agrees = group.reduced.is_empty() || group.reduced == reduced;
            let map: AxisMap =
                (0..operand.len()).filter(|axis| !axes.contains(axis)).map(|axis| operand[axis]).collect();
            let fine = kind != FusedKind::Contraction && !reduced.is_empty() && agrees && fits(&map);
            return fine.then_some(Fit { map, reduced });
        }
        let shape = &node.results[0].shape;
        let maps = [align(shape, &group.domain, &all), align(shape, &group.domain, &kept)];
        let map = maps.into_iter().flatten().find(fits)?;
        Some(Fit { map, reduced: SmallVec::new() })
    }

    /// Whether a node that runs along `map` in a group reads every member of the group in the iteration that
    /// computes it.
    fn reads_in_place(&self, group: GroupId, id: NodeId, reads: &[Read], map: &AxisMap) -> bool {
        reads.iter().filter(|read| self.home(read.access.base) == Some(group)).all(|read| {
            let user = self.operand_map(group, id, read.position, map);
            let base = &self.maps[&read.access.base.node];
            user.is_some_and(|user| is_aligned(&read.access.view, base, &user))
        })
    }

    /// The axes of a group's domain along which a node that runs along `map` reads an operand; `None` where it reads
    /// it in another order.
    fn operand_map(&self, group: GroupId, id: NodeId, position: usize, map: &AxisMap) -> Option<AxisMap> {
        let node = self.graph.node(id);
        match lowering(self.graph, node) {
            Lowering::Apply(_) => Some(map.clone()),
            Lowering::Reduce { .. } => {
                let domain = &self.all[group.0].domain;
                let all: Vec<usize> = (0..domain.rank()).collect();
                align(&self.graph.ty(node.operands[0]).shape, domain, &all)
            }
            Lowering::Gather { axis } if position == 1 => {
                let rank = self.graph.ty(node.operands[1]).shape.rank();
                Some(AxisMap::from_slice(&map[axis..axis + rank]))
            }
            _ => None,
        }
    }

    /// The groups that have members, in an order in which they can run. What a group has absorbed ran before it, and for
    /// it alone.
    pub fn ordered(&self) -> impl Iterator<Item = &Group> {
        self.order.iter().map(|index| &self.all[index]).filter(|group| !group.members.is_empty())
    }

    /// Merges each group that only one other group uses into that one, where it can run there: pointwise ops anywhere,
    /// reductions where the same axes of the same domain are reduced.
    pub fn absorb(&mut self) {
        let users = self.users();
        for index in (0..self.all.len()).rev() {
            self.absorb_one(GroupId(index), &users);
        }
    }

    /// Who reads each node, free nodes followed.
    pub fn users(&self) -> Users {
        let mut users: Users = BTreeMap::new();
        for (id, _) in self.graph.nodes().filter(|(id, _)| self.home[id.0 as usize].is_some()) {
            for read in self.reads(id) {
                users.entry(read.access.base.node).or_default().push((id, read));
            }
        }
        users
    }

    fn absorb_one(&mut self, from: GroupId, users: &Users) -> Option<()> {
        let members = self.all[from.0].members.clone();
        let uses = members.iter().flat_map(|member| users.get(member).into_iter().flatten());
        let outside: Vec<&(NodeId, Read)> =
            uses.filter(|(user, _)| self.home[user.0 as usize] != Some(from)).collect();
        let into = self.home[outside.first()?.0.0 as usize]?;
        let alone = outside.iter().all(|(user, _)| self.home[user.0 as usize] == Some(into));
        if !alone || !self.is_compatible(from, into) {
            return None;
        }
        let size = self.size_together(from, into)?;
        let maps = self.maps_in(into, from)?;
        for (user, read) in outside {
            let user_map = self.operand_map(into, *user, read.position, &self.maps[user])?;
            if !is_aligned(&read.access.view, &maps[&read.access.base.node], &user_map) {
                return None;
            }
        }
        self.all[from.0].members.clear();
        self.all[into.0].members.extend(&members);
        self.all[into.0].size = size;
        members.iter().for_each(|member| self.home[member.0 as usize] = Some(into));
        self.maps.extend(maps);
        Some(())
    }

    /// How much is in a group that has absorbed another; `None` where that is too much. What waits for reductions of both
    /// waits for those of `from` first.
    fn size_together(&self, from: GroupId, into: GroupId) -> Option<Size> {
        let (from_size, mut size) = (&self.all[from.0].size, self.all[into.0].size.clone());
        size.operands.retain(|&value| self.home(value) != Some(from));
        let stages = size.stages + from_size.stages;
        let together = Size { stages, ..size.with(from_size) };
        together.is_within_limits().then_some(together)
    }

    /// Whether the reductions of a group are none, or those of the other.
    fn is_compatible(&self, from: GroupId, into: GroupId) -> bool {
        let (from, into) = (&self.all[from.0], &self.all[into.0]);
        match (from.kind, into.kind) {
            (Some(FusedKind::Map), Some(_)) => true,
            (Some(FusedKind::Rows), Some(FusedKind::Rows)) => {
                from.domain == into.domain && from.reduced == into.reduced
            }
            _ => false,
        }
    }

    /// The axes along which the members of a group would run in another: over its whole domain, or along its rows.
    fn maps_in(&self, into: GroupId, from: GroupId) -> Option<BTreeMap<NodeId, AxisMap>> {
        let (into, from) = (&self.all[into.0], &self.all[from.0]);
        let all: Vec<usize> = (0..into.domain.rank()).collect();
        let kept: Vec<usize> = all.iter().copied().filter(|axis| !into.reduced.contains(axis)).collect();
        [all, kept].iter().find_map(|axes| {
            let map = align(&from.domain, &into.domain, axes)?;
            let translate = |own: &AxisMap| -> AxisMap {
                own.iter().map(|axis| axis.and_then(|axis| map[axis])).collect()
            };
            Some(from.members.iter().map(|member| (*member, translate(&self.maps[member]))).collect())
        })
    }
}

/// Who reads the results of each node.
pub type Users = BTreeMap<NodeId, Vec<(NodeId, Read)>>;

/// The depth of each node: one more than its deepest operand's.
fn depths(graph: &Graph) -> Vec<u32> {
    let mut depths: Vec<u32> = Vec::with_capacity(graph.len());
    for (_, node) in graph.nodes() {
        let deepest = node.operands.iter().map(|operand| depths[operand.node.0 as usize] + 1).max();
        depths.push(deepest.unwrap_or(0));
    }
    depths
}

fn is_alias(graph: &Graph, id: NodeId) -> bool {
    matches!(lowering(graph, graph.node(id)), Lowering::Alias)
}
