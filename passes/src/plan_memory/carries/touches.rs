//! Where the slots of a plan are touched.

use std::ops::Range;

use ir::plan::{Site, homes, loops, sites};
use ir::{Plan, SlotId, Step};

/// A touch of a slot or of a part of it.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    /// The number of the call or copy, in the order of the text, those that prepare included.
    pub site: usize,
    /// The slot as the step has it.
    pub slot: SlotId,
    /// Whether it is written, not read.
    pub is_write: bool,
}

/// A loop of a plan.
#[derive(Clone, Debug)]
pub struct Repeated {
    /// The calls and copies in it.
    pub sites: Range<usize>,
    /// How often it runs.
    pub count: usize,
    /// Whether its `t` goes down.
    pub reversed: bool,
}

/// The touches of all slots.
pub struct Touches<'a> {
    /// The calls and copies.
    pub sites: Vec<Site<'a>>,
    /// The loops, by number.
    pub loops: Vec<Repeated>,
    /// For each root, how many loops are around its home.
    pub homes: Vec<usize>,
    /// For each root, what touches it or parts of it, in order; a step reads before it writes.
    of_root: Vec<Vec<Touch>>,
}

impl<'a> Touches<'a> {
    /// Those of a plan.
    pub fn of(plan: &'a Plan) -> Touches<'a> {
        let sites = sites(plan);
        let mut of_root: Vec<Vec<Touch>> = vec![Vec::new(); plan.slots.len()];
        let mut loops: Vec<Repeated> = loops(plan).into_iter().filter_map(repeated).collect();
        for (site, Site { step, loops: around, .. }) in sites.iter().enumerate() {
            for &number in around {
                let within = &mut loops[number].sites;
                let start = if within.end == 0 { site } else { within.start };
                *within = start..site + 1;
            }
            for (slots, is_write) in [(plan.reads(step), false), (plan.writes(step), true)] {
                for slot in slots {
                    of_root[plan.root(slot).0 as usize].push(Touch { site, slot, is_write });
                }
            }
        }
        let homes = homes(plan, &sites);
        Touches { sites, loops, homes, of_root }
    }

    /// What touches a root, or parts of it, in order.
    pub fn of_root(&self, root: SlotId) -> &[Touch] {
        &self.of_root[root.0 as usize]
    }

    /// What touches a root in a loop.
    pub fn within(&self, within: &Repeated, root: SlotId) -> &[Touch] {
        let touches = self.of_root(root);
        let first = touches.partition_point(|touch| touch.site < within.sites.start);
        let end = touches.partition_point(|touch| touch.site < within.sites.end);
        &touches[first..end]
    }

    /// Whether each iteration of a loop writes a root first, nothing outside of the loop touches it, and nothing writes it from
    /// this site on: what an iteration computes and then only reads.
    pub fn is_local_until(&self, within: &Repeated, root: SlotId, site: usize) -> bool {
        let inside = self.within(within, root);
        inside.len() == self.of_root(root).len()
            && inside.first().is_some_and(|touch| touch.is_write)
            && inside.iter().all(|touch| !touch.is_write || touch.site < site)
    }
}

fn repeated(step: &Step) -> Option<Repeated> {
    let Step::Loop { count, reversed, .. } = *step else { return None };
    Some(Repeated { sites: 0..0, count, reversed })
}
