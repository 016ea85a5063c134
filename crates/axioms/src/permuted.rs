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
        (2 * (1 + self.features.count() as u64), 0)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let examples = network.examples(inputs)?;
        let both = |(x, r): (&Tensor<S>, &Tensor<S>)| {
            let mut sizes = x.shape().to_vec();
            sizes[0] *= 2;
            Tensor::new(&sizes, [x.data(), &r.data().repeat(examples)].concat())
        };
        let both = inputs.iter().zip(&self.reference).map(both).collect::<Result<Vec<_>>>()?;
        let swapped: Vec<usize> = (examples..2 * examples).chain(0..examples).collect();
        let donors = Donors::Given(vec![swapped; self.features.count()]);
        let features = self.features.clone();
        FeaturePermutation { features, donors, others: Vec::new() }.attribute(network, &both, target)
    }
}
