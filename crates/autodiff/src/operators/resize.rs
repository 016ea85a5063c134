//! Interpolation: one sparse map per resized axis; the adjoint is the transposed maps in reverse order.

use super::Context;
use crate::emitter::Emitter;
use crate::kernel::{Kernel, Span, SparseMatrix};
use crate::plan::Slot;
use alloc::sync::Arc;
use alloc::vec::Vec;
use voxplain_graph::ops::AxisTap;
use voxplain_tensor::{Result, Shape};

fn matrix(taps: &[AxisTap], columns: usize) -> SparseMatrix {
    let row = |t: &AxisTap| t.at.iter().copied().zip(t.weight).collect::<Vec<_>>();
    let rows: Vec<_> = taps.iter().map(row).collect();
    SparseMatrix::from_rows(columns, &rows)
}

fn span(shape: Shape, axis: usize) -> Span {
    Span { outer: shape.outer(axis), n: shape[axis], inner: shape.inner(axis) }
}

pub(super) fn forward(
    taps: &[Option<Vec<AxisTap>>],
    c: &Context<'_>,
    e: &mut Emitter,
    x: &[Slot],
) -> Result<Slot> {
    let mut value = x[0];
    for (axis, taps) in taps.iter().enumerate() {
        let Some(taps) = taps else { continue };
        let shape = e.shape(value);
        let map = Arc::new(matrix(taps, shape[axis]));
        value = e.emit(Kernel::AxisMap(span(shape, axis), map), &[value], shape.with(axis, taps.len())?);
    }
    Ok(e.reshape(value, c.output()?))
}

pub(super) fn vjp(taps: &[Option<Vec<AxisTap>>], c: &Context<'_>, e: &mut Emitter, g: Slot) -> Result<Slot> {
    let mut value = g;
    let operand = c.operand(0)?;
    for (axis, taps) in taps.iter().enumerate().rev() {
        let Some(taps) = taps else { continue };
        let shape = e.shape(value);
        let map = Arc::new(matrix(taps, operand[axis]).transposed());
        value = e.emit(Kernel::AxisMap(span(shape, axis), map), &[value], shape.with(axis, operand[axis])?);
    }
    Ok(value)
}
