//! Guided BackProp.

use voxplain_autodiff::{Cotangent, Rule, Site};
use voxplain_graph::Op;
use voxplain_tensor::Result;

/// Guided BackProp (Springenberg, Dosovitskiy, Brox & Riedmiller, "Striving for simplicity: the all convolutional net",
/// ICLR workshop 2015, section 3.4): a rectifier passes a cotangent where its input is positive and the cotangent is
/// positive, `g_in = g [x > 0] [g > 0]`. ReLU is the rectifier; everything else (ReLU6 too) keeps its gradient.
#[derive(Clone, Copy, Debug, Default)]
pub struct GuidedBackProp;

impl Rule for GuidedBackProp {
    type Signal = Cotangent;

    fn name(&self) -> String {
        String::from("guided_backprop")
    }

    fn pointwise(&self, site: &mut Site<'_>, upper: &Cotangent) -> Result<Vec<Option<Cotangent>>> {
        let guided = match site.node().op {
            Op::Pointwise(f) if f.is_rectifier() => site.rectify(upper.0),
            _ => upper.0,
        };
        Ok(site.vjp(guided)?.into_iter().map(|g| g.map(Cotangent)).collect())
    }
}
