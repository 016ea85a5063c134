//! Dummy, by structure: a channel whose first weights are all 0 has no part, bit for bit. Of whole inputs this is the axiom
//! that a modality with a disconnected encoder is not blamed.

use super::Finding;
use crate::bench::Bench;
use crate::edits::{channels, entries, scale_channel};
use crate::problem::Problem;
use voxplain_autodiff::Device;

/// The first channel (variant 0), or all channels of the first of several inputs (variant 1), lose their weights.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem, variant: usize) -> Finding {
    let whole = variant == 1;
    if whole && problem.x.len() < 2 {
        return Ok(None);
    }
    let mut graph = problem.graph.clone();
    let mut cut = Vec::new();
    for at in channels(&graph).into_iter().filter(|&(input, channel)| input == 0 && (whole || channel == 0)) {
        let Some(without) = scale_channel(&graph, at, 0.0)? else { return Ok(None) };
        graph = without;
        cut.push(at);
    }
    let problem = problem.on(graph);
    let map = bench.maps(&problem)?;
    let parts = cut.iter().flat_map(|&at| map[0][entries(&problem.graph, at)].iter().map(|v| v.abs()));
    let worst = parts.fold(0.0, f64::max);
    bench.judge(worst, bench.rounding(&problem)?, format!("what the network cannot see has {worst}"))
}
