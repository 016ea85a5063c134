//! One rule for every weighted layer.

use super::{Line, Preset, Values, layers};
use voxplain_tensor::Result;

/// `stabilizer`, and what else a rule wants.
fn everywhere(values: &Values<'_>, rule: &str, own: Option<(&str, f64)>) -> Result<Vec<Line>> {
    let mut parameters: Vec<(&str, f64)> = own.into_iter().collect();
    parameters.push(("stabilizer", values.stabilizer()?));
    layers(values, (rule, &parameters), (rule, &parameters))
}

fn gamma(values: &Values<'_>, rule: &str) -> Result<Vec<Line>> {
    everywhere(values, rule, Some(("gamma", values.number("gamma", 0.25)?)))
}

/// LRP-0.
pub const ZERO: Preset =
    Preset { name: "lrp_zero", parameters: &[], lines: |v| layers(v, ("zero", &[]), ("zero", &[])) };

/// LRP-epsilon.
pub const EPSILON: Preset = Preset {
    name: "lrp_epsilon",
    parameters: &["epsilon"],
    lines: |v| {
        let epsilon = [("epsilon", v.number("epsilon", 1e-6)?)];
        layers(v, ("epsilon", &epsilon), ("epsilon", &epsilon))
    },
};

/// LRP-z+, the bias taking its share.
pub const ZPLUS: Preset =
    Preset { name: "lrp_zplus", parameters: &[], lines: |v| everywhere(v, "z_plus", None) };

/// LRP-gamma, generalised as in Zennit.
pub const GAMMA: Preset =
    Preset { name: "lrp_gamma", parameters: &["gamma"], lines: |v| gamma(v, "generalized_gamma") };

/// LRP-gamma as first written.
pub const GAMMA_ORIGINAL: Preset =
    Preset { name: "lrp_gamma_original", parameters: &["gamma"], lines: |v| gamma(v, "gamma") };

/// LRP-gamma as in Captum, whose bias is not favoured.
pub const GAMMA_CAPTUM: Preset =
    Preset { name: "lrp_gamma_captum", parameters: &["gamma"], lines: |v| gamma(v, "gamma_plain_bias") };

/// The w^2 rule.
pub const W_SQUARE: Preset =
    Preset { name: "lrp_w_square", parameters: &[], lines: |v| everywhere(v, "w_square", None) };

/// The flat rule.
pub const FLAT: Preset = Preset { name: "lrp_flat", parameters: &[], lines: |v| everywhere(v, "flat", None) };
