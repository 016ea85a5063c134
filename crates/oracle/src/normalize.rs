//! Normalisation with stored statistics and with statistics of the data, in two passes because one loses digits.

use crate::reduce::{along, line};
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
