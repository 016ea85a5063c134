//! Gates as constants.

use super::named::{Entry, STABILIZER};
use super::weighted::quotient;
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_graph::Op;
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::{Error, Result};

pub(super) const ENTRY: Entry = Entry {
    name: "gate_constant",
    parameters: &[("epsilon", Some(STABILIZER))],
    make: |p| Ok(Box::new(GateConstant { epsilon: p.not_negative(0)? })),
};

/// Of a product of a signal and a gate the signal gets everything (Arras et al., "Explaining and interpreting LSTMs",
/// 2019, the signal-take-all rule; for attention: Ali et al., "XAI for transformers", ICML 2022). A gate is what comes from
/// a sigmoid or a softmax.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateConstant {
    /// The stabiliser.
    pub epsilon: f64,
}

/// Whether operand `i` is made by a function with values between 0 and 1.
fn is_gate(site: &Site<'_>, i: usize) -> bool {
    let gate = |op: &Op| {
        matches!(
            op,
            Op::Softmax { .. }
                | Op::Pointwise(Pointwise::Sigmoid)
                | Op::Pointwise(Pointwise::HardSigmoid { .. })
        )
    };
    site.maker(i).is_some_and(|n| gate(&n.op))
}

impl Rule for GateConstant {
    type Signal = Relevance;

    fn name(&self) -> String {
        format!("lrp_gate_constant({})", self.epsilon)
    }

    fn bilinear(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let signal = match [is_gate(site, 0), is_gate(site, 1)] {
            [true, false] => 1,
            [false, true] => 0,
            _ => {
                return Err(Error::unsupported(
                    "not exactly one factor comes from a sigmoid or a softmax; use product_halves here",
                ));
            }
        };
        let y = site.output();
        let s = quotient(site, upper.0, y, self.epsilon);
        let lower = site.by_value(s)?.into_iter().enumerate();
        Ok(lower.map(|(i, s)| s.filter(|_| i == signal).map(Relevance)).collect())
    }
}
