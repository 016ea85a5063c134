//! Sums and means over axes, and the two adjoint moves behind broadcasting: collapse and expand.

use super::Context;
use crate::emitter::Emitter;
use crate::kernel::{Kernel, Span};
use crate::plan::Slot;
use alloc::vec::Vec;
use voxplain_graph::ops::Reduction;
use voxplain_tensor::{Result, Shape};

/// Neighbouring axes at which `small` has size 1 and `large` has not, as spans of `large`, last first.
fn runs(small: Shape, large: Shape) -> Vec<(Span, usize, usize)> {
    let mut runs = Vec::new();
    let mut end = large.rank();
    while end > 0 {
        let differs = |axis: usize| small[axis] == 1 && large[axis] != 1;
        if !differs(end - 1) {
            end -= 1;
            continue;
        }
        let mut start = end - 1;
        while start > 0 && differs(start - 1) {
            start -= 1;
        }
        let n = large[start..end].iter().product();
        runs.push((Span { outer: large.outer(start), n, inner: large[end..].iter().product() }, start, end));
        end = start;
    }
    runs
}

/// Sums `g` of shape `large` over the axes at which `small` has size 1; the result has shape `shape`.
pub(super) fn collapse(e: &mut Emitter, g: Slot, large: Shape, small: Shape, shape: Shape) -> Slot {
    scaled_collapse(e, g, large, small, shape, 1.0)
}

fn scaled_collapse(
    e: &mut Emitter,
    g: Slot,
    large: Shape,
    small: Shape,
    shape: Shape,
    mut scale: f64,
) -> Slot {
    let (mut value, mut sizes) = (g, large);
    // The last run goes first, so the spans of the earlier ones only lose inner entries.
    for (span, start, end) in runs(small, large) {
        let inner = sizes[end..].iter().product();
        for axis in start..end {
            sizes = sizes.with(axis, 1).unwrap_or(sizes);
        }
        value = e.emit(Kernel::Reduce(Span { inner, ..span }, scale), &[value], sizes);
        scale = 1.0;
    }
    let value = e.scale(value, scale);
    e.reshape(value, shape)
}

/// Repeats `x` of shape `small` along the axes at which it has size 1 and `large` has not.
pub(super) fn expand(e: &mut Emitter, x: Slot, small: Shape, large: Shape, shape: Shape) -> Slot {
    scaled_expand(e, x, small, large, shape, 1.0)
}

fn scaled_expand(e: &mut Emitter, x: Slot, small: Shape, large: Shape, shape: Shape, mut scale: f64) -> Slot {
    let (mut value, mut sizes) = (x, small);
    for (span, start, end) in runs(small, large).into_iter().rev() {
        let inner = sizes[end..].iter().product();
        for axis in start..end {
            sizes = sizes.with(axis, large[axis]).unwrap_or(sizes);
        }
        value = e.emit(Kernel::Repeat(Span { inner, ..span }, scale), &[value], sizes);
        scale = 1.0;
    }
    let value = e.scale(value, scale);
    e.reshape(value, shape)
}

/// The operand with the batch in front, and the same with the reduced axes of size 1.
fn shapes(axes: &[usize], c: &Context<'_>) -> Result<(Shape, Shape)> {
    let large = c.extended(0, c.shape(0).rank())?;
    let mut small = large;
    for &axis in axes {
        small = small.with(axis + 1, 1)?;
    }
    Ok((large, small))
}

fn factor(reduction: Reduction, large: Shape, small: Shape) -> f64 {
    match reduction {
        Reduction::Mean => small.elements() as f64 / large.elements() as f64,
        Reduction::Sum | Reduction::Max => 1.0,
    }
}

pub(super) fn forward(
    reduction: Reduction,
    axes: &[usize],
    c: &Context<'_>,
    e: &mut Emitter,
    x: &[Slot],
) -> Result<Slot> {
    let (large, small) = shapes(axes, c)?;
    Ok(scaled_collapse(e, x[0], large, small, c.output()?, factor(reduction, large, small)))
}

pub(super) fn vjp(
    reduction: Reduction,
    axes: &[usize],
    c: &Context<'_>,
    e: &mut Emitter,
    g: Slot,
) -> Result<Slot> {
    let (large, small) = shapes(axes, c)?;
    Ok(scaled_expand(e, g, small, large, c.operand(0)?, factor(reduction, large, small)))
}
