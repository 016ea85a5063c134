//! Normalisation operators. Instance normalisation is group normalisation with one channel per group.

use alloc::format;
use voxplain_tensor::{Error, Result, Shape};

fn per_channel(inputs: &[Shape]) -> Result<Shape> {
    let x = inputs[0];
    if x.rank() < 2 {
        return Err(Error::invalid(format!("data of shape {x}; a channel axis is expected")));
    }
    match inputs[1..].iter().find(|p| p[..] != [x[1]]) {
        Some(p) => Err(Error::invalid(format!("a parameter of shape {p}; [{}] expected", x[1]))),
        None => Ok(x),
    }
}

pub(super) fn infer_batch(inputs: &[Shape]) -> Result<Shape> {
    per_channel(inputs)
}

pub(super) fn infer_group(groups: usize, inputs: &[Shape]) -> Result<Shape> {
    let x = per_channel(inputs)?;
    if groups == 0 || x[1] % groups != 0 {
        return Err(Error::invalid(format!("{groups} groups do not divide {} channels", x[1])));
    }
    Ok(x)
}

pub(super) fn infer_layer(axis: usize, inputs: &[Shape]) -> Result<Shape> {
    let x = inputs[0];
    if axis == 0 || axis >= x.rank() {
        return Err(Error::invalid(format!(
            "normalised axis {axis} of data of shape {x}; 1 to the last expected"
        )));
    }
    match inputs[1..].iter().find(|p| p[..] != x[axis..]) {
        Some(p) => Err(Error::invalid(format!("a parameter of shape {p}; {:?} expected", &x[axis..]))),
        None => Ok(x),
    }
}
