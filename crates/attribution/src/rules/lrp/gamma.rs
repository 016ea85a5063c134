//! LRP-gamma.

use super::weighted::{Parts, Weighted, to_data};
use voxplain_autodiff::{BinaryFn, Relevance, Rule, Site, Slot};
use voxplain_tensor::Result;

/// The generalised form for inputs and outputs of both signs (Andeol, Kusen, Müller & Samek, "Learning domain invariant
/// representations by joint Wasserstein distance minimization", 2023, appendix; as in Zennit): where `z_j > 0`, with
/// `q = w x + gamma p` and `d = c + gamma c+`; where `z_j < 0`, with `q = w x + gamma n` and `d = c + gamma c-`;
/// `R_i = sum_j q_ij R_j / st(sum_i q_ij + d_j)`. For `x >= 0` and `z > 0` it is LRP-gamma (Montavon et al., "Layer-wise
/// relevance propagation: an overview", 2019, section 10.2.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeneralizedGamma {
    /// How much more what agrees with the output counts.
    pub gamma: f64,
    /// The stabiliser.
    pub stabilizer: f64,
}

impl GeneralizedGamma {
    /// `R / st(z + gamma sum)` where `sign` is positive, else 0.
    fn quotient(&self, site: &mut Site<'_>, upper: &Relevance, (z, sum, sign): (Slot, Slot, Slot)) -> Slot {
        let e = site.emitter();
        let more = e.scale(sum, self.gamma);
        let denominator = e.add(z, more);
        let s = e.binary(BinaryFn::DivStabilised(self.stabilizer), upper.0, denominator);
        e.binary(BinaryFn::Gate, s, sign)
    }
}

impl Rule for GeneralizedGamma {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("lrp_generalized_gamma({}, {})", self.gamma, self.stabilizer)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let layer = Weighted::of(site)?;
        let parts = Parts::of(site, &layer);
        let z = site.output();
        let minus = site.emitter().scale(z, -1.0);
        let (positive, negative) = (parts.sum(site, &layer, true)?, parts.sum(site, &layer, false)?);
        let above = self.quotient(site, upper, (z, positive, z));
        let below = self.quotient(site, upper, (z, negative, minus));
        let both = site.emitter().add(above, below);
        let plain = layer.contribution(site, layer.x, layer.w, both)?;
        let (p, n) = (parts.share(site, &layer, true, above)?, parts.share(site, &layer, false, below)?);
        let e = site.emitter();
        let extra = e.add(p, n);
        let extra = e.scale(extra, self.gamma);
        let lower = e.add(plain, extra);
        Ok(to_data(site, lower))
    }
}
