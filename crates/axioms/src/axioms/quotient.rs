//! The quotient property of games with unions (Owen, "Values of games with a priori unions", 1977): the parts of a modality's
//! entries add up to the modality's own Shapley value, that of the game in which modalities are present or absent as a
//! whole. It decides whether a map over entries and a table over modalities tell the same story.

use super::Finding;
use crate::bench::Bench;
use crate::edits::{channels, entries};
use crate::hand_wired::all_three;
use crate::problem::Problem;
use voxplain_autodiff::Device;
use voxplain_perturbation::shapley;
use voxplain_tensor::{Result, Tensor};

/// On drawn networks, or on `relu(x1 + x2 + x3 - 2)` at 1 with the first two entries in one modality.
pub const VARIANTS: &[&str] = &["drawn networks", "all of three"];

/// Sums of the map over channels against the Shapley values of channels.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem, variant: usize) -> Finding {
    let own = if variant == 1 { Some(all_three()?) } else { None };
    let problem = own.as_ref().unwrap_or(problem);
    let (map, places) = (bench.maps(problem)?, channels(&problem.graph));
    let values = modality_values(bench, problem)?;
    let mut worst = (0.0, String::from("equal"));
    for (k, &at) in places.iter().enumerate() {
        let sum: f64 = map[at.0][entries(&problem.graph, at)].iter().sum();
        let gap = (sum - values[k]).abs();
        if gap > worst.0 || gap.is_nan() {
            worst = (
                gap,
                format!("the parts of modality {k} add up to {sum}, its Shapley value is {}", values[k]),
            );
        }
    }
    let shadow = bench.shadow(problem)?;
    let rounding = shadow.sum(bench.subject.arithmetic) * bench.subject.amplification;
    bench.judge(worst.0, rounding + 4.0 * shadow.output() + bench.path_error(problem)?, worst.1)
}

/// The Shapley value of every channel, from the values of all coalitions of channels.
fn modality_values<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Result<Vec<f64>> {
    let n = channels(&problem.graph).len();
    Ok(shapley(&bench.values(problem, &coalitions(problem, n)?)?))
}

/// One example per coalition: its channels from the input, the others from the reference.
fn coalitions(problem: &Problem, n: usize) -> Result<Vec<Tensor<f64>>> {
    let places = channels(&problem.graph);
    let one = |(i, (x, r)): (usize, (&Tensor<f64>, &Tensor<f64>))| {
        let mut data = Vec::new();
        for set in 0..1usize << n {
            let mut row = r.data().to_vec();
            for (_, &at) in places.iter().enumerate().filter(|(k, at)| at.0 == i && set >> k & 1 == 1) {
                let own = entries(&problem.graph, at);
                row[own.clone()].copy_from_slice(&x.data()[own]);
            }
            data.extend(row);
        }
        let mut sizes = x.shape().to_vec();
        sizes[0] = 1 << n;
        Tensor::new(&sizes, data)
    };
    problem.x.iter().zip(&problem.r).enumerate().map(one).collect()
}
