//! Feature ablation: what the output loses when one feature is taken away.

use super::{example, scores};
use crate::features::Features;
use crate::paint::maps;
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Method, Network, Scores, Target};
use voxplain_graph::Graph;
use voxplain_tensor::{Result, Scalar, Tensor};

/// Every feature scores `F(x) - F(x without it)`.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureAblation<S> {
    /// What takes a feature's place.
    pub baseline: Baseline<S>,
    /// The features.
    pub features: Features,
}

impl<S: Scalar> Method<S> for FeatureAblation<S> {
    fn name(&self) -> &'static str {
        "feature_ablation"
    }

    fn passes(&self) -> (u64, u64) {
        (self.features.present(0).len() as u64 + 1, 0)
    }

    fn passes_on(&self, _: &Graph) -> (u64, u64) {
        Method::<S>::passes(self)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let examples = network.examples(inputs)?;
        self.baseline.check(network.graph(), inputs, examples)?;
        self.features.check(network, examples)?;
        let seeds = network.seeds(target, inputs)?;
        let (mut found, mut values, mut passes) = (Vec::new(), Vec::new(), 0);
        for n in 0..examples {
            let (present, entries) = (self.features.present(n), self.features.entries(n));
            let fills: Vec<Vec<S>> = (0..inputs.len())
                .map(|i| {
                    let mut fill = vec![S::ZERO; example(&inputs[i], examples, n).len()];
                    self.baseline.fill(i, n, &mut fill);
                    fill
                })
                .collect();
            let ablated = scores(network, &seeds, n, present.len() + 1, &mut |row, i, into| {
                into.copy_from_slice(example(&inputs[i], examples, n));
                let gone = present.get(row).map_or(&[][..], |&f| &entries[f]);
                let own = gone.iter().filter(|(input, _)| *input as usize == i);
                own.for_each(|&(_, at)| into[at as usize] = fills[i][at as usize]);
            })?;
            let whole = ablated[present.len()];
            let mut row = vec![0.0; self.features.count()];
            present.iter().zip(&ablated).for_each(|(&f, value)| row[f] = whole - value);
            found.push(row);
            values.push(whole);
            passes += present.len() as u64 + 1;
        }
        Ok(Attribution {
            maps: maps(network.graph(), &self.features, &found)?,
            values,
            residuals: None,
            differences: None,
            forward_passes: passes,
            backward_passes: 0,
            notes: vec![String::from(
                "every entry has the score of its whole feature, not divided by its size",
            )],
            scores: Some(Scores { values: found, errors: None }),
        })
    }
}
