//! The first hidden layer that only another layer reads, through rectifiers, with other channels.

use super::{Rewrite, is_hidden};
use crate::compose::{parameter, readers, rewritten};
use voxplain_graph::ops::Pointwise;
use voxplain_graph::{Graph, GraphBuilder, Node, Op, Parameter, ValueId};
use voxplain_tensor::Result;

/// A layer and the one that reads it.
struct Pair<'g> {
    above: &'g Node,
    below: &'g Node,
    rectified: bool,
}

/// The network with its channels split, reordered, or one more that is dead. `None` where there is no such pair of layers;
/// without a rectifier no channel is dead.
pub(super) fn apply(rewrite: Rewrite, graph: &Graph) -> Result<Option<Graph>> {
    let Some(pair) = graph.nodes().iter().find_map(|n| pair(graph, n)) else { return Ok(None) };
    if rewrite == Rewrite::Dead && !pair.rectified {
        return Ok(None);
    }
    rewritten(graph, &mut |b, node, x| {
        if node.name == pair.above.name {
            return above(rewrite, graph, b, pair.above, x).map(Some);
        }
        if node.name == pair.below.name {
            below(rewrite, graph, b, pair.below, x).map(Some)
        } else {
            Ok(None)
        }
    })
    .map(Some)
}

fn pair<'g>(graph: &'g Graph, node: &'g Node) -> Option<Pair<'g>> {
    if !is_hidden(graph, node) || !node.inputs[1..].iter().all(|&v| parameter(graph, v).is_some()) {
        return None;
    }
    let (mut value, mut rectified) = (node.output, false);
    loop {
        let [next] = readers(graph, value)[..] else { return None };
        match &next.op {
            Op::Conv(a) if a.groups == 1 && parameter(graph, next.inputs[1]).is_some() => {
                return Some(Pair { above: node, below: next, rectified });
            }
            Op::Pointwise(Pointwise::Relu) => (value, rectified) = (next.output, true),
            _ => return None,
        }
    }
}

type Rows = Vec<Vec<f32>>;

/// The rows of a parameter, one per channel that it makes.
fn rows(p: &Parameter) -> Rows {
    p.data.chunks(p.shape.inner(0)).map(<[f32]>::to_vec).collect()
}

/// The layer that makes the channels. A dead one has weights of 0 and a bias of -1.
fn above(
    rewrite: Rewrite,
    graph: &Graph,
    b: &mut GraphBuilder,
    node: &Node,
    x: &[ValueId],
) -> Result<ValueId> {
    let mut list: Vec<(Vec<usize>, Rows)> = node.inputs[1..]
        .iter()
        .filter_map(|&v| parameter(graph, v).map(|(_, p)| (p.shape.to_vec(), rows(p))))
        .collect();
    if rewrite == Rewrite::Dead && list.len() == 1 {
        let channels = list[0].1.len();
        list.push((vec![channels], vec![vec![0.0]; channels]));
    }
    let mut inputs = vec![x[0]];
    for (i, (mut sizes, mut rows)) in list.into_iter().enumerate() {
        match rewrite {
            Rewrite::Reordered => rows.reverse(),
            Rewrite::Dead => rows.push(vec![if i == 0 { 0.0 } else { -1.0 }; rows[0].len()]),
            _ => rows.push(rows[0].clone()),
        }
        sizes[0] = rows.len();
        inputs.push(b.parameter(&format!("{}.rewritten{i}", node.name), &sizes, rows.concat())?);
    }
    b.node(&node.name, node.op.clone(), &inputs)
}

/// The layer that reads the channels: a split one with half of the weights, a dead one with 1.
fn below(
    rewrite: Rewrite,
    graph: &Graph,
    b: &mut GraphBuilder,
    node: &Node,
    x: &[ValueId],
) -> Result<ValueId> {
    let Some((_, p)) = parameter(graph, node.inputs[1]) else {
        return b.node(&node.name, node.op.clone(), x);
    };
    let inner = p.shape.inner(1);
    let mut data = Vec::new();
    for row in rows(p) {
        let mut taps: Rows = row.chunks(inner).map(<[f32]>::to_vec).collect();
        match rewrite {
            Rewrite::Reordered => taps.reverse(),
            Rewrite::Dead => taps.push(vec![1.0; inner]),
            _ => {
                taps[0].iter_mut().for_each(|w| *w /= 2.0);
                taps.push(taps[0].clone());
            }
        }
        data.extend(taps.concat());
    }
    let channels = data.len() / (p.shape[0] * inner);
    let weight = b.parameter(&format!("{}.rewritten", node.name), &p.shape.with(1, channels)?, data)?;
    b.node(&node.name, node.op.clone(), &[&[x[0], weight], &x[2..]].concat())
}
