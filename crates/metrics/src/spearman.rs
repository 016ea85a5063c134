//! Spearman's rank correlation: whether two maps put entries in the same order.

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

/// Pearson's correlation; `None` where one side does not vary.
fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len().max(1) as f64;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(a - ma, b - mb)).sum::<f64>();
    let (ab, aa, bb) = (sum(&|a, b| a * b), sum(&|a, _| a * a), sum(&|_, b| b * b));
    (aa > 0.0 && bb > 0.0).then(|| (ab / (aa * bb).sqrt()).clamp(-1.0, 1.0))
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
