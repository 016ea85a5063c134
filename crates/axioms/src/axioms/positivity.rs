//! Positivity (Montavon et al., "Explaining nonlinear classification decisions with deep Taylor decomposition", 2017,
//! definition 2): a positive output has no negative parts.

use super::Finding;
use crate::bench::Bench;
use crate::problem::Problem;
use voxplain_autodiff::Device;

/// The smallest part where the output is positive: on any network (variant 0), or on one without space (variant 1), which
/// has no mean over it that shares by value.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem, variant: usize) -> Finding {
    if variant == 1 && problem.x.iter().any(|x| x.shape().inner(1) != 1) {
        return Ok(None);
    }
    let value = bench.value(problem, &problem.x)?;
    if value <= bench.shadow(problem)?.output() {
        return Ok(None);
    }
    let least = bench.maps(problem)?.iter().flatten().fold(0.0f64, |m, &v| m.min(v));
    bench.judge(
        -least,
        bench.rounding(problem)?,
        format!("the smallest part of an output of {value} is {least}"),
    )
}
