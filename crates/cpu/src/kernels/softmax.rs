//! Softmax and its logarithm along an axis; sums in double precision.

use crate::parallel::{Pool, Shared};
use voxplain_autodiff::Span;

/// Neighbouring columns that one thread takes at a time, so that a volume of few classes is shared out too.
const BLOCK: usize = 1 << 11;

/// Calls `work(i, column)` for every column along the axis: entry `k` of the column is at `i + k * inner`, and belongs
/// to the calling thread alone.
fn columns(
    pool: &Pool,
    s: Span,
    out: &mut [f32],
    work: impl Fn(usize, &mut dyn FnMut(usize, f64)) + Sync + Send,
) {
    let (cost, blocks) = (out.len().saturating_mul(8), s.inner.div_ceil(BLOCK));
    let shared = Shared::new(out);
    pool.each(s.outer * blocks, cost, |i| {
        let (outer, from) = (i / blocks, i % blocks * BLOCK);
        for column in from..s.inner.min(from + BLOCK) {
            let start = outer * s.n * s.inner + column;
            work(start, &mut |k, value| {
                // SAFETY: entries of different columns do not overlap and each column is visited once.
                let entry = unsafe { shared.slice(start + k * s.inner, 1) };
                entry[0] = value as f32;
            });
        }
    });
}

/// Softmax, or its logarithm.
pub fn forward(pool: &Pool, s: Span, logarithm: bool, x: &[f32], y: &mut [f32]) {
    columns(pool, s, y, |start, set| {
        let entry = |i: usize| f64::from(x[start + i * s.inner]);
        let most = (0..s.n).map(entry).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = (0..s.n).map(|i| (entry(i) - most).exp()).sum();
        let log_sum = sum.ln();
        for i in 0..s.n {
            let shifted = entry(i) - most;
            set(i, if logarithm { shifted - log_sum } else { shifted.exp() / sum });
        }
    });
}

/// The adjoint, given the result `y` of [`forward`].
pub fn adjoint(pool: &Pool, s: Span, logarithm: bool, upper: &[f32], y: &[f32], dx: &mut [f32]) {
    columns(pool, s, dx, |start, set| {
        let entry = |v: &[f32], i: usize| f64::from(v[start + i * s.inner]);
        let total: f64 = (0..s.n).map(|i| entry(upper, i) * if logarithm { 1.0 } else { entry(y, i) }).sum();
        for i in 0..s.n {
            let (g, y) = (entry(upper, i), entry(y, i));
            set(i, if logarithm { g - y.exp() * total } else { y * (g - total) });
        }
    });
}
