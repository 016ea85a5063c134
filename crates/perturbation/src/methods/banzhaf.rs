//! Banzhaf values: what a feature adds to a random set of the others.

use super::shapley_values::all;
use crate::coalition::Coalition;
use crate::estimator::Estimator;
use crate::exact::banzhaf;
use crate::features::Features;
use crate::game::Game;
use crate::moments::Moments;
use crate::paint::{Found, finish};
use crate::run::Run;
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Generator, Method, Network, Target};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// The coalitions that are asked.
#[derive(Clone, Debug, PartialEq)]
pub enum BanzhafRows {
    /// All of them, for up to 20 features.
    Exact,
    /// Random ones, each feature present with probability 1/2, every one used for every feature: the mean value with it less
    /// the mean value without it (maximum sample reuse: Wang & Jia, "Data Banzhaf", AISTATS 2023, equation 5).
    Reuse {
        /// The seed.
        seed: u64,
        /// How many.
        draws: usize,
    },
    /// Random ones, and each with every feature put in or out: the mean of what the feature adds. `features + 1` evaluations
    /// a draw; one draw is enough for an additive network.
    Plain {
        /// The seed.
        seed: u64,
        /// How many.
        draws: usize,
    },
    /// Given ones, used as in [`BanzhafRows::Reuse`].
    Given(Vec<Coalition>),
}

/// Banzhaf, "Weighted voting doesn't work" (1965): the mean over all sets of the others of what a feature adds. The values do
/// not add up to `F(x) - F(b)`, but two features made one score the sum of both, and noise of the network disturbs their
/// ranks less than those of Shapley values.
#[derive(Clone, Debug, PartialEq)]
pub struct Banzhaf<S> {
    /// What takes the place of absent features.
    pub baseline: Baseline<S>,
    /// The features.
    pub features: Features,
    /// The coalitions.
    pub rows: BanzhafRows,
}

/// Random set `draw` of `n` features.
fn random(seed: u64, draw: usize, n: usize) -> Coalition {
    let generator = Generator::new(seed, 0x4241_4e5a);
    Coalition::of(n, |f| generator.uniform(draw as u32, f as u64) < 0.5)
}

/// Scores and their standard errors.
type Estimate = (Vec<f64>, Vec<f64>);

/// Means with a feature less means without it. A feature that is always there or never scores 0 with an infinite error.
fn reused(rows: &[Coalition], values: &[f64], n: usize) -> Estimate {
    let one = |f: usize| {
        let mut sides = [Moments::new(1), Moments::new(1)];
        rows.iter().zip(values).for_each(|(row, v)| sides[usize::from(row.contains(f))].push(&[*v]));
        let [without, with] = sides;
        let error = with.errors()[0].hypot(without.errors()[0]);
        if error.is_finite() { (with.means()[0] - without.means()[0], error) } else { (0.0, f64::INFINITY) }
    };
    (0..n).map(one).unzip()
}

/// A set, and it with every feature put in or out.
fn around(set: &Coalition) -> Vec<Coalition> {
    let n = set.features();
    let toggled = |f: usize| Coalition::of(n, |g| set.contains(g) != (f == g));
    std::iter::once(set.clone()).chain((0..n).map(toggled)).collect()
}

impl<S: Scalar> Banzhaf<S> {
    fn plain(&self, game: &mut Game<'_, S>, n: usize, sets: &[Coalition]) -> Result<(Estimate, usize)> {
        let features = self.features.count();
        let (mut moments, mut done) = (Moments::new(features), 0);
        for set in sets {
            let values = game.values(n, &around(set))?;
            if values.len() <= features {
                break;
            }
            let gap = |f: usize| {
                if set.contains(f) { values[0] - values[f + 1] } else { values[f + 1] - values[0] }
            };
            moments.push(&(0..features).map(gap).collect::<Vec<_>>());
            done += 1;
            if moments.is_trusted() && game.run().is_precise(moments.means(), &moments.errors()) {
                break;
            }
        }
        match done {
            0 => Err(game.run().too_small(n, features as u64 + 3)),
            _ => Ok(((moments.means().to_vec(), moments.errors()), done)),
        }
    }

    fn reuse(&self, game: &mut Game<'_, S>, n: usize, sets: &[Coalition]) -> Result<(Estimate, usize)> {
        let sizes = game.run().sizes(64, sets.len());
        let mut best = None;
        for size in sizes {
            let values = game.values(n, &sets[..size])?;
            if values.is_empty() {
                break;
            }
            let found = reused(sets, &values, self.features.count());
            let precise = game.run().is_precise(&found.0, &found.1);
            best = Some((found, values.len()));
            if precise || values.len() < size {
                break;
            }
        }
        best.ok_or_else(|| game.run().too_small(n, 3))
    }

    /// The random or given sets, and whether they are used once for all features.
    fn sets(&self) -> Result<Vec<Coalition>> {
        let n = self.features.count();
        let sets: Vec<Coalition> = match &self.rows {
            BanzhafRows::Exact => return all(n),
            BanzhafRows::Given(rows) => rows.clone(),
            BanzhafRows::Reuse { seed, draws } | BanzhafRows::Plain { seed, draws } => {
                (0..*draws).map(|draw| random(*seed, draw, n)).collect()
            }
        };
        if sets.is_empty() {
            return Err(Error::invalid("at least one random coalition is needed"));
        }
        Ok(sets)
    }
}

impl<S: Scalar> Method<S> for Banzhaf<S> {
    fn name(&self) -> &'static str {
        "banzhaf"
    }

    fn passes(&self) -> (u64, u64) {
        let features = self.features.count();
        let rows = match &self.rows {
            BanzhafRows::Exact => 1 << features.min(super::shapley_values::MOST),
            BanzhafRows::Reuse { draws, .. } => draws + 2,
            BanzhafRows::Plain { draws, .. } => draws * (features + 1) + 2,
            BanzhafRows::Given(rows) => rows.len() + 2,
        };
        (rows as u64, 0)
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

impl<S: Scalar> Estimator<S> for Banzhaf<S> {
    fn estimate(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
        run: &mut Run,
    ) -> Result<Attribution<S>> {
        let (sets, features) = (self.sets()?, self.features.count());
        let mut game = Game::new(network, inputs, &self.baseline, &self.features, target, run)?;
        let mut found = Found::default();
        for n in 0..game.examples() {
            game.ends(n)?;
            if self.rows == BanzhafRows::Exact {
                found.scores.push(banzhaf(&game.all_values(n, &sets)?));
                continue;
            }
            let plain = matches!(self.rows, BanzhafRows::Plain { .. });
            let ((scores, errors), used) = match plain {
                true => self.plain(&mut game, n, &sets)?,
                false => self.reuse(&mut game, n, &sets)?,
            };
            found.notes.push(format!("example {n}: the mean over {used} random coalitions"));
            let unseen = errors.iter().filter(|e| !e.is_finite()).count();
            if unseen > 0 && !plain {
                found.notes.push(format!(
                    "example {n}: {used} coalitions do not determine {unseen} of {features} features; use more draws"
                ));
            }
            found.scores.push(scores);
            found.errors.push(errors);
            game.run().keep("coalitions", || {
                let rows = sets[..used].iter().flat_map(Coalition::row).collect();
                Tensor::new(&[used, features], rows)
            })?;
        }
        finish(&mut game, found, false)
    }
}
