//! Guided Integrated Gradients.

use super::path::{Ends, GuidedPath, Path, Point, add_products, at_least_one, probe, rounded, seconds_of};
use super::{Method, input_maps};
use crate::{Attribution, Network, Target};
use voxplain_graph::Graph;
use voxplain_tensor::{Result, Scalar, Tensor};

/// Guided Integrated Gradients (Kapishnikov et al., CVPR 2021): the sum of `gradient * step` along a [`GuidedPath`].
/// Completeness holds up to the error of so many steps, which every map states.
#[derive(Clone, Debug, PartialEq)]
pub struct GuidedIg(pub GuidedPath);

impl<S: Scalar> Method<S> for GuidedIg {
    fn name(&self) -> &'static str {
        "guided_ig"
    }

    fn passes(&self) -> (u64, u64) {
        (self.0.steps as u64 + 1, self.0.steps as u64)
    }

    fn seconds_beside(&self, graph: &Graph, inputs: &[Tensor<S>]) -> Result<f64> {
        seconds_of(&self.0, graph, inputs)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        at_least_one(self.0.steps)?;
        let examples = network.examples(inputs)?;
        let seeds = network.seeds(target, inputs)?;
        let inputs: Point = inputs.iter().map(Tensor::convert).collect();
        let start = self.0.start(network.graph(), &inputs, examples)?;
        let ends = Ends { start: &start, inputs: &inputs, examples };
        let (mut here, mut first) = (start.clone(), None);
        let mut maps: Point = inputs.iter().map(|x| Tensor::zeros(x.shape())).collect();
        for k in 0..self.0.steps {
            let found = probe(network, &seeds, &here)?;
            first.get_or_insert(found.values);
            let next = self.0.next(k, ends, &here, &found.gradient)?;
            add_products(&mut maps, &found.gradient, &here, &next);
            here = next;
        }
        let last = super::integrated_gradients::values(network, &rounded(&inputs), &seeds)?;
        let passes = <Self as Method<S>>::passes(self);
        finish(network, &maps, (first.unwrap_or_else(|| last.clone()), last), passes)
    }
}

/// The result of a method that adds up gradients on a path, from the values of F at its ends and the forward and backward
/// passes of an example.
pub(super) fn finish<S: Scalar>(
    network: &dyn Network<S>,
    maps: &Point,
    (first, last): (Vec<f64>, Vec<f64>),
    (forward, backward): (u64, u64),
) -> Result<Attribution<S>> {
    let examples = last.len();
    let differences: Vec<f64> = last.iter().zip(&first).map(|(l, f)| l - f).collect();
    let sums = Attribution::sums(maps, examples);
    let residuals = sums.iter().zip(&differences).map(|(s, d)| s - d).collect();
    Ok(Attribution {
        maps: input_maps(network.graph(), rounded(maps)),
        values: last,
        residuals: Some(residuals),
        differences: Some(differences),
        forward_passes: forward * examples as u64,
        backward_passes: backward * examples as u64,
        notes: Vec::new(),
        ledger: None,
        scores: None,
    })
}
