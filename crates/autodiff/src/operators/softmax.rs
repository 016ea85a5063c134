//! Softmax and its logarithm.

use super::{Context, Run};
use crate::emitter::Emitter;
use crate::kernel::{Kernel, Span};
use crate::plan::Slot;
use voxplain_tensor::Result;

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
