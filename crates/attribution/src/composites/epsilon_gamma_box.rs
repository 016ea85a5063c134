//! EpsilonGammaBox of Zennit.

use super::{CONVOLUTIONS, Line, Preset, layers};
use voxplain_autodiff::Matcher;
use voxplain_tensor::Error;

/// Generalised gamma for convolutions, epsilon for linear layers, the box rule for the first convolution of every input,
/// whose values lie between `low` and `high` (Anders et al., 2021).
pub const PRESET: Preset = Preset {
    name: "lrp_epsilon_gamma_box",
    parameters: &["epsilon", "gamma", "low", "high"],
    lines: |v| {
        let [low, high] = v.bounds()?.ok_or_else(|| {
            Error::invalid("lrp_epsilon_gamma_box needs low and high, the bounds of the inputs")
        })?;
        let stabilizer = ("stabilizer", v.stabilizer()?);
        let gamma = [("gamma", v.number("gamma", 0.25)?), stabilizer];
        let epsilon = [("epsilon", v.number("epsilon", 1e-6)?)];
        let mut lines = layers(v, ("generalized_gamma", &gamma), ("epsilon", &epsilon))?;
        let first = CONVOLUTIONS.map(|kind| Matcher::FirstOfKind(String::from(kind)));
        let boxed =
            |on| Line::new(on, "z_box", &[stabilizer]).with("low", low.clone()).with("high", high.clone());
        lines.extend(first.map(boxed));
        Ok(lines)
    },
};
