//! Deep Taylor decomposition.

use super::{Line, Preset, layers};
use voxplain_autodiff::Matcher;

/// z+ without a bias for every layer, and at the first weighted layer of every input the box rule between `low` and `high`
/// where these are given, the w^2 rule where not (Montavon et al., Pattern Recognition 65, 2017, sections 4 and 5). For
/// ReLU networks and outputs above 0: what is below 0 has no positive contributions and keeps its relevance.
pub const PRESET: Preset = Preset {
    name: "deep_taylor",
    parameters: &["low", "high"],
    lines: |v| {
        let stabilizer = [("stabilizer", v.stabilizer()?)];
        let hidden = ("z_plus_without_bias", &stabilizer[..]);
        let mut lines = layers(v, hidden, hidden)?;
        lines.push(match v.bounds()? {
            Some([low, high]) => {
                Line::new(Matcher::FirstWeighted, "z_box", &stabilizer).with("low", low).with("high", high)
            }
            None => Line::new(Matcher::FirstWeighted, "w_square", &stabilizer),
        });
        Ok(lines)
    },
};
