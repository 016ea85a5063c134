//! What is lost when one feature at a time has other values: what ablation and permutation share.

use super::{example, scattered};
use crate::changes::{Part, Reference, Rows, around, copy_box, places};
use crate::features::Features;
use crate::paint::{CONSTANT, is_constant, maps, scored};
use crate::run::{Key, Run, Sink};
use std::ops::Range;
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
    reference: Reference<S>,
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
        let reference = Reference::default();
        Ok(Self { network, inputs, features, other, run, seeds, examples, reference })
    }

    pub fn examples(&self) -> usize {
        self.examples
    }

    /// `F(x)` of an example.
    pub fn whole(&mut self, n: usize) -> Result<f64> {
        let Self { network, inputs, seeds, examples, run, other, reference, .. } = self;
        let mut evaluate = |at: &[usize], sink: Sink<'_>| {
            let changes = vec![None; at.len()];
            let rows =
                Changed { inputs, examples: *examples, example: n, changes, entries: &[], other: *other };
            reference.values(*network, (seeds, n), &rows, sink)
        };
        Ok(run.require(n, &[Key::from(WHOLE)], &mut evaluate)?[0])
    }

    /// `F` of an example with every one of these changes alone, as many from the first as the budget allows.
    pub fn values(&mut self, n: usize, changes: &[Change]) -> Result<Vec<f64>> {
        let entries = self.features.entries(n);
        let keys: Vec<Key> = changes.iter().map(|c| Key::from([c.draw as u64, c.feature as u64])).collect();
        let Self { network, inputs, seeds, examples, run, other, reference, .. } = self;
        let mut evaluate = |at: &[usize], sink: Sink<'_>| {
            let changes = at.iter().map(|&i| Some(changes[i])).collect();
            let entries = &entries[..];
            let rows = Changed { inputs, examples: *examples, example: n, changes, entries, other: *other };
            reference.values(*network, (seeds, n), &rows, sink)
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
        mut self,
        found: Vec<Vec<f64>>,
        errors: Option<Vec<Vec<f64>>>,
        values: Vec<f64>,
        mut notes: Vec<String>,
    ) -> Result<Attribution<S>> {
        self.reference.leave(self.network);
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

/// One example with single features changed; none for the example itself.
struct Changed<'c, 'o, S: Scalar> {
    inputs: &'c [Tensor<S>],
    examples: usize,
    example: usize,
    changes: Vec<Option<Change>>,
    /// By feature, (input, position).
    entries: &'c [Vec<(u32, u32)>],
    other: &'c Other<'o, S>,
}

impl<S: Scalar> Changed<'_, '_, S> {
    /// The positions of a feature in an input.
    fn positions(&self, change: Change, input: usize) -> impl Iterator<Item = usize> {
        let own = self.entries[change.feature].iter().filter(move |(i, _)| *i as usize == input);
        own.map(|&(_, at)| at as usize)
    }

    fn sizes(&self, input: usize) -> Vec<usize> {
        let shape = self.inputs[input].shape();
        let mut sizes = shape.to_vec();
        sizes[0] /= self.examples;
        sizes
    }
}

impl<S: Scalar> Rows<S> for Changed<'_, '_, S> {
    fn count(&self) -> usize {
        self.changes.len()
    }

    fn candidate(&self, row: usize) -> Vec<Option<Part>> {
        let one = |i: usize| around(&self.sizes(i), self.positions(self.changes[row]?, i));
        (0..self.inputs.len()).map(one).collect()
    }

    fn known(&self, input: usize, into: &mut [S]) {
        into.copy_from_slice(example(&self.inputs[input], self.examples, self.example));
    }

    fn write(&self, row: usize, input: usize, part: &[Range<usize>], into: &mut [S]) {
        let sizes = self.sizes(input);
        copy_box(&sizes, part, example(&self.inputs[input], self.examples, self.example), into);
        let Some(change) = self.changes[row] else { return };
        let values = (self.other)(self.example, change, input);
        places(&sizes, part, self.positions(change, input), |at, inside| into[inside] = values[at]);
    }
}
