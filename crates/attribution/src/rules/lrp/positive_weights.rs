//! LRP of positive weights, as Captum has it.

use super::named::{Entry, STABILIZER};
use super::weighted::{Weighted, parts, quotient};
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_tensor::Result;

pub(super) const ENTRY: Entry = Entry {
    name: "z_plus_captum",
    parameters: &[("stabilizer", Some(STABILIZER))],
    make: |p| Ok(Box::new(PositiveWeights { stabilizer: p.not_negative(0)? })),
};

/// `R_i = x_i sum_j w_ij+ R_j / st(sum_i x_i w_ij+ + c_j)`: Captum's `Alpha1_Beta0_Rule`, which lets only weights be positive. Inputs
/// below 0 count against, and the bias as it is. The same as z+ without bias for inputs that are not negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PositiveWeights {
    /// The stabiliser.
    pub stabilizer: f64,
}

impl Rule for PositiveWeights {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("lrp_z_plus_captum({})", self.stabilizer)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let layer = Weighted::of(site)?;
        let (positive, _) = parts(site, layer.w);
        let sum = layer.forward(site, layer.x, positive, layer.bias)?;
        let s = quotient(site, upper.0, sum, self.stabilizer);
        let lower = layer.contribution(site, layer.x, positive, s)?;
        Ok(layer.to_data(site, lower))
    }
}
