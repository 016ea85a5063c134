//! Functions of one element, their derivatives and divided differences.
//!
//! Everything but the rectifiers is computed in double precision from single-precision operands and rounded once, so
//! that the result does not depend on the instruction set.

use super::CHUNK;
use super::slope::divided_difference;
use super::special::{erf, normal_cdf};
use crate::isa::{Isa, vectorized};
use crate::parallel::Pool;
use std::f64::consts::{FRAC_2_SQRT_PI, PI};
use voxplain_graph::ops::Pointwise;

vectorized! {
    fn rectify(x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = if x > 0.0 { x } else { 0.0 };
        }
    }
}

vectorized! {
    fn affine(scale: f32, shift: f32, x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = scale * x + shift;
        }
    }
}

/// `f(x)`.
pub fn map(pool: &Pool, isa: Isa, f: Pointwise, x: &[f32], y: &mut [f32]) {
    pool.chunks(y, CHUNK, |i, y| {
        let x = &x[i * CHUNK..i * CHUNK + y.len()];
        match f {
            Pointwise::Relu => rectify(isa, x, y),
            Pointwise::Affine { scale, shift } => affine(isa, scale as f32, shift as f32, x, y),
            _ => y.iter_mut().zip(x).for_each(|(y, &x)| *y = value(f, f64::from(x)) as f32),
        }
    });
}

/// `g f'(x)`.
pub fn gradient(pool: &Pool, f: Pointwise, upper: &[f32], x: &[f32], y: &mut [f32]) {
    pool.chunks(y, CHUNK, |i, y| {
        let at = i * CHUNK;
        for (k, y) in y.iter_mut().enumerate() {
            *y = (f64::from(upper[at + k]) * derivative(f, f64::from(x[at + k]))) as f32;
        }
    });
}

vectorized! {
    /// The divided difference of the rectifier: 1 or 0 where both operands have one sign, else the share of the way that
    /// lies above 0, in which the signs differ, so that the difference does not cancel.
    fn rectifier_slope(upper: &[f32], x: &[f32], r: &[f32], y: &mut [f32]) {
        for (((y, &g), &x), &r) in y.iter_mut().zip(upper).zip(x).zip(r) {
            let (above, below) = (if x > r { x } else { r }, if x > r { r } else { x });
            let share = above / (above - below);
            let slope = if below > 0.0 { 1.0 } else { share };
            *y = if above > 0.0 { g * slope } else { 0.0 };
        }
    }
}

/// `g (f(x) - f(r)) / (x - r)`.
pub fn slope(pool: &Pool, isa: Isa, f: Pointwise, [upper, x, r]: [&[f32]; 3], y: &mut [f32]) {
    pool.costly_chunks(y, CHUNK, 4, |i, y| {
        let at = i * CHUNK;
        if f == Pointwise::Relu {
            let part = at..at + y.len();
            return rectifier_slope(isa, &upper[part.clone()], &x[part.clone()], &r[part], y);
        }
        for (k, y) in y.iter_mut().enumerate() {
            let (a, b) = (f64::from(x[at + k]), f64::from(r[at + k]));
            *y = (f64::from(upper[at + k]) * divided_difference(f, a, b)) as f32;
        }
    });
}

/// `1 / (1 + e^-x)` without overflow.
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// `log(1 + e^x)` without overflow.
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

const GELU_C: f64 = 0.044_715;

fn gelu_inner(x: f64) -> f64 {
    (2.0 / PI).sqrt() * (x + GELU_C * x * x * x)
}

/// `f(x)` in double precision.
pub fn value(f: Pointwise, x: f64) -> f64 {
    match f {
        Pointwise::Relu => x.max(0.0),
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
        Pointwise::GeluTanh => 0.5 * x * (1.0 + gelu_inner(x).tanh()),
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

fn step(inside: bool) -> f64 {
    f64::from(u8::from(inside))
}

/// `f'(x)` in double precision; at a kink, what [`Pointwise`] says.
pub fn derivative(f: Pointwise, x: f64) -> f64 {
    match f {
        Pointwise::Relu => step(x > 0.0),
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
        Pointwise::Gelu => normal_cdf(x) + x * (-0.5 * x * x).exp() / (2.0 * PI).sqrt(),
        Pointwise::GeluTanh => {
            let t = gelu_inner(x).tanh();
            0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * (2.0 / PI).sqrt() * (1.0 + 3.0 * GELU_C * x * x)
        }
        Pointwise::Sigmoid => sigmoid(x) * sigmoid(-x),
        Pointwise::HardSigmoid { alpha, beta } => {
            let y = alpha * x + beta;
            alpha * step(y > 0.0 && y < 1.0)
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
        Pointwise::Silu => sigmoid(x) * (1.0 + x * sigmoid(-x)),
        Pointwise::Mish => {
            let t = softplus(x).tanh();
            t + x * (1.0 - t * t) * sigmoid(x)
        }
        // sech^2 without the cancellation of 1 - tanh^2.
        Pointwise::Tanh => 4.0 * sigmoid(2.0 * x) * sigmoid(-2.0 * x),
        Pointwise::Softplus => sigmoid(x),
        Pointwise::Clip { low, high } => step(x > low && x < high),
        Pointwise::Exp => x.exp(),
        Pointwise::Log => 1.0 / x,
        Pointwise::Sqrt => 0.5 / x.sqrt(),
        Pointwise::Abs => step(x > 0.0) - step(x < 0.0),
        Pointwise::Reciprocal => -1.0 / (x * x),
        Pointwise::Erf => FRAC_2_SQRT_PI * (-x * x).exp(),
        Pointwise::Affine { scale, .. } => scale,
    }
}
