//! Sums, means and extremes over axes.

use super::call::Call;
use super::unsupported;
use crate::raw::Attribute;
use voxplain_tensor::Result;

pub(super) fn translate(call: &mut Call<'_>) -> Result<bool> {
    let (op, negated) = match call.operator() {
        "mean" => ("ReduceMean", false),
        "sum" => ("ReduceSum", false),
        "amax" => ("ReduceMax", false),
        "amin" => ("ReduceMax", true),
        // Values and positions; only the values carry a signal, and the first of them is the first result.
        "max" if call.overload() == "dim" => ("ReduceMax", false),
        "min" if call.overload() == "dim" => ("ReduceMax", true),
        "max" | "min" => {
            return Err(unsupported(
                "the maximum or minimum of all values or of two tensors is not supported; name the axes",
            ));
        }
        _ => return Ok(false),
    };
    call.float_type("dtype")?;
    let axes = call.optional_ints("dim")?.unwrap_or_default();
    let attributes = vec![
        ("axes", Attribute::Ints(axes)),
        ("keepdims", Attribute::Int(i64::from(call.flag("keepdim", false)?))),
    ];
    let x = call.tensor("self")?;
    if negated {
        let minus = call.step("minus", "Neg", vec![x], vec![]);
        let most = call.step("most", op, vec![minus], attributes);
        call.emit("Neg", vec![most], vec![]);
    } else {
        call.emit(op, vec![x], attributes);
    }
    Ok(true)
}
