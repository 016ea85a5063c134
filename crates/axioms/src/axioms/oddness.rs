//! Oddness: the map of `-F` is minus the map of `F`.

use super::Finding;
use crate::bench::Bench;
use crate::edits::scale_output;
use crate::problem::Problem;
use crate::verdict::difference;
use voxplain_autodiff::Device;

/// The last layer with its weights negated.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Finding {
    let Some(graph) = scale_output(&problem.graph, -1.0)? else { return Ok(None) };
    let negative = bench.maps(&problem.on(graph))?;
    let want: Vec<Vec<f64>> = bench.maps(problem)?.iter().map(|m| m.iter().map(|v| -v).collect()).collect();
    let (gap, at) = difference(&negative, &want);
    bench.judge(gap, bench.rounding(problem)?, at)
}
