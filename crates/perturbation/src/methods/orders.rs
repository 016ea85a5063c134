//! Random orders in which features come, and what each adds when it comes: what Shapley's and Owen's values share.

use crate::coalition::Coalition;
use crate::game::Game;
use crate::moments::Moments;
use voxplain_attribution::Generator;
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

/// A random order of these, for (stream, draw) (Fisher & Yates).
pub(super) fn shuffled(seed: u64, stream: u32, draw: usize, mut order: Vec<usize>) -> Vec<usize> {
    let generator = Generator::new(seed, stream);
    for i in (1..order.len()).rev() {
        order.swap(i, generator.below(i + 1, draw as u32, i as u64));
    }
    order
}

impl Permutations {
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Seeded { draws, .. } => *draws,
            Self::Given(orders) => orders.len(),
        }
    }

    /// Refuses no orders, and given ones that are none of `n` features.
    pub(super) fn check(&self, n: usize) -> Result<()> {
        if self.count() == 0 {
            return Err(Error::invalid("at least one order of the features is needed"));
        }
        let Self::Given(orders) = self else { return Ok(()) };
        let whole = |order: &Vec<usize>| {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            sorted.into_iter().eq(0..n)
        };
        match orders.iter().position(|o| !whole(o)) {
            None => Ok(()),
            Some(at) => Err(Error::invalid(format!("row {at} is no order of the {n} features"))),
        }
    }

    /// Order `draw`; `fresh(seed, draw)` makes one.
    pub(super) fn order(&self, draw: usize, fresh: &dyn Fn(u64, usize) -> Vec<usize>) -> Vec<usize> {
        match self {
            Self::Given(orders) => orders[draw].clone(),
            Self::Seeded { seed, antithetic: false, .. } => fresh(*seed, draw),
            Self::Seeded { seed, .. } => {
                let mut order = fresh(*seed, draw / 2);
                if draw % 2 == 1 {
                    order.reverse();
                }
                order
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

/// What walking along orders gave for one example.
pub(super) struct Walked {
    pub scores: Vec<f64>,
    pub errors: Vec<f64>,
    pub orders: usize,
}

/// Means over the orders, as many as the budget allows, of what every feature adds when it comes, and their standard errors
/// where there are two groups of orders or more.
pub(super) fn walk<S: Scalar>(
    game: &mut Game<'_, S>,
    n: usize,
    permutations: &Permutations,
    fresh: &dyn Fn(u64, usize) -> Vec<usize>,
) -> Result<Walked> {
    let (features, group) = (game.features().count(), permutations.group());
    game.ends(n)?;
    let mut groups = Moments::new(features);
    let (mut sum, mut together, mut rows) = (vec![0.0; features], vec![0.0; features], Vec::new());
    for draw in 0..permutations.count() {
        let order = permutations.order(draw, fresh);
        let values = game.values(n, &path(&order))?;
        if values.len() <= features {
            break;
        }
        for (&f, v) in order.iter().zip(values.windows(2)) {
            sum[f] += v[1] - v[0];
            together[f] += (v[1] - v[0]) / group as f64;
        }
        rows.push(order);
        if rows.len() % group == 0 {
            groups.push(&together);
            together.fill(0.0);
            if groups.is_trusted() && game.run().is_precise(groups.means(), &groups.errors()) {
                break;
            }
        }
    }
    if rows.is_empty() {
        return Err(game.run().too_small(n, features as u64 + 1));
    }
    let scores = sum.iter().map(|s| s / rows.len() as f64).collect();
    keep(game, &rows)?;
    Ok(Walked { scores, errors: groups.errors(), orders: rows.len() })
}

/// Keeps orders under the name of the parameter that takes them.
fn keep<S: Scalar>(game: &mut Game<'_, S>, rows: &[Vec<usize>]) -> Result<()> {
    let features = game.features().count();
    game.run().keep("permutations", || {
        Tensor::new(&[rows.len(), features], rows.iter().flatten().map(|&f| f as f64).collect())
    })
}
