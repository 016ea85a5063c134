//! Normalisation with statistics of the data, softmax and quotients.

use super::named::{Entry, STABILIZER};
use super::weighted::{divide, quotient};
use voxplain_autodiff::{Cause, Relevance, Rule, Site};
use voxplain_graph::Op;
use voxplain_tensor::{Error, Result};

pub(super) const ENTRY: Entry = Entry {
    name: "normalise",
    parameters: &[("epsilon", Some(STABILIZER))],
    make: |p| Ok(Box::new(Normalise { epsilon: p.not_negative(0)? })),
};

/// What scales by a number that depends on the data (Achtibat et al., ICML 2024, sections 3.3.2 and 3.3.3):
///
/// * layer, group and instance normalisation: the scale is a constant, and what is left is affine, with the epsilon rule;
///   the shift takes its share;
/// * softmax: its Taylor decomposition, `R_i = x_i (R_i - y_i sum_k R_k)` along its own axis. It keeps no sum, and it
///   changes when a constant is added to all `x`, which the softmax itself does not;
/// * a quotient: its numerator gets everything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalise {
    /// The stabiliser.
    pub epsilon: f64,
}

impl Rule for Normalise {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("lrp_normalise({})", self.epsilon)
    }

    fn normalise(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let (x, y) = (site.input(0), site.output());
        let lower = match site.node().op {
            Op::GroupNormalization { .. } | Op::LayerNormalization { .. } => {
                let s = quotient(site, upper.0, y, self.epsilon);
                site.book_rest(Cause::Bias);
                site.frozen_vjp(s)?
            }
            // The gradient of a softmax is y (g - sum(g y)), and R = g y.
            Op::Softmax { .. } => {
                let g = divide(site, upper.0, y, 0.0);
                let back = site.vjp(g)?.into_iter().next().flatten();
                back.ok_or_else(|| Error::internal("a softmax whose data needs no relevance"))?
            }
            _ => {
                return Err(Error::unsupported(
                    "relevance has no rule for this node; explain what comes before it",
                ));
            }
        };
        let lower = site.emitter().mul(x, lower);
        Ok(site.to_first(Relevance(lower)))
    }

    fn opaque(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let y = site.output();
        let s = quotient(site, upper.0, y, self.epsilon);
        let lower = site.by_value(s)?.into_iter().enumerate();
        Ok(lower.map(|(i, s)| s.filter(|_| i == 0).map(Relevance)).collect())
    }
}
