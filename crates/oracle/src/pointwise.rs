//! Functions of one element and their derivatives in double precision, written so that no digits cancel in the tails.

use crate::special::{erf, normal_cdf, normal_density, sigmoid, softplus};
use std::f64::consts::{FRAC_2_SQRT_PI, PI};
use voxplain_graph::ops::Pointwise;

/// The argument of the hyperbolic tangent in GELU's approximation; `(1 + tanh u) / 2` is `sigmoid(2 u)`.
pub(crate) fn gelu_inner(x: f64) -> f64 {
    (2.0 / PI).sqrt() * (x + 0.044_715 * x.powi(3))
}

/// `f(x)`.
pub fn value(f: Pointwise, x: f64) -> f64 {
    match f {
        Pointwise::Relu => {
            if x > 0.0 {
                x
            } else {
                0.0
            }
        }
        Pointwise::LeakyRelu { alpha } => {
            if x > 0.0 {
                x
            } else {
                alpha * x
            }
        }
        Pointwise::Elu { alpha } => {
            if x > 0.0 {
                x
            } else {
                alpha * x.exp_m1()
            }
        }
        Pointwise::Selu { alpha, gamma } => gamma * if x > 0.0 { x } else { alpha * x.exp_m1() },
        Pointwise::Gelu => x * normal_cdf(x),
        Pointwise::GeluTanh => x * sigmoid(2.0 * gelu_inner(x)),
        Pointwise::Sigmoid => sigmoid(x),
        Pointwise::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
        Pointwise::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        Pointwise::Silu => x * sigmoid(x),
        Pointwise::Mish => x * softplus(x).tanh(),
        Pointwise::Tanh => x.tanh(),
        Pointwise::Softplus => softplus(x),
        Pointwise::Clip { low, high } => x.max(low).min(high),
        Pointwise::Exp => x.exp(),
        Pointwise::Log => x.ln(),
        Pointwise::Sqrt => x.sqrt(),
        Pointwise::Abs => x.abs(),
        Pointwise::Reciprocal => 1.0 / x,
        Pointwise::Erf => erf(x),
        Pointwise::Affine { scale, shift } => scale * x + shift,
    }
}

/// `f'(x)`; at a kink, what [`Pointwise`] says.
pub fn derivative(f: Pointwise, x: f64) -> f64 {
    let on = |inside: bool| f64::from(u8::from(inside));
    match f {
        Pointwise::Relu => on(x > 0.0),
        Pointwise::LeakyRelu { alpha } => {
            if x > 0.0 {
                1.0
            } else {
                alpha
            }
        }
        Pointwise::Elu { alpha } => {
            if x > 0.0 {
                1.0
            } else {
                alpha * x.exp()
            }
        }
        Pointwise::Selu { alpha, gamma } => gamma * if x > 0.0 { 1.0 } else { alpha * x.exp() },
        Pointwise::Gelu => normal_cdf(x) + x * normal_density(x),
        Pointwise::GeluTanh => {
            let s = sigmoid(2.0 * gelu_inner(x));
            let t = sigmoid(-2.0 * gelu_inner(x));
            s + 2.0 * x * s * t * (2.0 / PI).sqrt() * (1.0 + 0.134_145 * x * x)
        }
        Pointwise::Sigmoid => sigmoid(x) * sigmoid(-x),
        Pointwise::HardSigmoid { alpha, beta } => {
            alpha * on(alpha * x + beta > 0.0 && alpha * x + beta < 1.0)
        }
        Pointwise::HardSwish => {
            if x <= -3.0 {
                0.0
            } else if x >= 3.0 {
                1.0
            } else {
                x / 3.0 + 0.5
            }
        }
        Pointwise::Silu => sigmoid(x) + x * sigmoid(x) * sigmoid(-x),
        Pointwise::Mish => {
            let y = softplus(x);
            y.tanh() + x * sigmoid(x) / y.cosh().powi(2)
        }
        Pointwise::Tanh => 1.0 / x.cosh().powi(2),
        Pointwise::Softplus => sigmoid(x),
        Pointwise::Clip { low, high } => on(x > low && x < high),
        Pointwise::Exp => x.exp(),
        Pointwise::Log => 1.0 / x,
        Pointwise::Sqrt => 0.5 / x.sqrt(),
        Pointwise::Abs => on(x > 0.0) - on(x < 0.0),
        Pointwise::Reciprocal => -1.0 / (x * x),
        Pointwise::Erf => FRAC_2_SQRT_PI * (-x * x).exp(),
        Pointwise::Affine { scale, .. } => scale,
    }
}
