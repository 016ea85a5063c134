//! EpsilonAlpha2Beta1 and EpsilonAlpha2Beta1Flat of Zennit.

use super::{Line, Preset, Values, layers};
use voxplain_autodiff::Matcher;
use voxplain_tensor::Result;

fn plain(values: &Values<'_>) -> Result<Vec<Line>> {
    let rule = [("alpha", 2.0), ("beta", 1.0), ("stabilizer", values.stabilizer()?)];
    layers(values, ("alpha_beta", &rule), ("epsilon", &[("epsilon", values.number("epsilon", 1e-6)?)]))
}

/// Alpha 2 and beta 1 for convolutions, epsilon for linear layers (Anders et al., 2021).
pub const PLAIN: Preset = Preset { name: "lrp_alpha2_beta1", parameters: &["epsilon"], lines: plain };

/// The same, with the flat rule at the first weighted layer of every input.
pub const FLAT: Preset = Preset {
    name: "lrp_alpha2_beta1_flat",
    parameters: &["epsilon"],
    lines: |v| {
        let mut lines = plain(v)?;
        lines.push(Line::new(Matcher::FirstWeighted, "flat", &[("stabilizer", v.stabilizer()?)]));
        Ok(lines)
    },
};
