//! Where boxes may begin. Tiles of Winograd's filtering are counted from the first output of the image, so a box of a
//! convolution's results must begin on a tile to have the same bits; transposed convolutions and resizings repeat their
//! pattern; and a box whose result goes into windows side by side begins on a window, so that the pooling can be joined.

use alloc::vec;
use alloc::vec::Vec;
use voxplain_graph::{Graph, Node, Op, Origin, ValueId};

/// Outputs of a tile along a transformed axis.
const TILE: usize = 2;
/// Wishes beyond this are not worth the larger boxes.
const MOST: usize = 16;

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn common(a: usize, b: usize) -> usize {
    a / gcd(a, b) * b
}

/// What the boxes of a node's result must begin at a multiple of.
fn required(graph: &Graph, node: &Node, axis: usize) -> usize {
    match &node.op {
        Op::Conv(a) if axis >= 2 => tile(graph, node, axis, a.strides[axis - 2]),
        Op::ConvTranspose(t) if axis >= 2 => {
            let stride = t.conv.strides[axis - 2];
            common(stride, tile(graph, node, axis, stride))
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

fn tile(graph: &Graph, node: &Node, axis: usize, stride: usize) -> usize {
    if stride == 1 && graph.shape(node.inputs[1])[axis] == 3 { TILE } else { 1 }
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

/// Per value and axis: what boxes begin at multiples of.
pub(super) fn alignments(graph: &Graph) -> Vec<Vec<usize>> {
    let mut wished: Vec<Vec<usize>> = graph.values().iter().map(|v| vec![1; v.shape.rank()]).collect();
    for node in graph.nodes().iter().rev() {
        let own = |(axis, &wish): (usize, &usize)| {
            let required = required(graph, node, axis);
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
