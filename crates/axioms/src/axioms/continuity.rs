//! Continuity: small changes of the input are small changes of the map (Montavon, Samek & Mueller, "Methods for interpreting
//! and understanding deep neural networks", 2018, section 5.3). Jumps are found by bisection.

use super::Finding;
use crate::bench::Bench;
use crate::hand_wired::minimum;
use crate::problem::Problem;
use crate::verdict::difference;
use voxplain_autodiff::Device;
use voxplain_tensor::{Result, Tensor};

/// Points of the segment that is searched.
const POINTS: usize = 32;
/// Halvings of the interval with the largest jump.
const HALVINGS: i32 = 24;

/// The segment from the input to the reference (variant 0), or across the kink of a minimum (variant 1). What remains of the
/// largest jump after so many halvings may be what a function with Hoelder exponent 1/2 leaves, and rounding.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem, variant: usize) -> Finding {
    let (problem, from, to) = if variant == 1 {
        let problem = minimum([1.0, 1.0])?;
        let at = |v: f64| vec![problem.x[0].map(|x| x).with_first(v)];
        let ends = (at(0.8), at(1.3));
        (problem, ends.0, ends.1)
    } else {
        (problem.clone(), problem.x.clone(), problem.r.clone())
    };
    let at = |t: f64| -> Result<Vec<Vec<f64>>> {
        let mix = |(a, b): (&Tensor<f64>, &Tensor<f64>)| a.zip(b, |a, b| a + t * (b - a));
        let point = from.iter().zip(&to).map(mix).collect::<Result<_>>()?;
        bench.maps(&problem.at(point))
    };
    let maps = (0..=POINTS).map(|k| at(k as f64 / POINTS as f64)).collect::<Result<Vec<_>>>()?;
    let jump = |k: usize| difference(&maps[k], &maps[k + 1]).0;
    let worst = (0..POINTS).fold(0, |best, k| if jump(k) > jump(best) { k } else { best });
    let first = jump(worst);
    let (mut low, mut high) = (worst as f64 / POINTS as f64, (worst + 1) as f64 / POINTS as f64);
    let (mut below, mut above) = (maps[worst].clone(), maps[worst + 1].clone());
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        let map = at(middle)?;
        if difference(&below, &map).0 >= difference(&map, &above).0 {
            (high, above) = (middle, map);
        } else {
            (low, below) = (middle, map);
        }
    }
    let (left, place) = difference(&below, &above);
    let tolerance = first * 0.5f64.powi(HALVINGS / 2) + 2.0 * bench.rounding(&problem)?;
    bench.judge(left, tolerance, format!("within {:.1e} of the segment at {low}: {place}", high - low))
}

trait WithFirst {
    fn with_first(self, value: f64) -> Self;
}

impl WithFirst for Tensor<f64> {
    fn with_first(mut self, value: f64) -> Self {
        self.data_mut()[0] = value;
        self
    }
}
