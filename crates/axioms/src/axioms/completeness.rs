//! Completeness (Sundararajan, Taly & Yan, ICML 2017, proposition 1; "summation to delta" of DeepLIFT, "local accuracy" of
//! SHAP, "efficiency" of Shapley): the map sums to `F(x) - F(r)`.

use super::Finding;
use crate::bench::Bench;
use crate::problem::Problem;
use voxplain_autodiff::Device;

/// The sum of the map against the difference of the outputs. A quadrature along the path may miss by what the variation of
/// its integrand allows besides rounding.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Finding {
    let sum: f64 = bench.maps(problem)?.iter().flatten().sum();
    let difference = bench.value(problem, &problem.x)? - bench.value(problem, &problem.r)?;
    let shadow = bench.shadow(problem)?;
    let path = bench.path_error(problem)?;
    let rounding = shadow.sum(bench.subject.arithmetic) * bench.subject.amplification;
    let tolerance = rounding + 2.0 * shadow.output() + path;
    bench.judge(
        (sum - difference).abs(),
        tolerance,
        format!("the map sums to {sum}, F(x) - F(r) = {difference}"),
    )
}
