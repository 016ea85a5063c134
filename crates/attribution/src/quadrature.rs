//! Positions and weights on the path from the baseline to the input.

use voxplain_tensor::{Error, Result};

/// A quadrature rule on `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quadrature {
    /// Gauss-Legendre: exact for polynomials of degree `2n - 1`, the best choice for smooth integrands.
    GaussLegendre,
    /// Midpoints: robust for piecewise constant gradients.
    Middle,
    /// Left end points.
    Left,
    /// Right end points.
    Right,
    /// The trapezoid rule; its weights add up to 1.
    Trapezoid,
    /// Captum's trapezoid, whose weights add up to `(n - 1) / n`, so that every attribution is too small by that
    /// factor. Only to reproduce published maps.
    CaptumTrapezoid,
}

impl Quadrature {
    /// The rule of that name: `gausslegendre`, `riemann_left`, `riemann_right`, `riemann_middle`, `trapezoid`, and
    /// `riemann_trapezoid` for Captum's.
    ///
    /// # Errors
    /// There is no such rule.
    pub fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "gausslegendre" => Self::GaussLegendre,
            "riemann_middle" | "middle" => Self::Middle,
            "riemann_left" | "left" => Self::Left,
            "riemann_right" | "right" => Self::Right,
            "trapezoid" => Self::Trapezoid,
            "riemann_trapezoid" => Self::CaptumTrapezoid,
            _ => {
                return Err(Error::invalid(format!(
                    "no quadrature {name:?}; gausslegendre, riemann_left, riemann_right, riemann_middle, trapezoid or \
                     riemann_trapezoid (Captum's, biased) expected"
                )));
            }
        })
    }

    /// `n` pairs of (position, weight), positions ascending.
    ///
    /// # Errors
    /// `n` is 0, or 1 for a trapezoid.
    pub fn nodes(self, n: usize) -> Result<Vec<(f64, f64)>> {
        let trapezoid = matches!(self, Self::Trapezoid | Self::CaptumTrapezoid);
        if n == 0 || (trapezoid && n == 1) {
            return Err(Error::invalid(format!("{n} steps are too few for this quadrature")));
        }
        let steps = n as f64;
        let even = |shift: f64| (0..n).map(|k| ((k as f64 + shift) / steps, 1.0 / steps)).collect();
        let ends = |weight: f64| {
            let node = |k: usize| {
                let half = if k == 0 || k == n - 1 { 0.5 } else { 1.0 };
                (k as f64 / (steps - 1.0), half * weight)
            };
            (0..n).map(node).collect()
        };
        Ok(match self {
            Self::GaussLegendre => gauss_legendre(n),
            Self::Middle => even(0.5),
            Self::Left => even(0.0),
            Self::Right => even(1.0),
            Self::Trapezoid => ends(1.0 / (steps - 1.0)),
            Self::CaptumTrapezoid => ends(1.0 / steps),
        })
    }
}

/// Gauss-Legendre nodes and weights on `[0, 1]`: roots of the Legendre polynomial by Newton's iteration from the
/// Tricomi estimate.
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let mut nodes = vec![(0.0, 0.0); n];
    for k in 0..n.div_ceil(2) {
        let mut x = (core::f64::consts::PI * (k as f64 + 0.75) / (n as f64 + 0.5)).cos();
        let mut derivative = 1.0;
        for _ in 0..100 {
            let (value, slope) = legendre(n, x);
            derivative = slope;
            let step = value / slope;
            x -= step;
            if step.abs() < 1e-16 {
                derivative = legendre(n, x).1;
                break;
            }
        }
        let weight = 1.0 / ((1.0 - x * x) * derivative * derivative);
        nodes[k] = (0.5 * (1.0 - x), weight);
        nodes[n - 1 - k] = (0.5 * (1.0 + x), weight);
    }
    nodes
}

/// The Legendre polynomial of degree `n` and its derivative.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut previous, mut value) = (1.0, x);
    for k in 2..=n {
        let next = ((2 * k - 1) as f64 * x * value - (k - 1) as f64 * previous) / k as f64;
        previous = value;
        value = next;
    }
    (value, n as f64 * (x * value - previous) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauss_legendre_integrates_polynomials_of_degree_2n_minus_1() {
        for n in 1..40 {
            let nodes = Quadrature::GaussLegendre.nodes(n).unwrap();
            for degree in 0..2 * n as i32 {
                let sum: f64 = nodes.iter().map(|(x, w)| w * x.powi(degree)).sum();
                let exact = 1.0 / f64::from(degree + 1);
                assert!((sum - exact).abs() < 1e-14, "n {n} degree {degree}: {sum} {exact}");
            }
        }
    }

    #[test]
    fn all_but_captums_trapezoid_have_weights_that_sum_to_one() {
        use Quadrature::*;
        for rule in [GaussLegendre, Middle, Left, Right, Trapezoid] {
            let sum: f64 = rule.nodes(7).unwrap().iter().map(|n| n.1).sum();
            assert!((sum - 1.0).abs() < 1e-14, "{rule:?}");
        }
        let sum: f64 = CaptumTrapezoid.nodes(5).unwrap().iter().map(|n| n.1).sum();
        assert!((sum - 0.8).abs() < 1e-14);
    }
}
