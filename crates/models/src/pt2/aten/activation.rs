//! Activations: one node each, whatever their parameters.

use super::call::Call;
use super::unsupported;
use crate::raw::Attribute;
use voxplain_tensor::Result;

pub(super) fn translate(call: &mut Call<'_>) -> Result<bool> {
    let op = match call.operator() {
        "relu" => "Relu",
        "sigmoid" => "Sigmoid",
        "tanh" => "Tanh",
        "silu" => "Silu",
        "mish" => "Mish",
        "selu" => "Selu",
        "hardswish" => "HardSwish",
        "exp" => "Exp",
        "log" => "Log",
        "sqrt" => "Sqrt",
        "abs" => "Abs",
        "neg" => "Neg",
        "reciprocal" => "Reciprocal",
        "erf" => "Erf",
        _ => return with_parameters(call),
    };
    let x = call.tensor("self")?;
    call.emit(op, vec![x], vec![]);
    Ok(true)
}

fn with_parameters(call: &mut Call<'_>) -> Result<bool> {
    let float = Attribute::Float;
    let (op, attributes) = match call.operator() {
        "leaky_relu" => ("LeakyRelu", vec![("alpha", float(call.float("negative_slope", 0.01)?))]),
        "elu" => {
            if call.float("scale", 1.0)? != 1.0 || call.float("input_scale", 1.0)? != 1.0 {
                return Err(unsupported("elu with scales is not supported, elu and selu are"));
            }
            ("Elu", vec![("alpha", float(call.float("alpha", 1.0)?))])
        }
        "gelu" => ("Gelu", vec![("approximate", Attribute::Text(call.text("approximate", "none")?.into()))]),
        "hardsigmoid" => ("HardSigmoid", vec![("alpha", float(1.0 / 6.0)), ("beta", float(0.5))]),
        "relu6" => ("Clip", vec![("min", float(0.0)), ("max", float(6.0))]),
        "hardtanh" => {
            let (low, high) = (call.float("min_val", -1.0)?, call.float("max_val", 1.0)?);
            ("Clip", vec![("min", float(low)), ("max", float(high))])
        }
        "clamp" | "clamp_min" | "clamp_max" if call.overload() != "Tensor" => {
            let bounds = [("min", call.optional_float("min")?), ("max", call.optional_float("max")?)];
            let there =
                bounds.into_iter().filter_map(|(key, v)| Some((key, float(v?.clamp(-f64::MAX, f64::MAX)))));
            ("Clip", there.collect())
        }
        "softmax" | "_softmax" | "log_softmax" | "_log_softmax" => {
            call.float_type("dtype")?;
            let _ = call.has("half_to_float");
            let op = if call.operator().contains("log") { "LogSoftmax" } else { "Softmax" };
            (op, vec![("axis", Attribute::Int(call.int("dim", -1)?))])
        }
        "softplus" => return softplus(call),
        "log_sigmoid" => return log_sigmoid(call),
        "prelu" => return prelu(call),
        _ => return Ok(false),
    };
    let x = call.tensor("self")?;
    call.emit(op, vec![x], attributes);
    Ok(true)
}

/// `softplus(beta x) / beta`.
fn softplus(call: &mut Call<'_>) -> Result<bool> {
    let beta = call.float("beta", 1.0)?;
    // Beyond 15 softplus is x to single precision.
    if call.float("threshold", 20.0)? < 15.0 || beta == 0.0 {
        return Err(unsupported("softplus with a threshold below 15 or beta 0 is not supported"));
    }
    let x = call.tensor("self")?;
    if beta == 1.0 {
        call.emit("Softplus", vec![x], vec![]);
        return Ok(true);
    }
    let beta = call.number("beta", beta);
    let scaled = call.step("scaled", "Mul", vec![x, beta.clone()], vec![]);
    let soft = call.step("softplus", "Softplus", vec![scaled], vec![]);
    call.emit("Div", vec![soft, beta], vec![]);
    Ok(true)
}

/// `-softplus(-x)`.
fn log_sigmoid(call: &mut Call<'_>) -> Result<bool> {
    let x = call.tensor("self")?;
    let minus = call.step("minus", "Neg", vec![x], vec![]);
    let soft = call.step("softplus", "Softplus", vec![minus], vec![]);
    call.emit("Neg", vec![soft], vec![]);
    Ok(true)
}

/// A slope per channel stands on axis 1; ONNX aligns with the last axis.
fn prelu(call: &mut Call<'_>) -> Result<bool> {
    let (x, slope) = (call.tensor("self")?, call.tensor("weight")?);
    let trailing = call.sizes("self")?.len().saturating_sub(2);
    let count = call.sizes("weight")?.iter().product::<i64>();
    let sizes = [vec![count], vec![1; trailing]].concat();
    let sizes = call.whole("sizes", &sizes);
    let slope = call.step("slope", "Reshape", vec![slope, sizes], vec![]);
    call.emit("PRelu", vec![x, slope], vec![]);
    Ok(true)
}
