//! Demand monotonicity (Sundararajan & Najmi, "The many Shapley values for model explanation", ICML 2020): where the output
//! never falls with an entry, more of the entry is no smaller part.

use super::Finding;
use crate::bench::Bench;
use crate::compose::with_magnitudes;
use crate::hand_wired::minimum;
use crate::problem::Problem;
use crate::subject::Arithmetic;
use voxplain_autodiff::Device;

/// One more of the first entry on the network with magnitudes for weights (variant 0), or a little more of one of two equal
/// numbers for their minimum (variant 1). Of maps that are parts of the output, not of slopes.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem, variant: usize) -> Finding {
    if matches!(bench.subject.arithmetic, Arithmetic::Signal | Arithmetic::ValuesTimesSignal) {
        return Ok(None);
    }
    let (less, step) = if variant == 1 {
        (minimum([1.0, 1.0])?, 1.0 / 1024.0)
    } else {
        (problem.on(with_magnitudes(&problem.graph)?), 1.0)
    };
    let more = less.map_input(|rows| rows[0][0] += step)?;
    let (before, behind) = (bench.maps(&less)?[0][0], bench.maps(&more)?[0][0]);
    let detail = format!("the part falls from {before} to {behind} as the entry grows by {step}");
    bench.judge((before - behind).max(0.0), bench.rounding(&less)? + bench.rounding(&more)?, detail)
}
