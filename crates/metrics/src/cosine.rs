//! Cosine similarity: whether two maps point the same way.

/// `<a, b> / (|a| |b|)` in [-1, 1]; `None` where a map is all 0 or lengths differ. Of the maps of two classes it is a class
/// contrast: near 1 for every pair of classes, the map does not depend on what is asked (Sixt, Granz & Landgraf, "When
/// explanations lie", ICML 2020).
///
/// ```
/// use voxplain_metrics::cosine;
/// assert_eq!(cosine(&[3.0, 0.0], &[0.0, 2.0]), Some(0.0));
/// assert_eq!(cosine(&[0.0, 0.0], &[0.0, 2.0]), None);
/// ```
pub fn cosine(a: &[f64], b: &[f64]) -> Option<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norms = dot(a, a).sqrt() * dot(b, b).sqrt();
    (a.len() == b.len() && norms > 0.0).then(|| (dot(a, b) / norms).clamp(-1.0, 1.0))
}
