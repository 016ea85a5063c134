//! Shapley values from random orders.

use super::orders::{Permutations, shuffled, walk};
use crate::estimator::Estimator;
use crate::features::Features;
use crate::game::Game;
use crate::paint::{Found, finish};
use crate::run::Run;
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Method, Network, Target};
use voxplain_tensor::{Result, Scalar, Tensor};

/// Castro, Gomez & Tejada, "Polynomial calculation of the Shapley value based on sampling" (2009): the mean over orders
/// of what a feature adds when it comes. Complete for every number of orders. Standard errors are those of the mean over
/// orders (over pairs of them, where they come in pairs).
#[derive(Clone, Debug, PartialEq)]
pub struct ShapleySampling<S> {
    /// What takes the place of absent features.
    pub baseline: Baseline<S>,
    /// The features.
    pub features: Features,
    /// The orders.
    pub permutations: Permutations,
}

impl<S: Scalar> Method<S> for ShapleySampling<S> {
    fn name(&self) -> &'static str {
        "shapley_sampling"
    }

    fn passes(&self) -> (u64, u64) {
        let (orders, features) = (self.permutations.count() as u64, self.features.count() as u64);
        (orders * features.saturating_sub(1) + 2, 0)
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

impl<S: Scalar> Estimator<S> for ShapleySampling<S> {
    fn estimate(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
        run: &mut Run,
    ) -> Result<Attribution<S>> {
        let features = self.features.count();
        self.permutations.check(features)?;
        let mut game = Game::new(network, inputs, &self.baseline, &self.features, target, run)?;
        let mut found = Found::default();
        let fresh = |seed: u64, draw: usize| shuffled(seed, 0x5348_4150, draw, (0..features).collect());
        for n in 0..game.examples() {
            let walked = walk(&mut game, n, &self.permutations, &fresh)?;
            found.notes.push(format!("example {n}: the mean over {} orders", walked.orders));
            found.scores.push(walked.scores);
            found.errors.push(walked.errors);
        }
        finish(&mut game, found, true)
    }
}
