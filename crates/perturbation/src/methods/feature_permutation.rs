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
///
/// The batch is the examples that are explained and `others`, patients who only give: with them a single patient can be
/// explained.
#[derive(Clone, Debug, PartialEq)]
pub struct FeaturePermutation<S> {
    /// The features.
    pub features: Features,
    /// Who gives.
    pub donors: Donors,
    /// Examples that are not explained, one tensor per input, or none.
    pub others: Vec<Tensor<S>>,
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

impl<S: Scalar> FeaturePermutation<S> {
    /// How many examples there are to give, the explained ones first.
    fn batch(&self, inputs: &[Tensor<S>], examples: usize) -> Result<usize> {
        if self.others.is_empty() {
            return Ok(examples);
        }
        let one = |x: &Tensor<S>| x.data().len() / examples;
        let fits = self.others.len() == inputs.len()
            && self.others.iter().zip(inputs).all(|(o, x)| o.data().len() % one(x).max(1) == 0);
        let count = |(o, x): (&Tensor<S>, &Tensor<S>)| o.data().len() / one(x).max(1);
        let mut counts = self.others.iter().zip(inputs).map(count);
        let first = counts.next().unwrap_or(0);
        if fits && first > 0 && counts.all(|n| n == first) {
            return Ok(examples + first);
        }
        Err(Error::invalid(
            "the other patients of a feature permutation do not have the inputs' shapes; one tensor for each input, all of as \
             many patients, expected",
        ))
    }

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

impl<S: Scalar> Method<S> for FeaturePermutation<S> {
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

impl<S: Scalar> Estimator<S> for FeaturePermutation<S> {
    fn estimate(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
        run: &mut Run,
    ) -> Result<Attribution<S>> {
        let examples = network.examples(inputs)?;
        let batch = self.batch(inputs, examples)?;
        if batch < 2 {
            return Err(Error::invalid(
                "feature permutation takes values from other examples and there is only one; give a batch of several \
                 patients, or another patient with --reference",
            ));
        }
        let (donors, count) = (self.donors(batch)?, self.features.count());
        run.keep("permutations", || {
            let data = donors.iter().flatten().map(|&d| d as f64).collect();
            Tensor::new(&[donors.len(), batch], data)
        })?;
        let other = |n: usize, c: Change, i: usize| {
            let donor = donors[c.draw * count + c.feature][n];
            match donor.checked_sub(examples) {
                None => example(&inputs[i], examples, donor),
                Some(other) => example(&self.others[i], batch - examples, other),
            }
        };
        let mut changes = Changes::new((network, inputs), &self.features, target, &other, run)?;
        let (mut found, mut errors, mut wholes) = (Vec::new(), Vec::new(), Vec::new());
        let mut notes = Vec::new();
        if batch > examples {
            let others = batch - examples;
            notes.push(format!(
                "values come from a batch of {batch}: {examples} explained, {others} that only give"
            ));
        }
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
