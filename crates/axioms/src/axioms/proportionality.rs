//! Proportionality (Sundararajan & Najmi, ICML 2020, section 3.3): where entries enter only through their sum and the
//! reference is 0, their parts are in proportion to them.

use super::Finding;
use crate::bench::Bench;
use crate::compose::{first_weights, weights};
use crate::problem::Problem;
use voxplain_autodiff::Device;

/// The first layer with one weight for all entries of its row. Networks of one input without space only.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Finding {
    if problem.x.len() > 1 || problem.x[0].shape().inner(1) != 1 {
        return Ok(None);
    }
    let Some(list) = first_weights(&problem.graph, problem.graph.inputs()[0]) else { return Ok(None) };
    let mut values = weights(&problem.graph);
    for p in list {
        let row = problem.graph.parameters()[p].shape[1];
        values[p].chunks_mut(row).for_each(|row| row.fill(row[0]));
    }
    let zero = problem.x.iter().map(|x| x.map(|_| 0.0)).collect();
    let problem = problem.on(problem.graph.with_parameters(&values)?).from(zero);
    let map = &bench.maps(&problem)?[0];
    let x = problem.x[0].data();
    let pairs = (0..x.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
    let gap = pairs.map(|(i, j)| (map[i] * x[j] - map[j] * x[i]).abs()).fold(0.0, f64::max);
    let largest = x.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    bench.judge(gap, 2.0 * largest * bench.rounding(&problem)?, format!("{map:?} for {x:?}"))
}
