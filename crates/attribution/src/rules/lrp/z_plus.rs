//! LRP-z+.

use super::weighted::{Parts, Weighted, quotient, to_data};
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_tensor::Result;

/// `R_i = sum_j p_ij R_j / st(sum_i p_ij + c_j+)` with `p = x+ w+ + x- w-`, the form of Zennit: inputs of both signs, and
/// the bias's positive part takes its share (Montavon et al., "Explaining nonlinear classification decisions with deep
/// Taylor decomposition", Pattern Recognition 65, 2017, section 4.1, for `x >= 0` and without bias).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZPlus {
    /// The stabiliser.
    pub stabilizer: f64,
}

impl Rule for ZPlus {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("lrp_z_plus({})", self.stabilizer)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let layer = Weighted::of(site)?;
        let parts = Parts::of(site, &layer);
        let sum = parts.sum(site, &layer, true)?;
        let s = quotient(site, upper, sum, self.stabilizer);
        let lower = parts.share(site, &layer, true, s)?;
        Ok(to_data(site, lower))
    }
}
