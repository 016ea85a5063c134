//! Complexity: over how many entries a map is spread.

/// The entropy of the parts `p_i = |a_i| / sum |a|`, `- sum_i p_i ln p_i` (Bhatt, Weller & Moura, "Evaluating and aggregating
/// feature-based model explanations", IJCAI 2020, section 3.3): 0 where one entry has all, `ln n` for a map that is the same
/// everywhere. Like sparseness it rewards degenerate maps. `None` for a map of zeros, an empty one, or one with a value that is
/// not finite.
///
/// ```
/// use voxplain_metrics::complexity;
/// assert_eq!(complexity(&[0.0, -3.0, 0.0, 0.0]), Some(0.0));
/// assert_eq!(complexity(&[1.0, -1.0]), Some(2f64.ln()));
/// assert_eq!(complexity(&[]), None);
/// ```
pub fn complexity(map: &[f64]) -> Option<f64> {
    let largest = map.iter().fold(0.0f64, |m, v| if v.abs() > m || v.is_nan() { v.abs() } else { m });
    if !largest.is_finite() || largest == 0.0 {
        return None;
    }
    let total: f64 = map.iter().map(|v| v.abs() / largest).sum();
    let parts = map.iter().map(|v| v.abs() / largest / total).filter(|p| *p > 0.0);
    // 0 as a plain 0, not as its negative.
    Some(parts.map(|p| -p * p.ln()).sum::<f64>().max(0.0) + 0.0)
}
