//! Networks made of networks.

use voxplain_graph::{Graph, GraphBuilder, Node, Op, Origin, Parameter, ValueId};
use voxplain_tensor::{Error, Result, Shape};

/// Says what stands in place of a node, given its operands in the new graph; `None` keeps the node.
pub type Edit<'a> = &'a mut dyn FnMut(&mut GraphBuilder, &Node, &[ValueId]) -> Result<Option<ValueId>>;

/// Writes `graph` into `b` with `prefix` before every name and `inputs` for its inputs. Returns the new place of every
/// value, by its index.
///
/// # Errors
/// A name is taken, or an edited node does not fit what follows.
pub fn copy(
    b: &mut GraphBuilder,
    graph: &Graph,
    prefix: &str,
    inputs: &[ValueId],
    edit: Edit<'_>,
) -> Result<Vec<ValueId>> {
    let first = *inputs.first().ok_or_else(|| Error::internal("a network without inputs"))?;
    let mut map = vec![first; graph.values().len()];
    for (i, value) in graph.values().iter().enumerate() {
        match value.origin {
            Origin::Input(at) => map[i] = inputs[at],
            Origin::Parameter(p) => {
                let data = graph.parameters()[p].data.clone();
                map[i] = b.parameter(&format!("{prefix}{}", value.name), &value.shape, data)?;
            }
            Origin::Node(_) => {}
        }
    }
    for node in graph.nodes() {
        let operands: Vec<ValueId> = node.inputs.iter().map(|v| map[v.index()]).collect();
        let renamed = Node { name: format!("{prefix}{}", node.name), ..node.clone() };
        map[node.output.index()] = match edit(b, &renamed, &operands)? {
            Some(value) => value,
            None => b.node(&renamed.name, node.op.clone(), &operands)?,
        };
    }
    Ok(map)
}

/// The same network with some nodes replaced.
///
/// # Errors
/// As [`copy`].
pub fn rewritten(graph: &Graph, edit: Edit<'_>) -> Result<Graph> {
    let mut b = GraphBuilder::new();
    let inputs = inputs_of(&mut b, graph)?;
    let map = copy(&mut b, graph, "", &inputs, edit)?;
    b.finish(&graph.outputs().iter().map(|v| map[v.index()]).collect::<Vec<_>>())
}

/// The same network with `order[i]` read where it read input i.
///
/// # Errors
/// The inputs have different shapes.
pub fn reordered(graph: &Graph, order: &[usize]) -> Result<Graph> {
    let mut b = GraphBuilder::new();
    let inputs = inputs_of(&mut b, graph)?;
    let own: Vec<ValueId> = order.iter().map(|&i| inputs[i]).collect();
    let map = copy(&mut b, graph, "", &own, &mut |_, _, _| Ok(None))?;
    b.finish(&graph.outputs().iter().map(|v| map[v.index()]).collect::<Vec<_>>())
}

/// The inputs of `graph`, declared again.
///
/// # Errors
/// A name is taken.
pub fn inputs_of(b: &mut GraphBuilder, graph: &Graph) -> Result<Vec<ValueId>> {
    graph.inputs().iter().map(|&v| b.input(&graph.value(v).name, &graph.shape(v))).collect()
}

/// `sum_k factor_k f_k` of the first outputs of networks over the same inputs, each with `order[i]` for input i: their outputs
/// joined and read by one linear layer.
///
/// # Errors
/// The networks do not fit each other.
pub fn combined(parts: &[(&Graph, f64, &[usize])]) -> Result<Graph> {
    let (leader, ..) = parts.first().ok_or_else(|| Error::internal("no network to combine"))?;
    let mut b = GraphBuilder::new();
    let inputs = inputs_of(&mut b, leader)?;
    let mut outputs = Vec::new();
    for (k, (graph, _, order)) in parts.iter().enumerate() {
        let own: Vec<ValueId> = order.iter().map(|&i| inputs[i]).collect();
        let map = copy(&mut b, graph, &format!("part{k}."), &own, &mut |_, _, _| Ok(None))?;
        outputs.push(map[graph.outputs()[0].index()]);
    }
    let classes = b.shape(outputs[0])[1];
    let joined = b.node("joined", Op::Concat { axis: 1 }, &outputs)?;
    let factor = |k: usize, row: usize, column: usize| if row == column { parts[k].1 as f32 } else { 0.0 };
    let row = |row: usize| (0..parts.len() * classes).map(move |c| factor(c / classes, row, c % classes));
    let weights: Vec<f32> = (0..classes).flat_map(row).collect();
    let weight = b.parameter("factors", &[classes, parts.len() * classes], weights)?;
    let sum = b.linear("sum", joined, weight, None)?;
    b.finish(&[sum])
}

/// The parameter behind an operand.
pub fn parameter(graph: &Graph, value: ValueId) -> Option<(usize, &Parameter)> {
    match graph.value(value).origin {
        Origin::Parameter(p) => Some((p, &graph.parameters()[p])),
        _ => None,
    }
}

/// The weights of all parameters, to change and give to [`Graph::with_parameters`].
pub fn weights(graph: &Graph) -> Vec<Vec<f32>> {
    graph.parameters().iter().map(|p| p.data.to_vec()).collect()
}

/// The network with magnitudes for weights, its biases as they are: without differences and products of values it falls with no
/// entry of its inputs.
///
/// # Errors
/// None but faults of this crate.
pub fn with_magnitudes(graph: &Graph) -> Result<Graph> {
    let one = |(values, p): (Vec<f32>, &Parameter)| {
        if p.shape.rank() == 1 { values } else { values.into_iter().map(f32::abs).collect() }
    };
    let values: Vec<Vec<f32>> = weights(graph).into_iter().zip(graph.parameters()).map(one).collect();
    graph.with_parameters(&values)
}

/// Multiplies the entries of a weight tensor that belong to entry `at` of `axis` by `factor`.
pub fn scale_slice(data: &mut [f32], shape: &Shape, axis: usize, at: usize, factor: f32) {
    let (inner, size) = (shape.inner(axis), shape[axis]);
    data.iter_mut().enumerate().filter(|(i, _)| i / inner % size == at).for_each(|(_, w)| *w *= factor);
}

/// The nodes that read a value.
pub fn readers(graph: &Graph, value: ValueId) -> Vec<&Node> {
    graph.nodes().iter().filter(|n| n.inputs.contains(&value)).collect()
}

/// The weight tensors that read an input directly, all along axis 1: those of convolutions without groups and of linear
/// layers. `None` where anything else reads it.
pub fn first_weights(graph: &Graph, input: ValueId) -> Option<Vec<usize>> {
    let weight = |node: &&Node| {
        let fits = match &node.op {
            Op::Conv(a) => a.groups == 1,
            op => *op == Op::linear(),
        };
        let weight = node.inputs.get(1).and_then(|&w| parameter(graph, w));
        weight.filter(|_| fits && node.inputs[0] == input).map(|(p, _)| p)
    };
    let list: Option<Vec<usize>> = readers(graph, input).iter().map(weight).collect();
    list.filter(|l| !l.is_empty())
}
