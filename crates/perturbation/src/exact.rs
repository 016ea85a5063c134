//! Values of games whose every coalition is known: `v[bits]` is the value of the coalition whose features are the bits.

/// `1 / (n C(n - 1, s))` for every size: the weight of a coalition of s others in a Shapley value.
pub(crate) fn weights(n: usize) -> Vec<f64> {
    let mut weight = vec![1.0 / n.max(1) as f64; n];
    for s in 1..n {
        weight[s] = weight[s - 1] * s as f64 / (n - s) as f64;
    }
    weight
}

/// `sum over S without i of weight(|S|) (v(S + i) - v(S))` for every feature.
fn weighed(v: &[f64], n: usize, weight: impl Fn(usize) -> f64) -> Vec<f64> {
    let one = |i: usize| {
        let without = (0..v.len()).filter(|bits| bits >> i & 1 == 0);
        without.map(|bits| weight(bits.count_ones() as usize) * (v[bits | 1 << i] - v[bits])).sum()
    };
    (0..n).map(one).collect()
}

/// Shapley values: `sum over S without i of s! (n - s - 1)! / n! (v(S + i) - v(S))` (Shapley, "A value for n-person
/// games", 1953). `values` has `2^n` entries, those of the coalitions numbered by their bits.
///
/// ```
/// // Two features that are worth something together alone.
/// assert_eq!(voxplain_perturbation::shapley(&[0.0, 0.0, 0.0, 1.0]), [0.5, 0.5]);
/// ```
pub fn shapley(values: &[f64]) -> Vec<f64> {
    let n = values.len().max(1).ilog2() as usize;
    let weight = weights(n);
    weighed(values, n, |s| weight[s])
}

/// Banzhaf values: `sum over S without i of (v(S + i) - v(S)) / 2^(n - 1)` (Banzhaf, "Weighted voting doesn't work", 1965).
/// `values` as in [`shapley`].
pub fn banzhaf(values: &[f64]) -> Vec<f64> {
    let n = values.len().max(1).ilog2() as usize;
    let weight = 2.0 / values.len() as f64;
    weighed(values, n, |_| weight)
}
