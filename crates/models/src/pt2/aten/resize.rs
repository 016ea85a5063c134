//! Interpolation in PyTorch's words.

use super::call::Call;
use super::unsupported;
use crate::raw::{Attribute, Constant};
use voxplain_tensor::{Error, Result};

pub(super) fn translate(call: &mut Call<'_>) -> Result<bool> {
    let operator = call.operator();
    let Some(kind) = operator.strip_prefix("upsample_").or_else(|| operator.strip_prefix("_upsample_"))
    else {
        return Ok(false);
    };
    let corners = call.flag("align_corners", false)?;
    let (mode, coordinates, nearest) = match kind {
        "nearest1d" | "nearest2d" | "nearest3d" => ("nearest", "asymmetric", "floor"),
        "nearest_exact1d" | "nearest_exact2d" | "nearest_exact3d" => {
            ("nearest", "half_pixel", "round_prefer_ceil")
        }
        "linear1d" | "bilinear2d" | "trilinear3d" if corners => ("linear", "align_corners", "floor"),
        "linear1d" | "bilinear2d" | "trilinear3d" => ("linear", "half_pixel", "floor"),
        other => {
            return Err(unsupported(&format!(
                "interpolation {other:?} is not supported; nearest and linear are"
            )));
        }
    };
    let key = if call.overload() == "vec" { "input" } else { "self" };
    let (from, to) = (call.sizes(key)?, call.output_sizes(0)?);
    let factors = scale_factors(call, from.len())?;
    let inputs = vec![call.tensor(key)?, String::new()];
    let text = |text: &str| Attribute::Text(String::from(text));
    let attributes = vec![
        ("mode", text(mode)),
        ("coordinate_transformation_mode", text(coordinates)),
        ("nearest_mode", text(nearest)),
    ];
    // A factor that was given counts, not the one that the rounded sizes would give.
    let exact = |i: usize, f: f64| {
        f * from.get(i).copied().unwrap_or(0) as f64 == to.get(i).copied().unwrap_or(0) as f64
    };
    let exact =
        factors.as_ref().is_none_or(|f| corners || f.iter().enumerate().all(|(i, &f)| exact(i + 2, f)));
    match factors {
        Some(factors) if !exact => {
            let data: Vec<f32> = [1.0, 1.0].iter().chain(&factors).map(|&f| f as f32).collect();
            let scales = call.constant("scales", Constant::Float { shape: vec![data.len()], data });
            call.emit("Resize", [inputs, vec![scales]].concat(), attributes);
        }
        _ => {
            let sizes = call.whole("sizes", to);
            call.emit("Resize", [inputs, vec![String::new(), sizes]].concat(), attributes);
        }
    }
    Ok(true)
}

/// One factor per spatial axis, where the network gave factors.
fn scale_factors(call: &Call<'_>, rank: usize) -> Result<Option<Vec<f64>>> {
    let _ = call.has("output_size");
    if let Some(list) = call.floats("scale_factors")? {
        if list.len() + 2 != rank {
            return Err(Error::invalid(format!(
                "{} scale factors for {rank} axes; export again",
                list.len()
            )));
        }
        return Ok(Some(list));
    }
    let keys: &[&str] = match rank {
        3 => &["scales"],
        4 => &["scales_h", "scales_w"],
        _ => &["scales_d", "scales_h", "scales_w"],
    };
    let each = keys.iter().map(|key| call.optional_float(key)).collect::<Result<Option<Vec<f64>>>>()?;
    Ok(each.filter(|list| list.len() + 2 == rank))
}
