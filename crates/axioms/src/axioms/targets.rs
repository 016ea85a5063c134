//! Target consistency: why a rather than b is the map of a minus the map of b.

use super::Finding;
use crate::bench::Bench;
use crate::problem::Problem;
use crate::verdict::difference;
use voxplain_attribution::Target;
use voxplain_autodiff::Device;

/// The difference of the two outputs as one target, against both.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Finding {
    let other = problem.about(Target::Class(vec![1]));
    let both = problem.about(Target::Difference(0, 1));
    let (a, b) = (bench.maps(problem)?, bench.maps(&other)?);
    let row = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a - b).collect();
    let want: Vec<Vec<f64>> = a.iter().zip(&b).map(row).collect();
    let (gap, at) = difference(&bench.maps(&both)?, &want);
    let tolerance = bench.rounding(problem)? + bench.rounding(&other)? + bench.rounding(&both)?;
    bench.judge(gap, tolerance, at)
}
