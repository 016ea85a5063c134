//! Anonymity (permutation equivariance): exchanging two modalities together with the weights that see them exchanges their
//! maps.

use super::Finding;
use super::symmetry::exchanged;
use crate::bench::Bench;
use crate::edits::{channels, entries};
use crate::problem::Problem;
use crate::verdict::difference;
use voxplain_autodiff::Device;

/// The first two channels exchanged in the input, in the reference and in the network.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Finding {
    // On a kink rounding decides the slope, and sums in another order round differently.
    if bench.on_kink(problem)? {
        return Ok(None);
    }
    let graph = exchanged(&problem.graph)?;
    let [a, b] = [0, 1].map(|k| channels(&graph)[k]);
    let swap = |rows: &mut Vec<Vec<f64>>| {
        let (one, two) = (rows[a.0][entries(&graph, a)].to_vec(), rows[b.0][entries(&graph, b)].to_vec());
        rows[a.0][entries(&graph, a)].copy_from_slice(&two);
        rows[b.0][entries(&graph, b)].copy_from_slice(&one);
    };
    let moved = problem.map_values(|rows| swap(rows))?.on(graph.clone());
    let mut want = bench.maps(problem)?;
    swap(&mut want);
    let (gap, at) = difference(&bench.maps(&moved)?, &want);
    bench.judge(gap, bench.rounding(problem)? + bench.rounding(&moved)?, at)
}
