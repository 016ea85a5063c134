//! What is lost when one feature at a time has other values: what ablation and permutation share.

use super::{example, scattered, scores};
use crate::features::Features;
use crate::paint::{CONSTANT, is_constant, maps, scored};
use crate::run::{Key, Run};
use voxplain_attribution::{Attribution, Network, Seeds, Target};
use voxplain_tensor::{Result, Scalar, Tensor};

/// Names the input as it is among evaluated inputs.
pub(super) const WHOLE: [u64; 1] = [u64::MAX];

/// A feature that has the values of another input, in one of several draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    pub draw: usize,
    pub feature: usize,
}

/// Whose values a feature gets: one example of an input, by (example, change, input).
pub(super) type Other<'o, S> = dyn Fn(usize, Change, usize) -> &'o [S] + 'o;

/// A network and inputs of which single features are changed.
pub(super) struct Changes<'n, 'o, S: Scalar> {
    pub network: &'n mut dyn Network<S>,
    pub inputs: &'n [Tensor<S>],
    pub features: &'n Features,
    pub other: &'n Other<'o, S>,
    pub run: &'n mut Run,
    seeds: Seeds<S>,
    examples: usize,
}

impl<'n, 'o, S: Scalar> Changes<'n, 'o, S> {
    pub fn new(
        (network, inputs): (&'n mut dyn Network<S>, &'n [Tensor<S>]),
        features: &'n Features,
        target: &Target,
        other: &'n Other<'o, S>,
        run: &'n mut Run,
    ) -> Result<Self> {
        let examples = network.examples(inputs)?;
        features.check(network, examples)?;
        let seeds = network.seeds(target, inputs)?;
        run.open(examples);
        Ok(Self { network, inputs, features, other, run, seeds, examples })
    }

    pub fn examples(&self) -> usize {
        self.examples
    }

    /// `F(x)` of an example.
    pub fn whole(&mut self, n: usize) -> Result<f64> {
        let Self { network, inputs, seeds, examples, run, .. } = self;
        let mut evaluate = |at: &[usize]| {
            let mut copy = |_: usize, i: usize, into: &mut [S]| {
                into.copy_from_slice(example(&inputs[i], *examples, n));
            };
            scores(*network, seeds, n, at.len(), &mut copy)
        };
        Ok(run.require(n, &[Key::from(WHOLE)], &mut evaluate)?[0])
    }

    /// `F` of an example with every one of these changes alone, as many from the first as the budget allows.
    pub fn values(&mut self, n: usize, changes: &[Change]) -> Result<Vec<f64>> {
        let entries = self.features.entries(n);
        let keys: Vec<Key> = changes.iter().map(|c| Key::from([c.draw as u64, c.feature as u64])).collect();
        let Self { network, inputs, seeds, examples, run, other, .. } = self;
        let mut evaluate = |at: &[usize]| {
            let mut fill = |row: usize, i: usize, into: &mut [S]| {
                into.copy_from_slice(example(&inputs[i], *examples, n));
                let change = changes[at[row]];
                let values = other(n, change, i);
                let own = entries[change.feature].iter().filter(|(input, _)| *input as usize == i);
                own.for_each(|&(_, at)| into[at as usize] = values[at as usize]);
            };
            scores(*network, seeds, n, at.len(), &mut fill)
        };
        run.fetch(n, &keys, &mut evaluate)
    }

    /// The features of an example, in an order in which a budget may end anywhere.
    pub fn order(&self, n: usize) -> Vec<usize> {
        let present = self.features.present(n);
        scattered(present.len()).into_iter().map(|at| present[at]).collect()
    }

    /// The result for scores that promise no sum.
    pub fn finish(
        self,
        found: Vec<Vec<f64>>,
        errors: Option<Vec<Vec<f64>>>,
        values: Vec<f64>,
        mut notes: Vec<String>,
    ) -> Result<Attribution<S>> {
        let graph = self.network.graph();
        notes.push(self.features.note());
        if is_constant(&found, &values) {
            notes.push(String::from(CONSTANT));
        }
        Ok(Attribution {
            maps: maps(graph, self.features, &found)?,
            values,
            residuals: None,
            differences: None,
            forward_passes: self.run.ledger().used(),
            backward_passes: 0,
            notes,
            ledger: None,
            scores: Some(scored(graph, self.features, found, errors)),
        })
    }
}
