//! A propagation rule of one's own: LRP-epsilon for affine layers, in about twenty lines.
//!
//! `R_i = x_i (A^T (R / (y + epsilon sign y)))_i` (Bach et al., PLoS ONE 2015, equation 58). Activations pass relevance
//! on and a maximum gives it to its winner: those are the defaults of the signal [`Relevance`], so the rule states only
//! what is its own. It runs on every device as it is.

use voxplain::attribution::methods::{Backward, Scaling};
use voxplain::autodiff::{BinaryFn, Relevance, Rule, Site};
use voxplain::cpu::Cpu;
use voxplain::graph::GraphBuilder;
use voxplain::{Engine, Method, Result, Target, Tensor};

struct Epsilon(f64);

impl Rule for Epsilon {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("lrp_epsilon({})", self.0)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let output = site.output();
        let share = site.emitter().binary(BinaryFn::DivStabilised(self.0), upper.0, output);
        let mut lower = Vec::new();
        for (i, back) in site.vjp(share)?.into_iter().enumerate() {
            let input = site.input(i);
            lower.push(back.map(|back| Relevance(site.emitter().mul(input, back))));
        }
        Ok(lower)
    }
}

fn main() -> Result<()> {
    // Captum's SimpleLRP: three inputs, weights all 2, ReLU, weights all 3: relevance (18, 36, 54) for (1, 2, 3).
    let mut b = GraphBuilder::new();
    let x = b.input("x", &[1, 3])?;
    let (w, v) = (b.parameter("w", &[3, 3], vec![2.0; 9])?, b.parameter("v", &[1, 3], vec![3.0; 3])?);
    let hidden = b.linear("hidden", x, w, None)?;
    let hidden = b.relu("relu", hidden)?;
    let output = b.linear("output", hidden, v, None)?;
    let graph = b.finish(&[output])?;

    let rule = Backward::with_rule("lrp_epsilon", Epsilon(1e-9), Scaling::None);
    let cpu = Cpu::best();
    let input = Tensor::new(&[1, 3], vec![1.0f32, 2.0, 3.0])?;
    let target = Target::Class(vec![0]);
    let mut engine = Engine::new(&graph, &cpu, None);
    let gradient = rule.attribute(&mut engine, std::slice::from_ref(&input), &target)?;
    // The seed of a gradient is 1; relevance starts with the output itself.
    let scale = gradient.values[0] as f32;
    let relevance: Vec<f32> = gradient.maps[0].values.data().iter().map(|r| r * scale).collect();
    println!("{relevance:?} of {scale}");
    assert!(relevance.iter().zip([18.0, 36.0, 54.0]).all(|(r, e): (&f32, f32)| (r - e).abs() < 1e-3));
    Ok(())
}
