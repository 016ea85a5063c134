//! How each operator is computed and differentiated, one file per family, with the stems of the graph crate's `ops`.
//!
//! `forward` emits the steps of the value; `vjp` emits the vector-Jacobian product at any run, which is the gradient
//! rule and the building block of most others. Shapes here carry the batch in front: `[N, d0, d1, ...]`.

mod conv;
mod elementwise;
mod matrix;
mod normalization;
mod pointwise;
mod pool;
mod reduce;
mod resize;
mod shaping;
mod softmax;

use crate::emitter::Emitter;
use crate::kernel::{Kernel, Span};
use crate::plan::Slot;
use alloc::vec::Vec;
pub(crate) use pool::Selection;
use voxplain_graph::ops::{Binary, Reduction};
use voxplain_graph::{Graph, Node, Op};
use voxplain_tensor::{Error, Result, Shape};

/// One evaluation of a node: operands, result, and what the forward kernel leaves beside it (codes, statistics).
#[derive(Clone, Debug)]
pub struct Run {
    /// The operands.
    pub inputs: Vec<Slot>,
    /// The result.
    pub output: Slot,
    /// Winner codes of a selection; normalised values and inverse deviations of a normalisation.
    pub auxiliary: Vec<Slot>,
}

/// What an operator may know about its place: attributes, shapes, batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'g> {
    pub graph: &'g Graph,
    pub node: &'g Node,
    pub batch: usize,
}

impl Context<'_> {
    /// The shape of one example of operand `i`.
    pub fn shape(&self, i: usize) -> Shape {
        self.graph.shape(self.node.inputs[i])
    }

    /// Whether operand `i` depends on a graph input.
    pub fn varies(&self, i: usize) -> bool {
        self.graph.value(self.node.inputs[i]).varies
    }

    /// The number of examples that the node's result holds: 1 if it depends on parameters alone.
    pub fn examples(&self) -> usize {
        if self.graph.value(self.node.output).varies { self.batch } else { 1 }
    }

    /// The number of examples that operand `i` holds.
    pub fn operand_examples(&self, i: usize) -> usize {
        if self.varies(i) { self.batch } else { 1 }
    }

    /// Operand `i` with the batch as an axis of its own, aligned from the right to `rank` axes after it.
    pub fn extended(&self, i: usize, rank: usize) -> Result<Shape> {
        extend(self.operand_examples(i), self.shape(i), rank)
    }

    /// The result with the batch as an axis of its own.
    pub fn extended_output(&self) -> Result<Shape> {
        let shape = self.graph.shape(self.node.output);
        extend(self.examples(), shape, shape.rank())
    }

    /// The result's shape for the whole batch.
    pub fn output(&self) -> Result<Shape> {
        self.graph.batched_shape(self.node.output, self.batch)
    }

    /// Operand `i`'s shape for the whole batch.
    pub fn operand(&self, i: usize) -> Result<Shape> {
        self.graph.batched_shape(self.node.inputs[i], self.batch)
    }

    /// Operand `i` as `[rows, channels, inner]`.
    pub fn channels(&self, i: usize) -> Result<Span> {
        let shape = self.operand(i)?;
        Ok(Span { outer: shape[0], n: shape[1], inner: shape.inner(1) })
    }
}

fn extend(examples: usize, shape: Shape, rank: usize) -> Result<Shape> {
    let mut sizes = alloc::vec![1; rank + 1];
    sizes[0] = examples;
    sizes[rank + 1 - shape.rank()..].copy_from_slice(&shape);
    Shape::new(&sizes)
}

/// Emits the forward steps of a node on operands `x`.
pub(crate) fn forward(c: &Context<'_>, e: &mut Emitter, x: &[Slot]) -> Result<Run> {
    let output = match &c.node.op {
        Op::Conv(a) => conv::forward(a, c, e, x)?,
        Op::ConvTranspose(t) => conv::forward_transpose(&t.conv, c, e, x)?,
        Op::BatchNormalization { epsilon } => normalization::forward_batch(*epsilon, c, e, x)?,
        Op::GroupNormalization { .. } | Op::LayerNormalization { .. } => {
            return normalization::forward(c, e, x);
        }
        Op::Pointwise(f) => e.map(*f, x[0]),
        Op::PRelu => elementwise::forward_prelu(c, e, x)?,
        Op::MaxPool(_) | Op::Reduce { reduction: Reduction::Max, .. } => return pool::forward_max(c, e, x),
        Op::AveragePool(a) => pool::forward_average(a, c, e, x)?,
        Op::Reduce { reduction, axes, .. } => reduce::forward(*reduction, axes, c, e, x)?,
        Op::Gemm(_) | Op::MatMul => matrix::forward(c, e, x)?,
        Op::Binary(b) => elementwise::forward(*b, c, e, x)?,
        Op::Concat { axis } => shaping::forward_concat(*axis, c, e, x)?,
        Op::Reshape { .. } | Op::Identity => e.reshape(x[0], c.output()?),
        Op::Transpose { permutation } => shaping::forward_transpose(permutation, c, e, x)?,
        Op::Slice { axes } => shaping::forward_slice(axes, c, e, x)?,
        Op::Pad { .. } => shaping::forward_pad(c, e, x)?,
        Op::Resize { taps } => resize::forward(taps, c, e, x)?,
        Op::Expand { .. } => {
            let from = c.extended(0, c.graph.shape(c.node.output).rank())?;
            reduce::expand(e, x[0], from, c.extended_output()?, c.output()?)
        }
        Op::Softmax { axis } => softmax::forward(*axis, false, c, e, x)?,
        Op::LogSoftmax { axis } => softmax::forward(*axis, true, c, e, x)?,
    };
    Ok(Run { inputs: x.to_vec(), output, auxiliary: Vec::new() })
}

/// Emits the vector-Jacobian product of a node at `run` for the cotangent `g` of its result; entry `i` is `Some` where
/// `wanted[i]`.
pub(crate) fn vjp(
    c: &Context<'_>,
    e: &mut Emitter,
    run: &Run,
    g: Slot,
    wanted: &[bool],
) -> Result<Vec<Option<Slot>>> {
    let single = match &c.node.op {
        Op::Conv(a) => return conv::vjp(a, c, e, run, g, wanted),
        Op::ConvTranspose(t) => return conv::vjp_transpose(&t.conv, c, e, run, g, wanted),
        Op::BatchNormalization { epsilon } => {
            return normalization::vjp_batch(*epsilon, c, e, run, g, wanted);
        }
        Op::GroupNormalization { .. } | Op::LayerNormalization { .. } => {
            return normalization::vjp(c, e, run, g, wanted);
        }
        Op::PRelu => return elementwise::vjp_prelu(c, e, run, g, wanted),
        Op::Gemm(_) | Op::MatMul => return matrix::vjp(c, e, run, g, wanted),
        Op::Binary(b) => return elementwise::vjp(*b, c, e, run, g, wanted),
        Op::Concat { axis } => return shaping::vjp_concat(*axis, c, e, g, wanted),
        Op::Pointwise(f) => pointwise::vjp(*f, e, run, g),
        Op::MaxPool(_) | Op::Reduce { reduction: Reduction::Max, .. } => {
            Selection::of(c)?.scatter(e, g, run.auxiliary[0])
        }
        Op::AveragePool(a) => pool::vjp_average(a, c, e, g)?,
        Op::Reduce { reduction, axes, .. } => reduce::vjp(*reduction, axes, c, e, g)?,
        Op::Reshape { .. } | Op::Identity => e.reshape(g, c.operand(0)?),
        Op::Transpose { permutation } => shaping::vjp_transpose(permutation, c, e, g)?,
        Op::Slice { axes } => shaping::vjp_slice(axes, c, e, g)?,
        Op::Pad { .. } => shaping::vjp_pad(c, e, g)?,
        Op::Resize { taps } => resize::vjp(taps, c, e, g)?,
        Op::Expand { .. } => {
            let to = c.extended(0, c.graph.shape(c.node.output).rank())?;
            reduce::collapse(e, g, c.extended_output()?, to, c.operand(0)?)
        }
        Op::Softmax { axis } => softmax::vjp(*axis, false, c, e, run, g)?,
        Op::LogSoftmax { axis } => softmax::vjp(*axis, true, c, e, run, g)?,
    };
    Ok(alloc::vec![wanted[0].then_some(single)])
}

/// Emits the vector-Jacobian product of a normalisation whose scale is taken as a constant.
pub(crate) fn frozen_vjp(c: &Context<'_>, e: &mut Emitter, run: &Run, g: Slot) -> Result<Slot> {
    normalization::frozen_vjp(c, e, run, g)
}

/// Emits the divided difference of a pointwise node between two runs, times `g`.
pub(crate) fn slope(c: &Context<'_>, e: &mut Emitter, run: &Run, reference: &Run, g: Slot) -> Result<Slot> {
    slope_between(c, e, run, [g, run.inputs[0], reference.inputs[0]])
}

/// As [`slope`], between any two points: `[g, x, r]`.
pub(crate) fn slope_between(
    c: &Context<'_>,
    e: &mut Emitter,
    run: &Run,
    operands: [Slot; 3],
) -> Result<Slot> {
    match &c.node.op {
        Op::Pointwise(f) => {
            let shape = e.shape(operands[0]);
            Ok(e.emit(Kernel::MapSlope(*f), &operands, shape))
        }
        Op::PRelu => elementwise::slope_prelu(c, e, run, operands),
        op => Err(Error::internal(alloc::format!("{} is not pointwise", op.kind()))),
    }
}

/// Emits the multipliers of a node between two runs by its decomposition into parts with closed divided differences.
pub(crate) fn decomposed_slope(
    c: &Context<'_>,
    e: &mut Emitter,
    runs: [&Run; 2],
    g: Slot,
    wanted: &[bool],
) -> Result<Vec<Option<Slot>>> {
    let single = match &c.node.op {
        Op::GroupNormalization { .. } | Op::LayerNormalization { .. } => normalization::slope(c, e, runs, g)?,
        Op::Softmax { axis } => softmax::slope(*axis, false, c, e, runs, g)?,
        Op::LogSoftmax { axis } => softmax::slope(*axis, true, c, e, runs, g)?,
        Op::Binary(Binary::Div) => return elementwise::slope_div(c, e, runs, g, wanted),
        op => return Err(Error::unsupported(alloc::format!("{} has no decomposition", op.kind()))),
    };
    let mut out = alloc::vec![None; wanted.len()];
    out[0] = wanted[0].then_some(single);
    Ok(out)
}
