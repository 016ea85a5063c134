//! Kernel SHAP: Shapley values as the best additive fit.

use super::shapley_values::all;
use crate::coalition::Coalition;
use crate::estimator::Estimator;
use crate::features::Features;
use crate::game::Game;
use crate::moments::growing;
use crate::paint::{Found, finish};
use crate::regression::{Doubt, Fit, Samples, check_rows, check_unknowns, constrained};
use crate::run::Run;
use std::collections::BTreeSet;
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Generator, Method, Network, Target};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// The coalitions that are asked.
#[derive(Clone, Debug, PartialEq)]
pub enum KernelRows {
    /// All of them, for up to 20 features: exact Shapley values.
    Exact,
    /// Given rows with weights.
    Given(Vec<Coalition>, Vec<f64>),
    /// About `draws` rows, drawn without replacement in complementary pairs, every size as often as every other (its
    /// leverage), sizes with fewer coalitions than that completely (Musco & Witter, "Provably accurate Shapley value
    /// estimation via leverage score sampling", ICLR 2025).
    Leverage {
        /// The seed.
        seed: u64,
        /// How many rows, without the empty and the full one.
        draws: usize,
    },
    /// As Captum draws them: a size with probability proportional to `(n - 1) / (s (n - s))`, then a set of that size,
    /// with replacement, every row with weight 1. `draws` counts the empty and the full row too.
    Captum {
        /// The seed.
        seed: u64,
        /// How many rows.
        draws: usize,
    },
}

/// Lundberg & Lee, "A unified approach to interpreting model predictions", NIPS 2017, section 4.1: minimises
/// `sum w (v(z) - v(none) - z . phi)^2` under `sum(phi) = v(all) - v(none)`. Standard errors are those of the regression, with a
/// complementary pair as one observation and nothing left to chance in sizes that were asked completely.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelShap<S> {
    /// What takes the place of absent features.
    pub baseline: Baseline<S>,
    /// At least 2 features.
    pub features: Features,
    /// The coalitions.
    pub rows: KernelRows,
}

/// A set of `size` of `n` features, uniformly, from draw `draw`: the first of a random order.
fn subset(generator: &Generator, draw: u32, n: usize, size: usize) -> Coalition {
    let mut order: Vec<usize> = (0..n).collect();
    let mut set = Coalition::empty(n);
    for i in 0..size {
        order.swap(i, i + generator.below(n - i, draw, i as u64 + 1));
        set.insert(order[i]);
    }
    set
}

/// `C(n, k)` as a number that may be rounded.
fn choose(n: usize, k: usize) -> f64 {
    (1..=k).fold(1.0, |c, i| c * (n - k + i) as f64 / i as f64)
}

/// Kernel weight of all coalitions of a size together.
fn mass(n: usize, size: usize) -> f64 {
    (n - 1) as f64 / (size * (n - size)) as f64
}

/// Calls `visit` for all subsets of `size` of `n`, in the order of their first features.
fn each_subset(n: usize, size: usize, visit: &mut dyn FnMut(Coalition)) {
    let mut chosen: Vec<usize> = (0..size).collect();
    loop {
        visit(Coalition::of(n, |f| chosen.contains(&f)));
        let Some(at) = (0..size).rev().find(|&i| chosen[i] < n - size + i) else { return };
        chosen[at] += 1;
        (at + 1..size).for_each(|i| chosen[i] = chosen[i - 1] + 1);
    }
}

/// Coalitions with their weights, and what is uncertain about them.
#[derive(Default)]
struct Design {
    rows: Vec<Coalition>,
    weights: Vec<f64>,
    /// Per row, the share of coalitions of its size that was not drawn; none where rows come with replacement.
    shares: Option<Vec<f64>>,
}

impl Design {
    fn truncate(&mut self, rows: usize) {
        self.rows.truncate(rows);
        self.weights.truncate(rows);
        self.shares.iter_mut().for_each(|s| s.truncate(rows));
    }

    fn doubt(&self) -> Doubt<'_> {
        let group = if self.shares.is_some() { 2 } else { 1 };
        Doubt { group, shares: self.shares.as_deref() }
    }
}

/// `share` different sets of `size` (all there are, if they are no more), one of each complementary pair in a middle size.
/// A larger share has all sets of a smaller one.
fn sets(n: usize, size: usize, seed: u64, share: usize, available: f64) -> BTreeSet<Coalition> {
    let middle = 2 * size == n;
    let mut sets = BTreeSet::new();
    if available <= share as f64 {
        each_subset(n, size, &mut |set| {
            if !middle || set.contains(0) {
                sets.insert(set);
            }
        });
        return sets;
    }
    let generator = Generator::new(seed, 0x4c45_0000 + size as u32);
    for draw in 0u32.. {
        if sets.len() >= share {
            break;
        }
        let set = subset(&generator, draw, n, size);
        sets.insert(if middle && !set.contains(0) { set.complement() } else { set });
    }
    sets
}

fn leverage(n: usize, seed: u64, draws: usize) -> Design {
    let (mut rows, mut weights, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    let mut left = draws;
    for size in 1..=n / 2 {
        // The half of a middle size is its own complement.
        let halves = if 2 * size == n { 2.0 } else { 1.0 };
        let available = choose(n, size) / halves;
        let share = (left / 2 / (n / 2 - size + 1)).max(1);
        let sets = sets(n, size, seed, share, available);
        left = left.saturating_sub(2 * sets.len());
        // Each row stands for as many as were not drawn; a middle size has both of a pair in one mass.
        let weight = mass(n, size) / sets.len() as f64 / halves;
        shares.extend(vec![(1.0 - sets.len() as f64 / available).max(0.0); 2 * sets.len()]);
        weights.extend(vec![weight; 2 * sets.len()]);
        rows.extend(sets.into_iter().flat_map(|set| [set.complement(), set]));
    }
    Design { rows, weights, shares: Some(shares) }
}

fn captum(n: usize, seed: u64, draws: usize) -> Design {
    let generator = Generator::new(seed, 0x4b53_4150);
    let total: f64 = (1..n).map(|s| mass(n, s)).sum();
    let row = |draw: usize| {
        let mut at = generator.uniform(draw as u32, 0) * total;
        let size = (1..n).find(|&s| {
            at -= mass(n, s);
            at <= 0.0
        });
        subset(&generator, draw as u32, n, size.unwrap_or(n - 1))
    };
    let rows: Vec<Coalition> = (0..draws.saturating_sub(2)).map(row).collect();
    Design { weights: vec![1.0; rows.len()], rows, shares: None }
}

fn exact(n: usize) -> Result<Design> {
    let mut rows = all(n)?;
    rows.retain(|c| (1..n).contains(&c.size()));
    let weights = rows.iter().map(|c| mass(n, c.size()) / choose(n, c.size())).collect();
    Ok(Design { shares: Some(vec![0.0; rows.len()]), rows, weights })
}

impl KernelRows {
    /// The least draws that can identify `n` scores. Both rows of a complementary pair say the same of their differences.
    pub fn least(&self, n: usize) -> usize {
        match self {
            Self::Leverage { .. } => 2 * n.saturating_sub(1),
            Self::Captum { .. } => n + 1,
            Self::Exact | Self::Given(..) => 0,
        }
    }

    /// Refuses draws that are too few from the start.
    fn check(&self, n: usize) -> Result<()> {
        match self {
            Self::Leverage { draws, .. } | Self::Captum { draws, .. } => {
                check_rows("Kernel SHAP", n, *draws, self.least(n))
            }
            Self::Exact | Self::Given(..) => Ok(()),
        }
    }

    /// The design of `draws` rows, as far as their number can be chosen.
    fn make(&self, n: usize, draws: usize) -> Result<Design> {
        let design = match self {
            Self::Given(rows, weights) => {
                Design { rows: rows.clone(), weights: weights.clone(), shares: None }
            }
            Self::Leverage { seed, .. } => leverage(n, *seed, draws),
            Self::Captum { seed, .. } => captum(n, *seed, draws),
            Self::Exact => exact(n)?,
        };
        if design.rows.is_empty() {
            return Err(Error::invalid("no coalition was drawn; ask for more draws"));
        }
        Ok(design)
    }

    /// How many rows to ask for, one after the other, until the budget ends. Rows that are drawn one by one can end
    /// anywhere; those of leverage sampling belong together, so their number grows.
    fn sizes(&self, features: usize, run: &Run, share: Option<u64>) -> Vec<usize> {
        match self {
            Self::Leverage { draws, .. } if run.counts_only() => {
                // The empty and the full coalition are evaluated too.
                vec![share.map_or(*draws, |s| (*draws).min((s as usize).saturating_sub(2)))]
            }
            Self::Leverage { draws, .. } => growing(2 * features, *draws).collect(),
            Self::Captum { draws, .. } => run.sizes(2 * features, *draws),
            Self::Exact | Self::Given(..) => vec![0],
        }
    }
}

impl<S: Scalar> KernelShap<S> {
    /// The best fit that the budget allows, and its rows.
    fn fit(&self, game: &mut Game<'_, S>, n: usize) -> Result<(Fit, Design)> {
        let (features, share) = (self.features.count(), game.run().share(n));
        let (none, all) = game.ends(n)?;
        let (mut best, mut least) = (None, 2);
        for size in self.rows.sizes(features, game.run(), share) {
            let mut design = self.rows.make(features, size)?;
            let values = game.values(n, &design.rows)?;
            let whole = values.len() == design.rows.len();
            if !whole && (design.shares.is_some() || values.is_empty()) {
                least += design.rows.len() as u64;
                break;
            }
            design.truncate(values.len());
            let values: Vec<f64> = values.iter().map(|v| v - none).collect();
            let rows: Vec<Vec<f64>> = design.rows.iter().map(Coalition::row).collect();
            let samples = Samples { rows: &rows, values: &values, weights: &design.weights };
            let fit = constrained(samples, all - none, design.doubt())?;
            let precise = game.run().is_precise(&fit.coefficients, &fit.errors);
            best = Some((fit, design));
            if !whole || precise {
                break;
            }
        }
        best.ok_or_else(|| game.run().too_small(n, least))
    }

    fn keep(&self, run: &mut Run, design: &Design) -> Result<()> {
        let features = self.features.count();
        run.keep("coalitions", || {
            Tensor::new(&[design.rows.len(), features], design.rows.iter().flat_map(Coalition::row).collect())
        })?;
        run.keep("weights", || Tensor::new(&[design.weights.len()], design.weights.clone()))
    }
}

impl<S: Scalar> Method<S> for KernelShap<S> {
    fn name(&self) -> &'static str {
        "kernel_shap"
    }

    fn passes(&self) -> (u64, u64) {
        let rows = match &self.rows {
            KernelRows::Exact => 1 << self.features.count().min(super::shapley_values::MOST),
            KernelRows::Given(rows, _) => rows.len() as u64 + 2,
            KernelRows::Leverage { draws, .. } => *draws as u64 + 2,
            KernelRows::Captum { draws, .. } => *draws as u64,
        };
        (rows, 0)
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

impl<S: Scalar> Estimator<S> for KernelShap<S> {
    fn estimate(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
        run: &mut Run,
    ) -> Result<Attribution<S>> {
        let features = self.features.count();
        if features < 2 {
            return Err(Error::invalid(
                "Kernel SHAP needs at least two features; one feature scores F(x) - F(b)",
            ));
        }
        check_unknowns("Kernel SHAP", features)?;
        self.rows.check(features)?;
        let mut game = Game::new(network, inputs, &self.baseline, &self.features, target, run)?;
        let mut found = Found::default();
        for n in 0..game.examples() {
            let (fit, design) = self.fit(&mut game, n)?;
            self.keep(game.run(), &design)?;
            let rows = design.rows.len();
            found.notes.push(format!("example {n}: the fit to {rows} coalitions"));
            if fit.rank < features {
                found.notes.push(format!(
                    "example {n}: {rows} rows determine {} of {features} scores; the others share what is left; use more \
                     draws",
                    fit.rank
                ));
            }
            found.scores.push(fit.coefficients);
            found.errors.push(fit.errors);
        }
        if self.rows == KernelRows::Exact {
            found.errors.clear();
        }
        finish(&mut game, found, true)
    }
}
