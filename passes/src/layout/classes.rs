//! Which bundles of which slots are the same axis of the model, and what it is.
//!
//! Bundles that one loop of a kernel runs along are the same axis. An index with several loops in it, `i + k - 1`, one of which is
//! summed over, is that of a window: the longest of them runs along places of an image, the others along taps of a filter,
//! wherever else they go.
//! Channels are the other axes of what has taps. Only speed depends on these being right.

use std::collections::{BTreeMap, BTreeSet};

use ir::{AxisId, BufferId, Indices, Inst, Kernel, Plan, Step, Stmt};

use super::bundles::Bundles;

/// What an axis of the model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// None of the others: a batch, for one.
    Other,
    /// Channels of images and filters.
    Channel,
    /// Taps of a filter.
    Tap,
    /// Places of an image.
    Place,
}

/// A bundle of a slot, counted over all slots.
type Node = usize;

/// For each slot, what its bundles are.
pub fn kinds(plan: &Plan, bundles: &[Bundles]) -> Vec<Vec<Kind>> {
    let firsts: Vec<usize> = bundles
        .iter()
        .scan(0, |next, bundles| {
            let first = *next;
            *next += bundles.len();
            Some(first)
        })
        .collect();
    let count = bundles.iter().map(Bundles::len).sum();
    let mut classes = Classes { parents: (0..count).collect(), kinds: vec![Kind::Other; count] };
    for step in plan.prepare.iter().chain(&plan.steps) {
        let Step::Call { kernel, slots } = step else { continue };
        let kernel = plan.kernel(*kernel);
        let slot_of: BTreeMap<BufferId, usize> =
            kernel.parameters().zip(slots).map(|((id, _), slot)| (id, slot.0 as usize)).collect();
        let node = |buffer: BufferId, axis: usize| -> Option<Node> {
            let &slot = slot_of.get(&buffer)?;
            let shape = &kernel.buffers[buffer.0 as usize].ty.shape;
            let bundles = &bundles[slot];
            // Of several axes in one bundle, the first stands for all.
            let bundle =
                (0..bundles.len()).find(|&bundle| bundles.axes_of(shape, bundle).first() == Some(&axis))?;
            Some(firsts[slot] + bundle)
        };
        classes.add_kernel(kernel, &node);
    }
    let kinds_of = |classes: &mut Classes| -> Vec<Vec<Kind>> {
        (firsts.iter().zip(bundles))
            .map(|(&first, bundles)| (first..first + bundles.len()).map(|node| classes.kind(node)).collect())
            .collect()
    };
    let before = kinds_of(&mut classes);
    for (kinds, &first) in before.iter().zip(&firsts) {
        if kinds.contains(&Kind::Tap) {
            (0..kinds.len()).for_each(|bundle| classes.mark(first + bundle, Kind::Channel));
        }
    }
    kinds_of(&mut classes)
}

/// Bundles that are the same axis: a forest, with the kind of each tree at its root.
struct Classes {
    parents: Vec<Node>,
    kinds: Vec<Kind>,
}

impl Classes {
    fn root(&mut self, node: Node) -> Node {
        let mut node = node;
        while self.parents[node] != node {
            self.parents[node] = self.parents[self.parents[node]];
            node = self.parents[node];
        }
        node
    }

    fn kind(&mut self, node: Node) -> Kind {
        let root = self.root(node);
        self.kinds[root]
    }

    /// An axis is the last of the kinds that it is marked as.
    fn mark(&mut self, node: Node, kind: Kind) {
        let root = self.root(node);
        self.kinds[root] = self.kinds[root].max(kind);
    }

    fn unite(&mut self, a: Node, b: Node) {
        let (a, b) = (self.root(a), self.root(b));
        let (first, second) = (a.min(b), a.max(b));
        self.parents[second] = first;
        self.kinds[first] = self.kinds[first].max(self.kinds[second]);
    }

    /// Takes note of what the loops of a kernel run along.
    fn add_kernel(&mut self, kernel: &Kernel, node: &dyn Fn(BufferId, usize) -> Option<Node>) {
        let mut along: BTreeMap<AxisId, Vec<Node>> = BTreeMap::new();
        let mut taps: Vec<AxisId> = Vec::new();
        let reduced = reduced_axes(&kernel.body);
        accesses(&kernel.body, &mut |buffer, indices| {
            for (axis, index) in indices.iter().enumerate() {
                let Some(node) = node(buffer, axis).filter(|_| index.var.is_none()) else { continue };
                let mut loops: Vec<AxisId> = index
                    .affine
                    .terms()
                    .iter()
                    .map(|term| term.0)
                    .filter(|&axis| kernel.extent(axis) > 1)
                    .collect();
                loops.sort_by_key(|&axis| std::cmp::Reverse(kernel.extent(axis)));
                let Some((&longest, others)) = loops.split_first() else { continue };
                along.entry(longest).or_default().push(node);
                if !others.is_empty() && loops.iter().any(|axis| reduced.contains(axis)) {
                    self.mark(node, Kind::Place);
                    taps.extend(others);
                }
            }
        });
        for nodes in along.values() {
            nodes.windows(2).for_each(|pair| self.unite(pair[0], pair[1]));
        }
        for node in taps.iter().filter_map(|tap| along.get(tap)?.first()) {
            self.mark(*node, Kind::Tap);
        }
    }
}

/// The axes that are summed over.
pub fn reduced_axes(body: &[Stmt]) -> BTreeSet<AxisId> {
    let mut reduced = BTreeSet::new();
    for stmt in body {
        if let Stmt::Reduce { axes, .. } = stmt {
            reduced.extend(axes);
        }
        if let Stmt::For { body, .. } | Stmt::Reduce { body, .. } = stmt {
            reduced.append(&mut reduced_axes(body));
        }
    }
    reduced
}

/// Calls `visit` for each access to memory.
pub fn accesses(body: &[Stmt], visit: &mut dyn FnMut(BufferId, &Indices)) {
    for stmt in body {
        match stmt {
            Stmt::For { body, .. } | Stmt::Reduce { body, .. } => accesses(body, visit),
            Stmt::Let { inst: Inst::Load { buffer, indices, .. }, .. }
            | Stmt::Store { buffer, indices, .. } => {
                visit(*buffer, indices);
            }
            Stmt::Let { .. } => {}
        }
    }
}
