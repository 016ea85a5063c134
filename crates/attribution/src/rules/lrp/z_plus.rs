//! LRP-z+, with and without the bias.

use super::named::{Entry, STABILIZER};
use super::weighted::{Parts, Weighted, quotient};
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_tensor::Result;

pub(super) const ENTRY: Entry = Entry {
    name: "z_plus",
    parameters: &[("stabilizer", Some(STABILIZER))],
    make: |p| Ok(Box::new(ZPlus { bias: true, stabilizer: p.not_negative(0)? })),
};

pub(super) const WITHOUT_BIAS: Entry = Entry {
    name: "z_plus_without_bias",
    parameters: &[("stabilizer", Some(STABILIZER))],
    make: |p| Ok(Box::new(ZPlus { bias: false, stabilizer: p.not_negative(0)? })),
};

/// `R_i = sum_j p_ij R_j / st(sum_i p_ij + c_j+)` with `p = x+ w+ + x- w-`, for inputs of both signs (Montavon et al.,
/// "Explaining nonlinear classification decisions with deep Taylor decomposition", Pattern Recognition 65, 2017, section
/// 4.1, for `x >= 0`). Zennit lets the bias's positive part take its share; iNNvestigate's ZPlus and deep Taylor
/// decomposition have no bias, and then nothing is lost but at outputs that nothing speaks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZPlus {
    /// Whether the positive part of the bias takes its share.
    pub bias: bool,
    /// The stabiliser.
    pub stabilizer: f64,
}

impl Rule for ZPlus {
    type Signal = Relevance;

    fn name(&self) -> String {
        let bias = if self.bias { "" } else { "_without_bias" };
        format!("lrp_z_plus{bias}({})", self.stabilizer)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let layer = Weighted::of(site)?;
        let parts = Parts::of(site, &layer);
        let parts = if self.bias { parts } else { parts.without_bias() };
        let sum = parts.sum(site, &layer, true)?;
        let s = quotient(site, upper.0, sum, self.stabilizer);
        let lower = parts.share(site, &layer, true, s)?;
        Ok(if self.bias { layer.to_data(site, lower) } else { layer.to_data_alone(site, lower) })
    }
}
