//! The image itself, blurred until what is small is gone.

use super::Plane;
use voxplain_attribution::blur;
use voxplain_tensor::{Error, Result};

/// A Gaussian along every spatial axis, cut off at three deviations, over the entries inside: the border's entries are
/// repeated, and what is outside has no weight.
pub(super) fn fill(plane: &Plane<'_>, sigma: f64) -> Result<Vec<f64>> {
    if !sigma.is_finite() || sigma <= 0.0 || sigma > 1e3 {
        return Err(Error::invalid(format!("a blur of {sigma} entries; above 0 and at most 1000 expected")));
    }
    let blurred = |values: Vec<f64>| blur(&values, plane.sizes, sigma);
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
