//! A sparse linear map along one axis: interpolation and its adjoint.

use crate::parallel::Pool;
use voxplain_autodiff::{Span, SparseMatrix};

/// `y[o, r, i] = sum over the entries of row r of weight * x[o, column, i]`.
pub fn run(pool: &Pool, s: Span, matrix: &SparseMatrix, x: &[f32], y: &mut [f32]) {
    let rows = matrix.rows();
    pool.chunks(y, s.inner, |at, y| {
        let (outer, row) = (at / rows, at % rows);
        y.fill(0.0);
        for e in matrix.starts[row]..matrix.starts[row + 1] {
            let from = &x[(outer * s.n + matrix.column[e]) * s.inner..][..s.inner];
            let weight = matrix.weight[e] as f32;
            y.iter_mut().zip(from).for_each(|(y, &v)| *y += weight * v);
        }
    });
}
