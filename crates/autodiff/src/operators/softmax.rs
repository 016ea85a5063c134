//! Softmax and its logarithm.

use super::{Context, Run};
use crate::emitter::Emitter;
use crate::kernel::{BinaryFn, BroadcastGeometry, Kernel, Span};
use crate::plan::Slot;
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::{MAX_RANK, Result, Shape};

fn span(axis: usize, c: &Context<'_>) -> Result<Span> {
    let shape = c.extended_output()?;
    Ok(Span { outer: shape.outer(axis + 1), n: shape[axis + 1], inner: shape.inner(axis + 1) })
}

pub(super) fn forward(
    axis: usize,
    logarithm: bool,
    c: &Context<'_>,
    e: &mut Emitter,
    x: &[Slot],
) -> Result<Slot> {
    Ok(e.emit(Kernel::Softmax(span(axis, c)?, logarithm), x, c.output()?))
}

pub(super) fn vjp(
    axis: usize,
    logarithm: bool,
    c: &Context<'_>,
    e: &mut Emitter,
    run: &Run,
    g: Slot,
) -> Result<Slot> {
    let kernel = Kernel::SoftmaxAdjoint(span(axis, c)?, logarithm);
    Ok(e.emit(kernel, &[g, run.output], c.operand(0)?))
}

/// Multipliers of a softmax between two runs. With `L = log sum exp x` and `z = x - L`, softmax is `exp z`; the
/// multiplier of `L` is `slope_exp(x, x') / slope_exp(L, L')`, which is complete and, with both slopes scaled by
/// `exp(-max(L, L'))`, cannot overflow. Invariant to adding a constant to x.
pub(super) fn slope(
    axis: usize,
    logarithm: bool,
    c: &Context<'_>,
    e: &mut Emitter,
    [run, reference]: [&Run; 2],
    g: Slot,
) -> Result<Slot> {
    let span = span(axis, c)?;
    let whole = Shape::new(&[span.outer, span.n, span.inner])?;
    let rows = Shape::new(&[span.outer, span.inner])?;
    let logs = [log(logarithm, span, e, run), log(logarithm, span, e, reference)];
    let sums = [log_sum(span, rows, e, run, logs[0]), log_sum(span, rows, e, reference, logs[1])];
    let most = e.binary(BinaryFn::Maximum, sums[0], sums[1]);
    let ones = e.fill(1.0, rows);
    let shifted = [e.sub(sums[0], most), e.sub(sums[1], most)];
    let below = e.emit(Kernel::MapSlope(Pointwise::Exp), &[ones, shifted[0], shifted[1]], rows);
    let u =
        if logarithm { g } else { e.emit(Kernel::MapSlope(Pointwise::Exp), &[g, logs[0], logs[1]], whole) };
    let total = e.emit(Kernel::Reduce(span, 1.0), &[u], rows);
    let factor = e.binary(BinaryFn::Div, total, below);
    let factor = e.emit(Kernel::Repeat(span, 1.0), &[factor], whole);
    let x = across(span, whole, e, run.inputs[0], most);
    let r = across(span, whole, e, reference.inputs[0], most);
    let share = e.emit(Kernel::MapSlope(Pointwise::Exp), &[factor, x, r], whole);
    let m = e.sub(u, share);
    Ok(e.reshape(m, c.operand(0)?))
}

/// The logarithm of the softmax of a run.
fn log(logarithm: bool, span: Span, e: &mut Emitter, run: &Run) -> Slot {
    let shape = e.shape(run.output);
    if logarithm { run.output } else { e.emit(Kernel::Softmax(span, true), &run.inputs[..1], shape) }
}

/// `L = x - z`, the same along the axis, so its mean.
fn log_sum(span: Span, rows: Shape, e: &mut Emitter, run: &Run, log: Slot) -> Slot {
    let difference = e.sub(run.inputs[0], log);
    e.emit(Kernel::Reduce(span, 1.0 / span.n as f64), &[difference], rows)
}

/// `x` minus one number per row.
fn across(span: Span, whole: Shape, e: &mut Emitter, x: Slot, row: Slot) -> Slot {
    let mut b = [0; MAX_RANK];
    b[0] = span.inner;
    b[2] = 1;
    let geometry = BroadcastGeometry { shape: whole, a: whole.strides(), b };
    e.emit(Kernel::Binary(BinaryFn::Sub, geometry), &[x, row], whole)
}
