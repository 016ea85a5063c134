//! Sensitivity-n (Ancona et al., "Towards better understanding of gradient-based attribution methods", ICLR 2018, section 4):
//! the parts of any n entries add up to `F(x) - F(x with those entries as in the reference)`. No method keeps it for all n on
//! networks that are not linear (their proposition 1), so it is tried on linear ones. The reference is 0.

use super::Finding;
use crate::bench::Bench;
use crate::compose::rewritten;
use crate::problem::Problem;
use voxplain_autodiff::Device;
use voxplain_graph::ops::Pointwise;
use voxplain_graph::{Class, Op};
use voxplain_tensor::{Result, Tensor};

/// What is taken away: every entry by itself, or every set of entries.
pub const VARIANTS: &[&str] = &["one entry", "every set of entries"];

/// The network without its rectifiers, where it has no other bend.
pub fn check<D: Device>(bench: &Bench<'_, D>, problem: &Problem, variant: usize) -> Finding {
    let graph = rewritten(&problem.graph, &mut |_, node, x| {
        Ok(matches!(node.op, Op::Pointwise(Pointwise::Relu)).then(|| x[0]))
    })?;
    if graph.nodes().iter().any(|n| n.op.class(&[true]) != Class::Affine) {
        return Ok(None);
    }
    let zero = problem.x.iter().map(|x| x.map(|_| 0.0)).collect();
    let problem = problem.on(graph).from(zero);
    let parts = bench.maps(&problem)?.concat();
    let sets = sets(parts.len(), variant == 1);
    let whole = bench.value(&problem, &problem.x)?;
    let effects = bench.values(&problem, &without(&problem.x, &sets)?)?.into_iter().map(|v| whole - v);
    let mut worst = (0.0, String::from("equal"));
    for (&set, effect) in sets.iter().zip(effects) {
        let sum: f64 = (0..parts.len()).filter(|i| set >> i & 1 == 1).map(|i| parts[i]).sum();
        let gap = (sum - effect).abs();
        if gap > worst.0 || gap.is_nan() {
            worst = (
                gap,
                format!("the parts of entries {} add up to {sum}, their effect is {effect}", list(set)),
            );
        }
    }
    let entries = if variant == 1 { parts.len() as f64 } else { 1.0 };
    bench.judge(
        worst.0,
        entries * bench.rounding(&problem)? + 2.0 * bench.shadow(&problem)?.output(),
        worst.1,
    )
}

/// Sets of entries as bits: those of one, or all but the empty one.
fn sets(entries: usize, all: bool) -> Vec<u64> {
    if all { (1..1u64 << entries.min(12)).collect() } else { (0..entries).map(|i| 1 << i).collect() }
}

/// One example per set, with the set's entries 0.
fn without(x: &[Tensor<f64>], sets: &[u64]) -> Result<Vec<Tensor<f64>>> {
    let mut first = 0;
    let one = |x: &Tensor<f64>| {
        let (values, own) = (x.data(), first);
        first += values.len();
        let keep = |set: u64| move |(i, &v): (usize, &f64)| if set >> (own + i) & 1 == 1 { 0.0 } else { v };
        let data = sets.iter().flat_map(|&set| values.iter().enumerate().map(keep(set))).collect();
        let mut sizes = x.shape().to_vec();
        sizes[0] = sets.len();
        Tensor::new(&sizes, data)
    };
    x.iter().map(one).collect()
}

fn list(set: u64) -> String {
    let names: Vec<String> = (0..64).filter(|i| set >> i & 1 == 1).map(|i| i.to_string()).collect();
    names.join(" ")
}
