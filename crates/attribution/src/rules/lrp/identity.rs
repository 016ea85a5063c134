//! Relevance handed on as it is.

use super::named::Entry;
use voxplain_autodiff::{Relevance, Rule, Site};
use voxplain_tensor::{Error, Result};

pub(super) const ENTRY: Entry = Entry { name: "identity", parameters: &[], make: |_| Ok(Box::new(Identity)) };

/// `R_i = R_j` with i = j: a weighted layer is passed over as if it were an activation (Captum's `IdentityRule`). Only for
/// layers whose input has the shape of their output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity;

impl Rule for Identity {
    type Signal = Relevance;

    fn name(&self) -> String {
        String::from("lrp_identity")
    }

    fn affine(&self, site: &mut Site<'_>, upper: &Relevance) -> Result<Vec<Option<Relevance>>> {
        let varying: Vec<usize> = (0..site.node().inputs.len()).filter(|&i| site.varies(i)).collect();
        let output = site.shape(upper.0);
        let [data] = varying[..] else {
            return Err(Error::unsupported(
                "the identity rule is for layers with one input; use another rule here",
            ));
        };
        let operand = site.input(data);
        let input = site.shape(operand);
        if input != output {
            return Err(Error::unsupported(format!(
                "the identity rule needs an input of the output's shape {output}, and this one has {input}; use another rule here"
            )));
        }
        let mut lower = vec![None; site.node().inputs.len()];
        lower[data] = site.wants(data).then_some(*upper);
        Ok(lower)
    }
}
