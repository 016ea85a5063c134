//! Sums of two branches by magnitude.

use super::named::{Entry, STABILIZER};
use super::weighted::quotient;
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_graph::Op;
use voxplain_graph::ops::{Binary, Pointwise};
use voxplain_tensor::{Error, Result};

pub(super) const ENTRY: Entry = Entry {
    name: "sum_by_magnitude",
    parameters: &[("stabilizer", Some(STABILIZER))],
    make: |p| Ok(Box::new(SumByMagnitude { stabilizer: p.not_negative(0)? })),
};

/// A branch of a residual sum gets its part of the magnitudes, `R_a = |a| R / st(|a| + |b|)`: bounded, and kept, where the
/// shares by value `a R / (a + b)` grow without limit as the branches cancel (which is how relevance of residual networks
/// explodes). For nodes that add or subtract two values of one shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SumByMagnitude {
    /// The stabiliser.
    pub stabilizer: f64,
}

impl Rule for SumByMagnitude {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("lrp_sum_by_magnitude({})", self.stabilizer)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let adds = matches!(site.node().op, Op::Binary(Binary::Add | Binary::Sub));
        if !adds || site.shape(site.input(0)) != site.shape(site.input(1)) {
            return Err(Error::unsupported("shares by magnitude are for sums of two values of one shape"));
        }
        let sizes = [0, 1].map(|i| {
            let x = site.input(i);
            site.map(Pointwise::Abs, x)
        });
        let sum = site.emitter().add(sizes[0], sizes[1]);
        let s = quotient(site, upper.0, sum, self.stabilizer);
        let lower = sizes.map(|size| site.emitter().mul(size, s));
        Ok((0..2).map(|i| site.wants(i).then_some(Relevance(lower[i]))).collect())
    }
}
