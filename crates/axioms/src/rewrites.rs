//! Other networks that compute the same function.

use crate::compose::{copy, inputs_of, parameter, rewritten};
use voxplain_graph::ops::{Binary, ConvAttributes, Pointwise};
use voxplain_graph::{Graph, GraphBuilder, Node, Op, ValueId};
use voxplain_tensor::Result;

/// A way to write the same function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// Every hidden layer's first channel twice, each with half of the weights that read it.
    Split,
    /// A layer with the identity (and its inverse: a shear and back) behind every hidden layer.
    Factored,
    /// `z = relu(z) - relu(-z)` behind every layer.
    Rectified,
    /// A normalisation with stored statistics behind every layer, whose weights undo it.
    Normalised,
}

impl Rewrite {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Split, Self::Factored, Self::Rectified, Self::Normalised];

    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Split => "neuron split",
            Self::Factored => "layer factored",
            Self::Rectified => "relu(z) - relu(-z)",
            Self::Normalised => "normalisation unfolded",
        }
    }

    /// The other network. `None` where there is nothing to rewrite.
    ///
    /// # Errors
    /// None but faults of this crate.
    pub fn apply(self, graph: &Graph) -> Result<Option<Graph>> {
        let count = graph.nodes().iter().filter(|n| is_hidden(graph, n)).count();
        if count == 0 {
            return Ok(None);
        }
        match self {
            Self::Split => split(graph),
            Self::Factored => rewritten(graph, &mut |b, n, x| hidden(graph, b, n, x, factored)).map(Some),
            Self::Rectified => rewritten(graph, &mut |b, n, x| hidden(graph, b, n, x, rectified)).map(Some),
            Self::Normalised => rewritten(graph, &mut |b, n, x| hidden(graph, b, n, x, normalised)).map(Some),
        }
    }
}

fn is_hidden(graph: &Graph, node: &Node) -> bool {
    matches!(&node.op, Op::Conv(a) if a.groups == 1) && !graph.outputs().contains(&node.output)
}

type Behind = fn(&mut GraphBuilder, &Node, &[ValueId]) -> Result<ValueId>;

/// `then` in place of hidden layers; all other nodes stay.
fn hidden(
    graph: &Graph,
    b: &mut GraphBuilder,
    node: &Node,
    x: &[ValueId],
    then: Behind,
) -> Result<Option<ValueId>> {
    if is_hidden(graph, node) { then(b, node, x).map(Some) } else { Ok(None) }
}

/// The layer under another name, so that what stands for it can have its own.
fn layer(b: &mut GraphBuilder, node: &Node, x: &[ValueId]) -> Result<ValueId> {
    b.node(&format!("{}.layer", node.name), node.op.clone(), x)
}

/// A layer of single taps with these weights, row by row.
fn mix(b: &mut GraphBuilder, name: &str, x: ValueId, rows: &[Vec<f32>]) -> Result<ValueId> {
    let spatial = b.shape(x).rank() - 2;
    let sizes = [vec![rows.len(), rows[0].len()], vec![1; spatial]].concat();
    let weight = b.parameter(&format!("{name}.rewritten_weight"), &sizes, rows.concat())?;
    b.conv(name, x, weight, None, ConvAttributes::plain(spatial))
}

/// The identity with `extra` at (0, last).
fn shear(n: usize, extra: f32) -> Vec<Vec<f32>> {
    let mut rows: Vec<Vec<f32>> =
        (0..n).map(|i| (0..n).map(|j| f32::from(u8::from(i == j))).collect()).collect();
    if n > 1 {
        rows[0][n - 1] = extra;
    }
    rows
}

fn factored(b: &mut GraphBuilder, node: &Node, x: &[ValueId]) -> Result<ValueId> {
    let z = layer(b, node, x)?;
    let n = b.shape(z)[1];
    let there = mix(b, &format!("{}.shear", node.name), z, &shear(n, 1.0))?;
    mix(b, &node.name, there, &shear(n, -1.0))
}

fn rectified(b: &mut GraphBuilder, node: &Node, x: &[ValueId]) -> Result<ValueId> {
    let z = layer(b, node, x)?;
    let n = b.shape(z)[1];
    let name = |part: &str| format!("{}.{part}", node.name);
    let negated: Vec<Vec<f32>> =
        shear(n, 0.0).into_iter().map(|r| r.into_iter().map(|v| -v).collect()).collect();
    let minus = mix(b, &name("minus"), z, &negated)?;
    let relu = Op::Pointwise(Pointwise::Relu);
    let (up, down) = (b.node(&name("up"), relu.clone(), &[z])?, b.node(&name("down"), relu, &[minus])?);
    let down = mix(b, &name("negative"), down, &negated)?;
    b.node(&node.name, Op::Binary(Binary::Add), &[up, down])
}

/// Behind the layer `(z - 1) / 2 * 2 + 1`: mean 1, variance 4, scale 2, bias 1.
fn normalised(b: &mut GraphBuilder, node: &Node, x: &[ValueId]) -> Result<ValueId> {
    let z = layer(b, node, x)?;
    let n = b.shape(z)[1];
    let mut inputs = vec![z];
    for (part, value) in [("scale", 2.0f32), ("bias", 1.0), ("mean", 1.0), ("variance", 4.0)] {
        inputs.push(b.parameter(&format!("{}.rewritten_{part}", node.name), &[n], vec![value; n])?);
    }
    b.node(&node.name, Op::BatchNormalization { epsilon: 0.0 }, &inputs)
}

/// The first hidden layer that only another layer reads, through rectifiers, gets its first channel twice.
fn split(graph: &Graph) -> Result<Option<Graph>> {
    let Some((above, below)) = graph.nodes().iter().find_map(|n| reader_of(graph, n)) else {
        return Ok(None);
    };
    let mut b = GraphBuilder::new();
    let inputs = inputs_of(&mut b, graph)?;
    let map = copy(&mut b, graph, "", &inputs, &mut |b, node, x| {
        if node.name == above {
            return doubled(graph, b, node, x).map(Some);
        }
        if node.name == below { halved(graph, b, node, x).map(Some) } else { Ok(None) }
    })?;
    b.finish(&graph.outputs().iter().map(|v| map[v.index()]).collect::<Vec<_>>()).map(Some)
}

fn reader_of(graph: &Graph, node: &Node) -> Option<(String, String)> {
    if !is_hidden(graph, node) {
        return None;
    }
    let mut value = node.output;
    loop {
        let [next] = crate::compose::readers(graph, value)[..] else { return None };
        match &next.op {
            Op::Conv(a) if a.groups == 1 => return Some((node.name.clone(), next.name.clone())),
            Op::Pointwise(Pointwise::Relu) => value = next.output,
            _ => return None,
        }
    }
}

/// Rows of a weight tensor, with row 0 once more at the end.
fn doubled(graph: &Graph, b: &mut GraphBuilder, node: &Node, x: &[ValueId]) -> Result<ValueId> {
    let mut inputs = vec![x[0]];
    let original = graph.nodes().iter().find(|n| n.name == node.name).map_or(&node.inputs, |n| &n.inputs);
    for (i, &v) in original.iter().enumerate().skip(1) {
        let Some((_, p)) = parameter(graph, v) else { continue };
        let inner = p.shape.inner(0);
        let data = [&p.data[..], &p.data[..inner]].concat();
        let sizes = p.shape.with(0, p.shape[0] + 1)?;
        inputs.push(b.parameter(&format!("{}.doubled{i}", node.name), &sizes, data)?);
    }
    b.node(&node.name, node.op.clone(), &inputs)
}

/// A layer that reads one channel more, which has half of the first one's weights.
fn halved(graph: &Graph, b: &mut GraphBuilder, node: &Node, x: &[ValueId]) -> Result<ValueId> {
    let original = graph.nodes().iter().find(|n| n.name == node.name).map_or(&node.inputs, |n| &n.inputs);
    let Some((_, p)) = parameter(graph, original[1]) else { return b.node(&node.name, node.op.clone(), x) };
    let (inner, channels) = (p.shape.inner(1), p.shape[1]);
    let mut data = Vec::new();
    for row in p.data.chunks(channels * inner) {
        let half: Vec<f32> = row[..inner].iter().map(|w| w / 2.0).collect();
        data.extend([&half[..], &row[inner..], &half[..]].concat());
    }
    let sizes = p.shape.with(1, channels + 1)?;
    let weight = b.parameter(&format!("{}.halved", node.name), &sizes, data)?;
    let inputs = [&[x[0], weight], &x[2..]].concat();
    b.node(&node.name, node.op.clone(), &inputs)
}
