//! Deconvolution.

use voxplain_autodiff::{Cotangent, Rule, Signal, Site};
use voxplain_graph::{Class, Op};
use voxplain_tensor::Result;

/// Deconvolution (Zeiler & Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 2.1): a
/// rectifier passes a cotangent where the cotangent is positive, whatever its input was, `g_in = g [g > 0]`. Max pooling
/// keeps its switches; everything else keeps its gradient.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deconvolution;

impl Rule for Deconvolution {
    type Signal = Cotangent;

    fn name(&self) -> String {
        String::from("deconvolution")
    }

    fn pointwise(&self, site: &mut Site<'_>, upper: &Cotangent) -> Result<Vec<Option<Cotangent>>> {
        match site.node().op {
            Op::Pointwise(f) if f.is_rectifier() => {
                let passed = Cotangent(site.rectify(upper.0));
                Ok(site.to_first(passed))
            }
            _ => Cotangent::default_rule(Class::Pointwise, site, upper),
        }
    }
}
