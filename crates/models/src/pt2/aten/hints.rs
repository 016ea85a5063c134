//! What a user can do about an operator that is not supported: the nearest form that is.

use voxplain_graph::ops::SUPPORTED;
use voxplain_tensor::Error;

/// The error about an operator that no family knows.
pub(super) fn unknown(target: &str) -> Error {
    match nearest(target) {
        "" => Error::unsupported(format!(
            "this ATen operator is not supported; supported is what becomes one of {SUPPORTED}"
        )),
        hint => Error::unsupported(hint),
    }
}

/// What is supported instead; empty where nothing is near.
fn nearest(target: &str) -> &'static str {
    if target.contains("set_grad_enabled") {
        return "torch.no_grad() inside forward is not supported; take it out and export again";
    }
    if target.contains("autocast") {
        return "autocast inside forward is not supported; take it out and export again";
    }
    if target.starts_with("torch.ops.higher_order") {
        return "control flow (cond, map, scan) is not supported; write the one branch that the images take";
    }
    match target.split('.').next().unwrap_or("") {
        "einsum" | "tensordot" | "baddbmm" => {
            "this product is not supported; write it with matmul and transpose"
        }
        "scaled_dot_product_attention" | "_native_multi_head_attention" => {
            "fused attention is not supported; write it with matmul and softmax"
        }
        "index" | "index_select" | "gather" | "index_put" | "masked_fill" | "masked_fill_" | "where" => {
            "values picked by index or mask are not supported; slices, select and cat are"
        }
        "roll" => "roll is not supported; write it with two slices and cat",
        "copy_" | "fill_" | "zero_" | "index_put_" => {
            "values written into a tensor are not supported; build the tensor with cat or stack"
        }
        "upsample_bicubic2d" => "bicubic interpolation is not supported; nearest and linear are",
        "lstm" | "gru" | "rnn_tanh" => "recurrent layers are not supported; convolutional networks are",
        "var" | "std" | "norm" | "linalg_vector_norm" => {
            "this statistic is not supported; a normalisation layer, or mean and pow, are"
        }
        "maximum" | "minimum" | "argmax" | "argmin" | "topk" | "sort" => {
            "this choice between values is not supported; max over axes, clamp and relu are"
        }
        _ => "",
    }
}
