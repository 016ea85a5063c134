//! LIME: a linear surrogate of the network around the input.

use crate::coalition::Coalition;
use crate::estimator::Estimator;
use crate::features::Features;
use crate::game::Game;
use crate::paint::{Found, finish};
use crate::regression::{Fit, Samples, check_rows, check_unknowns, lasso, least_squares, ridge};
use crate::run::Run;
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
/// weights `exp(-d^2 / (2 width^2))`. Standard errors are those of the regression (of the lasso, which has none, those of ten
/// fits that leave out a tenth of the rows each); the notes say how much the surrogate explains and how well the fits to the
/// two halves of the rows agree.
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
    /// Refuses what the regression cannot identify or solve; ridge and lasso choose where rows do not.
    fn check(&self) -> Result<()> {
        if !self.kernel_width.is_finite() || self.kernel_width <= 0.0 {
            return Err(Error::invalid(format!("a kernel width of {}; above 0 expected", self.kernel_width)));
        }
        let n = self.features.count();
        if !matches!(self.surrogate, Surrogate::Lasso(_)) {
            check_unknowns("LIME", n)?;
        }
        match (&self.rows, self.surrogate) {
            // The constant is an unknown too.
            (LimeRows::Seeded { draws, .. }, Surrogate::LeastSquares) => check_rows("LIME", n, *draws, n + 1),
            _ => Ok(()),
        }
    }

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

    fn regress(&self, samples: Samples<'_>) -> Result<Fit> {
        match self.surrogate {
            Surrogate::LeastSquares => least_squares(samples),
            Surrogate::Ridge(alpha) => ridge(samples, alpha),
            Surrogate::Lasso(alpha) => lasso(samples, alpha),
        }
    }

    /// The fit to the rows whose numbers `keep` accepts.
    fn part(&self, samples: Samples<'_>, keep: &dyn Fn(usize) -> bool) -> Result<Vec<f64>> {
        let kept: Vec<usize> = (0..samples.rows.len()).filter(|&r| keep(r)).collect();
        let rows: Vec<Vec<f64>> = kept.iter().map(|&r| samples.rows[r].clone()).collect();
        let values: Vec<f64> = kept.iter().map(|&r| samples.values[r]).collect();
        let weights: Vec<f64> = kept.iter().map(|&r| samples.weights[r]).collect();
        Ok(self.regress(Samples { rows: &rows, values: &values, weights: &weights })?.coefficients)
    }

    /// Standard errors from ten fits that leave out a tenth each (the delete-a-group jackknife).
    fn jackknife(&self, samples: Samples<'_>, fit: &Fit) -> Result<Vec<f64>> {
        if samples.rows.len() < 2 * TENTHS {
            return Ok(vec![f64::INFINITY; fit.coefficients.len()]);
        }
        let mut squares = vec![0.0; fit.coefficients.len()];
        for tenth in 0..TENTHS {
            let without = self.part(samples, &|row| row % TENTHS != tenth)?;
            let gaps = without.iter().zip(&fit.coefficients).map(|(a, b)| (a - b).powi(2));
            squares.iter_mut().zip(gaps).for_each(|(s, gap)| *s += gap);
        }
        let factor = (TENTHS - 1) as f64 / TENTHS as f64;
        Ok(squares.into_iter().map(|s| (s * factor).sqrt()).collect())
    }

    fn fit(&self, game: &mut Game<'_, S>, n: usize, rows: &[Coalition]) -> Result<Fitted> {
        let geometry = Geometry::of(game, n);
        let weight = |set: &Coalition| {
            let d = geometry.distance(set, self.distance) / self.kernel_width;
            (-0.5 * d * d).exp()
        };
        let sizes = game.run().sizes(2 * self.features.count() + TENTHS, rows.len());
        let mut best = None;
        for size in sizes {
            let values = game.values(n, &rows[..size])?;
            if values.len() < 2 {
                break;
            }
            let used = &rows[..values.len()];
            let weights: Vec<f64> = used.iter().map(weight).collect();
            let sets: Vec<Vec<f64>> = used.iter().map(Coalition::row).collect();
            let samples = Samples { rows: &sets, values: &values, weights: &weights };
            let mut fit = self.regress(samples)?;
            if let Surrogate::Lasso(_) = self.surrogate {
                fit.errors = self.jackknife(samples, &fit)?;
            }
            let half = |half: usize| self.part(samples, &|row| row % 2 == half);
            let agreement = correlation(&half(0)?, &half(1)?);
            let precise = game.run().is_precise(&fit.coefficients, &fit.errors);
            best = Some(Fitted { fit, rows: values.len(), agreement });
            if precise || values.len() < size {
                break;
            }
        }
        best.ok_or_else(|| game.run().too_small(n, 4))
    }
}

/// Parts of the rows that are left out in turn.
const TENTHS: usize = 10;

/// A fit to so many rows.
struct Fitted {
    fit: Fit,
    rows: usize,
    /// The correlation of the coefficients of both halves.
    agreement: f64,
}

/// Pearson's correlation; 1 of two lists without variance.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len().max(1) as f64;
    let (p, q) = (mean(a), mean(b));
    let sum = |of: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(&x, &y)| of(x - p, y - q)).sum::<f64>();
    let spread = (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    if spread > 0.0 { sum(&|x, y| x * y) / spread } else { 1.0 }
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
        self.estimate(network, inputs, target, &mut Run::default())
    }
}

impl<S: Scalar> Estimator<S> for Lime<S> {
    fn estimate(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
        run: &mut Run,
    ) -> Result<Attribution<S>> {
        self.check()?;
        let rows = self.coalitions()?;
        let features = self.features.count();
        run.keep("coalitions", || {
            Tensor::new(&[rows.len(), features], rows.iter().flat_map(Coalition::row).collect())
        })?;
        let mut game = Game::new(network, inputs, &self.baseline, &self.features, target, run)?;
        let mut found = Found::default();
        for n in 0..game.examples() {
            game.ends(n)?;
            let Fitted { fit, rows, agreement } = self.fit(&mut game, n, &rows)?;
            found.notes.push(format!(
                "example {n}: the surrogate of {rows} coalitions explains R^2 = {:.4}; fits to either half of them agree with \
                 a correlation of {agreement:.3}",
                fit.r_squared
            ));
            if self.surrogate == Surrogate::LeastSquares && fit.rank <= features {
                found.notes.push(format!(
                    "example {n}: {rows} rows determine {} of {} unknowns; use more draws or ridge",
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
