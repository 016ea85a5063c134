//! Sparseness: whether a few entries have most of a map.

/// The Gini index of the magnitudes, `sum_i (2i - n - 1) |a|_(i) / (n sum |a|)` over the magnitudes in growing order (Hurley &
/// Rickard, "Comparing measures of sparsity", 2009; of maps Chalasani et al., "Concise explanations of neural networks using
/// adversarial training", ICML 2020): 0 for a map that is the same everywhere, `(n - 1) / n` where one entry has all. In [0, 1).
/// A degenerate map is perfectly sparse, so the number means nothing without a measure of what the map says. `None` for a map
/// of zeros, an empty one, or one with a value that is not finite.
///
/// ```
/// use voxplain_metrics::sparseness;
/// assert_eq!(sparseness(&[0.0, -3.0, 0.0, 0.0]), Some(0.75));
/// assert_eq!(sparseness(&[2.0, -2.0, 2.0]), Some(0.0));
/// assert_eq!(sparseness(&[0.0, 0.0]), None);
/// ```
pub fn sparseness(map: &[f64]) -> Option<f64> {
    let mut sizes: Vec<f64> = map.iter().map(|v| v.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let (n, largest) = (sizes.len() as f64, *sizes.last()?);
    if !largest.is_finite() || largest == 0.0 {
        return None;
    }
    // By parts of the largest, so that neither very large nor very small maps leave the range of numbers.
    let total: f64 = sizes.iter().map(|v| v / largest).sum();
    let rank = |i: usize| 2.0 * (i + 1) as f64 - n - 1.0;
    let weighed: f64 = sizes.iter().enumerate().map(|(i, v)| rank(i) * (v / largest)).sum();
    Some(weighed / (n * total))
}
