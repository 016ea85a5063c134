//! Shapley values, exactly, from every coalition.

use crate::coalition::Coalition;
use crate::estimator::Estimator;
use crate::exact::shapley;
use crate::features::Features;
use crate::game::Game;
use crate::paint::{Found, finish};
use crate::run::Run;
use voxplain_attribution::methods::Baseline;
use voxplain_attribution::{Attribution, Method, Network, Target};
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// The most features: 2^20 coalitions.
pub(super) const MOST: usize = 20;

/// Shapley, "A value for n-person games" (1953): the mean over all orders of what a feature adds when it comes.
#[derive(Clone, Debug, PartialEq)]
pub struct ShapleyValues<S> {
    /// What takes the place of absent features.
    pub baseline: Baseline<S>,
    /// At most 20 features.
    pub features: Features,
}

/// All coalitions of `n` features, numbered by their bits.
pub(crate) fn all(n: usize) -> Result<Vec<Coalition>> {
    if n > MOST {
        return Err(Error::invalid(format!(
            "{n} features have too many coalitions for exact values (at most {MOST} features); use shapley_sampling or \
             kernel_shap"
        )));
    }
    Ok((0..1u64 << n).map(|bits| Coalition::numbered(n, bits)).collect())
}

impl<S: Scalar> Method<S> for ShapleyValues<S> {
    fn name(&self) -> &'static str {
        "shapley_values"
    }

    fn passes(&self) -> (u64, u64) {
        (1 << self.features.count().min(MOST), 0)
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

impl<S: Scalar> Estimator<S> for ShapleyValues<S> {
    fn estimate(
        &self,
        network: &mut dyn Network<S>,
        inputs: &[Tensor<S>],
        target: &Target,
        run: &mut Run,
    ) -> Result<Attribution<S>> {
        let coalitions = all(self.features.count())?;
        let mut game = Game::new(network, inputs, &self.baseline, &self.features, target, run)?;
        let mut found = Found::default();
        for n in 0..game.examples() {
            let v = game.all_values(n, &coalitions)?;
            found.scores.push(shapley(&v));
        }
        found.notes.push(String::from("every coalition was evaluated: there is no sampling error"));
        finish(&mut game, found, true)
    }
}
