//! Normalisations, with the scale and bias that PyTorch leaves out where they are 1 and 0.

use super::call::Call;
use super::unsupported;
use crate::raw::{Attribute, Constant};
use voxplain_tensor::{Error, Result};

/// No absent scale is longer than this: its length comes from the file, its memory would come from us.
const MOST_ELEMENTS: i64 = 1 << 24;

pub(super) fn translate(call: &mut Call<'_>) -> Result<bool> {
    match call.operator() {
        "batch_norm" => {
            if call.flag("training", false)? {
                return Err(unsupported(
                    "batch normalisation in training mode is not supported; call model.eval() and export again",
                ));
            }
            batch(call)?;
        }
        "instance_norm" if call.flag("use_input_stats", true)? => {
            // Averages of the data that were kept are not used.
            let _ = (call.has("running_mean"), call.has("running_var"));
            let channels = channels(call)?;
            affine(call, "InstanceNormalization", &[channels], vec![])?;
        }
        "instance_norm" => batch(call)?,
        "group_norm" => {
            let groups = Attribute::Int(call.int("num_groups", 0)?);
            let channels = channels(call)?;
            affine(call, "GroupNormalization", &[channels], vec![("num_groups", groups)])?;
        }
        "layer_norm" => {
            let shape = call.optional_ints("normalized_shape")?.unwrap_or_default();
            let axis = Attribute::Int(-(shape.len() as i64));
            affine(call, "LayerNormalization", &shape, vec![("axis", axis)])?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn channels(call: &Call<'_>) -> Result<i64> {
    let missing = || Error::invalid("data without channels; export again");
    call.sizes("input")?.get(1).copied().ok_or_else(missing)
}

/// With stored statistics.
fn batch(call: &mut Call<'_>) -> Result<()> {
    let channels = channels(call)?;
    let (scale, bias) =
        (weights(call, "weight", 1.0, &[channels])?, weights(call, "bias", 0.0, &[channels])?);
    let inputs =
        vec![call.tensor("input")?, scale, bias, call.tensor("running_mean")?, call.tensor("running_var")?];
    let epsilon = Attribute::Float(call.float("eps", 1e-5)?);
    call.emit("BatchNormalization", inputs, vec![("epsilon", epsilon)]);
    Ok(())
}

/// With statistics of the data.
fn affine(
    call: &mut Call<'_>,
    op: &str,
    shape: &[i64],
    mut attributes: Vec<(&str, Attribute)>,
) -> Result<()> {
    let (scale, bias) = (weights(call, "weight", 1.0, shape)?, weights(call, "bias", 0.0, shape)?);
    attributes.push(("epsilon", Attribute::Float(call.float("eps", 1e-5)?)));
    let inputs = vec![call.tensor("input")?, scale, bias];
    call.emit(op, inputs, attributes);
    Ok(())
}

/// A tensor argument, or `value` everywhere.
fn weights(call: &mut Call<'_>, key: &'static str, value: f32, shape: &[i64]) -> Result<String> {
    if let Some(name) = call.optional(key)? {
        return Ok(name);
    }
    let count =
        shape.iter().try_fold(1i64, |n, &s| n.checked_mul(s).filter(|n| (0..=MOST_ELEMENTS).contains(n)));
    let count = count.ok_or_else(|| {
        Error::limit(format!("a scale of sizes {shape:?}; at most {MOST_ELEMENTS} values are made up"))
    })?;
    let shape = shape.iter().map(|&s| s as usize).collect();
    Ok(call.constant(key, Constant::Float { shape, data: vec![value; count as usize] }))
}
