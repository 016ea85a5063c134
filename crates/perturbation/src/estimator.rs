//! What every perturbation method can do beyond a [`Method`]: end on a budget, go on from what is known, hand out its
//! draws.

use crate::run::Run;
use voxplain_attribution::{Attribution, Method, Network, Target};
use voxplain_graph::Graph;
use voxplain_tensor::{Result, Scalar, Tensor};

/// A method whose evaluations are bounded and remembered by a [`Run`].
pub trait Estimator<S: Scalar>: Method<S> {
    /// As [`Method::attribute`], within the budget of `run` and with what it knows. A result that a budget ended is that of
    /// the draws so far, and says so in its notes; given the same budget in evaluations it is the same, bit for bit,
    /// whatever was known before.
    ///
    /// # Errors
    /// As [`Method::attribute`], the budget allows no result at all, or the run cannot be saved.
    fn estimate(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
        run: &mut Run,
    ) -> Result<Attribution<S>>;
}

impl<S: Scalar> Method<S> for Box<dyn Estimator<S>> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn passes(&self) -> (u64, u64) {
        (**self).passes()
    }

    fn passes_on(&self, graph: &Graph) -> (u64, u64) {
        (**self).passes_on(graph)
    }

    fn attribute(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
    ) -> Result<Attribution<S>> {
        (**self).attribute(network, inputs, target)
    }
}
