//! A weighted layer with its operands exchanged: every rule below is two or four such passes.

use voxplain_autodiff::{BinaryFn, Relevance, Site};
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::{Error, Result};

type Slot = voxplain_autodiff::Slot;

/// The operands of a weighted layer.
pub(super) struct Weighted {
    pub x: Slot,
    pub w: Slot,
    pub bias: Option<Slot>,
}

impl Weighted {
    /// The operands of the node at `site`.
    pub fn of(site: &Site<'_>) -> Result<Self> {
        if site.node().inputs.len() < 2 {
            return Err(Error::unsupported(format!(
                "node {:?} ({}) has no weights; rules for weighted layers are for convolutions and linear layers",
                site.node().name,
                site.node().op.kind()
            )));
        }
        let bias = (site.node().inputs.len() > 2).then(|| site.input(2));
        Ok(Self { x: site.input(0), w: site.input(1), bias })
    }

    fn operands(&self, site: &mut Site<'_>, x: Slot, w: Slot, bias: Option<Slot>) -> Vec<Slot> {
        let mut operands = vec![x, w];
        if let Some(own) = self.bias {
            let shape = site.shape(own);
            operands.push(bias.unwrap_or_else(|| site.emitter().fill(0.0, shape)));
        }
        operands
    }

    /// `sum w x + bias` with these operands, without a bias if there is none.
    pub fn forward(&self, site: &mut Site<'_>, x: Slot, w: Slot, bias: Option<Slot>) -> Result<Slot> {
        let operands = self.operands(site, x, w, bias);
        site.forward_at(&operands)
    }

    /// `sum_j w_ij s_j` for the inputs.
    pub fn back(&self, site: &mut Site<'_>, w: Slot, s: Slot) -> Result<Slot> {
        let operands = self.operands(site, self.x, w, None);
        let back = site.vjp_at(&operands, s)?.into_iter().next().flatten();
        back.ok_or_else(|| Error::internal("a weighted layer whose data needs no relevance"))
    }

    /// `x_i sum_j w_ij s_j`.
    pub fn contribution(&self, site: &mut Site<'_>, x: Slot, w: Slot, s: Slot) -> Result<Slot> {
        let back = self.back(site, w, s)?;
        Ok(site.emitter().mul(x, back))
    }
}

/// The positive and the negative part of a value.
pub(super) fn parts(site: &mut Site<'_>, value: Slot) -> (Slot, Slot) {
    let positive = site.map(Pointwise::Relu, value);
    (positive, site.emitter().sub(value, positive))
}

/// The four products of parts: `p = x+ w+ + x- w-` is positive, `n = x+ w- + x- w+` is negative.
pub(super) struct Parts {
    pub x: (Slot, Slot),
    pub w: (Slot, Slot),
    pub bias: Option<(Slot, Slot)>,
}

impl Parts {
    pub fn of(site: &mut Site<'_>, layer: &Weighted) -> Self {
        let (x, w) = (parts(site, layer.x), parts(site, layer.w));
        Self { x, w, bias: layer.bias.map(|c| parts(site, c)) }
    }

    /// `sum_i p_ij + c_j+`, or `sum_i n_ij + c_j-`.
    pub fn sum(&self, site: &mut Site<'_>, layer: &Weighted, positive: bool) -> Result<Slot> {
        let (first, second) = self.weights(positive);
        let bias = self.bias.map(|c| if positive { c.0 } else { c.1 });
        let a = layer.forward(site, self.x.0, first, bias)?;
        let b = layer.forward(site, self.x.1, second, None)?;
        Ok(site.emitter().add(a, b))
    }

    /// `sum_j p_ij s_j`, or `sum_j n_ij s_j`.
    pub fn share(&self, site: &mut Site<'_>, layer: &Weighted, positive: bool, s: Slot) -> Result<Slot> {
        let (first, second) = self.weights(positive);
        let a = layer.contribution(site, self.x.0, first, s)?;
        let b = layer.contribution(site, self.x.1, second, s)?;
        Ok(site.emitter().add(a, b))
    }

    /// The weights that meet `x+` and `x-`.
    fn weights(&self, positive: bool) -> (Slot, Slot) {
        if positive { self.w } else { (self.w.1, self.w.0) }
    }
}

/// `R / st(z)`.
pub(super) fn quotient(site: &mut Site<'_>, upper: &Relevance, z: Slot, stabilizer: f64) -> Slot {
    site.emitter().binary(BinaryFn::DivStabilised(stabilizer), upper.0, z)
}

/// Relevance for the data alone.
pub(super) fn to_data(site: &Site<'_>, relevance: Slot) -> Vec<Option<Relevance>> {
    site.to_first(Relevance(relevance))
}
