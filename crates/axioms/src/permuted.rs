//! Feature permutation where there is one example: the reference is the other one.

use crate::problem::{Problem, converted};
use voxplain_attribution::{Attribution, Method, Network, Target};
use voxplain_perturbation::Features;
use voxplain_perturbation::methods::{Donors, FeaturePermutation};
use voxplain_tensor::{Result, Scalar, Tensor};

/// Every example gets the features of a reference, which stands behind it in the batch. A batch of one has nobody to take
/// features from, and the method refuses it.
pub struct Permuted<S> {
    features: Features,
    reference: Vec<Tensor<S>>,
}

impl<S: Scalar> Permuted<S> {
    /// For a network with its reference.
    pub fn of(problem: &Problem) -> Self {
        Self { features: Features::each(&problem.graph), reference: converted(&problem.r) }
    }
}

impl<S: Scalar> Method<S> for Permuted<S> {
    fn name(&self) -> &'static str {
        "feature_permutation"
    }

    fn passes(&self) -> (u64, u64) {
        (1 + self.features.count() as u64, 0)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let examples = network.examples(inputs)?;
        // The reference stands behind the examples and gives to all of them; who gives to it does not matter.
        let donors = (0..=examples).map(|n| if n < examples { examples } else { 0 }).collect();
        FeaturePermutation {
            features: self.features.clone(),
            donors: Donors::Given(vec![donors; self.features.count()]),
            others: self.reference.clone(),
        }
        .attribute(network, inputs, target)
    }
}
