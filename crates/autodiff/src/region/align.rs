//! Where boxes may begin. Tiles of Winograd's filtering are counted from the first output of the image, so a box of a
//! convolution's results must begin on a tile to have the same bits; transposed convolutions and resizings repeat their
//! pattern; and a box whose result goes into windows side by side begins on a window, so that the pooling can be joined.

use alloc::vec;
use alloc::vec::Vec;
use voxplain_graph::{Graph, Node, Op, Origin, ValueId};

/// Wishes beyond this are not worth the larger boxes.
const MOST: usize = 16;

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn common(a: usize, b: usize) -> usize {
    a / gcd(a, b) * b
}

/// What the boxes of a node's result must begin at a multiple of.
fn required(graph: &Graph, node: &Node, axis: usize, tile: [usize; 3]) -> usize {
    let tiled = |stride: usize| tiled(graph, node, axis, stride, tile);
    match &node.op {
        Op::Conv(a) if axis >= 2 => tiled(a.strides[axis - 2]),
        Op::ConvTranspose(t) if axis >= 2 => {
            let stride = t.conv.strides[axis - 2];
            common(stride, tiled(stride))
        }
        Op::Resize { taps } => match &taps[axis] {
            Some(taps) => {
                let from = graph.shape(node.inputs[0])[axis];
                if taps.len() % from == 0 { taps.len() / from } else { 1 }
            }
            None => 1,
        },
        _ => 1,
    }
}

fn tiled(graph: &Graph, node: &Node, axis: usize, stride: usize, tile: [usize; 3]) -> usize {
    let kernel = graph.shape(node.inputs[1]);
    // Axes of an image are the last ones: one of two dimensions has no depth.
    let along = 3 + axis - kernel.rank();
    match kernel[axis] {
        3 if stride == 1 => tile[along],
        // Wider kernels have tiles of two at most, under any step, and none along depth.
        4.. if along > 0 => tile[along].min(2),
        _ => 1,
    }
}

/// Per node and axis: the outputs of a convolution that share their rounding, all of which change with one of them; 1 where
/// every output is made of the data under its kernel alone, as it is with tiles of two.
pub(super) fn sharing(graph: &Graph, tile: [usize; 3]) -> Vec<Vec<usize>> {
    let along = |node: &Node, axis: usize| {
        let stride = match &node.op {
            Op::Conv(a) if axis >= 2 => a.strides[axis - 2],
            Op::ConvTranspose(t) if axis >= 2 => t.conv.strides[axis - 2],
            _ => return 1,
        };
        let tile = tiled(graph, node, axis, stride, tile);
        if tile > 2 { tile } else { 1 }
    };
    let axes = |node: &Node| (0..graph.shape(node.output).rank()).map(|axis| along(node, axis)).collect();
    graph.nodes().iter().map(axes).collect()
}

/// Whether a node takes each entry of its only operand that varies, one by one or in windows side by side, so that the box
/// of its result follows from the operand's: the factors along the axes.
pub(super) fn following(graph: &Graph, node: &Node) -> Option<Vec<usize>> {
    let rank = graph.shape(node.output).rank();
    let is_input = matches!(graph.value(node.inputs[0]).origin, Origin::Input(_));
    match &node.op {
        _ if is_input => None,
        Op::Pointwise(_) | Op::Identity => Some(vec![1; rank]),
        Op::BatchNormalization { .. } if has_all_channels(graph, node.inputs[0]) => Some(vec![1; rank]),
        Op::MaxPool(a) | Op::AveragePool(a) => {
            let x = graph.shape(node.inputs[0]);
            let apart = |i: usize| {
                let plain = a.strides[i] == a.kernel[i] && a.dilations[i] == 1;
                let whole = graph.shape(node.output)[i + 2] == x[i + 2] / a.kernel[i];
                plain && whole && a.pads_begin[i] == 0 && a.pads_end[i] == 0
            };
            let factors = [1, 1].iter().chain(&a.kernel).copied().collect();
            (0..a.kernel.len()).all(apart).then_some(factors)
        }
        _ => None,
    }
}

/// Whether every box of a value has all channels.
fn has_all_channels(graph: &Graph, value: ValueId) -> bool {
    let Origin::Node(id) = graph.value(value).origin else { return false };
    let node = graph.node(id);
    match &node.op {
        Op::Conv(_) | Op::ConvTranspose(_) => true,
        Op::Pointwise(_)
        | Op::Identity
        | Op::BatchNormalization { .. }
        | Op::MaxPool(_)
        | Op::AveragePool(_) => has_all_channels(graph, node.inputs[0]),
        _ => false,
    }
}

/// Per value and axis: what boxes begin at multiples of, where convolutions compute `tile` outputs together.
pub(super) fn alignments(graph: &Graph, tile: [usize; 3]) -> Vec<Vec<usize>> {
    let mut wished: Vec<Vec<usize>> = graph.values().iter().map(|v| vec![1; v.shape.rank()]).collect();
    for node in graph.nodes().iter().rev() {
        let own = |(axis, &wish): (usize, &usize)| {
            let required = required(graph, node, axis, tile);
            let all = common(required, wish);
            if all > MOST { required } else { all }
        };
        let output = node.output.index();
        let all: Vec<usize> = wished[output].iter().enumerate().map(own).collect();
        if let Some(factors) = following(graph, node) {
            let below = &mut wished[node.inputs[0].index()];
            for axis in 0..below.len() {
                below[axis] = common(below[axis], factors[axis] * all[axis]);
            }
        }
        wished[output] = all;
    }
    wished
}
