//! Arithmetic with broadcasting, and the parametric rectifier.

use super::{Context, Run, reduce};
use crate::emitter::Emitter;
use crate::kernel::{BinaryFn, BroadcastGeometry, Kernel};
use crate::plan::Slot;
use alloc::vec::Vec;
use voxplain_graph::ops::{Binary, Pointwise};
use voxplain_tensor::{MAX_RANK, Result, Shape};

/// Strides of an operand of shape `small` in a result of shape `large`, 0 where it repeats.
fn strides(small: Shape, large: Shape) -> [usize; MAX_RANK] {
    let mut strides = small.strides();
    for axis in 0..large.rank() {
        if small[axis] == 1 {
            strides[axis] = 0;
        }
    }
    strides
}

/// `f(a, b)` of two operands with shapes of equal rank that broadcast to `large`.
fn apply(
    e: &mut Emitter,
    f: BinaryFn,
    a: (Slot, Shape),
    b: (Slot, Shape),
    large: Shape,
    shape: Shape,
) -> Slot {
    let geometry = BroadcastGeometry { shape: large, a: strides(a.1, large), b: strides(b.1, large) };
    e.emit(Kernel::Binary(f, geometry), &[a.0, b.0], shape)
}

/// Both operands and the result, with the batch in front.
fn shapes(c: &Context<'_>) -> Result<(Shape, Shape, Shape)> {
    let rank = c.graph.shape(c.node.output).rank();
    Ok((c.extended(0, rank)?, c.extended(1, rank)?, c.extended_output()?))
}

pub(super) fn forward(op: Binary, c: &Context<'_>, e: &mut Emitter, x: &[Slot]) -> Result<Slot> {
    let (a, b, large) = shapes(c)?;
    let f = match op {
        Binary::Add => BinaryFn::Add,
        Binary::Sub => BinaryFn::Sub,
        Binary::Mul => BinaryFn::Mul,
        Binary::Div => BinaryFn::Div,
    };
    Ok(apply(e, f, (x[0], a), (x[1], b), large, c.output()?))
}

pub(super) fn vjp(
    op: Binary,
    c: &Context<'_>,
    e: &mut Emitter,
    run: &Run,
    g: Slot,
    wanted: &[bool],
) -> Result<Vec<Option<Slot>>> {
    let (a, b, large) = shapes(c)?;
    let shape = c.output()?;
    let [xa, xb] = [(run.inputs[0], a), (run.inputs[1], b)];
    let mut out = alloc::vec![None, None];
    if wanted[0] {
        let full = match op {
            Binary::Add | Binary::Sub => g,
            Binary::Mul => apply(e, BinaryFn::Mul, (g, large), xb, large, shape),
            Binary::Div => apply(e, BinaryFn::Div, (g, large), xb, large, shape),
        };
        out[0] = Some(reduce::collapse(e, full, large, a, c.operand(0)?));
    }
    if wanted[1] {
        let full = match op {
            Binary::Add => g,
            Binary::Sub => e.scale(g, -1.0),
            Binary::Mul => apply(e, BinaryFn::Mul, (g, large), xa, large, shape),
            Binary::Div => {
                // d(a / b)/db = -(a / b) / b
                let product = e.mul(g, run.output);
                let quotient = apply(e, BinaryFn::Div, (product, large), xb, large, shape);
                e.scale(quotient, -1.0)
            }
        };
        out[1] = Some(reduce::collapse(e, full, large, b, c.operand(1)?));
    }
    Ok(out)
}

/// `positive + slope * rest`, the form that value, derivative and divided difference of a PRelu share.
fn blend(c: &Context<'_>, e: &mut Emitter, slope: Slot, positive: Slot, rest: Slot) -> Result<Slot> {
    let (large, small, _) = shapes(c)?;
    let shape = e.shape(rest);
    let scaled = apply(e, BinaryFn::Mul, (rest, large), (slope, small), large, shape);
    Ok(e.add(positive, scaled))
}

pub(super) fn forward_prelu(c: &Context<'_>, e: &mut Emitter, x: &[Slot]) -> Result<Slot> {
    let positive = e.map(Pointwise::Relu, x[0]);
    let negative = e.sub(x[0], positive);
    blend(c, e, x[1], positive, negative)
}

pub(super) fn vjp_prelu(
    c: &Context<'_>,
    e: &mut Emitter,
    run: &Run,
    g: Slot,
    wanted: &[bool],
) -> Result<Vec<Option<Slot>>> {
    let shape = e.shape(g);
    let mut out = alloc::vec![None, None];
    if wanted[0] {
        let bits = e.positive_bits(run.inputs[0]);
        let positive = e.emit(Kernel::Mask, &[g, bits], shape);
        let rest = e.sub(g, positive);
        out[0] = Some(blend(c, e, run.inputs[1], positive, rest)?);
    }
    if wanted[1] {
        let (large, small, _) = shapes(c)?;
        let positive = e.map(Pointwise::Relu, run.inputs[0]);
        let negative = e.sub(run.inputs[0], positive);
        let product = e.mul(g, negative);
        out[1] = Some(reduce::collapse(e, product, large, small, c.operand(1)?));
    }
    Ok(out)
}

pub(super) fn slope_prelu(c: &Context<'_>, e: &mut Emitter, run: &Run, operands: [Slot; 3]) -> Result<Slot> {
    let shape = e.shape(operands[0]);
    let positive = e.emit(Kernel::MapSlope(Pointwise::Relu), &operands, shape);
    let rest = e.sub(operands[0], positive);
    blend(c, e, run.inputs[1], positive, rest)
}

/// Multipliers of `a / b` between two runs: the product of `a` and `1 / b` by the mean of the other factor, the
/// reciprocal by `-1 / (b b')`.
pub(super) fn slope_div(
    c: &Context<'_>,
    e: &mut Emitter,
    [run, reference]: [&Run; 2],
    g: Slot,
    wanted: &[bool],
) -> Result<Vec<Option<Slot>>> {
    let (a, b, large) = shapes(c)?;
    let shape = c.output()?;
    let (x, r) = (run.inputs[1], reference.inputs[1]);
    let mut out = alloc::vec![None, None];
    if wanted[0] {
        let (p, q) = (e.map(Pointwise::Reciprocal, x), e.map(Pointwise::Reciprocal, r));
        let mean = e.binary(BinaryFn::Lerp(0.5), p, q);
        let full = apply(e, BinaryFn::Mul, (g, large), (mean, b), large, shape);
        out[0] = Some(reduce::collapse(e, full, large, a, c.operand(0)?));
    }
    if wanted[1] {
        let mean = e.binary(BinaryFn::Lerp(0.5), run.inputs[0], reference.inputs[0]);
        let upper = apply(e, BinaryFn::Mul, (g, large), (mean, a), large, shape);
        let full = apply(e, BinaryFn::Div, (upper, large), (x, b), large, shape);
        let full = apply(e, BinaryFn::Div, (full, large), (r, b), large, shape);
        let collapsed = reduce::collapse(e, full, large, b, c.operand(1)?);
        out[1] = Some(e.scale(collapsed, -1.0));
    }
    Ok(out)
}
