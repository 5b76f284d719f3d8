//! Every target whose code this machine can run.

use codegen::Target;
use nnc::Options;

/// Runs a test on each target; which one is in the output of a test that fails.
///
/// # Panics
/// Where there is none: a test that runs nothing is no test.
pub fn for_each_target(mut test: impl FnMut(&Target)) {
    let targets = Target::available();
    assert!(!targets.is_empty(), "this machine runs no code that can be generated");
    for target in &targets {
        println!("target {}", target.name);
        test(target);
    }
}

/// The default options, for this target.
pub fn options_for(target: &Target) -> Options {
    Options { target: Some(target.clone()), ..Options::default() }
}
