//! Internal scale invariance: a neuron times a power of two, and what reads it divided by it, computes the same bits, and
//! the map has the same bits.

use super::Finding;
use crate::bench::Bench;
use crate::edits::{neurons, rescale};
use crate::problem::Problem;
use crate::verdict::{Verdict, difference};
use voxplain_autodiff::Device;

/// A neuron of every layer that can be rescaled, times 4; the worst of them.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Finding {
    let want = bench.maps(problem)?;
    let mut worst: Option<Verdict> = None;
    for neuron in neurons(&problem.graph) {
        let other = problem.on(rescale(&problem.graph, &neuron, 4.0)?);
        let (gap, at) = difference(&bench.maps(&other)?, &want);
        let detail = format!("channel {} of {}: {at}", neuron.channel, neuron.layer);
        let found = bench.judge(gap, bench.rounding(problem)? + bench.rounding(&other)?, detail)?;
        worst = match (worst, found) {
            (Some(a), Some(b)) => Some(a.worse(b)),
            (a, b) => a.or(b),
        };
    }
    Ok(worst)
}
