//! On a linear network every entry has its own effect `F(x) - F(x with the entry as in the reference)`, whatever the
//! coalition: sensitivity-n for all n (Ancona et al., ICLR 2018, section 4). The reference is 0.

use super::Finding;
use crate::bench::Bench;
use crate::compose::rewritten;
use crate::problem::Problem;
use crate::verdict::difference;
use voxplain_autodiff::Device;
use voxplain_graph::ops::Pointwise;
use voxplain_graph::{Class, Op};

/// The network without its rectifiers, where it has no other bend.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem) -> Finding {
    let graph = rewritten(&problem.graph, &mut |_, node, x| {
        Ok(matches!(node.op, Op::Pointwise(Pointwise::Relu)).then(|| x[0]))
    })?;
    if graph.nodes().iter().any(|n| n.op.class(&[true]) != Class::Affine) {
        return Ok(None);
    }
    let zero = problem.x.iter().map(|x| x.map(|_| 0.0)).collect();
    let problem = problem.on(graph).from(zero);
    let whole = bench.value(&problem, &problem.x)?;
    let mut want = Vec::new();
    for (i, x) in problem.x.iter().enumerate() {
        let mut row = Vec::new();
        for k in 0..x.data().len() {
            let without = problem.map_input(|rows| rows[i][k] = 0.0)?;
            row.push(whole - bench.value(&problem, &without.x)?);
        }
        want.push(row);
    }
    let (gap, at) = difference(&bench.maps(&problem)?, &want);
    bench.judge(gap, bench.rounding(&problem)? + 2.0 * bench.shadow(&problem)?.output(), at)
}
