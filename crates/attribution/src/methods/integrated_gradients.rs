//! Integrated Gradients.

use super::line::{Lines, Rays, are_positive, is_zero};
use super::{Baseline, Method, input_maps, zeros_like};
use crate::{Attribution, Network, Quadrature, Seeds, Target};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// How many points of the path are evaluated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Steps {
    /// So many, by a quadrature.
    Fixed(Quadrature, usize),
    /// Gauss-Legendre with 8, 16, 32, ... points until every example's residual is at most `tolerance` times
    /// `|F(x) - F(b)|`, or `most` points are reached.
    Adaptive {
        /// Relative completeness tolerance.
        tolerance: f64,
        /// The most points.
        most: usize,
    },
}

/// Integrated Gradients (Sundararajan, Taly & Yan, "Axiomatic attribution for deep networks", ICML 2017, equation 1):
/// `(x - b) * integral over a in [0, 1] of dF/dx at b + a (x - b)`. Completeness: the maps sum to `F(x) - F(b)`.
///
/// Where `b = 0`, no point lies at `a = 0` and an input is read by a convolution alone, first layers run once for all points of
/// an example: `F(a x) = T(a P x)`, where P is the convolution (and stored normalisation) without what it adds, and the maximum
/// poolings behind it, and T the rest with what was left out and the rectifier, so that
/// `sum_a w_a dF/dx(a x) = J^T sum_a w_a dT/dh(a P x)` with the slopes J of P at x, which are those at every `a x`. The
/// map is the same to rounding. A pass of T counts as one.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegratedGradients<S> {
    /// b.
    pub baseline: Baseline<S>,
    /// The quadrature.
    pub steps: Steps,
    /// Whether the integral is multiplied by `x - b`.
    pub multiply_by_inputs: bool,
}

/// The integral and what the end points' values are.
struct Integral<S> {
    maps: Vec<Tensor<S>>,
    residuals: Vec<f64>,
    points: usize,
}

impl<S: Scalar> Method<S> for IntegratedGradients<S> {
    fn name(&self) -> &'static str {
        "integrated_gradients"
    }

    fn passes(&self) -> (u64, u64) {
        let n = match self.steps {
            Steps::Fixed(_, n) => n as u64,
            Steps::Adaptive { most, .. } => 2 * most as u64,
        };
        (n + 2, n)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let examples = network.examples(inputs)?;
        self.baseline.check(network.graph(), inputs, examples)?;
        let seeds = network.seeds(target, inputs)?;
        let baselines = self.baseline.tensors(inputs, examples);
        let values = values(network, inputs, &seeds)?;
        let reference_values = self::values(network, &baselines, &seeds)?;
        let differences: Vec<f64> = values.iter().zip(&reference_values).map(|(v, r)| v - r).collect();
        let ends = (inputs, &baselines[..]);
        let mut evaluated = 0;
        let mut notes = Vec::new();
        let integral = match self.steps {
            Steps::Fixed(quadrature, n) => {
                self.integrate(network, ends, &seeds, quadrature, n, &differences)?
            }
            Steps::Adaptive { tolerance, most } => {
                let (integral, earlier, note) =
                    self.adapt(network, ends, &seeds, &differences, (tolerance, most))?;
                evaluated = earlier;
                notes.extend(note);
                integral
            }
        };
        evaluated += integral.points * examples;
        Ok(Attribution {
            maps: input_maps(network.graph(), integral.maps),
            values,
            residuals: self.multiply_by_inputs.then_some(integral.residuals),
            differences: self.multiply_by_inputs.then_some(differences),
            forward_passes: (evaluated + 2 * examples) as u64,
            backward_passes: evaluated as u64,
            notes,
            ledger: None,
            scores: None,
        })
    }
}

/// F of every example.
pub(super) fn values<S: Scalar>(
    network: &mut dyn Network<S>,
    inputs: &[Tensor<S>],
    seeds: &Seeds<S>,
) -> Result<Vec<f64>> {
    let rows = network.values(inputs, seeds.from)?;
    Ok(rows.iter().enumerate().map(|(n, row)| seeds.value(n, row)).collect())
}

type Ends<'a, S> = (&'a [Tensor<S>], &'a [Tensor<S>]);

impl<S: Scalar> IntegratedGradients<S> {
    fn adapt(
        &self,
        network: &mut dyn Network<S>,
        ends: Ends<'_, S>,
        seeds: &Seeds<S>,
        differences: &[f64],
        (tolerance, most): (f64, usize),
    ) -> Result<(Integral<S>, usize, Option<String>)> {
        if !self.multiply_by_inputs || tolerance.is_nan() || tolerance <= 0.0 || most == 0 {
            return Err(Error::invalid(
                "adaptive steps need a positive tolerance, at least one step and multiplication by the inputs",
            ));
        }
        let (mut n, mut earlier) = (8.min(most), 0);
        loop {
            let integral = self.integrate(network, ends, seeds, Quadrature::GaussLegendre, n, differences)?;
            let close = |(r, d): (&f64, &f64)| r.abs() <= tolerance * d.abs();
            if integral.residuals.iter().zip(differences).all(close) {
                return Ok((integral, earlier, None));
            }
            if n == most {
                let note = format!("completeness within {tolerance} was not reached with {most} steps");
                return Ok((integral, earlier, Some(note)));
            }
            earlier += n * differences.len();
            n = (2 * n).min(most);
        }
    }

    fn integrate(
        &self,
        network: &mut dyn Network<S>,
        (inputs, baselines): Ends<'_, S>,
        seeds: &Seeds<S>,
        quadrature: Quadrature,
        n: usize,
        differences: &[f64],
    ) -> Result<Integral<S>> {
        let (points, threads) = (quadrature.nodes(n)?, network.threads());
        let examples = differences.len();
        let mut maps = zeros_like(inputs);
        let from_zero = |n: &usize| are_positive::<S>(&points) && is_zero(baselines, (*n, examples), threads);
        let (on_rays, mut left): (Vec<usize>, Vec<usize>) = (0..examples).partition(from_zero);
        let rays =
            Rays { ends: inputs, seeds, which: &on_rays, points: &vec![points.clone(); on_rays.len()] };
        if !rays.add_up(network, &mut maps)? {
            left = (0..examples).collect();
        }
        let lines = Lines { ends: inputs, beginnings: baselines, seeds };
        lines.add_up(network, (&left, &vec![points; left.len()]), &mut maps)?;
        if self.multiply_by_inputs {
            for ((map, x), b) in maps.iter_mut().zip(inputs).zip(baselines) {
                for ((m, &x), &b) in map.data_mut().iter_mut().zip(x.data()).zip(b.data()) {
                    *m = *m * (x - b);
                }
            }
        }
        let sums = Attribution::sums(&maps, examples);
        let residuals = sums.iter().zip(differences).map(|(s, d)| s - d).collect();
        Ok(Integral { maps, residuals, points: n })
    }
}
