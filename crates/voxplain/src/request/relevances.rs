//! Layer-wise relevance propagation: from parameters to composites.

use super::context::Context;
use super::parameters::Parameters;
use voxplain_attribution::Method;
use voxplain_attribution::methods::{FirstRule, LayerRule, Lrp, Start};
use voxplain_tensor::{Error, Result, Scalar};

impl Context<'_> {
    /// The relevance method of that name, if it is one.
    pub(super) fn relevance_method<S: Scalar>(
        &self,
        method: &str,
        p: &Parameters<'_>,
    ) -> Result<Option<Box<dyn Method<S>>>> {
        let epsilon = LayerRule::Epsilon(p.number("epsilon")?.unwrap_or(1e-6));
        let gamma = LayerRule::Gamma(p.number("gamma")?.unwrap_or(0.25));
        let bounds = || -> Result<FirstRule> {
            let missing =
                || Error::invalid("lrp_epsilon_gamma_box needs low and high, the bounds of the inputs");
            let (low, high) = (p.number("low")?.ok_or_else(missing)?, p.number("high")?.ok_or_else(missing)?);
            if low >= high {
                return Err(Error::invalid(format!("low {low} must be below high {high}")));
            }
            Ok(FirstRule::Box(low, high))
        };
        use FirstRule::{Flat, Same};
        use LayerRule::{Alpha2Beta1, ZPlus};
        let (own, convolution, linear, first): (&[&str], _, _, _) = match method {
            "lrp_epsilon" => (&["epsilon"], epsilon, epsilon, Same),
            "lrp_zplus" => (&[], ZPlus, ZPlus, Same),
            "lrp_gamma" => (&["gamma"], gamma, gamma, Same),
            "lrp_epsilon_plus" => (&["epsilon"], ZPlus, epsilon, Same),
            "lrp_epsilon_plus_flat" => (&["epsilon"], ZPlus, epsilon, Flat),
            "lrp_alpha2_beta1" => (&["epsilon"], Alpha2Beta1, epsilon, Same),
            "lrp_alpha2_beta1_flat" => (&["epsilon"], Alpha2Beta1, epsilon, Flat),
            "lrp_epsilon_gamma_box" => (&["epsilon", "gamma", "low", "high"], gamma, epsilon, bounds()?),
            _ => return Ok(None),
        };
        p.only(&[&["start", "batchnorm", "stabilizer"], own].concat())?;
        Ok(Some(Box::new(Lrp {
            convolution,
            linear,
            first,
            stabilizer: p.number("stabilizer")?.unwrap_or(1e-6),
            pass_normalization: p.choice("batchnorm", &["merged", "pass", "keep"])? == 1,
            start: if p.choice("start", &["output", "one"])? == 0 { Start::Output } else { Start::One },
        })))
    }
}
