//! Sums along an axis and their adjoint; sums in double precision, in a fixed order.

use crate::parallel::{Pool, Shared};
use voxplain_autodiff::Span;

/// Neighbouring sums that one thread takes at a time, so that rows are read in runs.
const BLOCK: usize = 256;

/// `scale` times the sum along `n`.
pub fn sum(pool: &Pool, s: Span, scale: f64, x: &[f32], y: &mut [f32]) {
    if s.inner == 1 {
        return pool.costly_chunks(y, 1.max(4096 / s.n.max(1)), s.n, |i, y| {
            let start = i * 1.max(4096 / s.n.max(1));
            for (k, y) in y.iter_mut().enumerate() {
                *y = (scale * row_sum(&x[(start + k) * s.n..][..s.n])) as f32;
            }
        });
    }
    let (blocks, shared) = (s.inner.div_ceil(BLOCK), Shared::new(y));
    pool.each(s.outer * blocks, x.len(), |i| {
        let (outer, from) = (i / blocks, i % blocks * BLOCK);
        let count = BLOCK.min(s.inner - from);
        let mut sums = [0.0f64; BLOCK];
        for row in x[outer * s.n * s.inner..][..s.n * s.inner].chunks(s.inner) {
            sums.iter_mut().zip(&row[from..from + count]).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        // SAFETY: blocks of sums do not overlap and each is visited once.
        let y = unsafe { shared.slice(outer * s.inner + from, count) };
        y.iter_mut().zip(sums).for_each(|(y, sum)| *y = (scale * sum) as f32);
    });
}

/// The sum of a row in eight fixed lanes.
fn row_sum(row: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    for part in row.chunks(8) {
        lanes.iter_mut().zip(part).for_each(|(lane, &v)| *lane += f64::from(v));
    }
    lanes.iter().sum()
}

/// `scale x` repeated along `n`.
pub fn repeat(pool: &Pool, s: Span, scale: f64, x: &[f32], y: &mut [f32]) {
    let scale = scale as f32;
    pool.chunks(y, s.n * s.inner, |outer, y| {
        let row = &x[outer * s.inner..(outer + 1) * s.inner];
        for y in y.chunks_mut(s.inner) {
            y.iter_mut().zip(row).for_each(|(y, &v)| *y = scale * v);
        }
    });
}
