//! The operator that computes a part of a node's result from the part of its operand that it reads.

use super::place::{Part, PlacedTap};
use super::reach::{Reach, Taps};
use alloc::vec::Vec;
use voxplain_graph::ops::{AxisTap, ConvAttributes, ConvTransposeAttributes, PoolAttributes, SliceAxis};
use voxplain_graph::{Graph, Node, Op};

/// The operator of `node` for `part`, whose first operand has the sizes `operand`. Along axes that are made whole it is what
/// it was; along the others paddings, offsets and taps are gone, because the operand was cut out to fit.
pub(super) fn partial(graph: &Graph, node: &Node, part: &Part, operand: &[usize]) -> Op {
    let whole = &part.whole;
    match &node.op {
        Op::Conv(a) => Op::Conv(without_pads(a, whole)),
        Op::ConvTranspose(t) => {
            let kernel = &graph.shape(node.inputs[1])[2..];
            Op::ConvTranspose(transposed(t, kernel, part, operand))
        }
        Op::MaxPool(a) => Op::MaxPool(pool(a, whole)),
        Op::AveragePool(a) => Op::AveragePool(pool(a, whole)),
        Op::Reshape { .. } => Op::Reshape { sizes: part.sizes.clone() },
        Op::Expand { .. } => Op::Expand { sizes: part.sizes.clone() },
        Op::Slice { axes } => {
            let one = |(a, s): (usize, &SliceAxis)| {
                let count = part.sizes[a];
                let begin = if s.step > 0 { 0 } else { (count - 1) * s.step.unsigned_abs() };
                if whole[a] { *s } else { SliceAxis { begin, step: s.step, count } }
            };
            Op::Slice { axes: axes.iter().enumerate().map(one).collect() }
        }
        Op::Pad { mode, before, after, value } => {
            let kept =
                |pads: &[isize]| pads.iter().zip(whole).map(|(&p, &w)| if w { p } else { 0 }).collect();
            Op::Pad { mode: *mode, before: kept(before), after: kept(after), value: *value }
        }
        Op::Resize { taps } => {
            let placed = |taps: &Vec<PlacedTap>| taps.iter().map(tap).collect();
            let one = |(own, part): (&Option<Vec<AxisTap>>, &Option<Vec<PlacedTap>>)| {
                part.as_ref().map(placed).or_else(|| own.clone())
            };
            Op::Resize { taps: taps.iter().zip(&part.taps).map(one).collect() }
        }
        other => other.clone(),
    }
}

fn tap((at, weight): &PlacedTap) -> AxisTap {
    AxisTap { at: at.map(isize::unsigned_abs), weight: weight.map(f64::from_bits) }
}

fn without_pads(a: &ConvAttributes, whole: &[bool]) -> ConvAttributes {
    let kept = |pads: &[usize]| spatial(pads, whole);
    ConvAttributes { pads_begin: kept(&a.pads_begin), pads_end: kept(&a.pads_end), ..a.clone() }
}

/// The pads of the spatial axes that are made whole, and 0 for the others.
fn spatial(pads: &[usize], whole: &[bool]) -> Vec<usize> {
    pads.iter().zip(&whole[2..]).map(|(&p, &w)| if w { p } else { 0 }).collect()
}

fn pool(a: &PoolAttributes, whole: &[bool]) -> PoolAttributes {
    PoolAttributes {
        pads_begin: spatial(&a.pads_begin, whole),
        pads_end: spatial(&a.pads_end, whole),
        // Where nothing is left over, rounding up says the same.
        ..a.clone()
    }
}

/// Pads crop the result of a transposed convolution: those of a part are what its first operand entry reaches in front of
/// it. Parts begin at multiples of the stride, so that this is the same for all.
fn transposed(
    t: &ConvTransposeAttributes,
    kernel: &[usize],
    part: &Part,
    operand: &[usize],
) -> ConvTransposeAttributes {
    let mut made = t.clone();
    for (i, &kernel) in kernel.iter().enumerate().filter(|(i, _)| !part.whole[i + 2]) {
        let (stride, dilation) = (t.conv.strides[i], t.conv.dilations[i]);
        let (size, from) = (part.sizes[i + 2], operand[i + 2]);
        let taps = Taps {
            kernel: kernel as isize,
            stride: stride as isize,
            dilation: dilation as isize,
            pad: t.conv.pads_begin[i] as isize,
        };
        let first = Reach::Spread(taps).needs((0, size as isize)).0;
        let begin = (taps.pad - first * taps.stride).max(0) as usize;
        let full = (from.max(1) - 1) * stride + (kernel - 1) * dilation + 1;
        made.conv.pads_begin[i] = begin;
        made.conv.pads_end[i] = full.saturating_sub(begin + size);
        made.output_padding[i] = (begin + size).saturating_sub(full);
    }
    made
}
