//! What a quadrature along the straight path from the reference can miss.

use crate::bench::Bench;
use crate::problem::{Problem, converted};
use voxplain_attribution::Engine;
use voxplain_attribution::methods::{Backward, Method};
use voxplain_autodiff::Device;
use voxplain_tensor::{Result, Scalar, Tensor};

/// Koksma's inequality: a quadrature of an integrand of variation V is off by at most V times the discrepancy of its nodes.
/// The variation is taken at `finer` points per node: from the nodes alone it would miss what lies between.
///
/// # Errors
/// As a run of the network.
pub fn quadrature_error<D: Device>(
    bench: &Bench<'_, D>,
    problem: &Problem,
    nodes: &[(f64, f64)],
    finer: usize,
) -> Result<f64> {
    let slopes = slopes(bench, problem, finer * nodes.len())?;
    let variation: f64 = slopes.windows(2).map(|w| (w[1] - w[0]).abs()).sum();
    Ok(variation * discrepancy(nodes))
}

/// `sup_t |t - sum of the weights of nodes below t|` for t in [0, 1]; of the midpoint rule 1 / 2n.
pub fn discrepancy(nodes: &[(f64, f64)]) -> f64 {
    let mut sorted = nodes.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut sum, mut worst) = (0.0f64, 0.0f64);
    for (at, weight) in sorted {
        worst = worst.max((at - sum).abs());
        sum += weight;
        worst = worst.max((at - sum).abs());
    }
    worst.max((1.0 - sum).abs())
}

/// `<dF/dx, x - r>` at the middles of `count` parts of the path.
fn slopes<D: Device>(bench: &Bench<'_, D>, problem: &Problem, count: usize) -> Result<Vec<f64>> {
    let at = |k: usize| (k as f64 + 0.5) / count as f64;
    let row = |(x, r): (&Tensor<f64>, &Tensor<f64>)| {
        let point = |k: usize| x.data().iter().zip(r.data()).map(move |(x, r)| r + at(k) * (x - r));
        let mut sizes = x.shape().to_vec();
        sizes[0] *= count;
        Tensor::new(&sizes, (0..count).flat_map(point).collect())
    };
    let path: Vec<Tensor<f64>> = problem.x.iter().zip(&problem.r).map(row).collect::<Result<_>>()?;
    let mut engine = Engine::new(&problem.graph, bench.device, None);
    let found =
        Backward::saliency(false).attribute(&mut engine, &converted::<D::Scalar>(&path), &problem.target)?;
    let delta = problem.delta();
    let slope = |k: usize| {
        let part = |(map, d): (&voxplain_attribution::Map<D::Scalar>, &Vec<f64>)| {
            let row = &map.values.data()[k * d.len()..(k + 1) * d.len()];
            row.iter().zip(d).map(|(g, d)| g.to_f64() * d).sum::<f64>()
        };
        found.maps.iter().zip(&delta).map(part).sum()
    };
    Ok((0..count).map(slope).collect())
}

#[cfg(test)]
mod tests {
    use super::discrepancy;

    #[test]
    fn the_midpoint_rule_has_half_a_step() {
        let nodes: Vec<(f64, f64)> = (0..8).map(|k| ((f64::from(k) + 0.5) / 8.0, 0.125)).collect();
        assert!((discrepancy(&nodes) - 1.0 / 16.0).abs() < 1e-15);
        let left: Vec<(f64, f64)> = (0..8).map(|k| (f64::from(k) / 8.0, 0.125)).collect();
        assert!((discrepancy(&left) - 0.125).abs() < 1e-15);
    }
}
