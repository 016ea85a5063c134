//! The explained value as a function of which features are present.

use crate::coalition::Coalition;
use crate::features::{Features, NO_FEATURE};
use std::collections::HashMap;
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Fill, Network, PassSpec, Seeds, Target};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// A network, inputs, what takes the place of absent features, and what is explained.
pub struct Game<'n, S: Scalar> {
    network: &'n mut dyn Network<S>,
    inputs: &'n [Tensor<S>],
    baseline: &'n Baseline<S>,
    features: &'n Features,
    seeds: Seeds<S>,
    examples: usize,
    /// Values that are known, per example.
    known: Vec<HashMap<Coalition, f64>>,
    evaluations: u64,
}

impl<'n, S: Scalar> Game<'n, S> {
    /// A game.
    ///
    /// # Errors
    /// Inputs, baseline, features or target do not fit the network.
    pub fn new(
        network: &'n mut dyn Network<S>,
        inputs: &'n [Tensor<S>],
        baseline: &'n Baseline<S>,
        features: &'n Features,
        target: &Target,
    ) -> Result<Self> {
        let examples = network.examples(inputs)?;
        baseline.check(network.graph(), inputs, examples)?;
        features.check(network, examples)?;
        let seeds = network.seeds(target, inputs)?;
        let known = vec![HashMap::new(); examples];
        Ok(Self { network, inputs, baseline, features, seeds, examples, known, evaluations: 0 })
    }

    /// How many examples there are.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// How many features there are.
    pub fn features(&self) -> &'n Features {
        self.features
    }

    /// The network.
    pub fn network(&self) -> &dyn Network<S> {
        self.network
    }

    /// How many inputs went through the network.
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// The values of coalitions for one example. A coalition that was asked for before is not evaluated again.
    ///
    /// # Errors
    /// A coalition is of another number of features, a value is not finite, or the network failed.
    pub fn values(&mut self, example: usize, coalitions: &[Coalition]) -> Result<Vec<f64>> {
        if let Some(other) = coalitions.iter().find(|c| c.features() != self.features.count()) {
            return Err(Error::invalid(format!(
                "a coalition of {} features where the masks have {}",
                other.features(),
                self.features.count()
            )));
        }
        let known = &self.known[example];
        let mut wanted: Vec<&Coalition> = coalitions.iter().filter(|c| !known.contains_key(c)).collect();
        wanted.sort();
        wanted.dedup();
        let values = self.evaluate(example, &wanted)?;
        for (coalition, value) in wanted.into_iter().zip(values) {
            self.known[example].insert(coalition.clone(), value);
        }
        let known = &self.known[example];
        Ok(coalitions.iter().filter_map(|c| known.get(c).copied()).collect())
    }

    /// The values with no feature and with all features.
    ///
    /// # Errors
    /// As [`Game::values`].
    pub fn ends(&mut self, example: usize) -> Result<(f64, f64)> {
        let n = self.features.count();
        let ends = self.values(example, &[Coalition::empty(n), Coalition::full(n)])?;
        Ok((ends[0], ends[1]))
    }

    fn evaluate(&mut self, example: usize, coalitions: &[&Coalition]) -> Result<Vec<f64>> {
        let (inputs, features) = (self.inputs, self.features);
        let (baseline, seeds) = (self.baseline, &self.seeds);
        let mut fill = |row: usize, what: Fill, into: &mut [S]| {
            if let Fill::Input(i) = what {
                // The baseline first, then the features that are there.
                baseline.fill(i, example, into);
                let x = &inputs[i].data()[example * into.len()..][..into.len()];
                let labels = features.of(i, example);
                for ((v, &x), &label) in into.iter_mut().zip(x).zip(labels) {
                    if label == NO_FEATURE || coalitions[row].contains(label as usize) {
                        *v = x;
                    }
                }
            }
        };
        let spec = PassSpec { table: None, from: seeds.from, wanted: Vec::new(), captures: vec![seeds.from] };
        let mut values = Vec::with_capacity(coalitions.len());
        self.network.run(&spec, coalitions.len(), &mut fill, &mut |_, row| {
            values.push(seeds.value(example, row.captures[0]));
        })?;
        self.evaluations += coalitions.len() as u64;
        finite(&values)?;
        Ok(values)
    }

    /// Sums over the entries of each feature of an example: `of(input value, baseline value)`. Entries without a feature,
    /// which are always there, come last.
    pub(crate) fn sums(&self, example: usize, of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let count = self.features.count();
        let mut sums = vec![0.0; count + 1];
        for (i, input) in self.inputs.iter().enumerate() {
            let length = input.data().len() / self.examples;
            let x = &input.data()[example * length..][..length];
            let mut b = vec![S::ZERO; length];
            self.baseline.fill(i, example, &mut b);
            for ((x, b), &label) in x.iter().zip(&b).zip(self.features.of(i, example)) {
                sums[(label as usize).min(count)] += of(x.to_f64(), b.to_f64());
            }
        }
        sums
    }
}

/// Refuses values that no score can be made of.
pub(crate) fn finite(values: &[f64]) -> Result<()> {
    match values.iter().find(|v| !v.is_finite()) {
        None => Ok(()),
        Some(v) => Err(Error::invalid(format!(
            "the explained value became {v} when parts of the input were taken away; choose a fill that the network \
             can take"
        ))),
    }
}
