//! Feature ablation: what the output loses when one feature is taken away.

use super::{example, one_at_a_time};
use crate::features::Features;
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Method, Network, Target};
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

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let examples = network.examples(inputs)?;
        self.baseline.check(network.graph(), inputs, examples)?;
        let fills = self.baseline.tensors(inputs, examples);
        one_at_a_time(network, inputs, &self.features, target, &|n, _, i| example(&fills[i], examples, n))
    }
}
