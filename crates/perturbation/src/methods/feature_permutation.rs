//! Feature permutation: what the output loses when a feature is another patient's.

use super::{example, one_at_a_time};
use crate::features::Features;
use voxplain_attribution::{Attribution, Generator, Method, Network, Target};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// Every feature scores `F(x) - F(x with the feature of another example of the batch)` (Fisher, Rudin & Dominici, "All
/// models are wrong, but many are useful", JMLR 20, 2019). A feature that spans several inputs comes from the same other
/// example in all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct FeaturePermutation {
    /// The features.
    pub features: Features,
    /// The seed of the permutations.
    pub seed: u64,
}

impl FeaturePermutation {
    /// Which example gives feature `feature` to each: a random permutation that is not the identity.
    fn donors(&self, feature: usize, examples: usize) -> Vec<usize> {
        let generator = Generator::new(self.seed, 0x5045_524d);
        let mut order: Vec<usize> = (0..examples).collect();
        for attempt in 0u32.. {
            for i in (1..examples).rev() {
                let position = u64::from(attempt) * examples as u64 + i as u64;
                order.swap(i, generator.below(i + 1, feature as u32, position));
            }
            if order.iter().enumerate().any(|(i, &o)| i != o) {
                break;
            }
        }
        order
    }
}

impl<S: Scalar> Method<S> for FeaturePermutation {
    fn name(&self) -> &'static str {
        "feature_permutation"
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
        if examples < 2 {
            return Err(Error::invalid(
                "feature permutation takes values from other examples and there is only one; give a batch of several \
                 patients",
            ));
        }
        let donors: Vec<Vec<usize>> = (0..self.features.count()).map(|f| self.donors(f, examples)).collect();
        let other = |n: usize, feature: usize, i: usize| example(&inputs[i], examples, donors[feature][n]);
        one_at_a_time(network, inputs, &self.features, target, &other)
    }
}
