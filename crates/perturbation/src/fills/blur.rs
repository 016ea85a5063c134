//! The image itself, blurred until what is small is gone.

use super::Plane;
use voxplain_tensor::{Error, Result};

/// A Gaussian along every spatial axis, cut off at three deviations, over the entries inside: the border's entries are
/// repeated, and what is outside has no weight.
pub(super) fn fill(plane: &Plane<'_>, sigma: f64) -> Result<Vec<f64>> {
    if !sigma.is_finite() || sigma <= 0.0 || sigma > 1e3 {
        return Err(Error::invalid(format!("a blur of {sigma} entries; above 0 and at most 1000 expected")));
    }
    let blurred =
        |values: Vec<f64>| (0..plane.sizes.len()).fold(values, |v, axis| along(&v, plane.sizes, axis, sigma));
    if plane.inside.iter().all(|i| *i) {
        return Ok(blurred(plane.values.to_vec()));
    }
    let only = |value: &dyn Fn(usize) -> f64| {
        (0..plane.values.len()).map(|i| if plane.inside[i] { value(i) } else { 0.0 }).collect()
    };
    let sums = blurred(only(&|i| plane.values[i]));
    let weights = blurred(only(&|_| 1.0));
    Ok(sums.iter().zip(weights).map(|(s, w)| if w > 0.0 { s / w } else { 0.0 }).collect())
}

fn along(source: &[f64], sizes: &[usize], axis: usize, sigma: f64) -> Vec<f64> {
    let reach = (3.0 * sigma).ceil() as isize;
    let weights: Vec<f64> = (-reach..=reach).map(|d| (-0.5 * (d as f64 / sigma).powi(2)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let (n, inner) = (sizes[axis] as isize, sizes[axis + 1..].iter().product::<usize>());
    let value = |at: usize| {
        let (line, i) = (at / (inner * n as usize), (at / inner % n as usize) as isize);
        let entry = |d: isize| {
            let k = (i + d).clamp(0, n - 1) as usize;
            source[(line * n as usize + k) * inner + at % inner]
        };
        (-reach..=reach).zip(&weights).map(|(d, w)| w * entry(d)).sum::<f64>() / total
    };
    (0..source.len()).map(value).collect()
}
