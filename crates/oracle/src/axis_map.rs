//! A sparse matrix along one axis, entry by entry.

use voxplain_autodiff::{Span, SparseMatrix};

pub(crate) fn forward(s: Span, m: &SparseMatrix, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; s.outer * m.rows() * s.inner];
    for o in 0..s.outer {
        for r in 0..m.rows() {
            for e in m.starts[r]..m.starts[r + 1] {
                for i in 0..s.inner {
                    y[(o * m.rows() + r) * s.inner + i] +=
                        m.weight[e] * x[(o * s.n + m.column[e]) * s.inner + i];
                }
            }
        }
    }
    y
}
