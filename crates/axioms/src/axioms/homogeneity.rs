//! Positive homogeneity: the map of `c F` is c times the map, bit for bit if c is a power of two.

use super::Finding;
use crate::bench::Bench;
use crate::edits::scale_output;
use crate::problem::Problem;
use crate::verdict::difference;
use voxplain_autodiff::Device;

/// The last layer with its weights times 4.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Finding {
    let Some(graph) = scale_output(&problem.graph, 4.0)? else { return Ok(None) };
    let large = bench.maps(&problem.on(graph))?;
    let want: Vec<Vec<f64>> =
        bench.maps(problem)?.iter().map(|m| m.iter().map(|v| 4.0 * v).collect()).collect();
    let (gap, at) = difference(&large, &want);
    bench.judge(gap, 8.0 * bench.rounding(problem)?, at)
}
