//! An attribute that is silently ignored is a wrong map, so every attribute of every operator is known or refused.

use crate::raw::RawNode;
use voxplain_graph::ops::SUPPORTED;
use voxplain_tensor::{Error, Result};

/// The one error for what this program does not do.
pub(super) fn unsupported(what: &str) -> Error {
    Error::unsupported(format!("{what}; supported are {SUPPORTED}"))
}

/// Attributes that are read, or known to change nothing, by operator.
fn known(op: &str) -> Option<&'static [&'static str]> {
    Some(match op {
        "Conv" => &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"],
        "ConvTranspose" => &[
            "auto_pad",
            "dilations",
            "group",
            "kernel_shape",
            "output_padding",
            "output_shape",
            "pads",
            "strides",
        ],
        "BatchNormalization" => &["epsilon", "momentum", "training_mode"],
        "InstanceNormalization" => &["epsilon"],
        "GroupNormalization" => &["epsilon", "num_groups", "stash_type", "restored", "spatial_axes"],
        "LayerNormalization" => &["axis", "epsilon", "stash_type"],
        "LeakyRelu" | "Elu" => &["alpha"],
        "Selu" => &["alpha", "gamma"],
        "HardSigmoid" => &["alpha", "beta"],
        "Gelu" => &["approximate"],
        "Clip" => &["min", "max"],
        "Affine" => &["scale", "shift"],
        "MaxPool" => {
            &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"]
        }
        "AveragePool" => {
            &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"]
        }
        _ => return known_without_weights(op),
    })
}

fn known_without_weights(op: &str) -> Option<&'static [&'static str]> {
    Some(match op {
        "AdaptiveAveragePool" | "AdaptiveMaxPool" => &["input_size", "output_size"],
        "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceSum" => {
            &["axes", "keepdims", "noop_with_empty_axes"]
        }
        "Gemm" => &["alpha", "beta", "transA", "transB"],
        "Concat" | "Flatten" | "Gather" | "Softmax" | "LogSoftmax" => &["axis"],
        "Split" => &["axis", "num_outputs", "split"],
        "Reshape" => &["allowzero", "shape"],
        "Squeeze" | "Unsqueeze" => &["axes"],
        "Transpose" => &["perm"],
        "Slice" => &["starts", "ends", "axes", "steps"],
        "Pad" => &["mode", "pads", "value"],
        "Resize" | "Upsample" => &[
            "antialias",
            "axes",
            "coordinate_transformation_mode",
            "cubic_coeff_a",
            "exclude_outside",
            "extrapolation_value",
            "keep_aspect_ratio_policy",
            "mode",
            "nearest_mode",
            "taps",
            "tap_entries",
            "tap_weights",
        ],
        "Dropout" => &["seed", "ratio"],
        "Cast" => &["to", "saturate", "round_mode"],
        "Shape" => &["start", "end"],
        "Constant" | "ConstantOfShape" => return None,
        "Relu" | "PRelu" | "Sigmoid" | "HardSwish" | "Silu" | "Swish" | "Mish" | "Tanh" | "Softplus"
        | "Exp" | "Log" | "Sqrt" | "Abs" | "Neg" | "Reciprocal" | "Erf" | "GlobalAveragePool"
        | "GlobalMaxPool" | "MatMul" | "Add" | "Sub" | "Mul" | "Div" | "Expand" | "Identity" | "Tile"
        | "Pow" | "Max" | "Min" => &[],
        // Unknown operators are refused by name later.
        _ => return None,
    })
}

/// Refuses an attribute that this program does not know.
pub(super) fn check(node: &RawNode) -> Result<()> {
    let Some(known) = known(&node.op) else { return Ok(()) };
    match node.attributes.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(unsupported(&format!("attribute {key:?} of operator {} is not known", node.op))),
        None => Ok(()),
    }
}
