//! LIME: a linear surrogate of the network around the input.

use crate::coalition::Coalition;
use crate::features::Features;
use crate::game::Game;
use crate::paint::{Found, finish};
use crate::regression::{Fit, Samples, lasso, least_squares, ridge};
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Generator, Method, Network, Target};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// The coalitions that are asked.
#[derive(Clone, Debug, PartialEq)]
pub enum LimeRows {
    /// Each feature present with probability 1/2.
    Seeded {
        /// The seed.
        seed: u64,
        /// How many rows.
        draws: usize,
    },
    /// Given rows.
    Given(Vec<Coalition>),
}

/// How far a perturbed input is from the input, all inputs joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// `1 - cos(x, x')`; 1 where one of them is 0.
    Cosine,
    /// `|x - x'|`.
    Euclidean,
}

/// The regression of values on coalitions, always with a free constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Surrogate {
    /// Least squares.
    LeastSquares,
    /// With `alpha |phi|^2` added to the weighted sum of squares.
    Ridge(f64),
    /// With `alpha |phi|_1` added to half the weighted mean of squares.
    Lasso(f64),
}

/// Ribeiro, Singh & Guestrin, "Why should I trust you?", KDD 2016, with the similarity in input space as in Captum:
/// weights `exp(-d^2 / (2 width^2))`.
#[derive(Clone, Debug, PartialEq)]
pub struct Lime<S> {
    /// What takes the place of absent features.
    pub baseline: Baseline<S>,
    /// The features.
    pub features: Features,
    /// The coalitions.
    pub rows: LimeRows,
    /// The distance.
    pub distance: Distance,
    /// The width of the kernel, in units of the distance.
    pub kernel_width: f64,
    /// The regression.
    pub surrogate: Surrogate,
}

/// Sums per feature that give every distance without making the inputs: of `x x`, `x b`, `b b`, `(x - b)^2`.
struct Geometry {
    xx: Vec<f64>,
    xb: Vec<f64>,
    bb: Vec<f64>,
    gap: Vec<f64>,
}

impl Geometry {
    fn of<S: Scalar>(game: &Game<'_, S>, n: usize) -> Self {
        Self {
            xx: game.sums(n, |x, _| x * x),
            xb: game.sums(n, |x, b| x * b),
            bb: game.sums(n, |_, b| b * b),
            gap: game.sums(n, |x, b| (x - b) * (x - b)),
        }
    }

    fn distance(&self, set: &Coalition, distance: Distance) -> f64 {
        let pick = |inside: &[f64], outside: &[f64]| -> f64 {
            let features = set.features();
            let own: f64 = (0..features).map(|f| if set.contains(f) { inside[f] } else { outside[f] }).sum();
            // What belongs to no feature is always there.
            own + inside[features]
        };
        let zero = vec![0.0; set.features() + 1];
        match distance {
            Distance::Euclidean => pick(&zero, &self.gap).sqrt(),
            Distance::Cosine => {
                let norms = (pick(&self.xx, &self.bb) * self.xx.iter().sum::<f64>()).sqrt();
                1.0 - pick(&self.xx, &self.xb) / norms.max(1e-8)
            }
        }
    }
}

impl<S: Scalar> Lime<S> {
    fn coalitions(&self) -> Result<Vec<Coalition>> {
        let n = self.features.count();
        let rows = match &self.rows {
            LimeRows::Given(rows) => rows.clone(),
            LimeRows::Seeded { seed, draws } => {
                let generator = Generator::new(*seed, 0x4c49_4d45);
                let row = |d: usize| Coalition::of(n, |f| generator.uniform(d as u32, f as u64) < 0.5);
                (0..*draws).map(row).collect()
            }
        };
        if rows.len() < 2 {
            return Err(Error::invalid("LIME needs at least two coalitions"));
        }
        Ok(rows)
    }

    fn fit(&self, game: &mut Game<'_, S>, n: usize, rows: &[Coalition]) -> Result<Fit> {
        let values = game.values(n, rows)?;
        let geometry = Geometry::of(game, n);
        let weight = |set: &Coalition| {
            let d = geometry.distance(set, self.distance) / self.kernel_width;
            (-0.5 * d * d).exp()
        };
        let weights: Vec<f64> = rows.iter().map(weight).collect();
        let rows: Vec<Vec<f64>> = rows.iter().map(Coalition::row).collect();
        let samples = Samples { rows: &rows, values: &values, weights: &weights };
        match self.surrogate {
            Surrogate::LeastSquares => least_squares(samples),
            Surrogate::Ridge(alpha) => ridge(samples, alpha),
            Surrogate::Lasso(alpha) => lasso(samples, alpha),
        }
    }
}

impl<S: Scalar> Method<S> for Lime<S> {
    fn name(&self) -> &'static str {
        "lime"
    }

    fn passes(&self) -> (u64, u64) {
        let rows = match &self.rows {
            LimeRows::Seeded { draws, .. } => *draws,
            LimeRows::Given(rows) => rows.len(),
        };
        (rows as u64 + 2, 0)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        if !self.kernel_width.is_finite() || self.kernel_width <= 0.0 {
            return Err(Error::invalid(format!("a kernel width of {}; above 0 expected", self.kernel_width)));
        }
        let rows = self.coalitions()?;
        let mut game = Game::new(network, inputs, &self.baseline, &self.features, target)?;
        let mut found = Found::default();
        let features = self.features.count();
        for n in 0..game.examples() {
            let fit = self.fit(&mut game, n, &rows)?;
            found.notes.push(format!("example {n}: the surrogate explains R^2 = {:.4}", fit.r_squared));
            if self.surrogate == Surrogate::LeastSquares && fit.rank <= features {
                found.notes.push(format!(
                    "example {n}: {} rows determine {} of {} unknowns; use more draws or ridge",
                    rows.len(),
                    fit.rank,
                    features + 1
                ));
            }
            found.scores.push(fit.coefficients);
            found.errors.push(fit.errors);
        }
        finish(&mut game, found, false)
    }
}
