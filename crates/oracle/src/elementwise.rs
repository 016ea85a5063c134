//! Functions of one element and arithmetic of two, in double precision.

use crate::movement::unravel;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};
use voxplain_autodiff::{BinaryFn, BroadcastGeometry};
use voxplain_graph::ops::Pointwise;

pub(crate) fn binary(f: BinaryFn, g: &BroadcastGeometry, a: &[f64], b: &[f64]) -> Vec<f64> {
    let offset = |at: &[usize], strides: &[usize]| at.iter().zip(strides).map(|(k, s)| k * s).sum::<usize>();
    let value = |i: usize| {
        let at = unravel(&g.shape, i);
        let (a, b) = (a[offset(&at, &g.a)], b[offset(&at, &g.b)]);
        match f {
            BinaryFn::Add => a + b,
            BinaryFn::Sub => a - b,
            BinaryFn::Mul => a * b,
            BinaryFn::Div => a / b,
            BinaryFn::DivOrZero => {
                if a == 0.0 {
                    0.0
                } else {
                    a / b
                }
            }
            BinaryFn::DivOrOne => {
                if b == 0.0 {
                    1.0
                } else {
                    a / b
                }
            }
            BinaryFn::DivStabilised(e) => a / (b + if b >= 0.0 { e } else { -e }),
            BinaryFn::Maximum => {
                if b > a {
                    b
                } else {
                    a
                }
            }
            BinaryFn::Lerp(t) => a + t * (b - a),
            BinaryFn::Gate => {
                if b > 0.0 {
                    a
                } else {
                    0.0
                }
            }
        }
    };
    (0..g.shape.elements()).map(value).collect()
}

fn sigmoid(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The error function: its Taylor series about 0 in exact alternation would cancel, so the series without signs, and a
/// continued fraction for the complement far out.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a < 3.0 {
        let (mut term, mut sum) = (a, a);
        for n in 1..200 {
            term *= 2.0 * a * a / f64::from(2 * n + 1);
            sum += term;
        }
        return (FRAC_2_SQRT_PI * (-a * a).exp() * sum).copysign(x);
    }
    let mut fraction = 0.0;
    for n in (1..120).rev() {
        fraction = 0.5 * f64::from(n) / (a + fraction);
    }
    (1.0 - (-a * a).exp() / (PI.sqrt() * (a + fraction))).copysign(x)
}

fn gelu_inner(x: f64) -> f64 {
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
        Pointwise::Gelu => 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2)),
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
        Pointwise::Gelu => {
            0.5 * (1.0 + erf(x * FRAC_1_SQRT_2)) + x * (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
        }
        Pointwise::GeluTanh => {
            let t = gelu_inner(x).tanh();
            0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * (2.0 / PI).sqrt() * (1.0 + 0.134_145 * x * x)
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
            let t = softplus(x).tanh();
            t + x * (1.0 - t * t) * sigmoid(x)
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

/// Where the derivative jumps or bends.
fn kinks(f: Pointwise) -> Vec<f64> {
    match f {
        Pointwise::Relu
        | Pointwise::LeakyRelu { .. }
        | Pointwise::Elu { .. }
        | Pointwise::Selu { .. }
        | Pointwise::Abs => {
            vec![0.0]
        }
        Pointwise::HardSwish => vec![-3.0, 3.0],
        Pointwise::HardSigmoid { alpha, beta } => vec![-beta / alpha, (1.0 - beta) / alpha],
        Pointwise::Clip { low, high } => vec![low, high],
        _ => Vec::new(),
    }
}

/// Nodes and weights of the 10-point Gauss-Legendre rule on [-1, 1], positive half.
const GAUSS: [(f64, f64); 5] = [
    (0.148_874_338_981_631_22, 0.295_524_224_714_752_87),
    (0.433_395_394_129_247_2, 0.269_266_719_309_996_35),
    (0.679_409_568_299_024_4, 0.219_086_362_515_982_04),
    (0.865_063_366_688_984_5, 0.149_451_349_150_580_6),
    (0.973_906_528_517_171_7, 0.066_671_344_308_688_14),
];

/// The mean of the derivative between two points without a kink between them.
fn mean_derivative(f: Pointwise, a: f64, b: f64) -> f64 {
    let (middle, half) = (0.5 * (a + b), 0.5 * (b - a));
    let pair = |&(x, w): &(f64, f64)| {
        0.5 * w * (derivative(f, middle + half * x) + derivative(f, middle - half * x))
    };
    GAUSS.iter().map(pair).sum()
}

/// `(f(a) - f(b)) / (a - b)`, the derivative where both are equal: the mean of the derivative over the pieces between
/// kinks where the points are close, the quotient where they are not.
pub fn slope(f: Pointwise, a: f64, b: f64) -> f64 {
    if a == b {
        return derivative(f, a);
    }
    if (a - b).abs() > 0.25 {
        return (value(f, a) - value(f, b)) / (a - b);
    }
    let (low, high) = (a.min(b), a.max(b));
    let mut points = vec![low];
    points.extend(kinks(f).into_iter().filter(|k| *k > low && *k < high));
    points.push(high);
    let pieces = points.windows(2).map(|w| (w[1] - w[0]) / (high - low) * mean_derivative(f, w[0], w[1]));
    pieces.sum()
}
