//! Normalisation with stored statistics (affine) and with statistics of the data (class normalise).

use super::{Context, Run};
use crate::emitter::Emitter;
use crate::kernel::{BinaryFn, ChannelGeometry, DType, Kernel, Span};
use crate::plan::Slot;
use alloc::vec::Vec;
use voxplain_graph::Op;
use voxplain_tensor::{Error, Result, Shape};

fn channel_geometry(epsilon: f64, c: &Context<'_>) -> Result<ChannelGeometry> {
    let span = c.channels(0)?;
    Ok(ChannelGeometry { batch: span.outer, channels: span.n, inner: span.inner, epsilon })
}

pub(super) fn forward_batch(epsilon: f64, c: &Context<'_>, e: &mut Emitter, x: &[Slot]) -> Result<Slot> {
    Ok(e.emit(Kernel::BatchNorm(channel_geometry(epsilon, c)?), x, c.output()?))
}

pub(super) fn vjp_batch(
    epsilon: f64,
    c: &Context<'_>,
    e: &mut Emitter,
    run: &Run,
    g: Slot,
    wanted: &[bool],
) -> Result<Vec<Option<Slot>>> {
    if wanted[3..].contains(&true) {
        return Err(Error::unsupported("gradients of stored batch statistics are not supported"));
    }
    let (geometry, shape, vector) = (channel_geometry(epsilon, c)?, c.operand(0)?, c.shape(1));
    let x = &run.inputs;
    let dx = wanted[0].then(|| e.emit(Kernel::BatchNormAdjoint(geometry), &[g, x[1], x[4]], shape));
    let span = c.channels(0)?;
    let dscale = wanted[1].then(|| {
        let (one, zero) = (e.fill(1.0, vector), e.fill(0.0, vector));
        let normalised = e.emit(Kernel::BatchNorm(geometry), &[x[0], one, zero, x[3], x[4]], shape);
        let product = e.mul(g, normalised);
        e.sum_outside(product, span, vector)
    });
    let dbias = wanted[2].then(|| e.sum_outside(g, span, vector));
    Ok(alloc::vec![dx, dscale, dbias, None, None])
}

/// How a data-dependent normalisation sees its operand: groups of `n` entries, and parameters along one axis.
struct Layout {
    groups: Span,
    parameters: Span,
    epsilon: f64,
}

fn layout(c: &Context<'_>) -> Result<Layout> {
    let x = c.operand(0)?;
    match c.node.op {
        Op::GroupNormalization { groups, epsilon } => {
            let n = x[1] / groups * x.inner(1);
            Ok(Layout {
                groups: Span { outer: x[0] * groups, n, inner: 1 },
                parameters: c.channels(0)?,
                epsilon,
            })
        }
        Op::LayerNormalization { axis, epsilon } => {
            let span = Span { outer: x.outer(axis), n: x[axis..].iter().product(), inner: 1 };
            Ok(Layout { groups: span, parameters: span, epsilon })
        }
        ref op => Err(Error::internal(alloc::format!("{} is not a normalisation", op.kind()))),
    }
}

pub(super) fn forward(c: &Context<'_>, e: &mut Emitter, x: &[Slot]) -> Result<Run> {
    let l = layout(c)?;
    let shape = c.output()?;
    let results = [(shape, DType::Real), (Shape::new(&[l.groups.outer])?, DType::Real)];
    let auxiliary = e.emit_typed(Kernel::Normalize(l.groups, l.epsilon), &x[..1], &results);
    let mut output = e.along(BinaryFn::Mul, auxiliary[0], l.parameters, x[1]);
    if let Some(&bias) = x.get(2) {
        output = e.along(BinaryFn::Add, output, l.parameters, bias);
    }
    Ok(Run { inputs: x.to_vec(), output, auxiliary })
}

pub(super) fn vjp(
    c: &Context<'_>,
    e: &mut Emitter,
    run: &Run,
    g: Slot,
    wanted: &[bool],
) -> Result<Vec<Option<Slot>>> {
    let l = layout(c)?;
    let shape = c.operand(0)?;
    let mut out = alloc::vec![None; run.inputs.len()];
    if wanted[0] {
        let u = e.along(BinaryFn::Mul, g, l.parameters, run.inputs[1]);
        let operands = [u, run.auxiliary[0], run.auxiliary[1]];
        out[0] = Some(e.emit(Kernel::NormalizeAdjoint(l.groups), &operands, shape));
    }
    if wanted[1] {
        let product = e.mul(g, run.auxiliary[0]);
        out[1] = Some(e.sum_outside(product, l.parameters, c.shape(1)));
    }
    if wanted.get(2) == Some(&true) {
        out[2] = Some(e.sum_outside(g, l.parameters, c.shape(2)));
    }
    Ok(out)
}

/// As [`vjp`] for the data, without the part that goes through the scale.
pub(super) fn frozen_vjp(c: &Context<'_>, e: &mut Emitter, run: &Run, g: Slot) -> Result<Slot> {
    let l = layout(c)?;
    let u = e.along(BinaryFn::Mul, g, l.parameters, run.inputs[1]);
    let none = e.fill(0.0, e.shape(u));
    Ok(e.emit(Kernel::NormalizeAdjoint(l.groups), &[u, none, run.auxiliary[1]], c.operand(0)?))
}

/// Multipliers of a normalisation between two runs, by `xc = x - mean`, `v = mean(xc^2)`, `s = (v + epsilon)^(-1/2)`,
/// `y = scale xc s + bias`: the product by the mean of the other factor, the square by `xc + xc'`, the inverse root by
/// `-s^2 s'^2 / (s + s')`. Complete to rounding even where the reference has no variance.
pub(super) fn slope(c: &Context<'_>, e: &mut Emitter, [run, reference]: [&Run; 2], g: Slot) -> Result<Slot> {
    let l = layout(c)?;
    let (span, n) = (l.groups, l.groups.n as f64);
    let group = Span { outer: 1, n: span.outer, inner: span.n };
    let rows = Shape::new(&[span.outer])?;
    let u = e.along(BinaryFn::Mul, g, l.parameters, run.inputs[1]);
    let (s, t) = (run.auxiliary[1], reference.auxiliary[1]);
    let centred = [
        e.along(BinaryFn::Div, run.auxiliary[0], group, s),
        e.along(BinaryFn::Div, reference.auxiliary[0], group, t),
    ];
    let (both, sum) = (e.add(centred[0], centred[1]), e.add(s, t));
    let mean = e.scale(sum, 0.5);
    let direct = e.along(BinaryFn::Mul, u, group, mean);
    let product = e.mul(u, both);
    let through_s = e.emit(Kernel::Reduce(span, 0.5), &[product], rows);
    let inverses = e.mul(s, t);
    let inverses = e.mul(inverses, inverses);
    let root = e.binary(BinaryFn::Div, inverses, sum);
    let through_v = e.mul(through_s, root);
    let through_v = e.scale(through_v, -1.0 / n);
    let square = e.along(BinaryFn::Mul, both, group, through_v);
    let m = e.add(direct, square);
    let average = e.emit(Kernel::Reduce(span, 1.0 / n), &[m], rows);
    let m = e.along(BinaryFn::Sub, m, group, average);
    Ok(e.reshape(m, c.operand(0)?))
}
