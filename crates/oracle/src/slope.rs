//! Divided differences `(f(a) - f(b)) / (a - b)` to full relative precision for every pair, because the plain quotient
//! loses its digits where a and b are close, and where both lie in one flat tail.
//!
//! Piecewise linear functions measure the overlap of `[b, a]` with their pieces. What is built from the exponential has
//! a closed form in `expm1`; a product follows from `[fg] = [f] g(a) + f(b) [g]`. The error function alone has no closed
//! form: its derivative is averaged by a 16-point rule where the quotient of complements would cancel.

use crate::pointwise::{derivative, gelu_inner, value};
use crate::special::{erf, erfc, normal_cdf, sigmoid, softplus};
use std::f64::consts::{FRAC_1_SQRT_2, PI};
use voxplain_graph::ops::Pointwise;

/// `(f(a) - f(b)) / (a - b)`; the derivative where both are equal.
pub fn slope(f: Pointwise, a: f64, b: f64) -> f64 {
    if a == b || a.is_nan() || b.is_nan() {
        return derivative(f, if b.is_nan() { b } else { a });
    }
    // Symmetric by construction, to the last bit.
    let (a, b) = (a.max(b), a.min(b));
    match f {
        Pointwise::Relu => share(a, b, 0.0, f64::INFINITY),
        Pointwise::LeakyRelu { alpha } => positive(a, b) + alpha * negative(a, b),
        Pointwise::Abs => positive(a, b) - negative(a, b),
        Pointwise::Clip { low, high } => share(a, b, low, high),
        Pointwise::Affine { scale, .. } => scale,
        Pointwise::HardSigmoid { alpha, beta } => hard_sigmoid(alpha, beta, a, b),
        Pointwise::HardSwish => hard_swish(a, b),
        Pointwise::Elu { alpha } => elu(alpha, a, b),
        Pointwise::Selu { alpha, gamma } => gamma * elu(alpha, a, b),
        Pointwise::Exp => exponential(a, b),
        Pointwise::Log => ((a - b) / b).ln_1p() / (a - b),
        Pointwise::Sqrt => 1.0 / (a.sqrt() + b.sqrt()),
        Pointwise::Reciprocal => -1.0 / (a * b),
        Pointwise::Sigmoid => logistic(a, b, a - b) / (a - b),
        Pointwise::Tanh => 2.0 * logistic(2.0 * a, 2.0 * b, 2.0 * (a - b)) / (a - b),
        Pointwise::Softplus => smooth_rectifier(a, b),
        Pointwise::Erf => error_function(a, b, a - b),
        // Products with x: far apart it is the closed form that would cancel.
        Pointwise::Silu | Pointwise::Mish | Pointwise::Gelu | Pointwise::GeluTanh if a - b >= 1.0 => {
            (value(f, a) - value(f, b)) / (a - b)
        }
        Pointwise::Silu => sigmoid(a) + b * (logistic(a, b, a - b) / (a - b)),
        Pointwise::Mish => mish(a, b),
        Pointwise::Gelu => gelu(a, b),
        Pointwise::GeluTanh => gelu_tanh(a, b),
    }
}

/// The share of `[b, a]` that lies in `[low, high]`.
fn share(a: f64, b: f64, low: f64, high: f64) -> f64 {
    ((a.min(high) - b.max(low)) / (a - b)).max(0.0)
}

fn positive(a: f64, b: f64) -> f64 {
    share(a, b, 0.0, f64::INFINITY)
}

fn negative(a: f64, b: f64) -> f64 {
    share(a, b, f64::NEG_INFINITY, 0.0)
}

fn hard_sigmoid(alpha: f64, beta: f64, a: f64, b: f64) -> f64 {
    if alpha == 0.0 {
        return 0.0;
    }
    let (zero, one) = (-beta / alpha, (1.0 - beta) / alpha);
    alpha * share(a, b, zero.min(one), zero.max(one))
}

/// 0 below -3 and x above 3; between, the mean of the straight derivative is its value in the middle.
fn hard_swish(a: f64, b: f64) -> f64 {
    let (top, bottom) = (a.min(3.0), b.max(-3.0));
    // Zero is at -1.5: relative to it nothing cancels.
    let curved =
        if top > bottom { ((top + 1.5) + (bottom + 1.5)) / 6.0 * share(a, b, -3.0, 3.0) } else { 0.0 };
    curved + share(a, b, 3.0, f64::INFINITY)
}

fn exponential(a: f64, b: f64) -> f64 {
    a.exp() * -(b - a).exp_m1() / (a - b)
}

fn elu(alpha: f64, a: f64, b: f64) -> f64 {
    let below = if b < 0.0 { alpha * exponential(a.min(0.0), b) * negative(a, b) } else { 0.0 };
    positive(a, b) + below
}

/// `sigmoid(a) - sigmoid(b)` where `a - b = d`: `sigmoid(a) sigmoid(-b) (1 - e^-d)`.
fn logistic(a: f64, b: f64, d: f64) -> f64 {
    sigmoid(a) * sigmoid(-b) * -(-d).exp_m1()
}

/// `ln((1 + e^a) / (1 + e^b)) = ln(1 + sigmoid(b) (e^(a - b) - 1))`; far apart, the quotient loses nothing.
fn smooth_rectifier(a: f64, b: f64) -> f64 {
    let d = a - b;
    let rise = if d < 1.0 { (sigmoid(b) * d.exp_m1()).ln_1p() } else { softplus(a) - softplus(b) };
    rise / d
}

/// The product of x and `tanh(softplus x)`, with `tanh u = 2 sigmoid(2 u) - 1`.
fn mish(a: f64, b: f64) -> f64 {
    let (u, v) = (softplus(a), softplus(b));
    let rise = (a - b) * smooth_rectifier(a, b);
    let inner = 2.0 * logistic(2.0 * u, 2.0 * v, 2.0 * rise) / (a - b);
    u.tanh() + b * inner
}

/// The product of x and the normal distribution function.
fn gelu(a: f64, b: f64) -> f64 {
    let s = FRAC_1_SQRT_2;
    normal_cdf(a) + b * 0.5 * s * error_function(a * s, b * s, (a - b) * s)
}

/// The product of x and `sigmoid(2 u(x))`, u being the cubic of GELU's approximation.
fn gelu_tanh(a: f64, b: f64) -> f64 {
    let (u, v) = (2.0 * gelu_inner(a), 2.0 * gelu_inner(b));
    let cubic = (2.0 / PI).sqrt() * (1.0 + 0.044_715 * (a * a + a * b + b * b));
    sigmoid(u) + b * (logistic(u, v, 2.0 * cubic * (a - b)) / (a - b))
}

/// The slope of erf, `d = a - b` being given apart because scaled points may not differ by it exactly.
fn error_function(a: f64, b: f64, d: f64) -> f64 {
    if d < 0.5 && d * a.abs().max(b.abs()) < 1.0 {
        return mean_derivative(Pointwise::Erf, b + d, b);
    }
    let rise = if b > 0.0 {
        erfc(b) - erfc(a)
    } else if a < 0.0 {
        erfc(-a) - erfc(-b)
    } else {
        erf(a) - erf(b)
    };
    rise / d
}

/// Nodes and weights of the 16-point Gauss-Legendre rule on `[-1, 1]`, positive half.
const GAUSS: [(f64, f64); 8] = [
    (0.095_012_509_837_637_44, 0.189_450_610_455_068_5),
    (0.281_603_550_779_258_9, 0.182_603_415_044_923_59),
    (0.458_016_777_657_227_4, 0.169_156_519_395_002_54),
    (0.617_876_244_402_643_7, 0.149_595_988_816_576_73),
    (0.755_404_408_355_003, 0.124_628_971_255_533_88),
    (0.865_631_202_387_831_7, 0.095_158_511_682_492_78),
    (0.944_575_023_073_232_6, 0.062_253_523_938_647_89),
    (0.989_400_934_991_649_9, 0.027_152_459_411_754_095),
];

/// The mean of the derivative between two points without a kink between them; exact to rounding where the derivative
/// changes by a few powers of e.
pub fn mean_derivative(f: Pointwise, a: f64, b: f64) -> f64 {
    let (middle, half) = (0.5 * (a + b), 0.5 * (a - b));
    let pair = |&(x, w): &(f64, f64)| {
        0.5 * w * (derivative(f, middle + half * x) + derivative(f, middle - half * x))
    };
    GAUSS.iter().map(pair).sum()
}
