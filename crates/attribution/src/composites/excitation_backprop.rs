//! Excitation backpropagation.

use super::{Preset, layers};

/// Zhang et al., "Top-down neural attention by excitation backprop", ECCV 2016, for every weighted layer. Theirs starts
/// with 1 and stops at a hidden layer; this goes down to the inputs, which may be below 0.
pub const PRESET: Preset = Preset {
    name: "excitation_backprop",
    parameters: &[],
    lines: |v| {
        let stabilizer = [("stabilizer", v.stabilizer()?)];
        layers(v, ("excitation_backprop", &stabilizer), ("excitation_backprop", &stabilizer))
    },
};
