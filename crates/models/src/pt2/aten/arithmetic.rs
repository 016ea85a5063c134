//! Arithmetic of tensors and numbers.

use super::call::Call;
use super::unsupported;
use voxplain_tensor::Result;

pub(super) fn translate(call: &mut Call<'_>) -> Result<bool> {
    match call.operator() {
        "add" => binary(call, "Add", false)?,
        "sub" => binary(call, "Sub", false)?,
        "rsub" => binary(call, "Sub", true)?,
        "mul" => binary(call, "Mul", false)?,
        "div" => {
            if call.has("rounding_mode") {
                return Err(unsupported("division with rounding is not supported"));
            }
            binary(call, "Div", false)?;
        }
        "pow" => power(call)?,
        "square" => {
            let x = call.tensor("self")?;
            call.emit("Mul", vec![x.clone(), x], vec![]);
        }
        "rsqrt" => {
            let x = call.tensor("self")?;
            let root = call.step("root", "Sqrt", vec![x], vec![]);
            call.emit("Reciprocal", vec![root], vec![]);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// `self op alpha * other`, or with the operands exchanged.
fn binary(call: &mut Call<'_>, op: &str, exchanged: bool) -> Result<()> {
    let alpha = call.float("alpha", 1.0)?;
    let mut left = call.tensor("self")?;
    let mut right = match call.optional_float("other") {
        Ok(Some(number)) => {
            let scaled = if exchanged { number } else { number * alpha };
            call.number("other", scaled)
        }
        _ => call.tensor("other")?,
    };
    let scaled = if exchanged { &mut left } else { &mut right };
    let number = matches!(call.optional_float("other"), Ok(Some(_)));
    if alpha != 1.0 && (exchanged || !number) {
        let factor = call.number("alpha", alpha);
        *scaled = call.step("scaled", "Mul", vec![scaled.clone(), factor], vec![]);
    }
    let inputs = if exchanged { vec![right, left] } else { vec![left, right] };
    call.emit(op, inputs, vec![]);
    Ok(())
}

/// Powers that are products or roots.
fn power(call: &mut Call<'_>) -> Result<()> {
    let x = call.tensor("self")?;
    match call.optional_float("exponent")? {
        Some(1.0) => call.alias(x),
        Some(2.0) => call.emit("Mul", vec![x.clone(), x], vec![]),
        Some(3.0) => {
            let square = call.step("square", "Mul", vec![x.clone(), x.clone()], vec![]);
            call.emit("Mul", vec![square, x], vec![]);
        }
        Some(0.5) => call.emit("Sqrt", vec![x], vec![]),
        Some(-1.0) => call.emit("Reciprocal", vec![x], vec![]),
        Some(-0.5) => {
            let root = call.step("root", "Sqrt", vec![x], vec![]);
            call.emit("Reciprocal", vec![root], vec![]);
        }
        other => {
            return Err(unsupported(&format!(
                "the power {other:?} is not supported; -1, -1/2, 1/2, 1, 2 and 3 are"
            )));
        }
    }
    Ok(())
}
