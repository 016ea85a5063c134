//! The w^2 rule.

use super::named::{Entry, STABILIZER};
use super::weighted::{Weighted, quotient};
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_tensor::Result;

pub(super) const ENTRY: Entry = Entry {
    name: "w_square",
    parameters: &[("stabilizer", Some(STABILIZER))],
    make: |p| Ok(Box::new(WSquare { bias: false, stabilizer: p.not_negative(0)? })),
};

pub(super) const WITH_BIAS: Entry = Entry {
    name: "w_square_with_bias",
    parameters: &[("stabilizer", Some(STABILIZER))],
    make: |p| Ok(Box::new(WSquare { bias: true, stabilizer: p.not_negative(0)? })),
};

/// `R_i = sum_j w_ij^2 R_j / st(sum_i w_ij^2)` over the inputs that reach output j, padding excluded (Montavon et al.,
/// Pattern Recognition 65, 2017, section 4.1), for first layers whose inputs have no bounds. Zennit has the square of the
/// bias in the sum, which then takes a share: that is `bias: true`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WSquare {
    /// Whether the square of the bias is in the sum.
    pub bias: bool,
    /// The stabiliser.
    pub stabilizer: f64,
}

impl Rule for WSquare {
    type Signal = Relevance;

    fn name(&self) -> String {
        let bias = if self.bias { "_with_bias" } else { "" };
        format!("lrp_w_square{bias}({})", self.stabilizer)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let layer = Weighted::of(site)?;
        let shape = site.shape(layer.x);
        let e = site.emitter();
        let (ones, squares) = (e.fill(1.0, shape), e.mul(layer.w, layer.w));
        let bias = layer.bias.filter(|_| self.bias).map(|c| e.mul(c, c));
        let sum = layer.forward(site, ones, squares, bias)?;
        let s = quotient(site, upper.0, sum, self.stabilizer);
        let lower = layer.back(site, squares, s)?;
        Ok(if self.bias { layer.to_data(site, lower) } else { layer.to_data_alone(site, lower) })
    }
}
