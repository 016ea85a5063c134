//! MONAI's UNet: a recursion of (down, skip around the rest, up), with plain convolutions or residual units.

use super::blueprint::{Blueprint, Flow};
use super::convolution::Adn;
use super::windows::Conv;
use voxplain_tensor::Result;

pub(super) const ANCHORS: &[&str] = &["model.0.conv.weight", "model.0.conv.unit0.conv.weight"];

/// No network halves its input more often.
const MOST_LEVELS: usize = 16;

const ADN: Adn = Adn { norm: "instance", act: "prelu" };

pub(super) fn build(b: &mut Blueprint) -> Result<Vec<Flow>> {
    let residual = b.weights.has(ANCHORS[1]);
    let x = b.image(if residual { "model.0.conv.unit0.conv" } else { "model.0.conv" }, None)?;
    // Every level but the last holds the next as a sequence, whose parts are numbered.
    let mut levels = 1;
    let mut inner = String::from("model.1.submodule");
    while b.weights.has_module(&format!("{inner}.0")) && levels <= MOST_LEVELS {
        inner.push_str(".1.submodule");
        levels += 1;
    }
    b.settings.note(format!("levels={} (weights), residual units={residual} (weights)", levels + 1));
    let strides = b.settings.strides("strides", levels, x.axes(), 2)?;
    let x = level(b, &x, "model", &strides, residual, true)?;
    b.settings.note(format!("classes={} (weights)", x.channels()));
    Ok(vec![x])
}

fn level(
    b: &mut Blueprint,
    x: &Flow,
    p: &str,
    strides: &[Vec<usize>],
    residual: bool,
    top: bool,
) -> Result<Flow> {
    let Some((own, below)) = strides.split_first() else {
        return down(b, x, p, &vec![1; x.axes()], residual);
    };
    let skip = down(b, x, &format!("{p}.0"), own, residual)?;
    let inner = level(b, &skip, &format!("{p}.1.submodule"), below, residual, false)?;
    let joined = b.concat(&[&skip, &inner], &format!("{p}.1"))?;
    let up = format!("{p}.2");
    if !residual {
        return b.convolution_up(&joined, &up, own, (!top).then_some(ADN));
    }
    let y = b.convolution_up(&joined, &format!("{up}.0"), own, Some(ADN))?;
    b.residual_unit(&y, &format!("{up}.1"), &vec![1; x.axes()], ADN, top)
}

fn down(b: &mut Blueprint, x: &Flow, p: &str, strides: &[usize], residual: bool) -> Result<Flow> {
    if residual {
        return b.residual_unit(x, p, strides, ADN, false);
    }
    b.convolution(x, p, &Conv::same().strides(strides), ADN)
}
