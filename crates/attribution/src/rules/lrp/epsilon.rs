//! LRP-epsilon.

use super::named::{Entry, STABILIZER};
use super::weighted::{Weighted, quotient};
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_tensor::Result;

pub(super) const ENTRY: Entry = Entry {
    name: "epsilon",
    parameters: &[("epsilon", Some(STABILIZER))],
    make: |p| Ok(Box::new(Epsilon(p.not_negative(0)?))),
};

/// `R_i = x_i sum_j w_ij R_j / st(z_j)` with the stabiliser `epsilon` (Bach et al., "On pixel-wise explanations for
/// non-linear classifier decisions by layer-wise relevance propagation", PLoS ONE 10, 2015, equation 58). Bias and epsilon
/// absorb their share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epsilon(pub f64);

impl Rule for Epsilon {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("lrp_epsilon({})", self.0)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let layer = Weighted::of(site)?;
        let z = site.output();
        let s = quotient(site, upper.0, z, self.0);
        let lower = layer.contribution(site, layer.x, layer.w, s)?;
        Ok(layer.to_data(site, lower))
    }
}
