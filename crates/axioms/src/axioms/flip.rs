//! Equivariance under reflection: a network with mirrored kernels on a mirrored image has the mirrored map. Supposes
//! padding alike on both sides, steps that divide, and no ties of maxima, at the input or at the reference.

use super::Finding;
use crate::bench::Bench;
use crate::compose::{parameter, weights};
use crate::problem::Problem;
use crate::verdict::difference;
use voxplain_autodiff::Device;
use voxplain_graph::{Graph, Op};
use voxplain_tensor::Result;

/// The last axis mirrored in input, reference and kernels.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Finding {
    if problem.x.iter().all(|x| x.shape().inner(1) == 1)
        || !divides(&problem.graph)
        || bench.on_kink(problem)?
    {
        return Ok(None);
    }
    let widths: Vec<usize> = problem.x.iter().map(|x| x.shape().inner(1)).collect();
    let flip = |rows: &mut Vec<Vec<f64>>| {
        rows.iter_mut().zip(&widths).for_each(|(row, &w)| row.chunks_mut(w).for_each(<[f64]>::reverse));
    };
    let moved = problem.map_values(|rows| flip(rows))?.on(mirrored(&problem.graph)?);
    let mut want = bench.maps(problem)?;
    flip(&mut want);
    let (gap, at) = difference(&bench.maps(&moved)?, &want);
    bench.judge(gap, bench.rounding(problem)? + bench.rounding(&moved)?, at)
}

fn divides(graph: &Graph) -> bool {
    graph.nodes().iter().all(|node| match &node.op {
        Op::MaxPool(p) | Op::AveragePool(p) => {
            let size = graph.shape(node.inputs[0]).last().copied().unwrap_or(1);
            (size - p.kernel[0]) % p.strides[0] == 0
        }
        _ => true,
    })
}

fn mirrored(graph: &Graph) -> Result<Graph> {
    let mut values = weights(graph);
    for node in graph.nodes().iter().filter(|n| matches!(n.op, Op::Conv(_))) {
        if let Some((p, weight)) = node.inputs.get(1).and_then(|&v| parameter(graph, v)) {
            let taps = weight.shape.last().copied().unwrap_or(1);
            values[p].chunks_mut(taps).for_each(<[f32]>::reverse);
        }
    }
    graph.with_parameters(&values)
}
