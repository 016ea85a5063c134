//! LRP-alpha-beta.

use super::weighted::{Parts, Weighted, quotient, to_data};
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_tensor::Result;

/// `R_i = sum_j alpha p_ij R_j / st(sum_i p_ij + c_j+) - beta n_ij R_j / st(sum_i n_ij + c_j-)` (Bach et al., PLoS ONE 10,
/// 2015, equation 60). Relevance is kept for `alpha - beta = 1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlphaBeta {
    /// What speaks for counts this often.
    pub alpha: f64,
    /// What speaks against counts this often.
    pub beta: f64,
    /// The stabiliser.
    pub stabilizer: f64,
}

impl Rule for AlphaBeta {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("lrp_alpha_beta({}, {}, {})", self.alpha, self.beta, self.stabilizer)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let layer = Weighted::of(site)?;
        let parts = Parts::of(site, &layer);
        let mut shares = Vec::new();
        for (positive, factor) in [(true, self.alpha), (false, self.beta)] {
            let sum = parts.sum(site, &layer, positive)?;
            let s = quotient(site, upper, sum, self.stabilizer);
            let s = site.emitter().scale(s, factor);
            shares.push(parts.share(site, &layer, positive, s)?);
        }
        let lower = site.emitter().sub(shares[0], shares[1]);
        Ok(to_data(site, lower))
    }
}
