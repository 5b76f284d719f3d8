//! Plans that the verifier has passed, as a type: what machine code is made of, and what runs.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::{Stage, verify_plan};
use crate::{Error, Plan};

/// A plan of stage `plan` of which [`verify_plan`] has found that all holds. Nothing but the verifier makes one, and nobody
/// changes it afterwards, so whoever has one can rely on its places and indices. Copies share the plan.
///
/// ```
/// use ir::verify::VerifiedPlan;
/// let plan = ir::text::parse_plan("plan @p { arena 64  slot %t : f32[2, 9] = at 0 }").unwrap();
/// let error = VerifiedPlan::new(plan).unwrap_err();
/// assert!(error.to_string().contains("72 bytes from 0 on end after the arena of 64 bytes"));
/// ```
#[derive(Clone, PartialEq)]
pub struct VerifiedPlan(Arc<Plan>);

impl VerifiedPlan {
    /// Verifies a plan.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn new(plan: Plan) -> Result<VerifiedPlan, Error> {
        verify_plan(&plan, Stage::Plan)?;
        Ok(VerifiedPlan(Arc::new(plan)))
    }
}

impl Deref for VerifiedPlan {
    type Target = Plan;

    fn deref(&self) -> &Plan {
        &self.0
    }
}

impl fmt::Debug for VerifiedPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
