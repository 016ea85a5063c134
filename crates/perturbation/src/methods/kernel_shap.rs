//! Kernel SHAP: Shapley values as the best additive fit.

use super::shapley_values::all;
use crate::coalition::Coalition;
use crate::features::Features;
use crate::game::Game;
use crate::paint::{Found, finish};
use crate::regression::{Fit, Samples, constrained};
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
/// `sum w (v(z) - v(none) - z . phi)^2` under `sum(phi) = v(all) - v(none)`.
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

fn leverage(n: usize, seed: u64, draws: usize) -> (Vec<Coalition>, Vec<f64>) {
    let generator = Generator::new(seed, 0x4c45_5645);
    let (mut rows, mut weights) = (Vec::new(), Vec::new());
    let mut draw = 0u32;
    let mut left = draws;
    for size in 1..=n / 2 {
        // The half of a middle size is its own complement.
        let middle = 2 * size == n;
        let available = choose(n, size) / if middle { 2.0 } else { 1.0 };
        let share = left / 2 / (n / 2 - size + 1);
        let mut sets = BTreeSet::new();
        if available <= share as f64 {
            each_subset(n, size, &mut |set| {
                if !middle || set.contains(0) {
                    sets.insert(set);
                }
            });
        } else {
            while sets.len() < share.max(1) {
                let set = subset(&generator, draw, n, size);
                draw += 1;
                sets.insert(if middle && !set.contains(0) { set.complement() } else { set });
            }
        }
        left = left.saturating_sub(2 * sets.len());
        // Each row stands for as many as were not drawn; a middle size has both of a pair in one mass.
        let weight = mass(n, size) / sets.len() as f64 / if middle { 2.0 } else { 1.0 };
        for set in sets {
            rows.push(set.complement());
            rows.push(set);
            weights.extend([weight; 2]);
        }
    }
    (rows, weights)
}

fn captum(n: usize, seed: u64, draws: usize) -> (Vec<Coalition>, Vec<f64>) {
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
    let weights = vec![1.0; rows.len()];
    (rows, weights)
}

impl KernelRows {
    fn make(&self, n: usize) -> Result<(Vec<Coalition>, Vec<f64>)> {
        let (rows, weights) = match self {
            Self::Given(rows, weights) => (rows.clone(), weights.clone()),
            Self::Leverage { seed, draws } => leverage(n, *seed, *draws),
            Self::Captum { seed, draws } => captum(n, *seed, *draws),
            Self::Exact => {
                let mut rows = all(n)?;
                rows.retain(|c| (1..n).contains(&c.size()));
                let weights = rows.iter().map(|c| mass(n, c.size()) / choose(n, c.size())).collect();
                (rows, weights)
            }
        };
        if rows.is_empty() {
            return Err(Error::invalid("no coalition was drawn; ask for more draws"));
        }
        Ok((rows, weights))
    }
}

impl<S: Scalar> KernelShap<S> {
    fn fit(&self, game: &mut Game<'_, S>, n: usize, (rows, weights): (&[Coalition], &[f64])) -> Result<Fit> {
        let (none, all) = game.ends(n)?;
        let values: Vec<f64> = game.values(n, rows)?.iter().map(|v| v - none).collect();
        let rows: Vec<Vec<f64>> = rows.iter().map(Coalition::row).collect();
        constrained(Samples { rows: &rows, values: &values, weights }, all - none)
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
        let features = self.features.count();
        if features < 2 {
            return Err(Error::invalid(
                "Kernel SHAP needs at least two features; one feature scores F(x) - F(b)",
            ));
        }
        let (rows, weights) = self.rows.make(features)?;
        let mut game = Game::new(network, inputs, &self.baseline, &self.features, target)?;
        let mut found = Found::default();
        for n in 0..game.examples() {
            let fit = self.fit(&mut game, n, (&rows, &weights))?;
            if fit.rank < features {
                found.notes.push(format!(
                    "example {n}: {} rows determine {} of {features} scores; the others share what is left",
                    rows.len(),
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
