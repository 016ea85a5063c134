//! DeepLift with the RevealCancel rule.

use super::deeplift::from_baseline;
use super::{Baseline, Method};
use crate::rules::RevealCancel;
use crate::{Attribution, Network, Rules, Target};
use voxplain_autodiff::Composite;
use voxplain_tensor::{Result, Scalar, Tensor};

/// DeepLift with the RevealCancel rule at every activation; see [`RevealCancel`]. Completeness holds to rounding: the maps
/// sum to `F(x) - F(b)`.
#[derive(Clone, Debug, PartialEq)]
pub struct DeepLiftRevealCancel<S> {
    /// The reference.
    pub baseline: Baseline<S>,
    /// Whether multipliers are multiplied by `x - b`.
    pub multiply_by_inputs: bool,
}

impl<S: Scalar> Method<S> for DeepLiftRevealCancel<S> {
    fn name(&self) -> &'static str {
        "deeplift_reveal_cancel"
    }

    fn passes(&self) -> (u64, u64) {
        (2, 1)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let name = String::from("deeplift_reveal_cancel");
        let table = Rules { name, composite: Composite::everywhere(RevealCancel) };
        from_baseline(network, inputs, (target, &table), &self.baseline, self.multiply_by_inputs)
    }
}
