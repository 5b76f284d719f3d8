//! Pass `winograd`: a convolution with a filter of three by three gets its filters a second time, transformed as
//! [`ir::winograd`] says, where a quarter of the products saves more time than all that comes with it costs; and so is the
//! gradient of filters marked.
//!
//! In and out: a plan of stage `kernels`, after `layout`. What kernels compute stays the same, and so do their statements:
//! whether transformed filters are used is up to code generation.
//!
//! 1. `convolution`: a kernel that is a convolution, or the gradient of one for its input or its filters, of stride 1 with
//!    channels last.
//! 2. `cost`: whether it pays.
//! 3. `transform`: the kernel that transforms the filters. A step calls it before the first that needs the result, once
//!    for all that read the same filters in the same direction. Where the filters are fixed, `prepack` moves it to `prepare`.
//!
//! 4. `order`: transformed filters are four times as large as filters. Where large ones meet a small image, reading four times as
//!    much in each run costs about as much time as transforming them: then the convolution transforms them itself.

mod convolution;
mod cost;
mod order;
mod transform;

use ir::plan::flat_steps;
use ir::{BufferId, Kernel, KernelId, Place, Plan, Slot, SlotId, Step, Tensor, Winograd, winograd};
use smallvec::smallvec;

use crate::fixed::Fixed;
use convolution::{Convolution, convolution, gradient};
use cost::{gradient_pays, pays, transforms_itself};
use order::{free_states, put_channels_first};
use transform::{transform_kernel, transformed_type};

/// Adds transformed filters to the convolutions that are faster with them.
pub fn winograd(mut plan: Plan) -> Plan {
    let chosen = chosen_kernels(&plan);
    let mut transforms = Transforms::default();
    for mut step in std::mem::take(&mut plan.steps) {
        if let Step::Call { kernel, slots } = &mut step
            && let Some(Chosen { filters, transformed: Some(transformed), .. }) = &chosen[kernel.0 as usize]
        {
            let filters = slots[filters.0 as usize];
            slots.insert(transformed.buffer.0 as usize, transforms.slot(&mut plan, filters, transformed));
        }
        plan.steps.push(step);
    }
    for (kernel, chosen) in plan.kernels.iter_mut().zip(chosen) {
        match chosen {
            Some(chosen) => *kernel = chosen.kernel,
            None if gradient(kernel).is_some_and(|size| gradient_pays(&size)) => {
                kernel.winograd = Some(Winograd::Gradient);
            }
            None => {}
        }
    }
    put_channels_first(&mut plan);
    plan
}

/// A kernel that is computed by Winograd's algorithm.
struct Chosen {
    kernel: Kernel,
    filters: BufferId,
    /// The filters that it gets transformed, where it does not transform them itself.
    transformed: Option<Transformed>,
}

/// Transformed filters of a kernel.
struct Transformed {
    buffer: BufferId,
    /// The kernel that makes them.
    made_by: Kernel,
    /// The direction in which filters are read.
    is_backwards: bool,
}

/// For each kernel, what it becomes where it is a convolution and transformed filters pay in all of its calls.
fn chosen_kernels(plan: &Plan) -> Vec<Option<Chosen>> {
    let is_fixed = Fixed::of(plan).slots;
    let is_settled = settled_slots(plan);
    let is_free = free_states(plan);
    let choose = |(id, kernel): (u32, &Kernel)| {
        let convolution = convolution(kernel)?;
        let filters_of = |step: &Step| match step {
            Step::Call { kernel, slots } if kernel.0 == id => Some(slots[convolution.filters.0 as usize]),
            _ => None,
        };
        let filters: Vec<SlotId> = plan.steps.iter().filter_map(filters_of).collect();
        let all = |is: &[bool]| filters.iter().all(|slot| is[slot.0 as usize]);
        // Calls that prepare, and those in loops, read filters as they are.
        let all_steps = flat_steps(&plan.prepare).chain(flat_steps(&plan.steps));
        let calls = all_steps.filter(|step| filters_of(step).is_some()).count();
        let is_chosen = calls == filters.len() && all(&is_settled) && pays(&convolution.size, all(&is_fixed));
        let is_own = filters.len() == 1 && all(&is_free) && convolution.has_columns_last();
        let transforms_itself = is_own && transforms_itself(&convolution.size);
        is_chosen.then(|| by_winograd(kernel, &convolution, transforms_itself))
    };
    (0..).zip(&plan.kernels).map(choose).collect()
}

/// For each slot, whether no step writes it once it has been read: what is made of it once holds for all that read it. Parts of
/// slots are left out.
fn settled_slots(plan: &Plan) -> Vec<bool> {
    let (mut is_read, mut is_settled) = (vec![false; plan.slots.len()], vec![true; plan.slots.len()]);
    for step in &plan.steps {
        plan.roots_read(step).iter().for_each(|slot| is_read[slot.0 as usize] = true);
        plan.roots_written(step)
            .iter()
            .for_each(|slot| is_settled[slot.0 as usize] &= !is_read[slot.0 as usize]);
    }
    plan.slots_where(|place| matches!(place, Place::Part { .. }))
        .for_each(|(id, _)| is_settled[id.0 as usize] = false);
    is_settled
}

/// The kernel of a convolution by Winograd's algorithm: with transformed filters as one more parameter, unless it transforms them
/// itself.
fn by_winograd(kernel: &Kernel, convolution: &Convolution, transforms_itself: bool) -> Chosen {
    let &Convolution { filters, is_backwards, .. } = convolution;
    let made_by = transform_kernel(kernel, convolution);
    let mut kernel = kernel.clone();
    let transformed = (!transforms_itself).then(|| {
        let name = format!("{}.transformed", kernel.buffers[filters.0 as usize].name);
        let buffer = kernel.insert_read(name, transformed_type(&convolution.size));
        Transformed { buffer, made_by, is_backwards }
    });
    let buffer = transformed.as_ref().map(|it| it.buffer);
    kernel.winograd = Some(Winograd::Convolution { filters, transformed: buffer });
    Chosen { kernel: kernel.numbered(), filters, transformed }
}

/// What has been transformed already.
#[derive(Default)]
struct Transforms {
    /// The slots of [`winograd::filter_weights`], forwards and backwards.
    weights: [Option<SlotId>; 2],
    made: Vec<Transform>,
}

struct Transform {
    filters: SlotId,
    is_backwards: bool,
    kernel: KernelId,
    transformed: SlotId,
}

impl Transforms {
    /// The slot that holds `filters` transformed: one for all that want the same. Where there is none yet, a step is added
    /// that fills it.
    fn slot(&mut self, plan: &mut Plan, filters: SlotId, wanted: &Transformed) -> SlotId {
        let &Transformed { ref made_by, is_backwards, .. } = wanted;
        let like_it = |known: &&Transform| plan.kernel(known.kernel) == made_by;
        let mut alike = self.made.iter().filter(like_it);
        let kernel = alike.clone().next().map(|known| known.kernel);
        if let Some(known) =
            alike.find(|known| known.filters == filters && known.is_backwards == is_backwards)
        {
            return known.transformed;
        }
        let kernel = kernel.unwrap_or_else(|| {
            plan.kernels.push(made_by.clone());
            KernelId(plan.kernels.len() as u32 - 1)
        });
        let weights = *self.weights[usize::from(is_backwards)].get_or_insert_with(|| {
            let weights = Tensor::new(winograd::WEIGHTS_SHAPE, winograd::filter_weights(is_backwards));
            let weights = weights.expect("the shape is that of the weights");
            let name = if is_backwards { "winograd.backwards" } else { "winograd.forwards" };
            push_slot(plan, Slot { name: name.to_owned(), ty: weights.ty(), place: Place::Constant(weights) })
        });
        let name = format!("{}.transformed", plan.slot(filters).name);
        let target = made_by.buffers.last().expect("it writes transformed filters");
        let transformed = push_slot(plan, Slot { name, ty: target.ty.clone(), place: Place::Unplaced });
        plan.steps.push(Step::Call { kernel, slots: smallvec![weights, filters, transformed] });
        self.made.push(Transform { filters, is_backwards, kernel, transformed });
        transformed
    }
}

fn push_slot(plan: &mut Plan, slot: Slot) -> SlotId {
    plan.slots.push(slot);
    SlotId(plan.slots.len() as u32 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call of a convolution that is faster with transformed filters, and these steps.
    fn plan(steps: &str) -> Plan {
        let source = format!(
            "plan @p {{
               slot %x : f32[2, 12, 12, 64] = input
               slot %w : f32[1, 3, 3, 64, 64] = state uniform(-0.1, 0.1, 1)
               slot %y : f32[2, 12, 12, 64] = output
               kernel @conv(%x: f32[2, 12, 12, 64], %w: f32[1, 3, 3, 64, 64]) -> (%r: f32[2, 12, 12, 64]) {{
                 for i in 2, l in 12, m in 12, k in 64 {{
                   %0 = reduce add rk in 64, rl in 3, rm in 3 {{
                     %1 = load %x[i, l + rl - 1, m + rm - 1, rk] fill 0.0
                     %2 = load %w[0, rl, rm, rk, k]
                     %3 = mul %1, %2
                     yield %3
                   }}
                   store %0, %r[i, l, m, k]
                 }}
               }}
               steps {{ {steps} }}
             }}"
        );
        ir::text::parse_plan(&source).unwrap_or_else(|error| panic!("{}", error.render(&source, "test")))
    }

    #[test]
    fn filters_of_convolutions_in_loops_are_read_as_they_are() {
        let call = "call @conv(%x, %w, %y)";
        assert_ne!(winograd(plan(call)), plan(call));
        for steps in [format!("loop 3 {{ {call} }}"), format!("{call} loop 3 {{ {call} }}")] {
            assert_eq!(winograd(plan(&steps)), plan(&steps));
        }
    }
}
