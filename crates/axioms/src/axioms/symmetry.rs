//! Symmetry (Shapley; Sundararajan, Taly & Yan, ICML 2017, section 4): channels that the function treats alike, with equal
//! values in input and reference, have equal maps. Two modalities with identical encoders and identical images are the case
//! that matters here.

use super::Finding;
use crate::bench::Bench;
use crate::compose::{combined, reordered};
use crate::edits::{channels, entries, swap_channels};
use crate::hand_wired::minimum;
use crate::problem::Problem;
use crate::verdict::difference;
use voxplain_autodiff::Device;
use voxplain_graph::Graph;
use voxplain_tensor::{Result, Tensor};

/// `f(x) + f(x with the first two channels exchanged)` (variant 0), or the minimum of two numbers in an implementation that is
/// not symmetric, where both are equal (variant 1).
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem, variant: usize) -> Finding {
    let problem = if variant == 1 { minimum([1.0, 1.0])? } else { symmetric(problem)? };
    // On a kink rounding decides the slope, and not alike for both channels.
    if variant == 0 && bench.on_kink(&problem)? {
        return Ok(None);
    }
    let [a, b] = [0, 1].map(|k| channels(&problem.graph)[k]);
    let map = bench.maps(&problem)?;
    let part = |at: (usize, usize)| vec![map[at.0][entries(&problem.graph, at)].to_vec()];
    let (gap, at) = difference(&part(a), &part(b));
    bench.judge(gap, 2.0 * bench.rounding(&problem)?, at)
}

/// The network that treats the first two channels alike, which get the same values.
fn symmetric(problem: &Problem) -> Result<Problem> {
    let graph = &problem.graph;
    let order: Vec<usize> = (0..problem.x.len()).collect();
    let swapped = exchanged(graph)?;
    let graph = combined(&[(graph, 1.0, &order), (&swapped, 1.0, &order)])?;
    let [a, b] = [0, 1].map(|k| channels(&graph)[k]);
    let alike = |tensors: &[Tensor<f64>]| {
        let mut out = tensors.to_vec();
        let values = tensors[a.0].data()[entries(&graph, a)].to_vec();
        out[b.0].data_mut()[entries(&graph, b)].copy_from_slice(&values);
        out
    };
    Ok(problem.at(alike(&problem.x)).from(alike(&problem.r)).on(graph.clone()))
}

/// The network that sees the first two channels, or inputs, exchanged.
pub fn exchanged(graph: &Graph) -> Result<Graph> {
    let count = graph.inputs().len();
    if count > 1 {
        let order: Vec<usize> = [1, 0].into_iter().chain(2..count).collect();
        return reordered(graph, &order);
    }
    Ok(swap_channels(graph, 0, 0, 1)?.unwrap_or_else(|| graph.clone()))
}
