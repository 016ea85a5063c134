//! Divided differences `(f(a) - f(b)) / (a - b)` in closed form, because the plain quotient loses every digit where a
//! and b are close compared with f: at a = 1e-17, b = 2e-17 it makes the slope of softplus 0 instead of 1/2.
//!
//! Piecewise linear functions weigh the slope of each piece with the share of the interval that lies in it; what is
//! built from the exponential uses `expm1` and products; the error function takes differences of its complement in the
//! tails, where its own values are all 1; the rest averages the derivative over short intervals.

use super::pointwise::{derivative, sigmoid, softplus, value};
use super::special::{erf, erfc};
use std::f64::consts::LN_2;
use voxplain_graph::ops::Pointwise;

/// An interval with `low < high`.
#[derive(Clone, Copy)]
struct Interval {
    low: f64,
    high: f64,
}

impl Interval {
    fn length(self) -> f64 {
        self.high - self.low
    }

    /// The part inside `[from, to]`, empty or not.
    fn within(self, from: f64, to: f64) -> Self {
        Self { low: self.low.max(from), high: self.high.min(to) }
    }

    /// How much of the interval lies in `[from, to]`, 0 to 1.
    fn share(self, from: f64, to: f64) -> f64 {
        (self.within(from, to).length() / self.length()).max(0.0)
    }

    fn positive(self) -> f64 {
        self.share(0.0, f64::INFINITY)
    }

    fn negative(self) -> f64 {
        self.share(f64::NEG_INFINITY, 0.0)
    }
}

/// `(f(a) - f(b)) / (a - b)`, and `f'(a)` where `a = b`.
pub fn divided_difference(f: Pointwise, a: f64, b: f64) -> f64 {
    if a == b {
        return derivative(f, a);
    }
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    let i = Interval { low: a.min(b), high: a.max(b) };
    match f {
        Pointwise::Relu => i.positive(),
        Pointwise::LeakyRelu { alpha } => i.positive() + alpha * i.negative(),
        Pointwise::Abs => i.positive() - i.negative(),
        Pointwise::Clip { low, high } => i.share(low, high),
        Pointwise::HardSigmoid { alpha, beta } => hard_sigmoid(i, alpha, beta),
        Pointwise::HardSwish => hard_swish(i),
        Pointwise::Affine { scale, .. } => scale,
        Pointwise::Elu { alpha } => elu(i, alpha),
        Pointwise::Selu { alpha, gamma } => gamma * elu(i, alpha),
        Pointwise::Exp => exponential(i),
        Pointwise::Sigmoid => logistic(i),
        Pointwise::Tanh => 4.0 * logistic(Interval { low: 2.0 * i.low, high: 2.0 * i.high }),
        Pointwise::Softplus => smooth_rectifier(i),
        Pointwise::Log => logarithm(i),
        Pointwise::Sqrt => 1.0 / (a.sqrt() + b.sqrt()),
        Pointwise::Reciprocal => -1.0 / (a * b),
        Pointwise::Erf => error_function(i),
        Pointwise::Gelu | Pointwise::GeluTanh | Pointwise::Silu | Pointwise::Mish => averaged(f, i),
    }
}

fn hard_sigmoid(i: Interval, alpha: f64, beta: f64) -> f64 {
    if alpha == 0.0 {
        return 0.0;
    }
    let (zero, one) = (-beta / alpha, (1.0 - beta) / alpha);
    alpha * i.share(zero.min(one), zero.max(one))
}

/// 0 below -3, `x^2 / 6 + x / 2` up to 3, x above.
fn hard_swish(i: Interval) -> f64 {
    let middle = i.within(-3.0, 3.0);
    let curved = ((middle.low + middle.high) / 6.0 + 0.5) * i.share(-3.0, 3.0);
    curved + i.share(3.0, f64::INFINITY)
}

/// `e^high (1 - e^-length) / length`.
fn exponential(i: Interval) -> f64 {
    i.high.exp() * -(-i.length()).exp_m1() / i.length()
}

fn elu(i: Interval, alpha: f64) -> f64 {
    let below = i.within(f64::NEG_INFINITY, 0.0);
    // An empty part has share 0, but its exponential could be infinite.
    let curved = if below.length() > 0.0 { alpha * exponential(below) * i.negative() } else { 0.0 };
    i.positive() + curved
}

/// `sigma(high) - sigma(low) = sigma(high) sigma(-low) (1 - e^-length)`: no cancellation and no overflow.
fn logistic(i: Interval) -> f64 {
    sigmoid(i.high) * sigmoid(-i.low) * -(-i.length()).exp_m1() / i.length()
}

/// `log((1 + e^high) / (1 + e^low)) = log1p(sigma(low) expm1(length))`; far apart the quotient is safe.
fn smooth_rectifier(i: Interval) -> f64 {
    let rise = if i.length() < 40.0 * LN_2 {
        (sigmoid(i.low) * i.length().exp_m1()).ln_1p()
    } else {
        softplus(i.high) - softplus(i.low)
    };
    rise / i.length()
}

fn logarithm(i: Interval) -> f64 {
    if i.low < 0.0 {
        return f64::NAN;
    }
    (i.length() / i.low).ln_1p() / i.length()
}

/// Where the derivative changes by less than a few powers of e it is averaged: there the difference of two values would
/// cancel. Beyond, the complement of the nearer tail keeps its digits where erf itself has rounded to 1.
fn error_function(i: Interval) -> f64 {
    if i.length() < 0.5 && i.length() * i.high.abs().max(i.low.abs()) < 1.0 {
        return averaged(Pointwise::Erf, i);
    }
    let rise = if i.low > 0.0 {
        erfc(i.low) - erfc(i.high)
    } else if i.high < 0.0 {
        erfc(-i.high) - erfc(-i.low)
    } else {
        erf(i.high) - erf(i.low)
    };
    rise / i.length()
}

/// Nodes and weights of the 8-point Gauss-Legendre rule on [-1, 1], for the positive half.
const NODES: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
    (0.960_289_856_497_536_3, 0.101_228_536_290_376_26),
];

/// The mean of the derivative over an interval shorter than 1, where the rule is exact to 1e-12 for functions whose
/// poles are 2 away; the quotient beyond, where it loses nothing.
fn averaged(f: Pointwise, i: Interval) -> f64 {
    if i.length() >= 1.0 {
        return (value(f, i.high) - value(f, i.low)) / i.length();
    }
    let (centre, half) = (i.low + 0.5 * i.length(), 0.5 * i.length());
    let pair = |t: f64| derivative(f, centre - half * t) + derivative(f, centre + half * t);
    0.5 * NODES.iter().map(|&(node, weight)| weight * pair(node)).sum::<f64>()
}
