//! Every axiom on a propagation rule of one's own: which hold, and the smallest network for each that does not.
//!
//! The rule is `R_i = |x_i| (|A|^T (R / |A| |x|))_i` in spirit of the z-rules: relevance is shared by magnitude, so that no
//! quotient explodes. It keeps relevance where there are no biases, but it cannot tell what speaks for from what speaks
//! against. `check_rule!` finds both out.

use voxplain::autodiff::{BinaryFn, Relevance, Rule, Site};
use voxplain::axioms::Axiom;
use voxplain::graph::ops::Pointwise;
use voxplain::{Result, check_rule};

struct ByMagnitude;

impl Rule for ByMagnitude {
    type Signal = Relevance;

    fn name(&self) -> String {
        String::from("by_magnitude")
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let operands: Vec<_> = (0..site.node().inputs.len()).map(|i| site.input(i)).collect();
        let sizes: Vec<_> = operands.into_iter().map(|x| site.map(Pointwise::Abs, x)).collect();
        let whole = site.forward_at(&sizes)?;
        let share = site.emitter().binary(BinaryFn::DivStabilised(1e-12), upper.0, whole);
        let lower = site.vjp_at(&sizes, share)?;
        let parts = lower.into_iter().zip(sizes);
        Ok(parts.map(|(back, x)| back.map(|back| Relevance(site.emitter().mul(x, back)))).collect())
    }
}

fn main() {
    let report =
        check_rule!(ByMagnitude, claims: [Axiom::Dummy, Axiom::Oddness, Axiom::Batches, Axiom::InputScale]);
    println!("{report}");
    assert!(report.holds(), "a claim does not hold");
    assert!(report.cell(Axiom::Completeness).is_some_and(|cell| !cell.holds()));
}
