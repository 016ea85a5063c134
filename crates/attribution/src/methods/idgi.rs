//! Integrated Directional Gradients.

use super::guided_ig::finish;
use super::path::{Ends, Path, Point, Probe, at_least_one, probe, seconds_of};
use super::{Method, example_mut};
use crate::engine::example;
use crate::{Attribution, Network, Target};
use voxplain_graph::Graph;
use voxplain_tensor::{Result, Scalar, Tensor};

/// IDGI (Yang, Wang & Bilgic, "IDGI: a framework to eliminate explanation noise from integrated gradients", CVPR 2023,
/// equation 6): every step of a path has exactly the difference `d = F(next) - F(here)` to give away, and gives it along the
/// gradient g at `here`, `g_i^2 d / sum_i g_i^2`. The maps sum to `F(x) - F(start)` to rounding on every path, but for steps
/// from where there is no gradient, whose difference stays in the residual.
pub struct Idgi {
    /// The path.
    pub path: Box<dyn Path>,
}

impl<S: Scalar> Method<S> for Idgi {
    fn name(&self) -> &'static str {
        "idgi"
    }

    fn passes(&self) -> (u64, u64) {
        (self.path.steps() as u64 + 1, self.path.steps() as u64 + 1)
    }

    fn seconds_beside(&self, graph: &Graph, inputs: &[Tensor<S>]) -> Result<f64> {
        seconds_of(&*self.path, graph, inputs)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        let examples = network.examples(inputs)?;
        let seeds = network.seeds(target, inputs)?;
        let steps = self.path.steps();
        at_least_one(steps)?;
        let inputs: Point = inputs.iter().map(Tensor::convert).collect();
        let start = self.path.start(network.graph(), &inputs, examples)?;
        let ends = Ends { start: &start, inputs: &inputs, examples };
        let mut maps: Point = inputs.iter().map(|x| Tensor::zeros(x.shape())).collect();
        let mut here = start.clone();
        let mut found = probe(network, &seeds, &here)?;
        let first = found.values.clone();
        for k in 0..steps {
            let next = self.path.next(k, ends, &here, &found.gradient)?;
            let after = probe(network, &seeds, &next)?;
            let rises: Vec<f64> = after.values.iter().zip(&found.values).map(|(a, b)| a - b).collect();
            (0..examples).for_each(|n| give(&mut maps, &found, (n, examples), rises[n]));
            (here, found) = (next, after);
        }
        let passes = <Self as Method<S>>::passes(self);
        let mut result = finish(network, &maps, (first, found.values), passes)?;
        result.notes.push(format!("along the {} path in {steps} steps", self.path.name()));
        Ok(result)
    }
}

/// Adds `rise g_i^2 / sum g_i^2` to the maps of example `n`.
fn give(maps: &mut Point, found: &Probe, (n, examples): (usize, usize), rise: f64) {
    let of = |t| example(t, examples, n);
    let norm: f64 = found.gradient.iter().flat_map(of).map(|g| g * g).sum();
    if norm == 0.0 {
        return;
    }
    for (map, gradient) in maps.iter_mut().zip(&found.gradient) {
        let own = example_mut(map, examples, n);
        own.iter_mut().zip(of(gradient)).for_each(|(m, g)| *m += rise * (g * g / norm));
    }
}
