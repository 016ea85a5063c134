//! AttnLRP.

use super::{Line, Preset, layers};
use voxplain_autodiff::Matcher;
use voxplain_graph::Class;

/// Epsilon for weighted layers, halves for products, frozen scales for normalisation and the Taylor rule for softmax
/// (Achtibat et al., "AttnLRP", ICML 2024): also for gated networks and networks with instance or group normalisation.
pub const PRESET: Preset = Preset {
    name: "attn_lrp",
    parameters: &["epsilon"],
    lines: |v| {
        let epsilon = [("epsilon", v.number("epsilon", 1e-6)?)];
        let mut lines = layers(v, ("epsilon", &epsilon), ("epsilon", &epsilon))?;
        // Products of two matrices are no linear layers.
        lines.retain(|line| line.on != Matcher::Kind(String::from("MatMul")));
        lines.push(Line::new(Matcher::Class(Class::Bilinear), "product_halves", &epsilon));
        lines.push(Line::new(Matcher::Class(Class::Normalise), "normalise", &epsilon));
        lines.push(Line::new(Matcher::Class(Class::Opaque), "normalise", &epsilon));
        Ok(lines)
    },
};
