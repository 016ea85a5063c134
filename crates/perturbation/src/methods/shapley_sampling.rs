//! Shapley values from random orders.

use crate::coalition::Coalition;
use crate::features::Features;
use crate::game::Game;
use crate::paint::{Found, finish};
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Generator, Method, Network, Target};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// The orders in which features come.
#[derive(Clone, Debug, PartialEq)]
pub enum Permutations {
    /// Drawn from a seed; with `antithetic`, every second one is the one before it reversed, which halves the variance of
    /// nearly additive networks and more (Mitchell et al., "Sampling permutations for Shapley value estimation", JMLR 23,
    /// 2022).
    Seeded {
        /// The seed.
        seed: u64,
        /// How many.
        draws: usize,
        /// Whether orders come in reversed pairs.
        antithetic: bool,
    },
    /// Given ones.
    Given(Vec<Vec<usize>>),
}

/// Castro, Gomez & Tejada, "Polynomial calculation of the Shapley value based on sampling" (2009): the mean over orders
/// of what a feature adds when it comes. Complete for every number of orders.
#[derive(Clone, Debug, PartialEq)]
pub struct ShapleySampling<S> {
    /// What takes the place of absent features.
    pub baseline: Baseline<S>,
    /// The features.
    pub features: Features,
    /// The orders.
    pub permutations: Permutations,
}

/// Draw `draw` of a random order of `n` (Fisher & Yates).
fn shuffled(seed: u64, draw: usize, n: usize) -> Vec<usize> {
    let generator = Generator::new(seed, 0x5348_4150);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, generator.below(i + 1, draw as u32, i as u64));
    }
    order
}

impl Permutations {
    fn count(&self) -> usize {
        match self {
            Self::Seeded { draws, .. } => *draws,
            Self::Given(orders) => orders.len(),
        }
    }

    fn orders(&self, n: usize) -> Result<Vec<Vec<usize>>> {
        if self.count() == 0 {
            return Err(Error::invalid("at least one order of the features is needed"));
        }
        match self {
            Self::Given(orders) => {
                let whole = |order: &Vec<usize>| {
                    let mut sorted = order.clone();
                    sorted.sort_unstable();
                    sorted.into_iter().eq(0..n)
                };
                match orders.iter().position(|o| !whole(o)) {
                    None => Ok(orders.clone()),
                    Some(at) => Err(Error::invalid(format!("row {at} is no order of the {n} features"))),
                }
            }
            Self::Seeded { seed, draws, antithetic } => {
                let order = |draw: usize| {
                    let pair = if *antithetic { draw / 2 } else { draw };
                    let mut order = shuffled(*seed, pair, n);
                    if *antithetic && draw % 2 == 1 {
                        order.reverse();
                    }
                    order
                };
                Ok((0..*draws).map(order).collect())
            }
        }
    }

    /// Orders that are drawn together.
    fn group(&self) -> usize {
        if matches!(self, Self::Seeded { antithetic: true, .. }) { 2 } else { 1 }
    }
}

/// The coalitions along an order, from none to all.
fn path(order: &[usize]) -> Vec<Coalition> {
    let mut current = Coalition::empty(order.len());
    let mut path = vec![current.clone()];
    for &feature in order {
        current.insert(feature);
        path.push(current.clone());
    }
    path
}

/// Means over groups of marginals, and their standard errors where there are two groups or more.
fn mean_and_error(marginals: &[Vec<f64>], group: usize) -> (Vec<f64>, Vec<f64>) {
    let features = marginals.first().map_or(0, Vec::len);
    let mean_of = |rows: &[Vec<f64>], f: usize| rows.iter().map(|r| r[f]).sum::<f64>() / rows.len() as f64;
    let mean = |f: usize| mean_of(marginals, f);
    let groups: Vec<&[Vec<f64>]> = marginals.chunks(group).filter(|g| g.len() == group).collect();
    let error = |f: usize| {
        let means: Vec<f64> = groups.iter().map(|g| mean_of(g, f)).collect();
        let (count, middle) = (means.len() as f64, means.iter().sum::<f64>() / means.len() as f64);
        let spread: f64 = means.iter().map(|m| (m - middle).powi(2)).sum();
        if means.len() > 1 { (spread / (count - 1.0) / count).sqrt() } else { f64::INFINITY }
    };
    ((0..features).map(mean).collect(), (0..features).map(error).collect())
}

impl<S: Scalar> Method<S> for ShapleySampling<S> {
    fn name(&self) -> &'static str {
        "shapley_sampling"
    }

    fn passes(&self) -> (u64, u64) {
        let (orders, features) = (self.permutations.count() as u64, self.features.count() as u64);
        (orders * features.saturating_sub(1) + 2, 0)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let orders = self.permutations.orders(self.features.count())?;
        let mut game = Game::new(network, inputs, &self.baseline, &self.features, target)?;
        let mut found = Found::default();
        for n in 0..game.examples() {
            let mut marginals = Vec::with_capacity(orders.len());
            for order in &orders {
                let values = game.values(n, &path(order))?;
                let mut row = vec![0.0; order.len()];
                order.iter().zip(values.windows(2)).for_each(|(&f, v)| row[f] = v[1] - v[0]);
                marginals.push(row);
            }
            let (scores, errors) = mean_and_error(&marginals, self.permutations.group());
            found.scores.push(scores);
            found.errors.push(errors);
        }
        finish(&mut game, found, true)
    }
}
