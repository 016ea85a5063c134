//! Input-shift invariance (Kindermans et al., "The (un)reliability of saliency methods", 2017): where the first layer takes
//! back a constant that was added to the input, the map stays; a reference is moved along.

use super::Finding;
use crate::bench::Bench;
use crate::compose::{parameter, rewritten};
use crate::problem::Problem;
use crate::verdict::difference;
use voxplain_autodiff::Device;
use voxplain_graph::{Graph, GraphBuilder, Node, Op, ValueId};
use voxplain_tensor::Result;

/// What is added to channel c of input i.
fn shift(input: usize, channel: usize) -> f64 {
    [3.0, -2.0, 1.0][(input + channel) % 3]
}

/// A constant per channel added to input and reference, and taken back by the first biases. Layers of single taps only: with
/// padding, a bias alone cannot take it back.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Finding {
    if problem.x.iter().any(|x| x.shape().inner(1) != 1) {
        return Ok(None);
    }
    // Along a kink rounding decides the slope, and shifted sums round differently.
    if bench.on_kink(problem)? {
        return Ok(None);
    }
    let graph = shifted(&problem.graph)?;
    let moved = problem.map_values(|rows| {
        rows.iter_mut()
            .enumerate()
            .for_each(|(i, row)| row.iter_mut().enumerate().for_each(|(c, v)| *v += shift(i, c)));
    })?;
    let moved = moved.on(graph);
    let (gap, at) = difference(&bench.maps(&moved)?, &bench.maps(problem)?);
    bench.judge(gap, bench.rounding(problem)? + bench.rounding(&moved)?, at)
}

fn shifted(graph: &Graph) -> Result<Graph> {
    rewritten(graph, &mut |b, node, x| {
        let original = graph.nodes().iter().find(|n| n.name == node.name);
        let input = original.and_then(|n| graph.inputs().iter().position(|&v| v == n.inputs[0]));
        match (input, original) {
            (Some(input), Some(original)) if matches!(node.op, Op::Conv(_)) => {
                layer(graph, b, original, input, x).map(Some)
            }
            _ => Ok(None),
        }
    })
}

/// A first layer with `bias - W shift`.
fn layer(graph: &Graph, b: &mut GraphBuilder, node: &Node, input: usize, x: &[ValueId]) -> Result<ValueId> {
    let Some((_, weight)) = parameter(graph, node.inputs[1]) else {
        return b.node(&node.name, node.op.clone(), x);
    };
    let old = node.inputs.get(2).and_then(|&v| parameter(graph, v)).map(|(_, p)| p.data.clone());
    let row = |(k, row): (usize, &[f32])| {
        let moved: f64 = row.iter().enumerate().map(|(c, w)| f64::from(*w) * shift(input, c)).sum();
        (old.as_ref().map_or(0.0, |b| f64::from(b[k])) - moved) as f32
    };
    let biases: Vec<f32> = weight.data.chunks(weight.shape[1]).enumerate().map(row).collect();
    let bias = b.parameter(&format!("{}.shifted", node.name), &[biases.len()], biases)?;
    b.node(&node.name, node.op.clone(), &[x[0], x[1], bias])
}
