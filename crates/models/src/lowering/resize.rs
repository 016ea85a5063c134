//! `Resize`: every mode becomes one sparse map per axis.

use super::attributes::unsupported;
use super::{Lowering, Value};
use crate::raw::{Attribute, Constant, RawNode};
use voxplain_graph::Op;
use voxplain_graph::ops::{AxisTap, Coordinates, ResizeMode, axis_taps};
use voxplain_tensor::{Error, Result, Shape};

/// The longest axis that an interpolation may make; each entry costs memory at import.
const MOST_ENTRIES: usize = 1 << 20;

impl Lowering {
    pub(super) fn resize(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let x = self.shape(node, 0)?;
        if node.attributes.contains_key("taps") {
            let input = self.operand(node, 0)?;
            return self.add(name, Op::Resize { taps: stored_taps(node, x)? }, &[input]);
        }
        for (key, harmless) in [("antialias", 0), ("exclude_outside", 0)] {
            super::refuse_unless(node, key, harmless)?;
        }
        if node.ints("axes")?.is_some() || node.text("keep_aspect_ratio_policy", "stretch")? != "stretch" {
            return Err(unsupported("axes and aspect-ratio policies are not supported, give all sizes"));
        }
        let (mode, coordinates) = (mode(node)?, coordinates(node)?);
        let targets = self.resize_targets(node, x)?;
        let sizes: Vec<usize> = targets.iter().map(|t| t.0).collect();
        Shape::new(&sizes)?;
        if sizes.iter().any(|&s| s > MOST_ENTRIES) {
            return Err(Error::limit(format!(
                "resized to {sizes:?}; at most {MOST_ENTRIES} entries per axis"
            )));
        }
        self.spend(sizes.iter().sum())?;
        let taps = targets
            .iter()
            .enumerate()
            .map(|(i, &(size, scale))| {
                (size != x[i] || scale != 1.0).then(|| axis_taps(x[i], size, scale, mode, coordinates))
            })
            .collect();
        let input = self.operand(node, 0)?;
        self.add(name, Op::Resize { taps }, &[input])
    }

    /// Size and scale of every axis of the result.
    fn resize_targets(&self, node: &RawNode, x: Shape) -> Result<Vec<(usize, f64)>> {
        let old = node.op == "Upsample";
        if let Some(sizes) = self.known_ints(node, 3)?.filter(|s| !s.is_empty() && !old) {
            if sizes.len() != x.rank() {
                return Err(Error::invalid(format!("{} sizes for data of shape {x}", sizes.len())));
            }
            let target = |(i, &s): (usize, &i64)| {
                let s = usize::try_from(s)
                    .ok()
                    .filter(|&s| s > 0)
                    .ok_or_else(|| Error::invalid("a size below 1; positive sizes are expected"))?;
                let s = if i == 0 { x[0] } else { s };
                Ok((s, s as f64 / x[i] as f64))
            };
            return sizes.iter().enumerate().map(target).collect();
        }
        match self.known(node, if old { 1 } else { 2 }) {
            Some(Constant::Float { data, .. }) if data.len() == x.rank() => {
                let target = |(i, &s): (usize, &f32)| {
                    // In single precision, as the reference runtime: 10 * 0.7 is 7.
                    let size = f64::from((x[i] as f32 * s).floor());
                    let fits = s.is_finite() && (1.0..1e9).contains(&size);
                    fits.then_some((size as usize, f64::from(s))).ok_or_else(|| {
                        Error::invalid(format!(
                            "scale {s} of an axis of {} entries; a result of 1 to 10^9 is expected",
                            x[i]
                        ))
                    })
                };
                data.iter().enumerate().map(target).collect()
            }
            _ => Err(Error::unsupported("sizes or scales must be known at import, one per axis")),
        }
    }
}

/// The sparse maps that our own files store, so that every mode survives saving exactly.
fn stored_taps(node: &RawNode, x: Shape) -> Result<Vec<Option<Vec<AxisTap>>>> {
    let numbers = |key: &str| match node.attributes.get(key) {
        Some(Attribute::Floats(v)) => Ok(v.clone()),
        Some(Attribute::Ints(v)) => Ok(v.iter().map(|&v| v as f64).collect()),
        _ => Err(Error::invalid(format!("attribute {key:?} must be a list of numbers"))),
    };
    let (counts, entries, weights) = (numbers("taps")?, numbers("tap_entries")?, numbers("tap_weights")?);
    let total: f64 = counts.iter().sum();
    if counts.len() != x.rank()
        || entries.len() != weights.len()
        || 2.0 * total != entries.len() as f64
        || !counts.iter().chain(&entries).all(|v| *v >= 0.0 && v.fract() == 0.0)
    {
        return Err(Error::invalid("the stored interpolation does not fit the data"));
    }
    let mut pairs = entries.chunks_exact(2).zip(weights.chunks_exact(2));
    let tap = |(e, w): (&[f64], &[f64])| AxisTap { at: [e[0] as usize, e[1] as usize], weight: [w[0], w[1]] };
    let mut axis = |count: f64| (count > 0.0).then(|| pairs.by_ref().take(count as usize).map(tap).collect());
    Ok(counts.iter().map(|&count| axis(count)).collect())
}

fn mode(node: &RawNode) -> Result<ResizeMode> {
    match node.text("mode", "nearest")?.as_str() {
        "linear" => Ok(ResizeMode::Linear),
        "nearest" => match node.text("nearest_mode", "round_prefer_floor")?.as_str() {
            "floor" => Ok(ResizeMode::NearestFloor),
            "ceil" => Ok(ResizeMode::NearestCeil),
            "round_prefer_floor" => Ok(ResizeMode::NearestPreferFloor),
            "round_prefer_ceil" => Ok(ResizeMode::NearestPreferCeil),
            other => Err(unsupported(&format!("nearest_mode {other:?} is not supported"))),
        },
        other => Err(unsupported(&format!("resize mode {other:?} is not supported, nearest and linear are"))),
    }
}

fn coordinates(node: &RawNode) -> Result<Coordinates> {
    let default = if node.op == "Upsample" { "asymmetric" } else { "half_pixel" };
    match node.text("coordinate_transformation_mode", default)?.as_str() {
        "half_pixel" => Ok(Coordinates::HalfPixel),
        "pytorch_half_pixel" => Ok(Coordinates::PytorchHalfPixel),
        "align_corners" => Ok(Coordinates::AlignCorners),
        "asymmetric" => Ok(Coordinates::Asymmetric),
        other => Err(unsupported(&format!("coordinate transformation {other:?} is not supported"))),
    }
}
