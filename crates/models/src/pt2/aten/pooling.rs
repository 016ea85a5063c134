//! Poolings over windows; those that are told only the size of their result are in `adaptive`.

use super::call::Call;
use super::{adaptive, ints, unsupported};
use crate::raw::Attribute;
use voxplain_tensor::Result;

pub(super) fn translate(call: &mut Call<'_>) -> Result<bool> {
    match call.operator() {
        "max_pool1d" => pool(call, "MaxPool", 1)?,
        "max_pool2d" | "max_pool2d_with_indices" => pool(call, "MaxPool", 2)?,
        "max_pool3d" | "max_pool3d_with_indices" => pool(call, "MaxPool", 3)?,
        "avg_pool1d" => pool(call, "AveragePool", 1)?,
        "avg_pool2d" => pool(call, "AveragePool", 2)?,
        "avg_pool3d" => pool(call, "AveragePool", 3)?,
        "adaptive_avg_pool1d" | "adaptive_avg_pool2d" | "adaptive_avg_pool3d" => adaptive::pool(call, false)?,
        "adaptive_max_pool1d" | "adaptive_max_pool2d" | "adaptive_max_pool3d" => adaptive::pool(call, true)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn pool(call: &mut Call<'_>, op: &str, n: usize) -> Result<()> {
    let kernel = call.ints("kernel_size", n, 1)?;
    // Without strides the windows lie side by side.
    let strides = match call.optional_ints("stride")?.unwrap_or_default() {
        list if list.is_empty() => kernel.clone(),
        _ => call.ints("stride", n, 1)?,
    };
    let pads = call.ints("padding", n, 0)?;
    let flag = |v: bool| Attribute::Int(i64::from(v));
    let mut attributes = vec![
        ("kernel_shape", Attribute::Ints(kernel)),
        ("strides", Attribute::Ints(strides)),
        ("pads", ints(&[pads.as_slice(), &pads].concat())),
        ("dilations", Attribute::Ints(call.ints("dilation", n, 1)?)),
        ("ceil_mode", flag(call.flag("ceil_mode", false)?)),
    ];
    if op == "AveragePool" {
        attributes.push(("count_include_pad", flag(call.flag("count_include_pad", true)?)));
        if call.has("divisor_override") {
            return Err(unsupported(
                "divisor_override is not supported; divide by the window and multiply by a number",
            ));
        }
    }
    let x = call.tensor("self")?;
    call.emit(op, vec![x], attributes);
    Ok(())
}
