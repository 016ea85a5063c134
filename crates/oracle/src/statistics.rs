//! Sums, normalisations and softmax.

use voxplain_autodiff::{ChannelGeometry, Span};

pub(crate) fn batch_norm(g: &ChannelGeometry, x: &[&[f64]]) -> Vec<f64> {
    let value = |(i, v): (usize, &f64)| {
        let c = i / g.inner % g.channels;
        (v - x[3][c]) / (x[4][c] + g.epsilon).sqrt() * x[1][c] + x[2][c]
    };
    x[0].iter().enumerate().map(value).collect()
}

pub(crate) fn batch_norm_adjoint(g: &ChannelGeometry, x: &[&[f64]]) -> Vec<f64> {
    let value = |(i, v): (usize, &f64)| {
        let c = i / g.inner % g.channels;
        v * x[1][c] / (x[2][c] + g.epsilon).sqrt()
    };
    x[0].iter().enumerate().map(value).collect()
}

/// The entries along the axis at (outer, inner).
fn line(s: Span, x: &[f64], o: usize, i: usize) -> Vec<f64> {
    (0..s.n).map(|k| x[(o * s.n + k) * s.inner + i]).collect()
}

/// Applies `f` to every line along the axis and puts the results back in place.
fn along(s: Span, x: &[f64], f: impl Fn(usize, usize, Vec<f64>) -> Vec<f64>) -> Vec<f64> {
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

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

pub(crate) fn normalize(s: Span, epsilon: f64, x: &[f64]) -> Vec<Vec<f64>> {
    let inverse = |v: &[f64]| {
        let m = mean(v);
        1.0 / (mean(&v.iter().map(|x| (x - m) * (x - m)).collect::<Vec<_>>()) + epsilon).sqrt()
    };
    let normalised = along(s, x, |_, _, v| v.iter().map(|x| (x - mean(&v)) * inverse(&v)).collect());
    vec![normalised, (0..s.outer).map(|o| inverse(&line(s, x, o, 0))).collect()]
}

pub(crate) fn normalize_adjoint(s: Span, x: &[&[f64]]) -> Vec<f64> {
    along(s, x[0], |o, i, u| {
        let h = line(s, x[1], o, i);
        let product: Vec<f64> = u.iter().zip(&h).map(|(u, h)| u * h).collect();
        u.iter().zip(&h).map(|(v, h)| x[2][o] * (v - mean(&u) - h * mean(&product))).collect()
    })
}

pub(crate) fn softmax(s: Span, logarithm: bool, x: &[f64]) -> Vec<f64> {
    along(s, x, |_, _, v| {
        let most = v.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(x));
        let sum: f64 = v.iter().map(|x| (x - most).exp()).sum();
        v.iter().map(|x| if logarithm { x - most - sum.ln() } else { (x - most).exp() / sum }).collect()
    })
}

pub(crate) fn softmax_adjoint(s: Span, logarithm: bool, upper: &[f64], y: &[f64]) -> Vec<f64> {
    along(s, upper, |o, i, g| {
        let y = line(s, y, o, i);
        let weight = |y: f64| if logarithm { y.exp() } else { y };
        let total: f64 = if logarithm { g.iter().sum() } else { g.iter().zip(&y).map(|(g, y)| g * y).sum() };
        g.iter()
            .zip(&y)
            .map(|(g, &y)| if logarithm { g - weight(y) * total } else { y * (g - total) })
            .collect()
    })
}
