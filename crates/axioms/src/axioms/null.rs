//! Sensitivity (b), the null player of Shapley: an entry that the function does not depend on has no part, although paths
//! lead from it. The function is `f + g - g`, f not seeing the first channel.

use super::Finding;
use crate::bench::Bench;
use crate::compose::combined;
use crate::edits::{channels, entries, scale_channel};
use crate::hand_wired::two_for_one;
use crate::problem::Problem;
use crate::program::Program;
use crate::rewrites::Rewrite;
use voxplain_autodiff::Device;

/// How the two g differ: not at all, in their implementation, or as the two networks of Sundararajan et al. do.
pub const VARIANTS: &[&str] = &[
    "g - g",
    Rewrite::Split.name(),
    Rewrite::Factored.name(),
    Rewrite::Rectified.name(),
    Rewrite::Normalised.name(),
    "two networks for one",
];

/// Where the tape of g begins.
const OTHER: usize = 31;

/// The first channel's part of `f + g - g`, or the whole map of the difference of two networks for one function.
pub fn check<D: Device>(bench: &Bench<'_, D>, program: &Program, variant: usize) -> Finding {
    if variant == VARIANTS.len() - 1 {
        let [a, b] = two_for_one()?;
        let graph = combined(&[(&a.graph, 1.0, &[0]), (&b.graph, -1.0, &[0])])?;
        return judge(bench, &a.on(graph), None);
    }
    let problem = program.problem()?;
    let order: Vec<usize> = (0..problem.x.len()).collect();
    let Some(f) = scale_channel(&problem.graph, (0, 0), 0.0)? else { return Ok(None) };
    let g = program.graph(OTHER)?;
    let other = if variant == 0 { Some(g.clone()) } else { Rewrite::ALL[variant - 1].apply(&g)? };
    let Some(other) = other else { return Ok(None) };
    let graph = combined(&[(&f, 1.0, &order), (&g, 1.0, &order), (&other, -1.0, &order)])?;
    let problem = problem.on(graph);
    if bench.on_kink(&problem)? {
        return Ok(None);
    }
    judge(bench, &problem, Some((0, 0)))
}

fn judge<D: Device>(bench: &Bench<'_, D>, problem: &Problem, only: Option<(usize, usize)>) -> Finding {
    let map = bench.maps(problem)?;
    let seen = channels(&problem.graph).into_iter().filter(|at| only.is_none_or(|o| o == *at));
    let parts = seen.flat_map(|at| map[at.0][entries(&problem.graph, at)].to_vec());
    let worst = parts.fold(0.0f64, |m, v| m.max(v.abs()));
    bench.judge(worst, bench.rounding(problem)?, format!("what the function does not depend on has {worst}"))
}
