//! Sensitivity (a) (Sundararajan, Taly & Yan, ICML 2017, section 2.1): where input and reference differ in one entry and
//! the outputs differ, that entry has a part.

use super::Finding;
use crate::bench::Bench;
use crate::problem::Problem;
use voxplain_autodiff::Device;

/// The reference is made the input but for its first entry. The residual is the difference of the outputs where the entry
/// has nothing, which then nothing explains.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Finding {
    let mut r = problem.x.clone();
    r[0].data_mut()[0] = problem.r[0].data()[0];
    let problem = problem.from(r);
    let gap = (bench.value(&problem, &problem.x)? - bench.value(&problem, &problem.r)?).abs();
    let shadow = bench.shadow(&problem)?;
    // A quadrature may miss all of a small gap.
    if gap <= 2.0 * shadow.output() + bench.path_error(&problem)? {
        return Ok(None);
    }
    let part = bench.maps(&problem)?[0][0].abs();
    let rounding = bench.rounding(&problem)?;
    if !rounding.is_finite() {
        return Ok(None);
    }
    let seen = part > rounding;
    let detail = format!("the only entry that differs has {part}, the outputs differ by {gap}");
    bench.judge(if seen { 0.0 } else { gap }, 2.0 * shadow.output(), detail)
}
