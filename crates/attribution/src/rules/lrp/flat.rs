//! The flat rule.

use super::named::{Entry, STABILIZER};
use super::weighted::{Weighted, quotient};
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_tensor::Result;

pub(super) const ENTRY: Entry = Entry {
    name: "flat",
    parameters: &[("stabilizer", Some(STABILIZER))],
    make: |p| Ok(Box::new(Flat { stabilizer: p.not_negative(0)? })),
};

/// `R_i = sum_j R_j / st(k_j)` over the outputs that i reaches, `k_j` being the number of inputs (padding excluded) that
/// reach output j (Lapuschkin et al., "Unmasking Clever Hans predictors", Nature Communications 10, 2019): relevance by
/// place alone, for first layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flat {
    /// The stabiliser.
    pub stabilizer: f64,
}

impl Rule for Flat {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("lrp_flat({})", self.stabilizer)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let layer = Weighted::of(site)?;
        let (x_shape, w_shape) = (site.shape(layer.x), site.shape(layer.w));
        let x = site.emitter().fill(1.0, x_shape);
        let w = site.emitter().fill(1.0, w_shape);
        let reached = layer.forward(site, x, w, None)?;
        let s = quotient(site, upper.0, reached, self.stabilizer);
        let lower = layer.back(site, w, s)?;
        Ok(layer.to_data_alone(site, lower))
    }
}
