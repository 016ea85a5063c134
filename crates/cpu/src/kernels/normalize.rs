//! Normalisation with stored statistics and with statistics of the data; sums in double precision.

use crate::isa::{Isa, vectorized};
use crate::parallel::{Pool, Shared};
use voxplain_autodiff::{ChannelGeometry, Span};

vectorized! {
    fn scale_shift(scale: f32, shift: f32, x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = scale * x + shift;
        }
    }
}

/// Batch normalisation with stored statistics; `parameters` are scale, bias, mean, variance.
pub fn batch(pool: &Pool, isa: Isa, g: &ChannelGeometry, x: &[f32], parameters: [&[f32]; 4], y: &mut [f32]) {
    pool.chunks(y, g.inner, |plane, y| {
        let [scale, bias, mean, variance] = parameters.map(|p| f64::from(p[plane % g.channels]));
        let s = scale / (variance + g.epsilon).sqrt();
        scale_shift(isa, s as f32, (bias - mean * s) as f32, &x[plane * g.inner..][..y.len()], y);
    });
}

/// The adjoint of [`batch`] in x.
pub fn batch_adjoint(
    pool: &Pool,
    isa: Isa,
    g: &ChannelGeometry,
    upper: &[f32],
    scale: &[f32],
    variance: &[f32],
    dx: &mut [f32],
) {
    pool.chunks(dx, g.inner, |plane, dx| {
        let c = plane % g.channels;
        let s = f64::from(scale[c]) / (f64::from(variance[c]) + g.epsilon).sqrt();
        scale_shift(isa, s as f32, 0.0, &upper[plane * g.inner..][..dx.len()], dx);
    });
}

fn mean(values: impl Iterator<Item = f64>, n: usize) -> f64 {
    values.sum::<f64>() / n as f64
}

/// Groups of `n` entries brought to mean 0 and variance 1.
pub fn forward(
    pool: &Pool,
    s: Span,
    epsilon: f64,
    x: &[f32],
    y: Option<&mut [f32]>,
    inverse: Option<&mut [f32]>,
) {
    let statistics = |group: usize| {
        let x = &x[group * s.n..(group + 1) * s.n];
        let m = mean(x.iter().map(|&v| f64::from(v)), s.n);
        let variance = mean(x.iter().map(|&v| (f64::from(v) - m).powi(2)), s.n);
        (m, 1.0 / (variance + epsilon).sqrt())
    };
    let inverse = inverse.map(Shared::new);
    let set = |group: usize, value: f64| {
        if let Some(inverse) = &inverse {
            // SAFETY: every group has one entry and is visited once.
            let entry = unsafe { inverse.slice(group, 1) };
            entry[0] = value as f32;
        }
    };
    match y {
        Some(y) => pool.chunks(y, s.n, |group, y| {
            let (m, i) = statistics(group);
            set(group, i);
            y.iter_mut().zip(&x[group * s.n..]).for_each(|(y, &x)| *y = ((f64::from(x) - m) * i) as f32);
        }),
        None => (0..s.outer).for_each(|group| set(group, statistics(group).1)),
    }
}

/// The adjoint of [`forward`] at a point given by its results; operands are upper, normalised values, inverses.
pub fn adjoint(pool: &Pool, s: Span, [upper, normalised, inverse]: [&[f32]; 3], dx: &mut [f32]) {
    pool.chunks(dx, s.n, |group, dx| {
        let at = group * s.n;
        let (u, h) = (&upper[at..at + s.n], &normalised[at..at + s.n]);
        let average = mean(u.iter().map(|&v| f64::from(v)), s.n);
        let along = mean(u.iter().zip(h).map(|(&u, &h)| f64::from(u) * f64::from(h)), s.n);
        for ((d, &u), &h) in dx.iter_mut().zip(u).zip(h) {
            *d = (f64::from(inverse[group]) * (f64::from(u) - average - f64::from(h) * along)) as f32;
        }
    });
}
