//! Convolution and its transpose share one geometry: each is the other's adjoint.

use super::{Context, Run};
use crate::emitter::Emitter;
use crate::kernel::{BinaryFn, ConvGeometry, Kernel, Span};
use crate::plan::Slot;
use alloc::vec::Vec;
use voxplain_graph::ops::ConvAttributes;
use voxplain_tensor::{Result, Shape};

/// Puts 1 to 3 entries behind as many missing leading ones.
pub(super) fn spatial(values: &[usize], missing: usize) -> [usize; 3] {
    let mut out = [missing; 3];
    let n = values.len().min(3);
    out[3 - n..].copy_from_slice(&values[..n]);
    out
}

/// The convolution from `x` to `y`, both with the batch in their leading size.
fn geometry(a: &ConvAttributes, x: Shape, w: Shape, y: Shape) -> ConvGeometry {
    ConvGeometry {
        batch: x[0],
        groups: a.groups,
        in_channels: x[1],
        out_channels: y[1],
        input: spatial(&x[2..], 1),
        output: spatial(&y[2..], 1),
        kernel: spatial(&w[2..], 1),
        stride: spatial(&a.strides, 1),
        pad: spatial(&a.pads_begin, 0),
        dilation: spatial(&a.dilations, 1),
    }
}

pub(super) fn forward(a: &ConvAttributes, c: &Context<'_>, e: &mut Emitter, x: &[Slot]) -> Result<Slot> {
    let y = c.output()?;
    let g = geometry(a, c.operand(0)?, c.shape(1), y);
    Ok(e.emit(Kernel::Conv(g), x, y))
}

pub(super) fn vjp(
    a: &ConvAttributes,
    c: &Context<'_>,
    e: &mut Emitter,
    run: &Run,
    g: Slot,
    wanted: &[bool],
) -> Result<Vec<Option<Slot>>> {
    let (x, w) = (c.operand(0)?, c.shape(1));
    let conv = geometry(a, x, w, c.output()?);
    let dx = wanted[0].then(|| e.emit(Kernel::ConvAdjoint(conv), &[g, run.inputs[1]], x));
    let dw = wanted[1].then(|| e.emit(Kernel::ConvWeightAdjoint(conv), &[run.inputs[0], g], w));
    with_bias(c, e, g, wanted, dx, dw)
}

pub(super) fn forward_transpose(
    a: &ConvAttributes,
    c: &Context<'_>,
    e: &mut Emitter,
    x: &[Slot],
) -> Result<Slot> {
    let y = c.output()?;
    let g = geometry(a, y, c.shape(1), c.operand(0)?);
    let value = e.emit(Kernel::ConvAdjoint(g), &x[..2], y);
    let span = Span { outer: y[0], n: y[1], inner: y.inner(1) };
    Ok(x.get(2).map_or(value, |&bias| e.along(BinaryFn::Add, value, span, bias)))
}

pub(super) fn vjp_transpose(
    a: &ConvAttributes,
    c: &Context<'_>,
    e: &mut Emitter,
    run: &Run,
    g: Slot,
    wanted: &[bool],
) -> Result<Vec<Option<Slot>>> {
    let (x, w) = (c.operand(0)?, c.shape(1));
    let conv = geometry(a, c.output()?, w, x);
    let dx = wanted[0].then(|| e.emit(Kernel::Conv(conv), &[g, run.inputs[1]], x));
    let dw = wanted[1].then(|| e.emit(Kernel::ConvWeightAdjoint(conv), &[g, run.inputs[0]], w));
    with_bias(c, e, g, wanted, dx, dw)
}

/// Adds the bias gradient, the sum of `g` over everything but channels, where there is a bias and it is wanted.
fn with_bias(
    c: &Context<'_>,
    e: &mut Emitter,
    g: Slot,
    wanted: &[bool],
    dx: Option<Slot>,
    dw: Option<Slot>,
) -> Result<Vec<Option<Slot>>> {
    let mut all = alloc::vec![dx, dw];
    if let Some(&bias) = wanted.get(2) {
        let y = c.output()?;
        let span = Span { outer: y[0], n: y[1], inner: y.inner(1) };
        all.push(if bias { Some(e.sum_outside(g, span, c.shape(2))) } else { None });
    }
    Ok(all)
}
