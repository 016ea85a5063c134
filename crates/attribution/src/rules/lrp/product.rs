//! Products of two values that both vary: gates and attention.

use super::named::{Entry, STABILIZER};
use super::weighted::quotient;
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_tensor::Result;

pub(super) const ENTRY: Entry = Entry {
    name: "product_halves",
    parameters: &[("epsilon", Some(STABILIZER))],
    make: |p| Ok(Box::new(ProductHalves { epsilon: p.not_negative(0)? })),
};

/// Each factor of a product gets half by value, `R_i = x_i sum_j dy_j/dx_i R_j / st(2 y_j)` (Achtibat et al., "AttnLRP:
/// attention-aware layer-wise relevance propagation for transformers", ICML 2024, equation 15), elementwise products and
/// products of matrices alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProductHalves {
    /// The stabiliser.
    pub epsilon: f64,
}

impl Rule for ProductHalves {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("lrp_product_halves({})", self.epsilon)
    }

    fn bilinear(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let y = site.output();
        let twice = site.emitter().scale(y, 2.0);
        let s = quotient(site, upper.0, twice, self.epsilon);
        Ok(site.by_value(s)?.into_iter().map(|s| s.map(Relevance)).collect())
    }
}
