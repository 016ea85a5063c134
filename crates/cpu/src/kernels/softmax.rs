//! Softmax and its logarithm along an axis; sums in double precision.

use crate::parallel::Pool;
use voxplain_autodiff::Span;

/// Calls `work` with the index of the first entry of every column along the axis and its stride's output block.
fn columns(s: Span, block: &mut [f32], mut work: impl FnMut(usize, &mut [f32])) {
    (0..s.inner).for_each(|k| work(k, block));
}

/// Softmax, or its logarithm.
pub fn forward(pool: &Pool, s: Span, logarithm: bool, x: &[f32], y: &mut [f32]) {
    pool.chunks(y, s.n * s.inner, |outer, y| {
        let x = &x[outer * s.n * s.inner..][..s.n * s.inner];
        columns(s, y, |k, y| {
            let entry = |i: usize| f64::from(x[i * s.inner + k]);
            let most = (0..s.n).map(entry).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..s.n).map(|i| (entry(i) - most).exp()).sum();
            for i in 0..s.n {
                let log = entry(i) - most - sum.ln();
                y[i * s.inner + k] = (if logarithm { log } else { (entry(i) - most).exp() / sum }) as f32;
            }
        });
    });
}

/// The adjoint, given the result `y` of [`forward`].
pub fn adjoint(pool: &Pool, s: Span, logarithm: bool, upper: &[f32], y: &[f32], dx: &mut [f32]) {
    pool.chunks(dx, s.n * s.inner, |outer, dx| {
        let at = outer * s.n * s.inner;
        columns(s, dx, |k, dx| {
            let entry = |v: &[f32], i: usize| f64::from(v[at + i * s.inner + k]);
            let total: f64 =
                (0..s.n).map(|i| entry(upper, i) * if logarithm { 1.0 } else { entry(y, i) }).sum();
            for i in 0..s.n {
                let (g, y) = (entry(upper, i), entry(y, i));
                dx[i * s.inner + k] = (if logarithm { g - y.exp() * total } else { y * (g - total) }) as f32;
            }
        });
    });
}
