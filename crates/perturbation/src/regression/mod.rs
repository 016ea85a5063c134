//! Weighted linear regressions of values on coalitions, a few hundred unknowns at most, in double precision.
//!
//! Normal equations are solved through their eigenvalues, so that a direction that the samples do not determine gets
//! nothing (the shortest solution) instead of anything.

mod eigen;
mod lasso;
mod least_squares;

pub use lasso::lasso;
pub use least_squares::{Doubt, Fit, constrained, least_squares, ridge};

use voxplain_tensor::{Error, Result};

/// The most unknowns of a dense regression, whose time grows with their third power.
const MOST: usize = 1024;

/// Refuses to ask for rows that cannot identify the scores of so many features: `needed` rows are the least.
pub(crate) fn check_rows(method: &str, features: usize, rows: usize, needed: usize) -> Result<()> {
    if rows >= needed {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{method} with {rows} draws cannot identify the scores of {features} features, which takes {needed} draws or more; \
         raise draws or use fewer features"
    )))
}

/// Refuses regressions that would not end.
pub(crate) fn check_unknowns(method: &str, features: usize) -> Result<()> {
    if features <= MOST {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{method} fits a score to each of {features} features together, and at most {MOST} can be solved for; use larger \
         regions, or shapley_sampling or banzhaf, which fit nothing"
    )))
}

/// Rows of 0 and 1, their values and weights.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// Rows of the same length.
    pub rows: &'a [Vec<f64>],
    /// One value per row.
    pub values: &'a [f64],
    /// One weight per row, not negative.
    pub weights: &'a [f64],
}

impl Samples<'_> {
    fn check(&self) -> Result<usize> {
        let n = self.rows.first().map_or(0, Vec::len);
        let fits = self.values.len() == self.rows.len()
            && self.weights.len() == self.rows.len()
            && self.rows.iter().all(|r| r.len() == n)
            && n > 0;
        if !fits {
            return Err(Error::invalid(format!(
                "{} rows, {} values and {} weights; as many of each, and rows of one length expected",
                self.rows.len(),
                self.values.len(),
                self.weights.len()
            )));
        }
        if self.weights.iter().any(|w| !w.is_finite() || *w < 0.0) || self.weights.iter().sum::<f64>() <= 0.0
        {
            return Err(Error::invalid("weights must be finite, not negative and not all 0"));
        }
        Ok(n)
    }
}
