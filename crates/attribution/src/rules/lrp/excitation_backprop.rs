//! Excitation backpropagation.

use super::ZPlus;
use super::named::{Entry, STABILIZER};
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_tensor::Result;

pub(super) const ENTRY: Entry = Entry {
    name: "excitation_backprop",
    parameters: &[("stabilizer", Some(STABILIZER))],
    make: |p| Ok(Box::new(ExcitationBackProp { stabilizer: p.not_negative(0)? })),
};

/// A winner is drawn at random from the top down: input i of output j wins with the probability
/// `x_i w_ij+ / sum_i x_i w_ij+` (Zhang et al., "Top-down neural attention by excitation backprop", ECCV 2016, equation 3),
/// for layers whose inputs are not negative. That is z+ without the bias, which also says what inputs below 0 do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExcitationBackProp {
    /// The stabiliser.
    pub stabilizer: f64,
}

impl Rule for ExcitationBackProp {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("excitation_backprop({})", self.stabilizer)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        ZPlus { bias: false, stabilizer: self.stabilizer }.affine(site, upper)
    }
}
