//! Special functions that the standard library lacks, with small relative errors in the tails as well: a slope between
//! two points of a tail is only as good as the digits that are left there.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

/// `1 / (1 + e^-x)`.
pub(crate) fn sigmoid(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

/// `ln(1 + e^x)`.
pub(crate) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Where the series for the error function gives way to the continued fraction of its complement.
const TAIL: f64 = 2.0;

/// The series of positive terms (Abramowitz and Stegun 7.1.6), which cancels nothing, for `0 <= x < TAIL`.
fn series(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..80 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// `erfc x` by its continued fraction (Abramowitz and Stegun 7.1.14), for `x >= TAIL`.
fn tail(x: f64) -> f64 {
    let fraction = (1..200).rev().fold(0.0, |rest, n| 0.5 * f64::from(n) / (x + rest));
    (-x * x).exp() / (PI.sqrt() * (x + fraction))
}

/// The error function.
pub(crate) fn erf(x: f64) -> f64 {
    if x.abs() < TAIL { series(x.abs()).copysign(x) } else { (1.0 - tail(x.abs())).copysign(x) }
}

/// `1 - erf x`.
pub(crate) fn erfc(x: f64) -> f64 {
    if x >= TAIL { tail(x) } else { 1.0 - erf(x) }
}

/// The distribution function of the standard normal law.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    0.5 * erfc(-x * FRAC_1_SQRT_2)
}

/// Its density.
pub(crate) fn normal_density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}
