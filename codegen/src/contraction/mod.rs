//! Sums of products.

use crate::Target;
use crate::kernel::Emitted;
use crate::nest::Nest;

/// A plan.
pub struct ContractionPlan;

/// Plans.
pub fn plan(_nest: &Nest, _target: &Target) -> Option<ContractionPlan> {
    None
}

/// Emits.
pub fn emit(_plan: &ContractionPlan, _nest: &Nest, _target: &Target, _index: u32) -> Emitted {
    unreachable!()
}
