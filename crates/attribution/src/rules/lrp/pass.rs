//! What layers without weights do with relevance.

use super::named::{Entry, STABILIZER};
use super::number::Given;
use super::weighted::quotient;
use voxplain_autodiff::{Cause, Relevance, Rule, Site};
use voxplain_graph::Op;
use voxplain_tensor::Result;

pub(super) const ENTRY: Entry =
    Entry { name: "unweighted", parameters: &[("stabilizer", Some(STABILIZER))], make: |p| make(p, false) };

pub(super) const PASS_NORMALIZATION: Entry = Entry {
    name: "unweighted_pass_normalization",
    parameters: &[("stabilizer", Some(STABILIZER))],
    make: |p| make(p, true),
};

fn make(p: &Given, pass_normalization: bool) -> Result<super::AnyRule> {
    Ok(Box::new(Unweighted { stabilizer: p.not_negative(0)?, pass_normalization }))
}

/// Sums and averages share relevance by value: operand i of `y = sum u_i x_i` gets `u_i x_i R / st(y)`; so does a stored
/// normalisation that could not be merged into a layer, unless it passes relevance unchanged. Movements, joins, padding
/// and interpolation hand it back by their transpose. Activations pass it on and maxima give it to the winner, as the
/// signal does by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unweighted {
    /// The stabiliser.
    pub stabilizer: f64,
    /// Whether stored normalisation passes relevance unchanged.
    pub pass_normalization: bool,
}

impl Rule for Unweighted {
    type Signal = Relevance;

    fn name(&self) -> String {
        let pass = if self.pass_normalization { "_pass_normalization" } else { "" };
        format!("lrp_unweighted{pass}({})", self.stabilizer)
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        match site.node().op {
            Op::BatchNormalization { .. } if self.pass_normalization => Ok(site.to_first(*upper)),
            Op::Concat { .. }
            | Op::Reshape { .. }
            | Op::Transpose { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Resize { .. }
            | Op::Identity => Ok(site.vjp(upper.0)?.into_iter().map(|g| g.map(Relevance)).collect()),
            _ => by_value(site, upper, self.stabilizer),
        }
    }
}

/// Every operand's share of the value; what constants added has its share in the ledger.
fn by_value(site: &mut Site<'_>, upper: &Relevance, stabilizer: f64) -> Result<Vec<Option<Relevance>>> {
    let output = site.output();
    let s = quotient(site, upper.0, output, stabilizer);
    site.book_rest(Cause::Bias);
    Ok(site.by_value(s)?.into_iter().map(|s| s.map(Relevance)).collect())
}
