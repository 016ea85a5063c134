//! Spearman's rank correlation: whether two maps put entries in the same order.

use crate::pearson::pearson;
use crate::ranks::ranks;

/// The correlation of ranks in [-1, 1], equal values sharing the mean of their ranks (Spearman 1904). `None` where a map is
/// constant, has fewer than two entries or a value that is not a number, or where lengths differ.
///
/// ```
/// use voxplain_metrics::spearman;
/// assert_eq!(spearman(&[1.0, 2.0, 3.0], &[10.0, 100.0, 1000.0]), Some(1.0));
/// assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some(-1.0));
/// assert_eq!(spearman(&[1.0, 1.0], &[3.0, 2.0]), None);
/// ```
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.iter().chain(b).any(|v| v.is_nan()) {
        return None;
    }
    pearson(&ranks(a), &ranks(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: ranks (0, 1, 2, 3) and (1, 0, 3, 2) have 1 - 6 * 4 / (4 * 15) = 0.6.
    #[test]
    fn a_value_by_hand() {
        let found = spearman(&[1.0, 2.0, 3.0, 4.0], &[20.0, 10.0, 40.0, 30.0]);
        assert!((found.unwrap_or(0.0) - 0.6).abs() < 1e-15);
    }
}
