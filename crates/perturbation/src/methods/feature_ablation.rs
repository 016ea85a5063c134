//! Feature ablation: what the output loses when one feature is taken away.

use super::example;
use super::taken_away::{Change, Changes};
use crate::estimator::Estimator;
use crate::features::Features;
use crate::run::Run;
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Method, Network, Target};
use voxplain_tensor::{Result, Scalar, Tensor};

/// Every feature scores `F(x) - F(x without it)`. Nothing is drawn, so there is no sampling error; a budget leaves features
/// out, which score 0, and the notes say how many.
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

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        self.estimate(network, inputs, target, &mut Run::default())
    }
}

impl<S: Scalar> Estimator<S> for FeatureAblation<S> {
    fn estimate(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
        run: &mut Run,
    ) -> Result<Attribution<S>> {
        let examples = network.examples(inputs)?;
        self.baseline.check(network.graph(), inputs, examples)?;
        let fills = self.baseline.tensors(inputs, examples);
        let other = |n: usize, _: Change, i: usize| example(&fills[i], examples, n);
        let mut changes = Changes::new((network, inputs), &self.features, target, &other, run)?;
        let (mut found, mut wholes, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..examples {
            let whole = changes.whole(n)?;
            let order = changes.order(n);
            let all: Vec<Change> = order.iter().map(|&feature| Change { draw: 0, feature }).collect();
            let values = changes.values(n, &all)?;
            if values.len() < all.len() {
                if values.is_empty() {
                    return Err(changes.run.too_small(n, 2));
                }
                notes.push(format!(
                    "example {n}: the budget ended after {} of {} features; the others score 0",
                    values.len(),
                    all.len()
                ));
            }
            let mut row = vec![0.0; self.features.count()];
            order.iter().zip(&values).for_each(|(&f, value)| row[f] = whole - value);
            found.push(row);
            wholes.push(whole);
        }
        notes.push(String::from("every feature was taken away once: there is no sampling error"));
        changes.finish(found, None, wholes, notes)
    }
}
