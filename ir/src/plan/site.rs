//! The calls and copies of a plan as a list, with the loops around each.

use smallvec::SmallVec;

use super::{Plan, SlotId, Step};

/// A call or a copy, and where it stands.
pub struct Site<'a> {
    /// What it is.
    pub step: &'a Step,
    /// Whether it is one of the steps that prepare.
    pub is_prepare: bool,
    /// The loops around it, outermost first, by their number in the order of the text.
    pub loops: SmallVec<[usize; 4]>,
    /// Its number in its block, after those of the loops around it in theirs.
    numbers: SmallVec<[usize; 4]>,
}

impl Site<'_> {
    /// How errors call it: `prepare step 0`, `step 3`; `step 3.1` in the loop that is step 3.
    pub fn name(&self) -> String {
        let numbers: Vec<String> = self.numbers.iter().map(usize::to_string).collect();
        format!("{}step {}", if self.is_prepare { "prepare " } else { "" }, numbers.join("."))
    }
}

/// All calls and copies, in the order in which they run first.
pub fn sites(plan: &Plan) -> Vec<Site<'_>> {
    let mut walk = Walk { sites: Vec::new(), loops: 0, is_prepare: true };
    walk.block(&plan.prepare, &mut SmallVec::new(), &mut SmallVec::new());
    walk.is_prepare = false;
    walk.block(&plan.steps, &mut SmallVec::new(), &mut SmallVec::new());
    walk.sites
}

/// The loops of a plan, by their number in the order of the text.
pub fn loops(plan: &Plan) -> Vec<&Step> {
    let (mut loops, mut blocks) = (Vec::new(), vec![plan.prepare.iter().chain(&plan.steps)]);
    while let Some(block) = blocks.last_mut() {
        match block.next() {
            Some(step @ Step::Loop { body, .. }) => {
                loops.push(step);
                blocks.push(body.iter().chain(&[]));
            }
            Some(_) => {}
            None => drop(blocks.pop()),
        }
    }
    loops
}

struct Walk<'a> {
    sites: Vec<Site<'a>>,
    /// How many loops have begun.
    loops: usize,
    is_prepare: bool,
}

impl<'a> Walk<'a> {
    fn block(
        &mut self,
        steps: &'a [Step],
        loops: &mut SmallVec<[usize; 4]>,
        numbers: &mut SmallVec<[usize; 4]>,
    ) {
        for (number, step) in steps.iter().enumerate() {
            numbers.push(number);
            if let Step::Loop { body, .. } = step {
                loops.push(self.loops);
                self.loops += 1;
                self.block(body, loops, numbers);
                loops.pop();
            } else {
                let (loops, numbers) = (loops.clone(), numbers.clone());
                self.sites.push(Site { step, is_prepare: self.is_prepare, loops, numbers });
            }
            numbers.pop();
        }
    }
}

/// For each root, how many loops are around its home: the innermost loop that has all steps that touch it, where each
/// iteration writes it before it reads it. A slot that has parts is at home outside of all loops, and so is what is kept.
pub fn homes(plan: &Plan, sites: &[Site<'_>]) -> Vec<usize> {
    let mut homes: Vec<Option<SmallVec<[usize; 4]>>> = vec![None; plan.slots.len()];
    let mut touch = |slot: SlotId, site: &Site<'_>, is_written: bool| {
        let root = plan.root(slot);
        let home = &mut homes[root.0 as usize];
        let is_local = slot == root && !site.is_prepare;
        match home {
            Some(home) if is_local => {
                let common = home.iter().zip(&site.loops).take_while(|(a, b)| a == b).count();
                home.truncate(common);
            }
            None if is_local && is_written => *home = Some(site.loops.clone()),
            _ => *home = Some(SmallVec::new()),
        }
    };
    for site in sites {
        plan.reads(site.step).into_iter().for_each(|slot| touch(slot, site, false));
        plan.writes(site.step).into_iter().for_each(|slot| touch(slot, site, true));
    }
    homes.into_iter().map(|home| home.map_or(0, |home| home.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many loops are around the home of `%a`.
    fn home(slots: &str, steps: &str) -> usize {
        let source = format!(
            "plan @p {{ slot %x : f32[2] = input slot %a : f32[2] = unplaced slot %y : f32[2] = output {slots}
             steps {{ {steps} }} }}"
        );
        let plan = crate::text::parse_plan(&source)
            .unwrap_or_else(|error| panic!("{}", error.render(&source, "test")));
        homes(&plan, &sites(&plan))[1]
    }

    #[test]
    fn a_slot_is_at_home_where_each_iteration_writes_it_first() {
        assert_eq!(home("", "copy %x -> %a copy %a -> %y"), 0);
        assert_eq!(home("", "loop 2 { copy %x -> %a copy %a -> %y }"), 1);
        assert_eq!(home("", "loop 2 { loop 2 { copy %x -> %a copy %a -> %y } }"), 2);
        assert_eq!(home("", "loop 2 { copy %x -> %a loop 2 { copy %a -> %y } }"), 1);
        assert_eq!(home("", "loop 2 { loop 2 { copy %x -> %a } loop 2 { copy %a -> %y } }"), 1);
    }

    #[test]
    fn what_is_alive_from_one_iteration_to_the_next_is_at_home_outside() {
        assert_eq!(home("", "copy %x -> %a loop 2 { copy %a -> %y copy %x -> %a }"), 0);
        assert_eq!(home("", "loop 2 { copy %x -> %a } copy %a -> %y"), 0);
        assert_eq!(
            home("slot %p : f32[] = %a[t] slot %q : f32[] = %x[t]", "loop 2 { copy %q -> %p copy %a -> %y }"),
            0
        );
    }

    #[test]
    fn sites_have_names() {
        let source = "plan @p { slot %x : f32[2] = input slot %y : f32[2] = output prepare { copy %x -> %y }
            steps { copy %x -> %y loop 2 { copy %x -> %y loop 3 { copy %x -> %y } } } }";
        let plan = crate::text::parse_plan(source).expect("valid");
        let names: Vec<String> = sites(&plan).iter().map(Site::name).collect();
        assert_eq!(names, ["prepare step 0", "step 0", "step 1.0", "step 1.1.0"]);
    }
}
