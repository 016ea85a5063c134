//! Tensors cut into pieces and joined from pieces, and entries added at their ends.

use super::call::Call;
use super::views::reshape;
use super::{ints, unsupported};
use crate::raw::Attribute;
use voxplain_tensor::{Error, Result};

/// Repetitions cost nodes.
const MOST_COPIES: i64 = 1024;

pub(super) fn translate(call: &mut Call<'_>) -> Result<bool> {
    match call.operator() {
        "cat" | "concat" | "concatenate" => cat(call)?,
        "stack" => stack(call)?,
        "slice" | "narrow" => slice(call)?,
        "select" => select(call)?,
        "split" | "split_with_sizes" | "chunk" | "unbind" | "tensor_split" => split(call)?,
        "flip" => flip(call)?,
        "repeat" => repeat(call)?,
        "pad" | "constant_pad_nd" => pad(call, None)?,
        "reflection_pad1d" | "reflection_pad2d" | "reflection_pad3d" => pad(call, Some("reflect"))?,
        "replication_pad1d" | "replication_pad2d" | "replication_pad3d" => pad(call, Some("replicate"))?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn cat(call: &mut Call<'_>) -> Result<()> {
    let axis = call.axis("dim", 0, call.output_sizes(0)?.len())?;
    // PyTorch skips empty lists.
    let parts = call.tensors("tensors")?.into_iter().filter(|(_, sizes)| sizes.as_slice() != [0]);
    let parts = parts.map(|(name, _)| name).collect();
    call.emit("Concat", parts, vec![("axis", Attribute::Int(axis as i64))]);
    Ok(())
}

/// Joined along an axis that is new.
fn stack(call: &mut Call<'_>) -> Result<()> {
    let axis = call.axis("dim", 0, call.output_sizes(0)?.len())?;
    let mut parts = Vec::new();
    for (i, (name, mut sizes)) in call.tensors("tensors")?.into_iter().enumerate() {
        sizes.insert(axis.min(sizes.len()), 1);
        let sizes = call.whole(&format!("sizes{i}"), &sizes);
        parts.push(call.step(&format!("part{i}"), "Reshape", vec![name, sizes], vec![]));
    }
    call.emit("Concat", parts, vec![("axis", Attribute::Int(axis as i64))]);
    Ok(())
}

/// Bounds of one axis.
fn bounds(axis: usize, start: i64, end: i64, step: i64) -> Vec<(&'static str, Attribute)> {
    vec![
        ("starts", ints(&[start])),
        ("ends", ints(&[end])),
        ("axes", ints(&[axis as i64])),
        ("steps", ints(&[step])),
    ]
}

fn slice(call: &mut Call<'_>) -> Result<()> {
    let axis = call.axis("dim", 0, call.sizes("self")?.len())?;
    let start = call.int("start", 0)?;
    let (end, step) = if call.operator() == "narrow" {
        (start.saturating_add(call.int("length", 0)?), 1)
    } else {
        (call.int("end", i64::MAX)?, call.int("step", 1)?)
    };
    let x = call.tensor("self")?;
    call.emit("Slice", vec![x], bounds(axis, start, end, step));
    Ok(())
}

/// One entry of an axis, which goes.
fn select(call: &mut Call<'_>) -> Result<()> {
    let axis = call.axis("dim", 0, call.sizes("self")?.len())?;
    let index = call.int("index", 0)?;
    // Behind the last entry lies no entry 0.
    let end = if index == -1 { i64::MAX } else { index.saturating_add(1) };
    let x = call.tensor("self")?;
    let entry = call.step("entry", "Slice", vec![x], bounds(axis, index, end, 1));
    reshape(call, entry)
}

/// Pieces of an axis, as long as PyTorch found them.
fn split(call: &mut Call<'_>) -> Result<()> {
    let rank = call.sizes("self")?.len();
    let axis = call.axis("dim", 0, rank)?;
    let _ = ["split_size", "split_sizes", "chunks", "sections", "indices"].map(|key| call.has(key));
    let unbind = call.operator() == "unbind";
    let x = call.tensor("self")?;
    let mut start = 0i64;
    for i in 0..call.outputs().len() {
        if call.outputs()[i].is_empty() {
            return Err(Error::invalid("a piece without a name; export again"));
        }
        let sizes = call.output_sizes(i)?;
        let length = if unbind { 1 } else { sizes.get(axis).copied().unwrap_or(0) };
        let bounds = bounds(axis, start, start.saturating_add(length), 1);
        start = start.saturating_add(length);
        if unbind {
            let entry = call.step(&format!("entry{i}"), "Slice", vec![x.clone()], bounds);
            let sizes = call.whole(&format!("sizes{i}"), sizes);
            call.emit_output(i, "Reshape", vec![entry, sizes], vec![]);
        } else {
            call.emit_output(i, "Slice", vec![x.clone()], bounds);
        }
    }
    Ok(())
}

fn flip(call: &mut Call<'_>) -> Result<()> {
    let dims = call.optional_ints("dims")?.unwrap_or_default();
    let n = dims.len();
    let attributes = vec![
        ("starts", Attribute::Ints(vec![-1; n])),
        ("ends", Attribute::Ints(vec![i64::MIN / 2; n])),
        ("axes", Attribute::Ints(dims)),
        ("steps", Attribute::Ints(vec![-1; n])),
    ];
    let x = call.tensor("self")?;
    call.emit("Slice", vec![x], attributes);
    Ok(())
}

/// Copies along axes; new axes come first. An axis of one entry is broadcast instead.
fn repeat(call: &mut Call<'_>) -> Result<()> {
    let (x, repeats) = (call.sizes("self")?, call.optional_ints("repeats")?.unwrap_or_default());
    let added =
        repeats.len().checked_sub(x.len()).ok_or_else(|| Error::invalid("too few repeats; export again"))?;
    let sizes = [vec![1; added], x.to_vec()].concat();
    let shape = call.whole("shape", &sizes);
    let input = call.tensor("self")?;
    let mut value = call.step("aligned", "Reshape", vec![input, shape], vec![]);
    for (i, &copies) in repeats.iter().enumerate().filter(|&(i, &n)| n != 1 && sizes.get(i) != Some(&1)) {
        if !(1..=MOST_COPIES).contains(&copies) {
            return Err(unsupported(&format!(
                "{copies} copies along axis {i}; 1 to {MOST_COPIES} are supported"
            )));
        }
        let parts = vec![value; copies as usize];
        value = call.step(&format!("axis{i}"), "Concat", parts, vec![("axis", Attribute::Int(i as i64))]);
    }
    let broadcast = call.output_sizes(0)?;
    let broadcast = call.whole("sizes", broadcast);
    call.emit("Expand", vec![value, broadcast], vec![]);
    Ok(())
}

/// PyTorch lists pads from the last axis, two at a time.
fn pad(call: &mut Call<'_>, mode: Option<&str>) -> Result<()> {
    let key = if mode.is_some() { "padding" } else { "pad" };
    let listed = call.optional_ints(key)?.unwrap_or_default();
    let rank = call.sizes("self")?.len();
    let mode = match mode.map_or_else(|| call.text("mode", "constant"), Ok)? {
        "replicate" => "edge",
        mode @ ("constant" | "reflect") => mode,
        other => {
            return Err(unsupported(&format!(
                "pad mode {other:?} is not supported; constant, replicate and reflect are"
            )));
        }
    };
    if listed.len() % 2 != 0 || listed.len() / 2 > rank {
        return Err(Error::invalid(format!("pads {listed:?} for {rank} axes; export again")));
    }
    let mut pads = vec![0; 2 * rank];
    for (i, pair) in listed.chunks_exact(2).enumerate() {
        let axis = rank - 1 - i;
        (pads[axis], pads[rank + axis]) = (pair[0], pair[1]);
    }
    let value = call.optional_float("value")?.unwrap_or(0.0);
    let x = call.tensor("self")?;
    let pads = call.whole("pads", &pads);
    let attributes = vec![("mode", Attribute::Text(mode.into())), ("value", Attribute::Float(value))];
    call.emit("Pad", vec![x, pads], attributes);
    Ok(())
}
