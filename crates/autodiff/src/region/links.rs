//! How the axes of a node's result hang together with those of its operands. An axis without a link mixes everything: any
//! change of the operand changes the whole of the result along the axes that nothing links, and a part of the result reads
//! the whole of the operand along its axes without a link.

use super::reach::{Range, Reach, SAME, Taps};
use alloc::vec::Vec;
use voxplain_graph::ops::{ConvAttributes, PadMode, PoolAttributes};
use voxplain_graph::{Graph, Node, Op};
use voxplain_tensor::Shape;

/// Axis `to` of the result reads axis `from` of the operand, and only it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Link<'g> {
    pub from: usize,
    pub to: usize,
    pub reach: Reach<'g>,
}

impl Link<'_> {
    fn same(from: usize, to: usize) -> Self {
        Link { from, to, reach: SAME }
    }
}

fn axes(range: core::ops::Range<usize>) -> Vec<Link<'static>> {
    range.map(|a| Link::same(a, a)).collect()
}

fn axes_but(rank: usize, without: usize) -> Vec<Link<'static>> {
    (0..rank).filter(|&a| a != without).map(|a| Link::same(a, a)).collect()
}

/// The links of operand `i` of a node. Part of a result along linked axes has the same bits as in the whole result.
pub(super) fn links<'g>(graph: &'g Graph, node: &'g Node, i: usize) -> Vec<Link<'g>> {
    let shape = |i: usize| graph.shape(node.inputs[i]);
    let (x, y) = (shape(i), graph.shape(node.output));
    match &node.op {
        Op::Conv(a) if i == 0 => windows(a, shape(1), Reach::Window),
        Op::ConvTranspose(t) if i == 0 => windows(&t.conv, shape(1), Reach::Spread),
        Op::BatchNormalization { .. } if i == 0 => axes_but(x.rank(), 1),
        Op::GroupNormalization { .. } if i == 0 => axes(0..1),
        Op::LayerNormalization { axis, .. } if i == 0 => axes(0..*axis),
        Op::Pointwise(_) | Op::Identity => axes(0..x.rank()),
        Op::PRelu if i == 0 => {
            let slope = shape(1);
            let own = |a: usize| (a + slope.rank()).checked_sub(x.rank()).is_some_and(|s| slope[s] > 1);
            (0..x.rank()).filter(|&a| !own(a)).map(|a| Link::same(a, a)).collect()
        }
        Op::MaxPool(a) => pool(a, |_| true),
        Op::AveragePool(a) => pool(a, |axis| counts_evenly(a, x, y, axis)),
        // Sums along the axes behind a reduced one may be added in another order.
        Op::Reduce { axes: reduced, .. } => axes(0..reduced[0]),
        Op::Gemm(_) | Op::MatMul if i == 0 => rows(graph, node),
        Op::Binary(_) => binary(graph, node, i),
        Op::Concat { axis } => concat(graph, node, *axis, i),
        Op::Reshape { .. } => reshape(x, y),
        Op::Transpose { permutation } => {
            permutation.iter().enumerate().map(|(to, &from)| Link::same(from, to)).collect()
        }
        Op::Slice { axes } => {
            let step = |(a, s): (usize, &voxplain_graph::ops::SliceAxis)| Link {
                from: a,
                to: a,
                reach: Reach::Step { begin: s.begin as isize, step: s.step },
            };
            axes.iter().enumerate().map(step).collect()
        }
        Op::Pad { mode, before, after, .. } => {
            let linked = |&a: &usize| *mode == PadMode::Constant || before[a] == 0 && after[a] == 0;
            let reach = |a: usize| Reach::Step { begin: -before[a], step: 1 };
            (0..x.rank()).filter(linked).map(|a| Link { from: a, to: a, reach: reach(a) }).collect()
        }
        Op::Resize { taps } => {
            let reach = |a: usize| taps[a].as_deref().map_or(SAME, Reach::Resize);
            (0..x.rank()).map(|a| Link { from: a, to: a, reach: reach(a) }).collect()
        }
        Op::Expand { .. } => {
            let ahead = y.rank() - x.rank();
            (0..x.rank()).filter(|&a| x[a] == y[a + ahead]).map(|a| Link::same(a, a + ahead)).collect()
        }
        Op::Softmax { axis } | Op::LogSoftmax { axis } => axes_but(x.rank(), *axis),
        _ => Vec::new(),
    }
}

/// The axes of a node's result that are always made whole, though they may be linked.
pub(super) fn is_whole(node: &Node, axis: usize) -> bool {
    matches!(&node.op, Op::Concat { axis: joined } if *joined == axis)
}

/// What a node reads where it reads outside of its operand.
pub(super) fn fill(op: &Op) -> f64 {
    match op {
        Op::MaxPool(_) => f64::NEG_INFINITY,
        Op::Pad { value, .. } => *value,
        _ => 0.0,
    }
}

fn windows<'g>(a: &ConvAttributes, w: Shape, reach: fn(Taps) -> Reach<'g>) -> Vec<Link<'g>> {
    let one = |i: usize| Taps {
        kernel: w[i + 2] as isize,
        stride: a.strides[i] as isize,
        dilation: a.dilations[i] as isize,
        pad: a.pads_begin[i] as isize,
    };
    let spatial = (0..w.rank() - 2).map(|i| Link { from: i + 2, to: i + 2, reach: reach(one(i)) });
    core::iter::once(Link::same(0, 0)).chain(spatial).collect()
}

fn pool(a: &PoolAttributes, linked: impl Fn(usize) -> bool) -> Vec<Link<'static>> {
    let one = |i: usize| Taps {
        kernel: a.kernel[i] as isize,
        stride: a.strides[i] as isize,
        dilation: a.dilations[i] as isize,
        pad: a.pads_begin[i] as isize,
    };
    let spatial = (0..a.kernel.len()).filter(|&i| linked(i));
    let spatial = spatial.map(|i| Link { from: i + 2, to: i + 2, reach: Reach::Window(one(i)) });
    axes(0..2).into_iter().chain(spatial).collect()
}

/// Whether an average along a spatial axis divides by as many entries everywhere.
fn counts_evenly(a: &PoolAttributes, x: Shape, y: Shape, i: usize) -> bool {
    let end = (y[i + 2] - 1) * a.strides[i] + (a.kernel[i] - 1) * a.dilations[i] + 1;
    let pads = a.pads_begin[i] + a.pads_end[i];
    (pads == 0 || a.count_include_pad) && end <= x[i + 2] + pads
}

/// The rows of a product with a stored matrix.
fn rows(graph: &Graph, node: &Node) -> Vec<Link<'static>> {
    let info = |i: usize| graph.value(node.inputs[i]);
    let (x, w) = (info(0).shape, info(1));
    let transposed = matches!(&node.op, Op::Gemm(g) if g.transpose_a);
    let beside = node.inputs.get(2).map(|&v| graph.value(v));
    let plain = beside.is_none_or(|c| !c.varies && (c.shape.rank() < 2 || c.shape[0] == 1));
    if w.varies || w.shape.rank() != 2 || transposed || !plain {
        return Vec::new();
    }
    axes(0..x.rank() - 1)
}

/// The axis of an operand that axis `to` of a broadcast result of rank `rank` reads.
fn aligned(shape: Shape, rank: usize, to: usize) -> Option<usize> {
    (to + shape.rank()).checked_sub(rank)
}

/// Axes along which the operand is as large as the result, and no stored operand has entries of its own.
fn binary(graph: &Graph, node: &Node, i: usize) -> Vec<Link<'static>> {
    let y = graph.shape(node.output);
    let stored = |to: usize| {
        let own = |v: &voxplain_graph::ValueId| {
            let info = graph.value(*v);
            !info.varies && aligned(info.shape, y.rank(), to).is_some_and(|a| info.shape[a] > 1)
        };
        node.inputs.iter().any(own)
    };
    let x = graph.shape(node.inputs[i]);
    let link = |to: usize| {
        let from = aligned(x, y.rank(), to).filter(|&a| x[a] == y[to] && !stored(to))?;
        Some(Link::same(from, to))
    };
    (0..y.rank()).filter_map(link).collect()
}

fn concat(graph: &Graph, node: &Node, axis: usize, i: usize) -> Vec<Link<'static>> {
    let shape = |i: usize| graph.shape(node.inputs[i]);
    if node.inputs.iter().any(|&v| !graph.value(v).varies) {
        return Vec::new();
    }
    let offset: usize = (0..i).map(|j| shape(j)[axis]).sum();
    let reach = |a: usize| Reach::Step { begin: if a == axis { -(offset as isize) } else { 0 }, step: 1 };
    (0..shape(i).rank()).map(|a| Link { from: a, to: a, reach: reach(a) }).collect()
}

/// Axes that a change of shape leaves alone: the only ones larger than 1 in a group of axes of as many entries.
fn reshape(x: Shape, y: Shape) -> Vec<Link<'static>> {
    let (mut i, mut j, mut links) = (0, 0, Vec::new());
    while i < x.rank() && j < y.rank() {
        let (mut a, mut b, from, to) = (x[i], y[j], i, j);
        (i, j) = (i + 1, j + 1);
        while a != b {
            if a < b && i < x.rank() {
                a *= x[i];
                i += 1;
            } else if j < y.rank() {
                b *= y[j];
                j += 1;
            } else {
                return Vec::new();
            }
        }
        let large =
            |s: &Shape, range: core::ops::Range<usize>| range.filter(|&k| s[k] > 1).collect::<Vec<_>>();
        if let ([from], [to]) = (&large(&x, from..i)[..], &large(&y, to..j)[..]) {
            links.push(Link::same(*from, *to));
        }
    }
    links
}

/// The range of a result of shape `y` along every axis that a change of an operand in `dirty` reaches; none if it reaches
/// none.
pub(super) fn reached(links: &[Link<'_>], y: Shape, dirty: &[Range]) -> Option<Vec<Range>> {
    let mut out: Vec<Range> = y.iter().map(|&n| (0, n as isize)).collect();
    for link in links {
        let (lo, hi) = link.reach.touched(dirty[link.from]);
        out[link.to] = (lo.max(0), hi.min(out[link.to].1));
        if out[link.to].0 >= out[link.to].1 {
            return None;
        }
    }
    Some(out)
}

/// The entries of an operand of shape `x` that a box of a result reads: along axes that are made whole, all of them.
pub(super) fn needed(links: &[Link<'_>], x: Shape, part: &[Range], whole: &[bool]) -> Vec<Range> {
    let mut out: Vec<Range> = x.iter().map(|&n| (0, n as isize)).collect();
    for link in links.iter().filter(|l| !whole[l.to]) {
        out[link.from] = link.reach.needs(part[link.to]);
    }
    out
}

/// Whether entries of a box of an operand of shape `x` that lie outside of it go to results that lie outside too.
pub(super) fn keeps_outside(links: &[Link<'_>], x: Shape, part: &[Range]) -> bool {
    let same = |a: usize| links.iter().any(|l| l.from == a && l.reach == SAME);
    (0..x.rank()).all(|a| part[a].0 >= 0 && part[a].1 <= x[a] as isize || same(a))
}

/// Whether no link makes a part of axis `a` of the result.
pub(super) fn is_mixed(links: &[Link<'_>], a: usize) -> bool {
    links.iter().all(|l| l.to != a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reshape_keeps_the_axes_that_it_leaves_alone() {
        let of = |x: &[usize], y: &[usize]| {
            let shape = |s: &[usize]| Shape::new(s).unwrap_or_else(|e| panic!("{e}"));
            reshape(shape(x), shape(y)).iter().map(|l| (l.from, l.to)).collect::<Vec<_>>()
        };
        assert_eq!(of(&[25, 256, 1, 1], &[25, 256]), [(0, 0), (1, 1)]);
        assert_eq!(of(&[25, 256], &[1, 25, 256]), [(0, 1), (1, 2)]);
        assert_eq!(of(&[1, 128, 2, 2, 2], &[1, 1024]), []);
        assert_eq!(of(&[1, 5, 3, 8, 8], &[5, 3, 8, 8]), [(1, 0), (2, 1), (3, 2), (4, 3)]);
        assert_eq!(of(&[4, 6, 5], &[24, 5]), [(2, 1)]);
    }
}
