//! Which rule speaks where, before anything runs.

use crate::explain::Explainer;
use crate::request::Request;
use voxplain_attribution::composites;
use voxplain_attribution::rules::{Deconvolution, DeepLiftRescale, GuidedBackProp, RevealCancel};
use voxplain_attribution::{Rules, Table};
use voxplain_autodiff::{Composite, Cotangent, Gradient};
use voxplain_graph::rewrite::fold_batch_normalization;
use voxplain_models::Model;
use voxplain_tensor::{Error, Result};

/// The rules of a relevance method on a network, one line per node: name, operator, rule. Empty for other methods.
///
/// # Errors
/// A parameter is wrong, a node has no rule, or two lines of a composite speak at one node.
pub fn rules(model: &Model, request: &Request) -> Result<Vec<String>> {
    let Some(lrp) = request.composite()? else { return Ok(Vec::new()) };
    let merged =
        if request.merges_normalization() { Some(fold_batch_normalization(&model.graph)?) } else { None };
    lrp.explain(merged.as_ref().unwrap_or(&model.graph))
}

/// The gradient.
pub(crate) fn gradient() -> Rules<Cotangent> {
    Rules { name: String::from("gradient"), composite: Composite::everywhere(Gradient) }
}

/// The rule table whose plan decides a request's memory and operations.
pub(crate) fn table(request: &Request) -> Result<Box<dyn Table>> {
    let name = request.method.clone();
    if let Some(lrp) = request.composite()? {
        return Ok(Box::new(Rules { name, composite: composites::table(&lrp.lines)? }));
    }
    let composite = match request.method.as_str() {
        "deeplift" | "deeplift_shap" => Composite::everywhere(DeepLiftRescale),
        "guided_backprop" | "guided_gradcam" => Composite::everywhere(GuidedBackProp),
        "deconvolution" => Composite::everywhere(Deconvolution),
        "deeplift_reveal_cancel" => {
            return Ok(Box::new(Rules { name, composite: Composite::everywhere(RevealCancel) }));
        }
        _ => return Ok(Box::new(gradient())),
    };
    Ok(Box::new(Rules { name, composite }))
}

impl Explainer<'_> {
    /// As [`rules`], on the network of this explainer.
    ///
    /// # Errors
    /// As [`rules`]; the message names the request.
    pub fn rules(&self, request: &Request) -> Result<Vec<String>> {
        let place = |e: Error| e.within(format!("request {:?}", request.id));
        match request.composite()? {
            Some(lrp) => lrp.explain(self.graph(request)?).map_err(place),
            None => Ok(Vec::new()),
        }
    }
}
