//! What layers without weights do with relevance.

use super::weighted::quotient;
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_graph::Op;
use voxplain_tensor::Result;

/// Sums and averages share relevance by value: operand i of `y = sum u_i x_i` gets `u_i x_i R / st(y)`; so does a stored
/// normalisation that could not be merged into a layer, unless it passes relevance unchanged. Movements, joins, padding
/// and interpolation hand it back by their transpose. Activations pass it on and maxima give it to the winner, as the
/// signal does by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unweighted {
    /// The stabiliser.
    pub stabilizer: f64,
    /// Whether stored normalisation passes relevance unchanged.
    pub pass_normalization: bool,
}

impl Unweighted {
    fn by_value(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let output = site.output();
        let s = quotient(site, upper, output, self.stabilizer);
        let mut lower = Vec::new();
        for (i, back) in site.vjp(s)?.into_iter().enumerate() {
            let input = site.input(i);
            lower.push(back.map(|back| Relevance(site.emitter().mul(input, back))));
        }
        Ok(lower)
    }
}

impl Rule for Unweighted {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("lrp_unweighted({}, {})", self.stabilizer, self.pass_normalization)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        match site.node().op {
            Op::BatchNormalization { .. } if self.pass_normalization => Ok(site.to_first(*upper)),
            Op::Concat { .. }
            | Op::Reshape { .. }
            | Op::Transpose { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Resize { .. }
            | Op::Identity => Ok(site.vjp(upper.0)?.into_iter().map(|g| g.map(Relevance)).collect()),
            _ => self.by_value(site, upper),
        }
    }
}
