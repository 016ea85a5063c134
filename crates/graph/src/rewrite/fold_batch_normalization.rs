//! Folds batch normalisation with stored statistics into the convolution or linear layer before it.

use crate::graph::{Graph, NodeId, Origin, Parameter, ValueId};
use crate::{GraphBuilder, Op};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use voxplain_tensor::{Error, Result};

/// A graph in which every `Conv -> BatchNormalization` (and linear layer with bias-shaped output) whose first output has
/// no other use is one node: `W' = W s`, `b' = (b - mean) s + beta`, `s = gamma / sqrt(variance + epsilon)`, computed in
/// double precision and rounded once. The folded node has the name of the normalisation, whose value it computes.
///
/// Folding is exact for gradients, Guided BackProp, Deconvolution, IG and DeepLift Rescale, and changes LRP rules other
/// than LRP-0; it is therefore recorded in [`Graph::rewrites`].
///
/// # Errors
/// A folded weight is not finite (a variance below `-epsilon`).
pub fn fold_batch_normalization(graph: &Graph) -> Result<Graph> {
    let mut uses = vec![0usize; graph.values().len()];
    graph.nodes().iter().flat_map(|n| &n.inputs).chain(graph.outputs()).for_each(|v| uses[v.index()] += 1);
    let folded = |id: NodeId| {
        let node = graph.node(id);
        let next = graph
            .nodes()
            .iter()
            .position(|n| matches!(n.op, Op::BatchNormalization { .. }) && n.inputs[0] == node.output);
        let fits = match &node.op {
            Op::Conv(_) => true,
            Op::Gemm(g) => *g == linear_attributes() && bias_is_a_vector(graph, node),
            _ => false,
        };
        next.filter(|_| fits && uses[node.output.index()] == 1)
    };
    let mut builder = GraphBuilder::new();
    let mut map = copy_leaves(graph, &mut builder)?;
    let mut count = 0;
    for at in 0..graph.nodes().len() {
        let node = &graph.nodes()[at];
        if map[node.output.index()].is_some() {
            continue;
        }
        if let Some(next) = folded(NodeId(at)) {
            let value = fold(graph, NodeId(at), NodeId(next), &mut builder, &map)?;
            map[node.output.index()] = Some(value);
            map[graph.nodes()[next].output.index()] = Some(value);
            count += 1;
        } else {
            let inputs = mapped(&node.inputs, &map)?;
            map[node.output.index()] = Some(builder.node(&node.name, node.op.clone(), &inputs)?);
        }
    }
    graph.rewrites().iter().for_each(|r| builder.record(r.clone()));
    if count > 0 {
        builder.record(format!("fold_batch_normalization ({count} nodes)"));
    }
    builder.finish(&mapped(graph.outputs(), &map)?)
}

fn linear_attributes() -> crate::ops::GemmAttributes {
    crate::ops::GemmAttributes { alpha: 1.0, beta: 1.0, transpose_a: false, transpose_b: true }
}

fn bias_is_a_vector(graph: &Graph, node: &crate::Node) -> bool {
    node.inputs.get(2).is_none_or(|&b| graph.shape(b).elements() == graph.shape(node.output)[1])
}

fn copy_leaves(graph: &Graph, builder: &mut GraphBuilder) -> Result<Vec<Option<ValueId>>> {
    let mut map = vec![None; graph.values().len()];
    for (i, value) in graph.values().iter().enumerate() {
        map[i] = match value.origin {
            Origin::Input(_) => Some(builder.input(&value.name, &value.shape)?),
            Origin::Parameter(p) => {
                Some(builder.parameter(&value.name, &value.shape, graph.parameters()[p].data.clone())?)
            }
            Origin::Node(_) => None,
        };
    }
    Ok(map)
}

fn mapped(values: &[ValueId], map: &[Option<ValueId>]) -> Result<Vec<ValueId>> {
    let missing = || Error::internal("a rewrite met a value before the node that makes it");
    values.iter().map(|v| map[v.index()].ok_or_else(missing)).collect()
}

fn parameter(graph: &Graph, value: ValueId) -> Result<&Parameter> {
    match graph.value(value).origin {
        Origin::Parameter(p) => Ok(&graph.parameters()[p]),
        _ => Err(Error::internal("a weight is not a parameter")),
    }
}

fn fold(
    graph: &Graph,
    first: NodeId,
    second: NodeId,
    builder: &mut GraphBuilder,
    map: &[Option<ValueId>],
) -> Result<ValueId> {
    let (node, norm) = (graph.node(first), graph.node(second));
    let Op::BatchNormalization { epsilon } = norm.op else {
        return Err(Error::internal("not a normalisation"));
    };
    let get = |i: usize| parameter(graph, norm.inputs[i]);
    let (gamma, beta, mean, variance) = (get(1)?, get(2)?, get(3)?, get(4)?);
    let weight = parameter(graph, node.inputs[1])?;
    let bias = node.inputs.get(2).map(|&b| parameter(graph, b)).transpose()?;
    let channels = weight.shape[0];
    let per_channel = weight.shape.elements() / channels;
    let mut weights = Vec::with_capacity(weight.data.len());
    let mut biases = Vec::with_capacity(channels);
    for c in 0..channels {
        let s = f64::from(gamma.data[c]) / square_root(f64::from(variance.data[c]) + epsilon);
        let row = &weight.data[c * per_channel..(c + 1) * per_channel];
        weights.extend(row.iter().map(|&w| (f64::from(w) * s) as f32));
        let b = bias.map_or(0.0, |b| f64::from(b.data[c]));
        biases.push(((b - f64::from(mean.data[c])) * s + f64::from(beta.data[c])) as f32);
    }
    let weight = builder.parameter(&format!("{}.folded_weight", norm.name), &weight.shape, weights)?;
    let bias = builder.parameter(&format!("{}.folded_bias", norm.name), &[channels], biases)?;
    let x = mapped(&node.inputs[..1], map)?[0];
    builder.node(&norm.name, node.op.clone(), &[x, weight, bias])
}

/// Square root without the standard library: Newton's iteration from an estimate by halving the exponent; correct to
/// one unit in the last place. Negative numbers give NaN.
fn square_root(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() || x < 0.0 {
        return if x < 0.0 { f64::NAN } else { x };
    }
    let mut root = f64::from_bits((x.to_bits() >> 1) + (1023u64 << 51));
    for _ in 0..6 {
        root = 0.5 * (root + x / root);
    }
    root
}

#[cfg(test)]
mod tests {
    extern crate std;

    #[test]
    fn square_root_agrees_with_the_standard_library() {
        for i in 1..2000 {
            let x = f64::from(i) * f64::from(i) * 1.7e-5;
            assert!((super::square_root(x) - x.sqrt()).abs() <= x.sqrt() * 3e-16, "{x}");
        }
    }
}
