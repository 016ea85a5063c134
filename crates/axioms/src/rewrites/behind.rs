//! What does nothing, behind a layer.

use super::Place;
use voxplain_graph::ops::{Binary, ConvAttributes, Pointwise};
use voxplain_graph::{GraphBuilder, Op, ValueId};
use voxplain_tensor::Result;

/// The layer under another name, so that what stands for it can have its own.
fn layer(b: &mut GraphBuilder, place: &Place<'_>) -> Result<ValueId> {
    b.node(&format!("{}.layer", place.node.name), place.node.op.clone(), place.x)
}

/// A layer of single taps with these weights, row by row, and one bias for all channels.
fn mix(b: &mut GraphBuilder, name: &str, x: ValueId, rows: &[Vec<f32>], bias: f32) -> Result<ValueId> {
    let spatial = b.shape(x).rank() - 2;
    let sizes = [vec![rows.len(), rows[0].len()], vec![1; spatial]].concat();
    let weight = b.parameter(&format!("{name}.rewritten_weight"), &sizes, rows.concat())?;
    let bias = if bias == 0.0 {
        None
    } else {
        Some(b.parameter(&format!("{name}.rewritten_bias"), &[rows.len()], vec![bias; rows.len()])?)
    };
    b.conv(name, x, weight, bias, ConvAttributes::plain(spatial))
}

/// The identity with `extra` at (0, last).
fn shear(n: usize, extra: f32) -> Vec<Vec<f32>> {
    let mut rows: Vec<Vec<f32>> =
        (0..n).map(|i| (0..n).map(|j| f32::from(u8::from(i == j))).collect()).collect();
    if n > 1 {
        rows[0][n - 1] = extra;
    }
    rows
}

/// A shear and its inverse.
pub(super) fn factored(b: &mut GraphBuilder, place: &Place<'_>) -> Result<ValueId> {
    let z = layer(b, place)?;
    let n = b.shape(z)[1];
    let there = mix(b, &format!("{}.shear", place.node.name), z, &shear(n, 1.0), 0.0)?;
    mix(b, &place.node.name, there, &shear(n, -1.0), 0.0)
}

/// The unit matrix.
pub(super) fn identity(b: &mut GraphBuilder, place: &Place<'_>) -> Result<ValueId> {
    let z = layer(b, place)?;
    let n = b.shape(z)[1];
    mix(b, &place.node.name, z, &shear(n, 0.0), 0.0)
}

/// So much is added and taken away: no sum of small whole numbers and halves, quarters and so on is its negative.
const SHIFT: f32 = 1.0 + 1.0 / 4096.0;

/// `z + c`, then `- c`, as biases of layers that do nothing else.
pub(super) fn shifted(b: &mut GraphBuilder, place: &Place<'_>) -> Result<ValueId> {
    let z = layer(b, place)?;
    let n = b.shape(z)[1];
    let there = mix(b, &format!("{}.shift", place.node.name), z, &shear(n, 0.0), SHIFT)?;
    mix(b, &place.node.name, there, &shear(n, 0.0), -SHIFT)
}

/// `relu(z) - relu(-z)`.
pub(super) fn rectified(b: &mut GraphBuilder, place: &Place<'_>) -> Result<ValueId> {
    let z = layer(b, place)?;
    let n = b.shape(z)[1];
    let name = |part: &str| format!("{}.{part}", place.node.name);
    let negated: Vec<Vec<f32>> =
        shear(n, 0.0).into_iter().map(|r| r.into_iter().map(|v| -v).collect()).collect();
    let minus = mix(b, &name("minus"), z, &negated, 0.0)?;
    let relu = Op::Pointwise(Pointwise::Relu);
    let (up, down) = (b.node(&name("up"), relu.clone(), &[z])?, b.node(&name("down"), relu, &[minus])?);
    let down = mix(b, &name("negative"), down, &negated, 0.0)?;
    b.node(&place.node.name, Op::Binary(Binary::Add), &[up, down])
}

/// `(z - 1) / 2 * 2 + 1`: mean 1, variance 4, scale 2, bias 1.
pub(super) fn normalised(b: &mut GraphBuilder, place: &Place<'_>) -> Result<ValueId> {
    let z = layer(b, place)?;
    let n = b.shape(z)[1];
    let mut inputs = vec![z];
    for (part, value) in [("scale", 2.0f32), ("bias", 1.0), ("mean", 1.0), ("variance", 4.0)] {
        inputs.push(b.parameter(&format!("{}.rewritten_{part}", place.node.name), &[n], vec![value; n])?);
    }
    b.node(&place.node.name, Op::BatchNormalization { epsilon: 0.0 }, &inputs)
}
