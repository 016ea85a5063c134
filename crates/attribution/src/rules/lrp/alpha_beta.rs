//! LRP-alpha-beta.

use super::named::{Entry, STABILIZER};
use super::weighted::{Parts, Weighted, quotient};
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_tensor::{Error, Result};

pub(super) const ENTRY: Entry = Entry {
    name: "alpha_beta",
    parameters: &[("alpha", Some(2.0)), ("beta", Some(1.0)), ("stabilizer", Some(STABILIZER))],
    make: |p| Ok(Box::new(AlphaBeta::new(p.one(0)?, p.one(1)?, p.not_negative(2)?)?)),
};

/// `R_i = sum_j alpha p_ij R_j / st(sum_i p_ij + c_j+) - beta n_ij R_j / st(sum_i n_ij + c_j-)` (Bach et al., PLoS ONE 10,
/// 2015, equation 60), the bias's parts taking their shares as in Zennit. Relevance is kept for `alpha - beta = 1` where an
/// output has contributions of both signs; where it has none of one sign, that share is lost (or, for beta, gained).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlphaBeta {
    /// What speaks for counts this often.
    pub alpha: f64,
    /// What speaks against counts this often.
    pub beta: f64,
    /// The stabiliser.
    pub stabilizer: f64,
}

impl AlphaBeta {
    /// The rule, if it keeps relevance.
    ///
    /// # Errors
    /// `alpha - beta` is not 1 to a millionth, or beta is below 0.
    pub fn new(alpha: f64, beta: f64, stabilizer: f64) -> Result<Self> {
        if (alpha - beta - 1.0).abs() <= 1e-6 && beta >= 0.0 {
            return Ok(Self { alpha, beta, stabilizer });
        }
        Err(Error::invalid(format!("alpha {alpha} and beta {beta}; alpha - beta = 1 and beta >= 0 expected")))
    }
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
        for (positive, factor) in [(true, self.alpha), (false, -self.beta)] {
            let given = site.emitter().scale(upper.0, factor);
            let sum = parts.sum(site, &layer, positive)?;
            let s = quotient(site, given, sum, self.stabilizer);
            shares.push(parts.share(site, &layer, positive, s)?);
        }
        let lower = site.emitter().add(shares[0], shares[1]);
        Ok(layer.to_data(site, lower))
    }
}
