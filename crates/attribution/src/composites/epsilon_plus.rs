//! EpsilonPlus and EpsilonPlusFlat of Zennit.

use super::{Line, Preset, Values, layers};
use voxplain_autodiff::Matcher;
use voxplain_tensor::Result;

fn plus(values: &Values<'_>) -> Result<Vec<Line>> {
    let (stabilizer, epsilon) = (values.stabilizer()?, values.number("epsilon", 1e-6)?);
    layers(values, ("z_plus", &[("stabilizer", stabilizer)]), ("epsilon", &[("epsilon", epsilon)]))
}

/// z+ for convolutions, epsilon for linear layers (Anders et al., "Software for dataset-wide XAI", 2021).
pub const PLAIN: Preset = Preset { name: "lrp_epsilon_plus", parameters: &["epsilon"], lines: plus };

/// The same, with the flat rule at the first weighted layer of every input.
pub const FLAT: Preset = Preset {
    name: "lrp_epsilon_plus_flat",
    parameters: &["epsilon"],
    lines: |v| {
        let mut lines = plus(v)?;
        lines.push(Line::new(Matcher::FirstWeighted, "flat", &[("stabilizer", v.stabilizer()?)]));
        Ok(lines)
    },
};
