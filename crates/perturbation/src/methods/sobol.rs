//! Sobol total indices: the share of the output's variance in which a feature has a part.

use crate::estimator::Estimator;
use crate::features::Features;
use crate::game::Game;
use crate::paint::{Found, finish};
use crate::run::Run;
use crate::sobol_sequence::{DIMENSIONS, point};
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Method, Network, Target};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// The points that are asked.
#[derive(Clone, Debug, PartialEq)]
pub enum SobolPoints {
    /// The first points of Sobol's sequence in twice as many dimensions as features, shifted at random.
    Seeded {
        /// The seed of the shift.
        seed: u64,
        /// How many points, best a power of 2.
        draws: usize,
    },
    /// Given ones: rows of twice as many numbers from 0 to 1 as features.
    Given(Vec<Vec<f64>>),
}

/// Fel et al., "Look at the variance! Efficient black-box explanations with Sobol-based sensitivity analysis", NeurIPS 2021:
/// every feature is present in part (a share m of the input, the rest of the baseline), all shares are uniform, and a feature
/// scores its total index, the share of the output's variance that is left when all other features are fixed. Jansen's
/// estimator (1999; their equation 6): `ST_i = mean((f(A) - f(A with column i of B))^2) / (2 Var f(A))`, from
/// `features + 1` evaluations a point. Between 0 and 1 and without a sign; interactions count for every feature in them, so
/// indices may add up to more than 1.
///
/// Standard errors are those of a ratio of means over independent points (the delta method), which the evenness of the
/// sequence makes smaller.
#[derive(Clone, Debug, PartialEq)]
pub struct Sobol<S> {
    /// What a feature is blended with.
    pub baseline: Baseline<S>,
    /// At most 512 features.
    pub features: Features,
    /// The points.
    pub points: SobolPoints,
}

/// Points of the least design whose variance means anything.
const LEAST: usize = 4;

impl<S> Sobol<S> {
    fn points(&self) -> Result<Vec<Vec<f64>>> {
        let features = self.features.count();
        let points: Vec<Vec<f64>> = match &self.points {
            SobolPoints::Given(rows) => rows.clone(),
            SobolPoints::Seeded { .. } if 2 * features > DIMENSIONS => {
                return Err(Error::invalid(format!(
                    "{features} features are more than the {} whose Sobol indices can be sampled; use fewer regions, as slic \
                     joint or a larger grid",
                    DIMENSIONS / 2
                )));
            }
            SobolPoints::Seeded { seed, draws } => {
                (0..*draws).map(|i| point(*seed, i as u32, 2 * features)).collect()
            }
        };
        if points.len() < LEAST {
            return Err(Error::invalid(format!("{} Sobol points; at least {LEAST} needed", points.len())));
        }
        let fits = |p: &Vec<f64>| p.len() == 2 * features && p.iter().all(|v| (0.0..=1.0).contains(v));
        match points.iter().position(|p| !fits(p)) {
            None => Ok(points),
            Some(at) => Err(Error::invalid(format!(
                "Sobol point {at} does not have {} numbers from 0 to 1, two for each feature",
                2 * features
            ))),
        }
    }
}

/// Indices and errors from values `f(A), f(A with 1 of B), ...` of each point.
fn indices(values: &[f64], features: usize) -> (Vec<f64>, Vec<f64>) {
    let points: Vec<&[f64]> = values.chunks(features + 1).collect();
    let n = points.len() as f64;
    let mean = points.iter().map(|p| p[0]).sum::<f64>() / n;
    let squares: Vec<f64> = points.iter().map(|p| (p[0] - mean).powi(2)).collect();
    let variance = squares.iter().sum::<f64>() / (n - 1.0);
    let one = |i: usize| {
        if variance <= 0.0 {
            return (0.0, 0.0);
        }
        let halves: Vec<f64> = points.iter().map(|p| (p[0] - p[i + 1]).powi(2) / 2.0).collect();
        let index = halves.iter().sum::<f64>() / n / variance;
        // d(u / v) = (du - index dv) / v.
        let gaps = halves.iter().zip(&squares).map(|(h, s)| ((h - index * s) / variance).powi(2));
        (index, (gaps.sum::<f64>() / (n - 1.0) / n).sqrt())
    };
    (0..features).map(one).unzip()
}

impl<S: Scalar> Sobol<S> {
    fn one(
        &self,
        game: &mut Game<'_, S>,
        n: usize,
        points: &[Vec<f64>],
    ) -> Result<(Vec<f64>, Vec<f64>, usize)> {
        let features = self.features.count();
        let columns = features + 1;
        let sizes = game.run().sizes(4 * LEAST, points.len());
        // Row `point * columns + c` has column c - 1 of B in place of that of A.
        let presence = |row: usize, f: usize| {
            let (point, column) = (&points[row / columns], row % columns);
            if column == f + 1 { point[features + f] } else { point[f] }
        };
        let mut best = None;
        for size in sizes {
            let rows: Vec<[u64; 2]> =
                (0..size * columns).map(|r| [(r / columns) as u64, (r % columns) as u64]).collect();
            let values = game.blends(n, &rows, &presence)?;
            let whole = values.len() / columns;
            if whole < LEAST {
                break;
            }
            let (scores, errors) = indices(&values[..whole * columns], features);
            let precise = game.run().is_precise(&scores, &errors);
            best = Some((scores, errors, whole));
            if precise || whole < size {
                break;
            }
        }
        best.ok_or_else(|| game.run().too_small(n, (LEAST * columns + 2) as u64))
    }
}

impl<S: Scalar> Method<S> for Sobol<S> {
    fn name(&self) -> &'static str {
        "sobol"
    }

    fn passes(&self) -> (u64, u64) {
        let points = match &self.points {
            SobolPoints::Seeded { draws, .. } => *draws,
            SobolPoints::Given(rows) => rows.len(),
        };
        ((points * (self.features.count() + 1)) as u64 + 2, 0)
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

impl<S: Scalar> Estimator<S> for Sobol<S> {
    fn estimate(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
        run: &mut Run,
    ) -> Result<Attribution<S>> {
        let points = self.points()?;
        run.keep("points", || Tensor::new(&[points.len(), 2 * self.features.count()], points.concat()))?;
        let mut game = Game::new(network, inputs, &self.baseline, &self.features, target, run)?;
        let mut found = Found::default();
        for n in 0..game.examples() {
            game.ends(n)?;
            let (scores, errors, used) = self.one(&mut game, n, &points)?;
            found.notes.push(format!(
                "example {n}: total indices from {used} points: shares of the output's variance, without a sign"
            ));
            found.scores.push(scores);
            found.errors.push(errors);
        }
        finish(&mut game, found, false)
    }
}
