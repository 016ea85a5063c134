//! LRP-gamma, generalised to inputs and outputs of both signs.

use super::named::{Entry, STABILIZER};
use super::weighted::{Parts, Weighted, book_lost, divide};
use voxplain_autodiff::{BinaryFn, Relevance, Rule, Site, Slot};
use voxplain_tensor::Result;

pub(super) const ENTRY: Entry = Entry {
    name: "generalized_gamma",
    parameters: &[("gamma", Some(0.25)), ("stabilizer", Some(STABILIZER))],
    make: |p| {
        let (gamma, stabilizer) = (p.not_negative(0)?, p.not_negative(1)?);
        Ok(Box::new(GeneralizedGamma { gamma, stabilizer }))
    },
};

/// The generalised form for inputs and outputs of both signs (Andeol, Kusen, Müller & Samek, "Learning domain invariant
/// representations by joint Wasserstein distance minimization", 2023, appendix; as in Zennit): where `z_j > 0`, with
/// `q = w x + gamma p` and `d = c + gamma c+`; where `z_j < 0`, with `q = w x + gamma n` and `d = c + gamma c-`;
/// `R_i = sum_j q_ij R_j / st(sum_i q_ij + d_j)`. For `x >= 0` and `z > 0` it is [`super::Gamma`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeneralizedGamma {
    /// How much more what agrees with the output counts.
    pub gamma: f64,
    /// The stabiliser.
    pub stabilizer: f64,
}

impl GeneralizedGamma {
    /// `d = z + gamma sum`, and `R / st(d)` where `sign` is positive, else 0.
    fn quotient(&self, site: &mut Site<'_>, upper: Slot, (z, sum, sign): (Slot, Slot, Slot)) -> [Slot; 2] {
        let more = site.emitter().scale(sum, self.gamma);
        let denominator = site.emitter().add(z, more);
        let s = divide(site, upper, denominator, self.stabilizer);
        [denominator, site.emitter().binary(BinaryFn::Gate, s, sign)]
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
        let [above, s_above] = self.quotient(site, upper.0, (z, positive, z));
        let [below, s_below] = self.quotient(site, upper.0, (z, negative, minus));
        if site.keeps_books() {
            let e = site.emitter();
            let (used_above, used_below) = (e.mul(s_above, above), e.mul(s_below, below));
            let lost = e.sub(upper.0, used_above);
            let lost = e.sub(lost, used_below);
            book_lost(site, lost, z);
        }
        let both = site.emitter().add(s_above, s_below);
        let plain = layer.contribution(site, layer.x, layer.w, both)?;
        let p = parts.share(site, &layer, true, s_above)?;
        let n = parts.share(site, &layer, false, s_below)?;
        let e = site.emitter();
        let extra = e.add(p, n);
        let extra = e.scale(extra, self.gamma);
        let lower = e.add(plain, extra);
        Ok(layer.to_data(site, lower))
    }
}
