//! Least squares: plain, ridge, and with a given sum.

use super::Samples;
use super::eigen::pseudo_inverse;
use voxplain_tensor::Result;

/// A fitted line through coalitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The constant.
    pub intercept: f64,
    /// One coefficient per feature.
    pub coefficients: Vec<f64>,
    /// Standard errors of the coefficients, from the residuals themselves (White 1980, "A heteroskedasticity-consistent
    /// covariance matrix estimator", Econometrica 48), times `rows / (rows - rank)`; rows drawn together count as one. Not
    /// finite where rows are not more than unknowns.
    pub errors: Vec<f64>,
    /// The share of the weighted variance that the line explains.
    pub r_squared: f64,
    /// How many directions the samples determine; less than the number of unknowns means that features are confounded.
    pub rank: usize,
}

/// What makes the values of rows uncertain.
#[derive(Clone, Copy, Debug)]
pub struct Doubt<'a> {
    /// So many rows after one another were drawn together, and count as one observation.
    pub group: usize,
    /// Per row, the share of what it stands for that was left out by chance: 1 where rows are drawn from many, 0 where all
    /// that there are are there. `None` for 1 everywhere.
    pub shares: Option<&'a [f64]>,
}

impl Doubt<'_> {
    /// Rows drawn independently from many.
    pub const INDEPENDENT: Doubt<'static> = Doubt { group: 1, shares: None };

    fn share(&self, row: usize) -> f64 {
        self.shares.map_or(1.0, |s| s[row])
    }
}

/// `A^T W A` and `A^T W y`.
fn normal(rows: &[Vec<f64>], values: &[f64], weights: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut matrix, mut right) = (vec![0.0; n * n], vec![0.0; n]);
    for ((row, &y), &w) in rows.iter().zip(values).zip(weights).filter(|(_, w)| **w > 0.0) {
        for i in (0..n).filter(|&i| row[i] != 0.0) {
            let scaled = w * row[i];
            right[i] += scaled * y;
            matrix[i * n..(i + 1) * n].iter_mut().zip(row).for_each(|(m, r)| *m += scaled * r);
        }
    }
    (matrix, right)
}

fn product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    let dot = |row: &[f64]| row.iter().zip(vector).map(|(a, b)| a * b).sum();
    matrix.chunks(vector.len()).map(dot).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Solves `(A^T W A + penalty) x = A^T W y`; standard errors and rank with it.
fn solve(
    samples: Samples<'_>,
    penalty: impl Fn(usize) -> f64,
    doubt: Doubt<'_>,
) -> (Vec<f64>, Vec<f64>, usize) {
    let Samples { rows, values, weights } = samples;
    let n = rows.first().map_or(0, Vec::len);
    let (mut matrix, right) = normal(rows, values, weights, n);
    (0..n).for_each(|i| matrix[i * n + i] += penalty(i));
    let (inverse, rank) = pseudo_inverse(matrix, n);
    let solution = product(&inverse, &right);
    // The sandwich: inverse times the sum of squared weighted residuals (of groups of rows) times inverse.
    let (mut variance, mut used, mut certain) = (vec![0.0; n], 0usize, true);
    for start in (0..rows.len()).step_by(doubt.group.max(1)) {
        let group = start..(start + doubt.group.max(1)).min(rows.len());
        let mut score = vec![0.0; n];
        for at in group.clone().filter(|&at| weights[at] > 0.0) {
            let residual = weights[at] * (values[at] - dot(&rows[at], &solution));
            score.iter_mut().zip(&rows[at]).for_each(|(s, r)| *s += residual * r);
        }
        let share = doubt.share(start);
        variance.iter_mut().zip(product(&inverse, &score)).for_each(|(v, p)| *v += share * p * p);
        used += usize::from(group.clone().any(|at| weights[at] > 0.0));
        certain &= share == 0.0;
    }
    let correction = match used > rank {
        true => used as f64 / (used - rank) as f64,
        false if certain => 1.0,
        false => f64::INFINITY,
    };
    let error = |v: f64| if correction.is_finite() { (v * correction).sqrt() } else { f64::INFINITY };
    (solution, variance.into_iter().map(error).collect(), rank)
}

/// The share of the weighted variance of `values` about their mean that `predicted` explains.
pub(super) fn explained(values: &[f64], predicted: &[f64], weights: &[f64]) -> f64 {
    let total: f64 = weights.iter().sum();
    let mean = dot(values, weights) / total;
    let spread: f64 = values.iter().zip(weights).map(|(v, w)| w * (v - mean).powi(2)).sum();
    let left: f64 = values.iter().zip(predicted).zip(weights).map(|((v, p), w)| w * (v - p).powi(2)).sum();
    if spread > 0.0 { 1.0 - left / spread } else { 1.0 }
}

/// Minimises `sum w (y - c - z . phi)^2`.
///
/// # Errors
/// The samples do not fit together.
///
/// ```
/// use voxplain_perturbation::regression::{Samples, least_squares};
/// let rows = [vec![0.0, 0.0], vec![1.0, 0.0], vec![0.0, 1.0], vec![1.0, 1.0]];
/// let fit = least_squares(Samples { rows: &rows, values: &[1.0, 3.0, 0.0, 2.0], weights: &[1.0; 4] })?;
/// assert!((fit.coefficients[0] - 2.0).abs() < 1e-12 && (fit.coefficients[1] + 1.0).abs() < 1e-12);
/// # Ok::<(), voxplain_tensor::Error>(())
/// ```
pub fn least_squares(samples: Samples<'_>) -> Result<Fit> {
    ridge(samples, 0.0)
}

/// Minimises `sum w (y - c - z . phi)^2 + alpha |phi|^2`; the constant is not penalised.
///
/// # Errors
/// The samples do not fit together.
pub fn ridge(samples: Samples<'_>, alpha: f64) -> Result<Fit> {
    let n = samples.check()?;
    // The constant is a last column of ones.
    let rows: Vec<Vec<f64>> = samples.rows.iter().map(|r| [r.as_slice(), &[1.0]].concat()).collect();
    let penalty = |i: usize| if i < n { alpha } else { 0.0 };
    let wider = Samples { rows: &rows, ..samples };
    let (mut solution, mut errors, rank) = solve(wider, penalty, Doubt::INDEPENDENT);
    let predicted: Vec<f64> = rows.iter().map(|r| dot(r, &solution)).collect();
    let r_squared = explained(samples.values, &predicted, samples.weights);
    errors.truncate(n);
    let intercept = solution.pop().unwrap_or(0.0);
    Ok(Fit { intercept, coefficients: solution, errors, r_squared, rank })
}

/// Minimises `sum w (y - z . phi)^2` subject to `sum(phi) = total`.
///
/// With `phi = total / n + q`, q is unconstrained on the vectors that sum to 0, so the constraint holds to rounding. `doubt`
/// decides the standard errors.
///
/// # Errors
/// The samples do not fit together.
pub fn constrained(samples: Samples<'_>, total: f64, doubt: Doubt<'_>) -> Result<Fit> {
    let n = samples.check()?;
    let share = total / n as f64;
    let about_mean = |row: &Vec<f64>| {
        let mean = row.iter().sum::<f64>() / n as f64;
        row.iter().map(|v| v - mean).collect::<Vec<f64>>()
    };
    let rows: Vec<Vec<f64>> = samples.rows.iter().map(about_mean).collect();
    let left = |(row, y): (&Vec<f64>, &f64)| y - share * row.iter().sum::<f64>();
    let values: Vec<f64> = samples.rows.iter().zip(samples.values).map(left).collect();
    let centred = Samples { rows: &rows, values: &values, weights: samples.weights };
    let (solution, errors, rank) = solve(centred, |_| 0.0, doubt);
    // What rounding left outside the vectors that sum to 0.
    let drift = solution.iter().sum::<f64>() / n as f64;
    let coefficients: Vec<f64> = solution.iter().map(|q| q - drift + share).collect();
    let predicted: Vec<f64> = samples.rows.iter().map(|r| dot(r, &coefficients)).collect();
    let r_squared = explained(samples.values, &predicted, samples.weights);
    Ok(Fit { intercept: 0.0, coefficients, errors, r_squared, rank: rank + 1 })
}
