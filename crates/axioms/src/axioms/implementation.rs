//! Implementation invariance (Sundararajan, Taly & Yan, ICML 2017, section 2.2): networks for the same function have the
//! same map.

use super::Finding;
use crate::bench::Bench;
use crate::compose::combined;
use crate::hand_wired::two_for_one;
use crate::problem::Problem;
use crate::rewrites::Rewrite;
use crate::verdict::difference;
use voxplain_autodiff::Device;
use voxplain_graph::Graph;
use voxplain_tensor::Result;

/// The rewrites, a sum of which two parts cancel, and the two networks of Sundararajan et al.
pub const VARIANTS: &[&str] = &[
    Rewrite::Split.name(),
    Rewrite::Factored.name(),
    Rewrite::Rectified.name(),
    Rewrite::Normalised.name(),
    Rewrite::Identity.name(),
    Rewrite::Shifted.name(),
    Rewrite::Grouped.name(),
    Rewrite::Dense.name(),
    Rewrite::Exchanged.name(),
    Rewrite::Reordered.name(),
    Rewrite::Dead.name(),
    "f + f - f",
    "two networks for one",
];

/// The map against that of another network for the same function.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem, variant: usize) -> Finding {
    let Some((a, b)) = pair(problem, variant)? else { return Ok(None) };
    if bench.on_kink(&a)? {
        return Ok(None);
    }
    let (gap, at) = difference(&bench.maps(&b)?, &bench.maps(&a)?);
    bench.judge(gap, bench.rounding(&a)? + bench.rounding(&b)?, at)
}

/// Two problems whose networks compute the same function.
fn pair(problem: &Problem, variant: usize) -> Result<Option<(Problem, Problem)>> {
    let same = |graph: Option<Graph>| graph.map(|g| (problem.clone(), problem.on(g)));
    match (Rewrite::ALL.get(variant), VARIANTS.get(variant)) {
        (Some(rewrite), _) => Ok(same(rewrite.apply(&problem.graph)?)),
        (None, Some(&"f + f - f")) => {
            let (f, order) = (&problem.graph, (0..problem.x.len()).collect::<Vec<usize>>());
            Ok(same(Some(combined(&[(f, 1.0, &order), (f, 1.0, &order), (f, -1.0, &order)])?)))
        }
        _ => {
            let [a, b] = two_for_one()?;
            Ok(Some((a, b)))
        }
    }
}
