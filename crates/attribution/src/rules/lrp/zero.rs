//! LRP-0.

use super::Epsilon;
use super::named::Entry;
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_tensor::Result;

pub(super) const ENTRY: Entry = Entry { name: "zero", parameters: &[], make: |_| Ok(Box::new(Zero)) };

/// `R_i = x_i sum_j w_ij R_j / z_j`, and nothing where `z_j` is 0 (Bach et al., PLoS ONE 10, 2015, equation 56): input times
/// gradient, layer by layer. The bias takes its share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zero;

impl Rule for Zero {
    type Signal = Relevance;

    fn name(&self) -> String {
        String::from("lrp_zero")
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        Epsilon(0.0).affine(site, upper)
    }
}
