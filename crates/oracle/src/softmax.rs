//! Softmax and its logarithm, shifted by the largest entry so that nothing overflows.

use crate::reduce::{along, line};
use voxplain_autodiff::Span;

pub(crate) fn forward(s: Span, logarithm: bool, x: &[f64]) -> Vec<f64> {
    along(s, x, |_, _, v| {
        let most = v.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(x));
        let sum: f64 = v.iter().map(|x| (x - most).exp()).sum();
        v.iter().map(|x| if logarithm { x - most - sum.ln() } else { (x - most).exp() / sum }).collect()
    })
}

pub(crate) fn adjoint(s: Span, logarithm: bool, upper: &[f64], y: &[f64]) -> Vec<f64> {
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
