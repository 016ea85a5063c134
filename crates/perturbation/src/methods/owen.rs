//! Owen values: Shapley values of regions that respect which modality they belong to.

use super::orders::{Permutations, shuffled, walk};
use crate::coalition::Coalition;
use crate::estimator::Estimator;
use crate::exact::weights;
use crate::features::Features;
use crate::game::Game;
use crate::paint::{Found, finish};
use crate::run::Run;
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Method, Network, Target};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// The orders in which features come: those of one modality always together.
#[derive(Clone, Debug, PartialEq)]
pub enum OwenOrders {
    /// All of them, by the `sum over modalities of 2^(modalities - 1 + regions of it)` coalitions that matter, at most 2^20.
    Exact,
    /// Some: drawn ones are random orders of modalities and of the regions inside each; given ones must keep modalities
    /// together.
    Sampled(Permutations),
}

/// Owen, "Values of games with a priori unions" (1977): the mean over the orders that keep the regions of a modality
/// together of what a region adds when it comes. The regions of a modality add up to the modality's own Shapley value, which
/// Shapley values of regions do not.
#[derive(Clone, Debug, PartialEq)]
pub struct Owen<S> {
    /// What takes the place of absent features.
    pub baseline: Baseline<S>,
    /// Features that lie in one modality each.
    pub features: Features,
    /// The orders.
    pub orders: OwenOrders,
}

/// The most coalitions of exact values.
const MOST: u64 = 1 << 20;

/// The features of each modality.
fn members(groups: &[usize]) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); groups.iter().max().map_or(0, |g| g + 1)];
    groups.iter().enumerate().for_each(|(f, &g)| members[g].push(f));
    members
}

/// How many coalitions matter.
fn coalitions(members: &[Vec<usize>]) -> u64 {
    let one = |m: &Vec<usize>| 1u64.checked_shl((members.len() - 1 + m.len()) as u32).unwrap_or(u64::MAX);
    members.iter().map(one).fold(0, u64::saturating_add)
}

/// The values of one modality's features: `sum over H of w(|H|) sum over T of w(|T|) (v(H + T + i) - v(H + T))`, H being sets of
/// other modalities and T of other features of this one.
fn exactly<S: Scalar>(
    game: &mut Game<'_, S>,
    n: usize,
    groups: &[usize],
    own: usize,
    members: &[Vec<usize>],
) -> Result<Vec<f64>> {
    let (inside, outside) = (&members[own], members.len() - 1);
    let (others, sets) = (1usize << outside, 1usize << inside.len());
    // Modality g is bit g of the number without its own bit.
    let bit = |g: usize| if g > own { g - 1 } else { g };
    let place: Vec<usize> =
        (0..groups.len()).map(|f| inside.iter().position(|&m| m == f).unwrap_or(0)).collect();
    let one = |number: usize| {
        let (h, t) = (number / sets, number % sets);
        Coalition::of(groups.len(), |f| match groups[f] == own {
            true => t >> place[f] & 1 == 1,
            false => h >> bit(groups[f]) & 1 == 1,
        })
    };
    let rows: Vec<Coalition> = (0..others * sets).map(one).collect();
    let v = game.all_values(n, &rows)?;
    let (between, within) = (weights(outside + 1), weights(inside.len()));
    let value = |i: usize| {
        let without = (0..v.len()).filter(|number| number >> i & 1 == 0);
        without
            .map(|number| {
                let (h, t) = ((number / sets).count_ones() as usize, (number % sets).count_ones() as usize);
                between[h] * within[t] * (v[number | 1 << i] - v[number])
            })
            .sum()
    };
    Ok((0..inside.len()).map(value).collect())
}

impl<S: Scalar> Owen<S> {
    fn exact(&self, game: &mut Game<'_, S>, n: usize, groups: &[usize]) -> Result<Vec<f64>> {
        let members = members(groups);
        let count = coalitions(&members);
        if count > MOST {
            return Err(Error::invalid(format!(
                "exact Owen values of {} features in {} modalities need {count} coalitions (at most {MOST}); use mode sampled",
                groups.len(),
                members.len()
            )));
        }
        let mut scores = vec![0.0; groups.len()];
        for (own, features) in members.iter().enumerate() {
            let values = exactly(game, n, groups, own, &members)?;
            features.iter().zip(values).for_each(|(&f, v)| scores[f] = v);
        }
        Ok(scores)
    }
}

/// Refuses given orders that leave a modality and come back to it.
fn check_together(orders: &Permutations, groups: &[usize]) -> Result<()> {
    let Permutations::Given(orders) = orders else { return Ok(()) };
    let together = |order: &Vec<usize>| {
        let changes = order.windows(2).filter(|w| groups[w[0]] != groups[w[1]]).count();
        changes < members(groups).len()
    };
    match orders.iter().position(|o| !together(o)) {
        None => Ok(()),
        Some(at) => {
            Err(Error::invalid(format!("row {at} is an order that does not keep each modality together")))
        }
    }
}

/// A random order of modalities, each with its features in random order.
fn fresh(seed: u64, draw: usize, members: &[Vec<usize>]) -> Vec<usize> {
    let order = shuffled(seed, 0x4f57_454e, draw, (0..members.len()).collect());
    let inside = |g: usize| shuffled(seed, 0x4f00_0000 + g as u32, draw, members[g].clone());
    order.into_iter().flat_map(inside).collect()
}

impl<S: Scalar> Method<S> for Owen<S> {
    fn name(&self) -> &'static str {
        "owen"
    }

    fn passes(&self) -> (u64, u64) {
        match &self.orders {
            // How features lie in modalities is known with the network alone.
            OwenOrders::Exact => (MOST.min(1 << self.features.count().min(20)), 0),
            OwenOrders::Sampled(orders) => {
                (orders.count() as u64 * (self.features.count() as u64).saturating_sub(1) + 2, 0)
            }
        }
    }

    fn passes_on(&self, graph: &voxplain_graph::Graph) -> (u64, u64) {
        match (&self.orders, self.features.modalities_of(graph, 0)) {
            (OwenOrders::Exact, Ok(groups)) => (coalitions(&members(&groups)), 0),
            _ => Method::<S>::passes(self),
        }
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

impl<S: Scalar> Estimator<S> for Owen<S> {
    fn estimate(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
        run: &mut Run,
    ) -> Result<Attribution<S>> {
        let mut game = Game::new(network, inputs, &self.baseline, &self.features, target, run)?;
        let mut found = Found::default();
        for n in 0..game.examples() {
            let groups = self.features.modalities_of(game.network().graph(), n)?;
            match &self.orders {
                OwenOrders::Exact => found.scores.push(self.exact(&mut game, n, &groups)?),
                OwenOrders::Sampled(orders) => {
                    orders.check(groups.len())?;
                    check_together(orders, &groups)?;
                    let members = members(&groups);
                    let walked = walk(&mut game, n, orders, &|seed, draw| fresh(seed, draw, &members))?;
                    found.notes.push(format!("example {n}: the mean over {} orders", walked.orders));
                    found.scores.push(walked.scores);
                    found.errors.push(walked.errors);
                }
            }
        }
        finish(&mut game, found, true)
    }
}
