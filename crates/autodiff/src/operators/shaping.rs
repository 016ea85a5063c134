//! Operators that move elements; each adjoint moves them back.

use super::{Context, reduce};
use crate::emitter::Emitter;
use crate::kernel::{Kernel, PadFill, PadGeometry, SliceGeometry, SliceStep};
use crate::plan::Slot;
use alloc::vec::Vec;
use voxplain_graph::Op;
use voxplain_graph::ops::{PadMode, SliceAxis};
use voxplain_tensor::{Error, MAX_RANK, Result, Shape};

/// Rows, and entries of each operand in a row, of a join along `axis`.
fn rows(axis: usize, c: &Context<'_>) -> Result<(usize, Vec<usize>)> {
    let out = c.extended_output()?;
    let outer = out.outer(axis + 1);
    let sizes = (0..c.node.inputs.len()).map(|i| c.shape(i)[axis] * c.shape(i).inner(axis)).collect();
    Ok((outer, sizes))
}

pub(super) fn forward_concat(axis: usize, c: &Context<'_>, e: &mut Emitter, x: &[Slot]) -> Result<Slot> {
    let (outer, sizes) = rows(axis, c)?;
    let mut operands = Vec::with_capacity(x.len());
    for (i, &slot) in x.iter().enumerate() {
        // A constant operand is joined to every example.
        let (small, large) = (c.extended(i, c.shape(i).rank())?, c.shape(i));
        let mut sizes = alloc::vec![c.examples()];
        sizes.extend_from_slice(&large);
        let large = Shape::new(&sizes)?;
        operands.push(if small == large { slot } else { reduce::expand(e, slot, small, large, large) });
    }
    Ok(e.emit(Kernel::Concat { outer, sizes }, &operands, c.output()?))
}

pub(super) fn vjp_concat(
    axis: usize,
    c: &Context<'_>,
    e: &mut Emitter,
    g: Slot,
    wanted: &[bool],
) -> Result<Vec<Option<Slot>>> {
    let (outer, sizes) = rows(axis, c)?;
    let whole = Shape::new(&[outer, sizes.iter().sum()])?;
    let mut begin = 0;
    let mut out = Vec::with_capacity(sizes.len());
    for (i, &size) in sizes.iter().enumerate() {
        let mut axes = [SliceStep { begin: 0, step: 1 }; MAX_RANK];
        axes[1].begin = begin;
        begin += size;
        if !wanted[i] {
            out.push(None);
            continue;
        }
        if !c.varies(i) {
            return Err(Error::unsupported(
                "gradients of a constant that is joined to data are not supported",
            ));
        }
        let geometry = SliceGeometry { whole, part: Shape::new(&[outer, size])?, axes };
        out.push(Some(e.emit(Kernel::Slice(geometry), &[g], c.operand(i)?)));
    }
    Ok(out)
}

/// The permutation with the batch in front, and its inverse.
fn permutations(permutation: &[usize]) -> ([usize; MAX_RANK], [usize; MAX_RANK]) {
    let (mut forth, mut back) = ([0; MAX_RANK], [0; MAX_RANK]);
    for (i, &p) in permutation.iter().enumerate() {
        forth[i + 1] = p + 1;
        back[p + 1] = i + 1;
    }
    (forth, back)
}

pub(super) fn forward_transpose(
    permutation: &[usize],
    c: &Context<'_>,
    e: &mut Emitter,
    x: &[Slot],
) -> Result<Slot> {
    let shape = c.extended(0, c.shape(0).rank())?;
    Ok(e.emit(Kernel::Permute(shape, permutations(permutation).0), x, c.output()?))
}

pub(super) fn vjp_transpose(
    permutation: &[usize],
    c: &Context<'_>,
    e: &mut Emitter,
    g: Slot,
) -> Result<Slot> {
    let shape = c.extended_output()?;
    Ok(e.emit(Kernel::Permute(shape, permutations(permutation).1), &[g], c.operand(0)?))
}

fn slice_geometry(axes: &[SliceAxis], c: &Context<'_>) -> Result<SliceGeometry> {
    let mut steps = [SliceStep { begin: 0, step: 1 }; MAX_RANK];
    for (i, axis) in axes.iter().enumerate() {
        steps[i + 1] = SliceStep { begin: axis.begin, step: axis.step };
    }
    Ok(SliceGeometry { whole: c.extended(0, axes.len())?, part: c.extended_output()?, axes: steps })
}

pub(super) fn forward_slice(
    axes: &[SliceAxis],
    c: &Context<'_>,
    e: &mut Emitter,
    x: &[Slot],
) -> Result<Slot> {
    Ok(e.emit(Kernel::Slice(slice_geometry(axes, c)?), x, c.output()?))
}

pub(super) fn vjp_slice(axes: &[SliceAxis], c: &Context<'_>, e: &mut Emitter, g: Slot) -> Result<Slot> {
    Ok(e.emit(Kernel::Embed(slice_geometry(axes, c)?), &[g], c.operand(0)?))
}

fn pad_geometry(c: &Context<'_>) -> Result<PadGeometry> {
    let Op::Pad { mode, before, value, .. } = &c.node.op else {
        return Err(Error::internal("not a Pad node"));
    };
    let mut shifts = [0; MAX_RANK];
    shifts[1..=before.len()].copy_from_slice(before);
    let fill = match mode {
        PadMode::Constant => PadFill::Constant(*value),
        PadMode::Edge => PadFill::Edge,
        PadMode::Reflect => PadFill::Reflect,
    };
    Ok(PadGeometry {
        inner: c.extended(0, before.len())?,
        padded: c.extended_output()?,
        before: shifts,
        fill,
    })
}

pub(super) fn forward_pad(c: &Context<'_>, e: &mut Emitter, x: &[Slot]) -> Result<Slot> {
    Ok(e.emit(Kernel::Pad(pad_geometry(c)?), x, c.output()?))
}

pub(super) fn vjp_pad(c: &Context<'_>, e: &mut Emitter, g: Slot) -> Result<Slot> {
    Ok(e.emit(Kernel::PadAdjoint(pad_geometry(c)?), &[g], c.operand(0)?))
}
