//! LRP-gamma as it was first written, for layers whose inputs are not negative.

use super::named::{Entry, STABILIZER};
use super::number::Given;
use super::weighted::{Weighted, parts, quotient};
use voxplain_autodiff::{Relevance, Rule, Site, Slot};
use voxplain_tensor::Result;

pub(super) const ENTRY: Entry = Entry {
    name: "gamma",
    parameters: &[("gamma", Some(0.25)), ("stabilizer", Some(STABILIZER))],
    make: |p| make(p, true),
};

pub(super) const PLAIN_BIAS: Entry = Entry {
    name: "gamma_plain_bias",
    parameters: &[("gamma", Some(0.25)), ("stabilizer", Some(STABILIZER))],
    make: |p| make(p, false),
};

fn make(p: &Given, favour_bias: bool) -> Result<super::AnyRule> {
    let (gamma, stabilizer) = (p.not_negative(0)?, p.not_negative(1)?);
    Ok(Box::new(Gamma { gamma, favour_bias, stabilizer }))
}

/// `R_i = x_i sum_j v_ij R_j / st(sum_i x_i v_ij + d_j)` with `v = w + gamma w+` and `d = c + gamma c+` (Montavon et al.,
/// "Layer-wise relevance propagation: an overview", 2019, section 10.2.1), meant for `x >= 0`. Captum's GammaRule leaves the
/// bias as it is, `d = c`: that is `favour_bias: false`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gamma {
    /// How much more positive weights count.
    pub gamma: f64,
    /// Whether a positive bias counts more, as positive weights do.
    pub favour_bias: bool,
    /// The stabiliser.
    pub stabilizer: f64,
}

impl Gamma {
    /// `v + gamma v+`.
    fn favoured(&self, site: &mut Site<'_>, v: Slot) -> Slot {
        let (positive, _) = parts(site, v);
        let e = site.emitter();
        let more = e.scale(positive, self.gamma);
        e.add(v, more)
    }
}

impl Rule for Gamma {
    type Signal = Relevance;

    fn name(&self) -> String {
        let bias = if self.favour_bias { "" } else { "_plain_bias" };
        format!("lrp_gamma{bias}({}, {})", self.gamma, self.stabilizer)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let layer = Weighted::of(site)?;
        let w = self.favoured(site, layer.w);
        let bias = layer.bias.map(|c| if self.favour_bias { self.favoured(site, c) } else { c });
        let z = layer.forward(site, layer.x, w, bias)?;
        let s = quotient(site, upper.0, z, self.stabilizer);
        let lower = layer.contribution(site, layer.x, w, s)?;
        Ok(layer.to_data(site, lower))
    }
}
