//! Pearson's correlation: whether one list is a line in the other.

/// `cov(a, b) / (sd(a) sd(b))` in [-1, 1] (Pearson 1895). `None` where a side does not vary, has a value that is not finite or
/// fewer than two, or where lengths differ.
///
/// ```
/// use voxplain_metrics::pearson;
/// assert_eq!(pearson(&[1.0, 2.0, 3.0], &[-2.0, -4.0, -6.0]), Some(-1.0));
/// assert_eq!(pearson(&[1.0, 2.0, 3.0], &[5.0, 5.0, 5.0]), None);
/// ```
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.iter().chain(b).any(|v| !v.is_finite()) || constant(a) || constant(b) {
        return None;
    }
    let (a, b) = (deviations(a), deviations(b));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (ab, aa, bb) = (dot(&a, &b), dot(&a, &a), dot(&b, &b));
    (aa > 0.0 && bb > 0.0).then(|| (ab / (aa * bb).sqrt()).clamp(-1.0, 1.0))
}

/// Differences from the mean, as parts of the largest: squares of very small or very large numbers are none.
fn deviations(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let largest = values.iter().fold(0.0f64, |m, v| m.max((v - mean).abs()));
    values.iter().map(|v| if largest > 0.0 { (v - mean) / largest } else { 0.0 }).collect()
}

/// Whether all values are one: their mean may be off by a rounding, which would look like variation.
fn constant(values: &[f64]) -> bool {
    values.iter().all(|v| *v == values[0])
}
