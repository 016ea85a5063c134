//! A modality that is as in the reference has no part: a missing scan, filled with the baseline, explains nothing.

use super::Finding;
use crate::bench::Bench;
use crate::edits::entries;
use crate::problem::Problem;
use voxplain_autodiff::Device;

/// The first channel's values taken from the reference.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Finding {
    let own = entries(&problem.graph, (0, 0));
    let missing = problem.r[0].data()[own.clone()].to_vec();
    let problem = problem.map_input(|rows| rows[0][own.clone()].copy_from_slice(&missing))?;
    let worst = bench.maps(&problem)?[0][own].iter().fold(0.0f64, |m, v| m.max(v.abs()));
    bench.judge(worst, bench.rounding(&problem)?, format!("what is as in the reference has {worst}"))
}
