//! LRP-zB.

use super::named::{Entry, STABILIZER, not_negative};
use super::weighted::{Weighted, parts, quotient};
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_tensor::{Error, Result};

pub(super) const ENTRY: Entry = Entry {
    name: "z_box",
    parameters: &[("low", None), ("high", None), ("stabilizer", Some(STABILIZER))],
    make: |p| Ok(Box::new(ZBox::new(p[0], p[1], not_negative("stabilizer", p[2])?)?)),
};

/// `R_i = sum_j q_ij R_j / st(sum_i q_ij)` with `q = w x - w+ low - w- high`, for first layers whose inputs lie in
/// `[low, high]` (Montavon et al., Pattern Recognition 65, 2017, section 4.2). The bias takes no share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZBox {
    /// The smallest input.
    pub low: f64,
    /// The largest input.
    pub high: f64,
    /// The stabiliser.
    pub stabilizer: f64,
}

impl ZBox {
    /// The rule for inputs from `low` to `high`.
    ///
    /// # Errors
    /// `low` is not below `high`.
    pub fn new(low: f64, high: f64, stabilizer: f64) -> Result<Self> {
        if low < high {
            return Ok(Self { low, high, stabilizer });
        }
        Err(Error::invalid(format!("low {low} must be below high {high}")))
    }
}

impl Rule for ZBox {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("lrp_z_box({}, {}, {})", self.low, self.high, self.stabilizer)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let layer = Weighted::of(site)?;
        let (positive, negative) = parts(site, layer.w);
        let shape = site.shape(layer.x);
        let low = site.emitter().fill(self.low, shape);
        let high = site.emitter().fill(self.high, shape);
        let terms = [(layer.x, layer.w), (low, positive), (high, negative)];
        let mut sums = Vec::new();
        for (x, w) in terms {
            sums.push(layer.forward(site, x, w, None)?);
        }
        let e = site.emitter();
        let z = e.sub(sums[0], sums[1]);
        let z = e.sub(z, sums[2]);
        let s = quotient(site, upper.0, z, self.stabilizer);
        let mut shares = Vec::new();
        for (x, w) in terms {
            shares.push(layer.contribution(site, x, w, s)?);
        }
        let e = site.emitter();
        let lower = e.sub(shares[0], shares[1]);
        let lower = e.sub(lower, shares[2]);
        Ok(layer.to_data_alone(site, lower))
    }
}
