//! Blur Integrated Gradients.

use super::Method;
use super::guided_ig::finish;
use super::path::{BlurPath, Point, add_products, at_least_one, probe, rounded, seconds_of};
use crate::{Attribution, Network, Target};
use voxplain_graph::Graph;
use voxplain_tensor::{Result, Scalar, Tensor};

/// Blur Integrated Gradients (Xu, Venugopalan & Sundararajan, CVPR 2020, equation 4): the sum over the steps of a
/// [`BlurPath`] of the gradient in the middle of a step times what the step changes. The derivative in the blur, which the
/// paper takes as a difference, is that change itself. Completeness holds towards the blurred image, up to the error of
/// so many steps, which every map states.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlurIg(pub BlurPath);

impl<S: Scalar> Method<S> for BlurIg {
    fn name(&self) -> &'static str {
        "blur_ig"
    }

    fn passes(&self) -> (u64, u64) {
        (self.0.steps as u64 + 2, self.0.steps as u64)
    }

    fn seconds_beside(&self, graph: &Graph, inputs: &[Tensor<S>]) -> Result<f64> {
        // The middle of a step is blurred too.
        Ok(2.0 * seconds_of(&self.0, graph, inputs)?)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let steps = self.0.steps;
        at_least_one(steps)?;
        let seeds = network.seeds(target, inputs)?;
        let inputs: Point = inputs.iter().map(Tensor::convert).collect();
        let at = |k: f64| self.0.at(&inputs, k / steps as f64);
        let mut here = at(0.0)?;
        let first = super::integrated_gradients::values(network, &rounded(&here), &seeds)?;
        let mut maps: Point = inputs.iter().map(|x| Tensor::zeros(x.shape())).collect();
        for k in 0..steps {
            let gradient = probe(network, &seeds, &at(k as f64 + 0.5)?)?.gradient;
            let next = at(k as f64 + 1.0)?;
            add_products(&mut maps, &gradient, &here, &next);
            here = next;
        }
        let last = super::integrated_gradients::values(network, &rounded(&inputs), &seeds)?;
        finish(network, &maps, (first, last), <Self as Method<S>>::passes(self))
    }
}
