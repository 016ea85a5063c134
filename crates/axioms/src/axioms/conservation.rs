//! Conservation (Bach et al., PLoS ONE 2015, equation 2): the map sums to `F(x)`. Biases that absorb their share break it,
//! and so does a reference whose output is not 0.

use super::Finding;
use crate::bench::Bench;
use crate::problem::Problem;
use voxplain_autodiff::Device;

/// The sum of the map against the output.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Finding {
    let sum: f64 = bench.maps(problem)?.iter().flatten().sum();
    let value = bench.value(problem, &problem.x)?;
    let shadow = bench.shadow(problem)?;
    let tolerance = shadow.sum(bench.subject.arithmetic) * bench.subject.amplification + shadow.output();
    bench.judge((sum - value).abs(), tolerance, format!("the map sums to {sum}, F(x) = {value}"))
}
