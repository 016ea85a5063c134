//! Sums along an axis and their adjoint, and the lines along an axis that the other statistics work on.

use voxplain_autodiff::Span;

/// The entries along the axis at (outer, inner).
pub(crate) fn line(s: Span, x: &[f64], o: usize, i: usize) -> Vec<f64> {
    (0..s.n).map(|k| x[(o * s.n + k) * s.inner + i]).collect()
}

/// Applies `f` to every line along the axis and puts the results back in place.
pub(crate) fn along(s: Span, x: &[f64], f: impl Fn(usize, usize, Vec<f64>) -> Vec<f64>) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    for o in 0..s.outer {
        for i in 0..s.inner {
            for (k, v) in f(o, i, line(s, x, o, i)).into_iter().enumerate() {
                y[(o * s.n + k) * s.inner + i] = v;
            }
        }
    }
    y
}

pub(crate) fn reduce(s: Span, scale: f64, x: &[f64]) -> Vec<f64> {
    let sum = |at: usize| scale * line(s, x, at / s.inner, at % s.inner).iter().sum::<f64>();
    (0..s.outer * s.inner).map(sum).collect()
}

pub(crate) fn repeat(s: Span, scale: f64, x: &[f64]) -> Vec<f64> {
    (0..s.outer * s.n * s.inner).map(|at| scale * x[at / (s.n * s.inner) * s.inner + at % s.inner]).collect()
}
