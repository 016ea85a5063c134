//! Propagation rules of one's own, from `docs/writing-a-rule.md`: by kernels, so that they run on every device, and as a
//! closure on the host, which does too and needs no kernel.

use voxplain::attribution::Rules;
use voxplain::attribution::methods::{Propagation, Start};
use voxplain::attribution::rules::{HostNode, HostRule, HostSignals};
use voxplain::autodiff::{BinaryFn, Composite, Relevance, Rule, Site};
use voxplain::cpu::Cpu;
use voxplain::graph::ops::Pointwise;
use voxplain::graph::{Graph, GraphBuilder};
use voxplain::{Attribution, Engine, Method, Result, Target, Tensor};

struct Epsilon(f64);

impl Rule for Epsilon {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("lrp_epsilon({})", self.0)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let output = site.output();
        let share = site.emitter().binary(BinaryFn::DivStabilised(self.0), upper.0, output);
        Ok(site.by_value(share)?.into_iter().map(|r| r.map(Relevance)).collect())
    }
}

struct Magnitude(f64);

impl Rule for Magnitude {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("magnitude({})", self.0)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let (x, w) = (site.input(0), site.input(1));
        let (x, w) = (site.map(Pointwise::Abs, x), site.map(Pointwise::Abs, w));
        let sum = site.forward_at(&[x, w])?;
        let share = site.emitter().binary(BinaryFn::DivStabilised(self.0), upper.0, sum);
        let back = site.vjp_at(&[x, w], share)?.into_iter();
        Ok(back.map(|b| b.map(|b| Relevance(site.emitter().mul(x, b)))).collect())
    }
}

fn magnitude_on_the_host(n: &HostNode<'_>) -> Result<HostSignals> {
    if n.node.op.kind() != "Gemm" {
        return Ok(vec![Some(n.upper.data.to_vec())]);
    }
    let (x, w, features) = (n.inputs[0].data, n.inputs[1].data, n.inputs[1].shape[1]);
    let mut lower = vec![0.0; x.len()];
    for (j, row) in w.chunks(features).enumerate() {
        let sum: f64 = row.iter().zip(x).map(|(w, x)| (w * x).abs()).sum();
        for i in 0..features {
            lower[i] += (row[i] * x[i]).abs() * n.upper.data[j] / (sum + 1e-9);
        }
    }
    Ok(vec![Some(lower), None])
}

fn explain(graph: &Graph, name: &str, composite: Composite<Relevance>) -> Result<Attribution<f32>> {
    let rules = Rules { name: String::from(name), composite: composite.with_books() };
    let method = Propagation { name: "own", rules, start: Start::Output };
    let cpu = Cpu::best();
    let input = Tensor::new(&[1, 3], vec![1.0, 2.0, 3.0])?;
    method.attribute(&mut Engine::new(graph, &cpu, None), &[input], &Target::Class(vec![0]))
}

fn main() -> Result<()> {
    // Captum's SimpleLRP: three inputs, weights all 2 but one, ReLU, weights all 3.
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 3])?;
    let mut weights = vec![2.0; 9];
    weights[0] = -2.0;
    let (w, v) = (b.parameter("w", &[3, 3], weights)?, b.parameter("v", &[1, 3], vec![3.0; 3])?);
    let hidden = b.linear("hidden", x, w, None)?;
    let hidden = b.relu("relu", hidden)?;
    let output = b.linear("output", hidden, v, None)?;
    let graph = b.finish(&[output])?;

    let host = HostRule::new("magnitude on the host", magnitude_on_the_host);
    let maps = [
        explain(&graph, "epsilon", Composite::everywhere(Epsilon(1e-9)))?,
        explain(&graph, "magnitude", Composite::everywhere(Magnitude(1e-9)))?,
        explain(&graph, "host", Composite::everywhere(host))?,
    ];
    for map in &maps {
        println!("{:?} of {}: {}", map.maps[0].values.data(), map.values[0], map.notes[0]);
    }
    let close = |map: &Attribution<f32>, wanted: [f32; 3]| {
        let pairs = map.maps[0].values.data().iter().zip(wanted);
        pairs.for_each(|(r, w)| assert!((r - w).abs() < 1e-3, "{r} {w}"));
    };
    close(&maps[0], [6.0, 36.0, 54.0]);
    close(&maps[1], [16.0, 32.0, 48.0]);
    close(&maps[2], [16.0, 32.0, 48.0]);
    Ok(())
}
