//! Which rule speaks where, before anything runs.

use crate::explain::Explainer;
use crate::request::Request;
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
