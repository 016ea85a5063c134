//! MONAI's AttentionUnet (Oktay et al. 2018): every skip is multiplied by a gate computed from the level below.

use super::blueprint::{Blueprint, Flow};
use super::convolution::Adn;
use super::layers::EPSILON;
use super::windows::Conv;
use voxplain_tensor::Result;

pub(super) const ANCHORS: &[&str] = &["model.0.conv.0.conv.weight"];

/// No network halves its input more often.
const MOST_LEVELS: usize = 16;

const CONV: Adn = Adn { norm: "instance", act: "relu" };
const MERGE: Adn = Adn { norm: "instance", act: "prelu" };

pub(super) fn build(b: &mut Blueprint) -> Result<Vec<Flow>> {
    let mut x = b.image("model.0.conv.0.conv", None)?;
    let mut levels = 1;
    let mut inner = String::from("model.1.submodule");
    while b.weights.has_module(&format!("{inner}.1")) && levels <= MOST_LEVELS {
        inner.push_str(".1.submodule");
        levels += 1;
    }
    b.settings.note(format!("levels={} (weights)", levels + 1));
    let strides = b.settings.strides("strides", levels, x.axes(), 2)?;
    let one = vec![1; x.axes()];
    x = block(b, &x, "model.0", &one)?;
    x = layer(b, &x, "model.1", &strides)?;
    x = b.conv(&x, "model.2.conv", &Conv::kernel(1))?;
    b.settings.note(format!("classes={} (weights)", x.channels()));
    Ok(vec![x])
}

/// Two convolutions, each with batch normalisation and a rectifier.
fn block(b: &mut Blueprint, x: &Flow, p: &str, strides: &[usize]) -> Result<Flow> {
    let x = b.convolution(x, &format!("{p}.conv.0"), &Conv::same().strides(strides), CONV)?;
    b.convolution(&x, &format!("{p}.conv.1"), &Conv::same(), CONV)
}

fn layer(b: &mut Blueprint, x: &Flow, p: &str, strides: &[Vec<usize>]) -> Result<Flow> {
    let Some((own, below)) = strides.split_first() else { return Ok(x.clone()) };
    let inner = format!("{p}.submodule");
    let lower = if below.is_empty() {
        block(b, x, &inner, own)?
    } else {
        let y = block(b, x, &format!("{inner}.0"), own)?;
        layer(b, &y, &format!("{inner}.1"), below)?
    };
    let lower = b.convolution_up(&lower, &format!("{p}.upconv.up"), own, Some(CONV))?;
    let gated = attention(b, &lower, x, &format!("{p}.attention"))?;
    let joined = b.concat(&[&gated, &lower], &format!("{p}.cat"))?;
    b.convolution(&joined, &format!("{p}.merge"), &Conv::same(), MERGE)
}

/// `x` times a gate of one channel, from `x` and the value from below.
fn attention(b: &mut Blueprint, lower: &Flow, x: &Flow, p: &str) -> Result<Flow> {
    let g = pair(b, lower, &format!("{p}.W_g"))?;
    let y = pair(b, x, &format!("{p}.W_x"))?;
    let mut y = b.add(&g, &y, &format!("{p}.add"))?;
    y = b.relu(&y, &format!("{p}.relu"));
    y = pair(b, &y, &format!("{p}.psi"))?;
    y = b.sigmoid(&y, &format!("{p}.psi.2"));
    Ok(b.gate(x, &y, &format!("{p}.mul")))
}

fn pair(b: &mut Blueprint, x: &Flow, p: &str) -> Result<Flow> {
    let x = b.conv(x, &format!("{p}.0.conv"), &Conv::kernel(1))?;
    b.batch_norm(&x, &format!("{p}.1"), EPSILON)
}
