//! The quotient property of games with unions (Owen, "Values of games with a priori unions", 1977): the parts of a modality's
//! entries add up to the modality's own Shapley value, that of the game in which modalities are present or absent as a
//! whole. It decides whether a map over entries and a table over modalities tell the same story.

use super::Finding;
use crate::bench::Bench;
use crate::coalitions::{by_channel, values};
use crate::hand_wired::all_three;
use crate::problem::Problem;
use voxplain_autodiff::Device;
use voxplain_perturbation::shapley;

/// On drawn networks, or on `relu(x1 + x2 + x3 - 2)` at 1 with the first two entries in one modality.
pub const VARIANTS: &[&str] = &["drawn networks", "all of three"];

/// Sums of the map over channels against the Shapley values of channels.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem, variant: usize) -> Finding {
    let own = if variant == 1 { Some(all_three()?) } else { None };
    let problem = own.as_ref().unwrap_or(problem);
    let (map, parts) = (bench.maps(problem)?, by_channel(problem));
    let modalities = shapley(&values(bench, problem, &parts)?);
    let mut worst = (0.0, String::from("equal"));
    for (k, (input, own)) in parts.into_iter().enumerate() {
        let sum: f64 = map[input][own].iter().sum();
        let gap = (sum - modalities[k]).abs();
        if gap > worst.0 || gap.is_nan() {
            worst = (
                gap,
                format!("the parts of modality {k} add up to {sum}, its Shapley value is {}", modalities[k]),
            );
        }
    }
    let shadow = bench.shadow(problem)?;
    let rounding = shadow.sum(bench.subject.arithmetic) * bench.subject.amplification;
    bench.judge(worst.0, rounding + 4.0 * shadow.output() + bench.path_error(problem)?, worst.1)
}
