//! Sums along an axis and their adjoint; sums in double precision, in the order of the entries.

use crate::parallel::Pool;
use voxplain_autodiff::Span;

/// `scale` times the sum along `n`.
pub fn sum(pool: &Pool, s: Span, scale: f64, x: &[f32], y: &mut [f32]) {
    if s.inner == 1 {
        pool.chunks(y, 1.max(4096 / s.n.max(1)), |i, y| {
            let start = i * 1.max(4096 / s.n.max(1));
            for (k, y) in y.iter_mut().enumerate() {
                let row = &x[(start + k) * s.n..(start + k + 1) * s.n];
                *y = (scale * row.iter().map(|&v| f64::from(v)).sum::<f64>()) as f32;
            }
        });
        return;
    }
    pool.chunks(y, s.inner, |outer, y| {
        let mut sums = vec![0.0f64; s.inner];
        for row in x[outer * s.n * s.inner..][..s.n * s.inner].chunks(s.inner) {
            sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        y.iter_mut().zip(sums).for_each(|(y, sum)| *y = (scale * sum) as f32);
    });
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
