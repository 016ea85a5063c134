//! Affine scale invariance (Friedman's ASI; units of a modality): where the first weights take back a change of units, the
//! map stays. Maps that are not multiplied by the input are per unit, and change.

use super::Finding;
use crate::bench::Bench;
use crate::edits::{entries, scale_channel};
use crate::problem::Problem;
use crate::verdict::difference;
use voxplain_autodiff::Device;

/// The first channel in units 4 times smaller, its first weights divided by 4.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Finding {
    let Some(graph) = scale_channel(&problem.graph, (0, 0), 0.25)? else { return Ok(None) };
    let own = entries(&graph, (0, 0));
    let moved = problem.map_values(|rows| rows[0][own.clone()].iter_mut().for_each(|v| *v *= 4.0))?.on(graph);
    let (gap, at) = difference(&bench.maps(&moved)?, &bench.maps(problem)?);
    bench.judge(gap, bench.rounding(problem)? + bench.rounding(&moved)?, at)
}
