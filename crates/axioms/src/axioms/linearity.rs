//! Linearity (Sundararajan, Taly & Yan, ICML 2017, section 4; Shapley's additivity): the map of `a f + b g` is a times that
//! of f plus b times that of g.

use super::Finding;
use crate::bench::Bench;
use crate::compose::combined;
use crate::program::Program;
use crate::verdict::difference;
use voxplain_autodiff::Device;

/// Where the tape of the second network begins.
const OTHER: usize = 31;

/// `2f + 3g` (variant 0) or `2f - 3g` (variant 1) as one network, against the two.
pub fn check<D: Device>(bench: &Bench<'_, D>, program: &Program, variant: usize) -> Finding {
    let f = program.problem()?;
    let g = f.on(program.graph(OTHER)?);
    let factor = [3.0, -3.0][variant.min(1)];
    let order: Vec<usize> = (0..f.x.len()).collect();
    let sum = f.on(combined(&[(&f.graph, 2.0, &order), (&g.graph, factor, &order)])?);
    let (one, two) = (bench.maps(&f)?, bench.maps(&g)?);
    let row = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| 2.0 * a + factor * b).collect();
    let want: Vec<Vec<f64>> = one.iter().zip(&two).map(row).collect();
    let (gap, at) = difference(&bench.maps(&sum)?, &want);
    let apart = 2.0 * bench.rounding(&f)? + 3.0 * bench.rounding(&g)?;
    bench.judge(gap, apart + bench.rounding(&sum)?, at)
}
