//! A node written as another.

use super::{Place, is_hidden};
use crate::compose::parameter;
use voxplain_graph::ops::Binary;
use voxplain_graph::{Graph, GraphBuilder, Node, Op, Parameter, ValueId};
use voxplain_tensor::{Error, Result};

/// A hidden layer with at least two channels, whose parameters are known.
pub(super) fn is_divisible(graph: &Graph, node: &Node) -> bool {
    is_hidden(graph, node) && parameters(graph, node).is_some_and(|list| list[0].shape[0] > 1)
}

/// Weight and bias.
fn parameters<'g>(graph: &'g Graph, node: &Node) -> Option<Vec<&'g Parameter>> {
    node.inputs[1..].iter().map(|&v| parameter(graph, v).map(|(_, p)| p)).collect()
}

fn known<'g>(place: &Place<'g>) -> Result<Vec<&'g Parameter>> {
    parameters(place.graph, place.node).ok_or_else(|| Error::internal("a layer without parameters"))
}

/// The first half of the channels from one layer, the rest from another, joined.
pub(super) fn grouped(b: &mut GraphBuilder, place: &Place<'_>) -> Result<ValueId> {
    let list = known(place)?;
    let channels = list[0].shape[0];
    let mut halves = Vec::new();
    for (k, rows) in [0..channels / 2, channels / 2..channels].into_iter().enumerate() {
        let name = format!("{}.group{k}", place.node.name);
        let mut inputs = vec![place.x[0]];
        for (i, p) in list.iter().enumerate() {
            let inner = p.shape.inner(0);
            let data = p.data[rows.start * inner..rows.end * inner].to_vec();
            inputs.push(b.parameter(&format!("{name}.{i}"), &p.shape.with(0, rows.len())?, data)?);
        }
        halves.push(b.node(&name, place.node.op.clone(), &inputs)?);
    }
    b.node(&place.node.name, Op::Concat { axis: 1 }, &halves)
}

/// A hidden convolution along one axis with steps of 1 and neighbouring taps.
pub(super) fn is_a_matrix(graph: &Graph, node: &Node) -> bool {
    let plain = match &node.op {
        Op::Conv(a) => a.strides == [1] && a.dilations == [1],
        _ => false,
    };
    plain && is_hidden(graph, node) && parameters(graph, node).is_some()
}

/// The input as one row, a linear layer with every tap at its place, and back.
pub(super) fn dense(b: &mut GraphBuilder, place: &Place<'_>) -> Result<ValueId> {
    let (list, name) = (known(place)?, |part: &str| format!("{}.{part}", place.node.name));
    let (from, to) = (place.graph.shape(place.node.inputs[0]), place.graph.shape(place.node.output));
    let pad = if let Op::Conv(a) = &place.node.op { a.pads_begin[0] } else { 0 };
    let sizes = [to[1] * to[2], from[1] * from[2]];
    let weight = b.parameter(&name("matrix"), &sizes, matrix(list[0], from[2], to[2], pad))?;
    let bias = match list.get(1) {
        Some(bias) => {
            let data: Vec<f32> = bias.data.iter().flat_map(|&v| vec![v; to[2]]).collect();
            Some(b.parameter(&name("biases"), &[sizes[0]], data)?)
        }
        None => None,
    };
    let row = b.node(&name("row"), Op::Reshape { sizes: vec![1, sizes[1]] }, &[place.x[0]])?;
    let product = b.linear(&name("product"), row, weight, bias)?;
    b.node(&place.node.name, Op::Reshape { sizes: to.to_vec() }, &[product])
}

/// Row `(o, j)`, column `(c, i)`: the tap that input i of channel c meets at output j of channel o.
fn matrix(weight: &Parameter, width: usize, positions: usize, pad: usize) -> Vec<f32> {
    let [channels, taps] = [weight.shape[1], weight.shape[2]];
    let entry = |o: usize, j: usize, c: usize, i: usize| {
        let tap = (i + pad).checked_sub(j).filter(|&t| t < taps);
        tap.map_or(0.0, |t| weight.data[(o * channels + c) * taps + t])
    };
    let columns = |o: usize, j: usize| {
        (0..channels).flat_map(move |c| (0..width).map(move |i| (c, i))).map(move |(c, i)| entry(o, j, c, i))
    };
    let rows = (0..weight.shape[0]).flat_map(|o| (0..positions).map(move |j| (o, j)));
    rows.flat_map(|(o, j)| columns(o, j).collect::<Vec<f32>>()).collect()
}

/// A sum of two operands.
pub(super) fn is_a_sum(_: &Graph, node: &Node) -> bool {
    matches!(node.op, Op::Binary(Binary::Add))
}

/// `b + a` for `a + b`.
pub(super) fn exchanged(b: &mut GraphBuilder, place: &Place<'_>) -> Result<ValueId> {
    b.node(&place.node.name, place.node.op.clone(), &[place.x[1], place.x[0]])
}
