//! The same network with other weights, so that what it computes changes in a known way, or not at all.

use crate::compose::{first_weights, parameter, readers, scale_slice, weights};
use voxplain_graph::ops::{Pointwise, Reduction};
use voxplain_graph::{Graph, Node, Op, ValueId};
use voxplain_tensor::Result;

/// Where a modality lies: the graph input and its channel.
pub type Channel = (usize, usize);

/// Every channel of every input.
pub fn channels(graph: &Graph) -> Vec<Channel> {
    let of =
        |(i, &v): (usize, &ValueId)| (0..graph.shape(v).get(1).copied().unwrap_or(1)).map(move |c| (i, c));
    graph.inputs().iter().enumerate().flat_map(of).collect()
}

/// The entries of a channel in an input's row-major values.
pub fn entries(graph: &Graph, (input, channel): Channel) -> core::ops::Range<usize> {
    let inner = graph.shape(graph.inputs()[input]).inner(1);
    channel * inner..(channel + 1) * inner
}

/// The network whose first weights of an input were edited: `edit` gets the values of every weight that reads it, and how
/// many of them a channel has in a row. `None` where something else than a convolution or a linear layer reads the input, or
/// where several channels are read as one row.
fn with_first_weights(
    graph: &Graph,
    input: usize,
    edit: impl Fn(&mut [f32], usize),
) -> Result<Option<Graph>> {
    let value = graph.inputs()[input];
    let Some(list) = first_weights(graph, value) else { return Ok(None) };
    let mut values = weights(graph);
    for p in list {
        let shape = graph.parameters()[p].shape;
        if shape[1] != graph.shape(value)[1] {
            return Ok(None);
        }
        let inner = shape.inner(1);
        values[p].chunks_mut(shape[1] * inner).for_each(|row| edit(row, inner));
    }
    graph.with_parameters(&values).map(Some)
}

/// The network with every first weight of a channel multiplied by `factor`: by 0 it no longer sees the channel. `None` where
/// something else than a convolution or a linear layer reads the input, or where several channels are read as one row.
///
/// # Errors
/// None but faults of this crate.
pub fn scale_channel(graph: &Graph, (input, channel): Channel, factor: f32) -> Result<Option<Graph>> {
    with_first_weights(graph, input, |row, inner| {
        row[channel * inner..(channel + 1) * inner].iter_mut().for_each(|w| *w *= factor);
    })
}

/// The network that sees channel `a` where this one sees `b` and the other way round: of one input by its first weights, of
/// two inputs that each have one channel by the caller (see [`crate::compose::combined`]).
///
/// # Errors
/// None but faults of this crate.
pub fn swap_channels(graph: &Graph, input: usize, a: usize, b: usize) -> Result<Option<Graph>> {
    with_first_weights(graph, input, |row, inner| {
        (0..inner).for_each(|k| row.swap(a * inner + k, b * inner + k));
    })
}

/// The network that reads channel `b` of an input by the first weights of channel `a`, so that it treats both alike. `None` as in
/// [`scale_channel`].
///
/// # Errors
/// None but faults of this crate.
pub fn tie_channels(graph: &Graph, input: usize, a: usize, b: usize) -> Result<Option<Graph>> {
    with_first_weights(graph, input, |row, inner| {
        row.copy_within(a * inner..(a + 1) * inner, b * inner);
    })
}

/// A neuron (a channel of a layer) that can be rescaled: what makes it linear in its own parameters, and the weights that
/// read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neuron {
    /// The layer's name.
    pub layer: String,
    /// Its channel.
    pub channel: usize,
    /// Parameters that are multiplied, with the axis of the channel.
    above: Vec<(usize, usize)>,
    /// Parameters that are divided, with the axis of the channel and how many neighbours belong to it.
    below: Vec<(usize, usize, usize)>,
}

/// One neuron of every layer that is followed, through rectifiers and pooling, by another layer alone.
pub fn neurons(graph: &Graph) -> Vec<Neuron> {
    graph.nodes().iter().filter_map(|node| neuron(graph, node)).collect()
}

/// The parameters of a layer that its output is linear in: weight and bias, or scale and bias of a normalisation.
fn linear_in(graph: &Graph, node: &Node) -> Option<Vec<(usize, usize)>> {
    let fits = match &node.op {
        Op::Conv(_) | Op::BatchNormalization { .. } | Op::GroupNormalization { .. } => true,
        op => *op == Op::linear(),
    };
    let own: Option<Vec<_>> =
        node.inputs.iter().skip(1).take(2).map(|&v| parameter(graph, v).map(|(p, _)| (p, 0))).collect();
    let channels = graph.shape(node.output).get(1).copied()?;
    let per_channel =
        |list: &Vec<(usize, usize)>| list.iter().all(|&(p, _)| graph.parameters()[p].shape[0] == channels);
    own.filter(|list| fits && !list.is_empty() && per_channel(list))
}

fn neuron(graph: &Graph, node: &Node) -> Option<Neuron> {
    let above = linear_in(graph, node)?;
    let used_once = |p: usize| {
        let readers = graph
            .nodes()
            .iter()
            .filter(|n| n.inputs.iter().any(|&v| parameter(graph, v).is_some_and(|(q, _)| q == p)));
        readers.count() == 1
    };
    let mut value = node.output;
    let mut spread = 1;
    loop {
        if graph.outputs().contains(&value) {
            return None;
        }
        let [next] = readers(graph, value)[..] else { return None };
        if let Some(below) = reading(graph, next, value, spread) {
            let all = above.iter().map(|a| a.0).chain(below.iter().map(|b| b.0));
            let channel = live_channel(graph, &above);
            return all.clone().all(used_once).then(|| Neuron {
                layer: node.name.clone(),
                channel,
                above,
                below,
            });
        }
        spread *= passes(graph, next)?;
        value = next.output;
    }
}

/// The channel with the largest weights: one that matters.
fn live_channel(graph: &Graph, above: &[(usize, usize)]) -> usize {
    let p = &graph.parameters()[above[0].0];
    let inner = p.shape.inner(0).max(1);
    let mass = |c: usize| p.data[c * inner..(c + 1) * inner].iter().map(|w| f64::from(w.abs())).sum::<f64>();
    (0..p.shape[0]).fold(0, |best, c| if mass(c) > mass(best) { c } else { best })
}

/// The weights of a layer that reads `value`, whose channels are `spread` neighbours each.
fn reading(graph: &Graph, node: &Node, value: ValueId, spread: usize) -> Option<Vec<(usize, usize, usize)>> {
    let fits = match &node.op {
        Op::Conv(a) => a.groups == 1 && spread == 1,
        op => *op == Op::linear(),
    };
    let (weight, _) = parameter(graph, *node.inputs.get(1)?)?;
    (fits && node.inputs[0] == value).then(|| vec![(weight, 1, spread)])
}

/// Whether a node keeps channels apart and is positively homogeneous; if so, how many entries of a row a channel takes up
/// behind it for each before it (more than one behind a flattening).
fn passes(graph: &Graph, node: &Node) -> Option<usize> {
    let spatial = |axes: &[usize]| axes.iter().all(|&a| a >= 2);
    match &node.op {
        Op::Pointwise(Pointwise::Relu | Pointwise::LeakyRelu { .. }) | Op::Identity => Some(1),
        Op::MaxPool(_) | Op::AveragePool(_) | Op::Resize { .. } => Some(1),
        Op::Reduce { reduction: Reduction::Mean | Reduction::Sum | Reduction::Max, axes, .. }
            if spatial(axes) =>
        {
            Some(1)
        }
        Op::Reshape { .. } => {
            let (from, to) = (graph.shape(node.inputs[0]), graph.shape(node.output));
            let flat = to.rank() == 2 && to[0] == 1 && from[0] == 1 && from.rank() >= 2;
            flat.then(|| to[1] / from[1])
        }
        _ => None,
    }
}

/// The network with a neuron multiplied by `factor` and what reads it divided by it: the same function, exactly if `factor`
/// is a power of two.
///
/// # Errors
/// None but faults of this crate.
pub fn rescale(graph: &Graph, neuron: &Neuron, factor: f32) -> Result<Graph> {
    let mut values = weights(graph);
    for &(p, axis) in &neuron.above {
        scale_slice(&mut values[p], &graph.parameters()[p].shape, axis, neuron.channel, factor);
    }
    for &(p, axis, spread) in &neuron.below {
        for k in 0..spread {
            let shape = &graph.parameters()[p].shape;
            scale_slice(&mut values[p], shape, axis, neuron.channel * spread + k, 1.0 / factor);
        }
    }
    graph.with_parameters(&values)
}

/// The network with its last linear layer multiplied by `factor`. `None` where the first output is not that of one.
///
/// # Errors
/// None but faults of this crate.
pub fn scale_output(graph: &Graph, factor: f32) -> Result<Option<Graph>> {
    let last = graph.nodes().iter().find(|n| n.output == graph.outputs()[0]);
    let Some(list) = last.and_then(|n| linear_in(graph, n)) else { return Ok(None) };
    let mut values = weights(graph);
    for (p, _) in list {
        values[p].iter_mut().for_each(|w| *w *= factor);
    }
    graph.with_parameters(&values).map(Some)
}
