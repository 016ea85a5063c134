//! A weighted layer with its operands exchanged: every rule below is two or four such passes.

use voxplain_autodiff::{BinaryFn, Cause, Relevance, Site, Slot};
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::{Error, Result};

/// The operands of a weighted layer.
pub(in crate::rules) struct Weighted {
    pub x: Slot,
    pub w: Slot,
    pub bias: Option<Slot>,
    /// Which operand the data is; the other of the first two is the weights.
    pub data: usize,
}

impl Weighted {
    /// The operands of the node at `site`.
    pub fn of(site: &Site<'_>) -> Result<Self> {
        let count = site.node().inputs.len();
        let data = usize::from(count == 2 && !site.varies(0));
        let weighted = count > 1 && site.varies(data) && !site.varies(1 - data);
        if !weighted || count > 3 {
            return Err(Error::unsupported(format!(
                "node {:?} ({}) has no weights; rules for weighted layers are for convolutions and linear layers",
                site.node().name,
                site.node().op.kind()
            )));
        }
        let bias = (count > 2).then(|| site.input(2));
        Ok(Self { x: site.input(data), w: site.input(1 - data), bias, data })
    }

    fn operands(&self, site: &mut Site<'_>, x: Slot, w: Slot, bias: Option<Slot>) -> Vec<Slot> {
        let mut operands = if self.data == 0 { vec![x, w] } else { vec![w, x] };
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
        let back = site.vjp_at(&operands, s)?.into_iter().nth(self.data).flatten();
        back.ok_or_else(|| Error::internal("a weighted layer whose data needs no relevance"))
    }

    /// `x_i sum_j w_ij s_j`.
    pub fn contribution(&self, site: &mut Site<'_>, x: Slot, w: Slot, s: Slot) -> Result<Slot> {
        let back = self.back(site, w, s)?;
        Ok(site.emitter().mul(x, back))
    }

    /// Relevance for the data alone, from a rule in whose sums the bias takes its share.
    pub fn to_data(&self, site: &mut Site<'_>, relevance: Slot) -> Vec<Option<Relevance>> {
        if self.bias.is_some() {
            site.book_rest(Cause::Bias);
        }
        self.to_data_alone(site, relevance)
    }

    /// Relevance for the data alone, from a rule whose sums have no bias.
    pub fn to_data_alone(&self, site: &Site<'_>, relevance: Slot) -> Vec<Option<Relevance>> {
        let mut lower = vec![None; site.node().inputs.len()];
        lower[self.data] = site.wants(self.data).then_some(Relevance(relevance));
        lower
    }
}

/// The positive and the negative part of a value.
pub(in crate::rules) fn parts(site: &mut Site<'_>, value: Slot) -> (Slot, Slot) {
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

    /// The same without the bias.
    pub fn without_bias(self) -> Self {
        Self { bias: None, ..self }
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

/// `R / st(z)`; with a stabiliser of 0, 0 where z is 0. What the stabiliser keeps, and what outputs without any
/// contribution keep, goes into the ledger.
pub(super) fn quotient(site: &mut Site<'_>, upper: Slot, z: Slot, stabilizer: f64) -> Slot {
    let s = divide(site, upper, z, stabilizer);
    if site.keeps_books() {
        let used = site.emitter().mul(s, z);
        let lost = site.emitter().sub(upper, used);
        book_lost(site, lost, z);
    }
    s
}

/// `R / st(z)` without a word to the ledger.
pub(super) fn divide(site: &mut Site<'_>, upper: Slot, z: Slot, stabilizer: f64) -> Slot {
    if stabilizer > 0.0 {
        return site.emitter().binary(BinaryFn::DivStabilised(stabilizer), upper, z);
    }
    let size = site.map(Pointwise::Abs, z);
    let e = site.emitter();
    let quotient = e.binary(BinaryFn::DivOrZero, upper, z);
    e.binary(BinaryFn::Gate, quotient, size)
}

/// Books what quotients by `z` lost: to dead outputs where `z` is 0, to the stabiliser elsewhere.
pub(super) fn book_lost(site: &mut Site<'_>, lost: Slot, z: Slot) {
    let size = site.map(Pointwise::Abs, z);
    let stabilized = site.emitter().binary(BinaryFn::Gate, lost, size);
    let dead = site.emitter().sub(lost, stabilized);
    site.book(Cause::Stabilizer, stabilized);
    site.book(Cause::Dead, dead);
}
