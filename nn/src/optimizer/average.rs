//! Moving averages of weights, which often predict better than the weights of the last step.

use std::collections::BTreeMap;

use ir::{Error, Init, NodeId, Op, Value};

use super::{Gradient, check, states::count};
use crate::Context;

/// What stands behind the name of a parameter in that of its average: `fc1.weight.average`.
pub const AVERAGE: &str = ".average";

/// Makes an average follow each of these parameters, whose updates have been built. In step t = 1, 2, .., of the value `p` after
/// the step:
///
/// ```text
/// share = max(1 / t, 1 - decay)
/// average = (1 - share) average + share p
/// ```
///
/// So it is the mean of all values so far (B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by
/// averaging", 1992) until `1 / (1 - decay)` steps have been made, and exponential from then on. Nothing is left of what it
/// starts from, the initial value of the parameter, after the first step; a decay of 1 is the mean of all steps.
///
/// # Errors
/// Where the decay is out of its range.
pub(super) fn average(cx: &mut Context, gradients: &[Gradient], decay: f64) -> Result<(), Error> {
    check("average", "the decay", decay, (0.0..=1.0).contains(&decay), "a number from 0 to 1")?;
    let Some(first) = gradients.first() else { return Ok(()) };
    let step = count(cx, "optimizer.average_step")?;
    let dtype = cx.dtype(first.value);
    let step = cx.cast(step, dtype)?;
    let [one, least] = [1.0, 1.0 - decay].map(|number| cx.float_like(step, number));
    let share = cx.eval((one / step).max(least))?;
    let kept = cx.eval(one - share)?;
    let next: BTreeMap<NodeId, Value> =
        cx.graph().updates.iter().map(|update| (update.state, update.value)).collect();
    for Gradient { parameter, .. } in gradients {
        let Some(&next) = next.get(&parameter.value.node) else { continue };
        let init = init_of(cx, parameter.value);
        let ty = cx.ty(parameter.value).clone();
        let before = cx.state(&format!("{}{AVERAGE}", parameter.name), ty.dtype, ty.shape, init)?;
        cx.update(before, before * kept + next * share)?;
    }
    Ok(())
}

/// What a state starts from.
fn init_of(cx: &Context, state: Value) -> Init {
    match &cx.graph().node(state.node).op {
        Op::State(state) => state.init,
        _ => Init::Constant(0.0),
    }
}
