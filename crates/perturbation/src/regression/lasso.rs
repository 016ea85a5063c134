//! Least squares that leaves out what explains little.

use super::Samples;
use super::least_squares::{Fit, explained};
use voxplain_tensor::{Error, Result};

/// Sweeps over the coefficients before giving up.
const SWEEPS: usize = 100_000;

/// Minimises `sum w (y - c - z . phi)^2 / (2 sum w) + alpha |phi|_1` by coordinate descent (Friedman, Hastie &
/// Tibshirani, "Regularization paths for generalized linear models via coordinate descent", J. Stat. Softw. 33, 2010).
/// Errors are not a number: the penalty's bias is no sampling error.
///
/// # Errors
/// The samples do not fit together, `alpha` is negative, or the descent does not come to rest.
pub fn lasso(samples: Samples<'_>, alpha: f64) -> Result<Fit> {
    let n = samples.check()?;
    if !alpha.is_finite() || alpha < 0.0 {
        return Err(Error::invalid(format!(
            "lasso with alpha {alpha}; a number that is not negative expected"
        )));
    }
    let total: f64 = samples.weights.iter().sum();
    let weights: Vec<f64> = samples.weights.iter().map(|w| w / total).collect();
    let mean = |of: &dyn Fn(usize) -> f64| (0..weights.len()).map(|r| weights[r] * of(r)).sum::<f64>();
    let means: Vec<f64> = (0..n).map(|f| mean(&|r| samples.rows[r][f])).collect();
    let value = mean(&|r| samples.values[r]);
    // Columns about their means; the constant follows from them.
    let column = |f: usize| samples.rows.iter().map(|row| row[f] - means[f]).collect::<Vec<f64>>();
    let columns: Vec<Vec<f64>> = (0..n).map(column).collect();
    let norms: Vec<f64> = columns.iter().map(|c| mean(&|r| c[r] * c[r])).collect();
    let mut residuals: Vec<f64> = samples.values.iter().map(|v| v - value).collect();
    let scale = residuals.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let mut phi = vec![0.0; n];
    for _ in 0..SWEEPS {
        let mut moved = 0.0f64;
        for f in (0..n).filter(|&f| norms[f] > 0.0) {
            let pull: f64 = (0..weights.len()).map(|r| weights[r] * columns[f][r] * residuals[r]).sum();
            let wish = pull + norms[f] * phi[f];
            let next = wish.signum() * (wish.abs() - alpha).max(0.0) / norms[f];
            let change = next - phi[f];
            if change != 0.0 {
                residuals.iter_mut().zip(&columns[f]).for_each(|(r, c)| *r -= change * c);
                phi[f] = next;
            }
            moved = moved.max(change.abs());
        }
        if moved <= 1e-13 * scale {
            let intercept = value - phi.iter().zip(&means).map(|(p, m)| p * m).sum::<f64>();
            let predicted: Vec<f64> = samples.values.iter().zip(&residuals).map(|(v, r)| v - r).collect();
            let r_squared = explained(samples.values, &predicted, samples.weights);
            let rank = phi.iter().filter(|p| **p != 0.0).count();
            return Ok(Fit { intercept, coefficients: phi, errors: vec![f64::NAN; n], r_squared, rank });
        }
    }
    Err(Error::limit("the lasso did not come to rest; use more samples than features, or ridge"))
}
