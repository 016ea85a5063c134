//! LRP-alpha-beta with any alpha and beta whose difference is 1.

use super::{Preset, layers};

/// Bach et al., PLoS ONE 10, 2015, equation 60, for every weighted layer; alpha 2 and beta 1 where nothing is said.
pub const PRESET: Preset = Preset {
    name: "lrp_alpha_beta",
    parameters: &["alpha", "beta"],
    lines: |v| {
        let (alpha, beta) = match (v.optional("alpha")?, v.optional("beta")?) {
            (Some(alpha), Some(beta)) => (alpha, beta),
            (Some(alpha), None) => (alpha, alpha - 1.0),
            (None, Some(beta)) => (beta + 1.0, beta),
            (None, None) => (2.0, 1.0),
        };
        let rule = [("alpha", alpha), ("beta", beta), ("stabilizer", v.stabilizer()?)];
        layers(v, ("alpha_beta", &rule), ("alpha_beta", &rule))
    },
};
