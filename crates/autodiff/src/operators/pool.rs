//! Pooling. Maximum over axes is max pooling over one window, so selection has one set of kernels.

use super::conv::spatial;
use super::{Context, Run};
use crate::emitter::Emitter;
use crate::kernel::{DType, Kernel, PoolGeometry};
use crate::plan::Slot;
use alloc::vec::Vec;
use voxplain_graph::Op;
use voxplain_graph::ops::PoolAttributes;
use voxplain_tensor::{Error, MAX_RANK, Result, Shape};

fn geometry(a: &PoolAttributes, x: Shape, y: Shape) -> PoolGeometry {
    PoolGeometry {
        planes: x[0] * x[1],
        input: spatial(&x[2..], 1),
        output: spatial(&y[2..], 1),
        kernel: spatial(&a.kernel, 1),
        stride: spatial(&a.strides, 1),
        pad: spatial(&a.pads_begin, 0),
        pad_end: spatial(&a.pads_end, 0),
        dilation: spatial(&a.dilations, 1),
        include_pad: a.count_include_pad,
    }
}

pub(super) fn forward_average(
    a: &PoolAttributes,
    c: &Context<'_>,
    e: &mut Emitter,
    x: &[Slot],
) -> Result<Slot> {
    let y = c.output()?;
    Ok(e.emit(Kernel::AveragePool(geometry(a, c.operand(0)?, y)), x, y))
}

pub(super) fn vjp_average(a: &PoolAttributes, c: &Context<'_>, e: &mut Emitter, g: Slot) -> Result<Slot> {
    let x = c.operand(0)?;
    Ok(e.emit(Kernel::AveragePoolAdjoint(geometry(a, x, c.output()?)), &[g], x))
}

/// How a selecting operator maps to windows: perhaps after bringing the reduced axes to the end.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    geometry: PoolGeometry,
    /// The shape before, the permutation and its inverse, where axes must move.
    moved: Option<(Shape, [usize; MAX_RANK], Shape, [usize; MAX_RANK])>,
    operand: Shape,
    output: Shape,
}

impl Selection {
    /// The selection that the node of `c` makes.
    pub fn of(c: &Context<'_>) -> Result<Self> {
        let (operand, output) = (c.operand(0)?, c.output()?);
        match &c.node.op {
            Op::MaxPool(a) => {
                Ok(Self { geometry: geometry(a, operand, output), moved: None, operand, output })
            }
            Op::Reduce { axes, .. } => Self::over_axes(axes, c, operand, output),
            op => Err(Error::internal(alloc::format!("{} does not select", op.kind()))),
        }
    }

    fn over_axes(axes: &[usize], c: &Context<'_>, operand: Shape, output: Shape) -> Result<Self> {
        let shape = c.extended(0, c.shape(0).rank())?;
        let reduced: Vec<usize> = axes.iter().map(|a| a + 1).collect();
        let kept: Vec<usize> = (0..shape.rank()).filter(|a| !reduced.contains(a)).collect();
        let (first, last) = (reduced[0], reduced[reduced.len() - 1]);
        let together = last - first + 1 == reduced.len();
        let n: usize = reduced.iter().map(|&a| shape[a]).product();
        let (outer, inner) =
            if together { (shape.outer(first), shape.inner(last)) } else { (shape.elements() / n, 1) };
        let moved = if together { None } else { Some(permutations(shape, &kept, &reduced)?) };
        let geometry = PoolGeometry {
            planes: outer,
            input: [1, n, inner],
            output: [1, 1, inner],
            kernel: [1, n, 1],
            stride: [1; 3],
            pad: [0; 3],
            pad_end: [0; 3],
            dilation: [1; 3],
            include_pad: false,
        };
        Ok(Self { geometry, moved, operand, output })
    }

    fn arranged(&self, e: &mut Emitter, x: Slot) -> Slot {
        match &self.moved {
            Some((shape, permutation, to, _)) => e.emit(Kernel::Permute(*shape, *permutation), &[x], *to),
            None => x,
        }
    }

    /// The entries that `codes` name in every window of `x`.
    pub fn gather(&self, e: &mut Emitter, x: Slot, codes: Slot) -> Slot {
        let x = self.arranged(e, x);
        e.emit(Kernel::MaxGather(self.geometry), &[x, codes], self.output)
    }

    /// Every `g` added to its window's entry.
    pub fn scatter(&self, e: &mut Emitter, g: Slot, codes: Slot) -> Slot {
        match &self.moved {
            Some((_, _, to, back)) => {
                let dx = e.emit(Kernel::MaxScatter(self.geometry), &[g, codes], *to);
                e.emit(Kernel::Permute(*to, *back), &[dx], self.operand)
            }
            None => e.emit(Kernel::MaxScatter(self.geometry), &[g, codes], self.operand),
        }
    }
}

fn permutations(
    shape: Shape,
    kept: &[usize],
    reduced: &[usize],
) -> Result<(Shape, [usize; MAX_RANK], Shape, [usize; MAX_RANK])> {
    let (mut permutation, mut back, mut sizes) = ([0; MAX_RANK], [0; MAX_RANK], Vec::new());
    for (i, &axis) in kept.iter().chain(reduced).enumerate() {
        permutation[i] = axis;
        back[axis] = i;
        sizes.push(shape[axis]);
    }
    Ok((shape, permutation, Shape::new(&sizes)?, back))
}

pub(super) fn forward_max(c: &Context<'_>, e: &mut Emitter, x: &[Slot]) -> Result<Run> {
    let selection = Selection::of(c)?;
    let arranged = selection.arranged(e, x[0]);
    let g = selection.geometry;
    let results = [(selection.output, DType::Real), (selection.output, g.code())];
    let made = e.emit_typed(Kernel::MaxPool(g), &[arranged], &results);
    Ok(Run { inputs: x.to_vec(), output: made[0], auxiliary: alloc::vec![made[1]] })
}
