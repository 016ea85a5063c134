//! Operators that change nothing at inference leave no node, and numbers made from nothing become constants.

use super::call::Call;
use super::unsupported;
use crate::raw::{Attribute, Constant};
use voxplain_tensor::Result;

pub(super) fn translate(call: &mut Call<'_>) -> Result<bool> {
    let key = match call.operator() {
        "dropout" | "feature_dropout" | "alpha_dropout" | "feature_alpha_dropout" | "native_dropout" => {
            if call.flag("train", false)? && call.float("p", 0.5)? > 0.0 {
                return Err(unsupported(
                    "dropout in training mode is not supported; call model.eval() and export again",
                ));
            }
            let _ = call.has("p");
            // The in-place variant has another name for it.
            if call.has("input") { "input" } else { "self" }
        }
        "contiguous" | "clone" | "alias" | "lift_fresh_copy" | "lift_fresh" => "self",
        "detach" => {
            if !call.is_constant("self")? {
                let name = call.outputs().first().cloned().unwrap_or_default();
                call.notes.push(format!(
                    "value {name:?} is detached in PyTorch, so its gradient there leaves this path out; here it counts"
                ));
            }
            "self"
        }
        "to" | "_to_copy" | "type_as" => {
            let _ = call.has("other");
            call.float_type("dtype")?;
            if call.is_whole("self") {
                return Err(unsupported("whole numbers made into floating-point numbers are not supported"));
            }
            "self"
        }
        "zeros" | "zeros_like" | "new_zeros" => return filled(call, 0.0),
        "ones" | "ones_like" | "new_ones" => return filled(call, 1.0),
        "full" | "full_like" | "new_full" | "scalar_tensor" => {
            let key = if call.operator() == "scalar_tensor" { "s" } else { "fill_value" };
            let value = call.float(key, 0.0)?;
            return filled(call, value);
        }
        _ => return Ok(false),
    };
    let x = call.tensor(key)?;
    call.alias(x);
    Ok(true)
}

/// The same number everywhere. The lowering has the limit on its size.
fn filled(call: &mut Call<'_>, value: f64) -> Result<bool> {
    call.float_type("dtype")?;
    let _ = ["self", "size"].map(|key| call.has(key));
    let sizes = call.output_sizes(0)?;
    let sizes = call.whole("sizes", sizes);
    let value = Attribute::Tensor(Constant::Float { shape: vec![1], data: vec![value as f32] });
    call.emit("ConstantOfShape", vec![sizes], vec![("value", value)]);
    Ok(true)
}
