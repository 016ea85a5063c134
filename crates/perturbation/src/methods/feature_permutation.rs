//! Feature permutation: what the output loses when a feature is another patient's.

use super::example;
use super::taken_away::{Change, Changes};
use crate::estimator::Estimator;
use crate::features::Features;
use crate::moments::Moments;
use crate::run::Run;
use voxplain_attribution::{Attribution, Generator, Method, Network, Target};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// Which example gives a feature to each.
#[derive(Clone, Debug, PartialEq)]
pub enum Donors {
    /// Random permutations of the examples that are not the identity.
    Seeded {
        /// The seed.
        seed: u64,
        /// Permutations of every feature.
        draws: usize,
    },
    /// Given ones: row `draw * features + feature` says which example gives to each.
    Given(Vec<Vec<usize>>),
}

/// Every feature scores the mean over draws of `F(x) - F(x with the feature of another example of the batch)` (Fisher, Rudin
/// & Dominici, "All models are wrong, but many are useful", JMLR 20, 2019), with the standard error over the draws. A
/// feature that spans several inputs comes from the same other example in all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct FeaturePermutation {
    /// The features.
    pub features: Features,
    /// Who gives.
    pub donors: Donors,
}

/// A random permutation of `examples` that is not the identity, for (draw, feature).
fn permutation(seed: u64, draw: usize, feature: usize, examples: usize) -> Vec<usize> {
    let generator = Generator::new(seed, 0x5045_524d);
    let mut order: Vec<usize> = (0..examples).collect();
    for attempt in 0u64.. {
        for i in (1..examples).rev() {
            let position = (draw as u64) << 32 | (attempt * examples as u64 + i as u64);
            order.swap(i, generator.below(i + 1, feature as u32, position));
        }
        if order.iter().enumerate().any(|(i, &o)| i != o) {
            break;
        }
    }
    order
}

impl FeaturePermutation {
    fn draws(&self) -> usize {
        match &self.donors {
            Donors::Seeded { draws, .. } => *draws,
            Donors::Given(rows) => rows.len() / self.features.count().max(1),
        }
    }

    /// Who gives in each draw: `donors[draw * features + feature][example]`.
    fn donors(&self, examples: usize) -> Result<Vec<Vec<usize>>> {
        let count = self.features.count();
        let rows = match &self.donors {
            Donors::Given(rows) => rows.clone(),
            Donors::Seeded { seed, draws } => {
                (0..draws * count).map(|row| permutation(*seed, row / count, row % count, examples)).collect()
            }
        };
        if rows.is_empty() || rows.len() % count != 0 {
            return Err(Error::invalid(format!(
                "{} permutations for {count} features; one or more for each feature expected",
                rows.len()
            )));
        }
        match rows.iter().position(|r| r.len() != examples || r.iter().any(|&d| d >= examples)) {
            None => Ok(rows),
            Some(at) => Err(Error::invalid(format!(
                "permutation {at} does not name one of the {examples} examples for each of them"
            ))),
        }
    }
}

impl<S: Scalar> Method<S> for FeaturePermutation {
    fn name(&self) -> &'static str {
        "feature_permutation"
    }

    fn passes(&self) -> (u64, u64) {
        ((self.draws() * self.features.present(0).len()) as u64 + 1, 0)
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

impl<S: Scalar> Estimator<S> for FeaturePermutation {
    fn estimate(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
        run: &mut Run,
    ) -> Result<Attribution<S>> {
        let examples = network.examples(inputs)?;
        if examples < 2 {
            return Err(Error::invalid(
                "feature permutation takes values from other examples and there is only one; give a batch of several \
                 patients",
            ));
        }
        let (donors, count) = (self.donors(examples)?, self.features.count());
        run.keep("permutations", || {
            let data = donors.iter().flatten().map(|&d| d as f64).collect();
            Tensor::new(&[donors.len(), examples], data)
        })?;
        let other = |n: usize, c: Change, i: usize| {
            example(&inputs[i], examples, donors[c.draw * count + c.feature][n])
        };
        let mut changes = Changes::new((network, inputs), &self.features, target, &other, run)?;
        let (mut found, mut errors, mut wholes) = (Vec::new(), Vec::new(), Vec::new());
        let mut notes = Vec::new();
        for n in 0..changes.examples() {
            let whole = changes.whole(n)?;
            let (moments, draws) = drawn(&mut changes, n, whole, donors.len() / count)?;
            notes.push(format!("example {n}: the mean of {draws} permutations of each feature"));
            found.push(moments.means().to_vec());
            errors.push(moments.errors());
            wholes.push(whole);
        }
        changes.finish(found, Some(errors), wholes, notes)
    }
}

/// The losses of one example over as many draws as the budget allows.
fn drawn<S: Scalar>(
    changes: &mut Changes<'_, '_, S>,
    n: usize,
    whole: f64,
    draws: usize,
) -> Result<(Moments, usize)> {
    let present = changes.features.present(n);
    let mut moments = Moments::new(changes.features.count());
    let mut done = 0;
    for draw in 0..draws {
        let all: Vec<Change> = present.iter().map(|&feature| Change { draw, feature }).collect();
        let values = changes.values(n, &all)?;
        if values.len() < all.len() {
            break;
        }
        let mut row = vec![0.0; changes.features.count()];
        present.iter().zip(values).for_each(|(&f, value)| row[f] = whole - value);
        moments.push(&row);
        done += 1;
        if moments.is_trusted() && changes.run.is_precise(moments.means(), &moments.errors()) {
            break;
        }
    }
    match done {
        0 => Err(changes.run.too_small(n, present.len() as u64 + 1)),
        _ => Ok((moments, done)),
    }
}
