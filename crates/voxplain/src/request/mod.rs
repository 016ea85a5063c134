//! Requests as JSON: the form of `golden/*/case.json`, and what the command line's short form turns into.
//!
//! A request names a method, its parameters and a target. Parameters that are tensors name keys of a tensors file, one
//! per input (`{"x": "baseline/x"}`).

mod coalitions;
mod composite;
mod context;
mod features;
mod fills;
mod gradients;
mod parameters;
mod paths;
mod perturbations;
mod relevances;
mod rules;
mod study;

pub use composite::parse_composite;
pub use context::Context;
pub use features::Supervoxels;
pub use study::study;

use parameters::Parameters;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use voxplain_attribution::methods::Lrp;
use voxplain_models::Constant;
use voxplain_tensor::{Error, Result};

/// The methods that requests can name.
pub const METHODS: &[&str] = &[
    "saliency",
    "input_x_gradient",
    "guided_backprop",
    "deconvolution",
    "integrated_gradients",
    "gradient_shap",
    "smoothgrad",
    "smoothgrad_sq",
    "vargrad",
    "deeplift",
    "deeplift_shap",
    "gradcam",
    "guided_gradcam",
    "hirescam",
    "layercam",
    "gradcam_plus_plus",
    "gradient",
    "expected_gradients",
    "occlusion",
    "feature_ablation",
    "feature_permutation",
    "shapley_values",
    "shapley_sampling",
    "owen",
    "banzhaf",
    "kernel_shap",
    "lime",
    "rise",
    "sobol",
    "lrp_epsilon",
    "lrp_zplus",
    "lrp_gamma",
    "lrp_epsilon_plus",
    "lrp_epsilon_plus_flat",
    "lrp_alpha2_beta1",
    "lrp_alpha2_beta1_flat",
    "lrp_epsilon_gamma_box",
    "lrp_zero",
    "lrp_gamma_original",
    "lrp_gamma_captum",
    "lrp_alpha_beta",
    "lrp_w_square",
    "lrp_flat",
    "deep_taylor",
    "excitation_backprop",
    "attn_lrp",
    "composite",
    "rect_grad",
    "pattern_net",
    "pattern_attribution",
    "deeplift_reveal_cancel",
    "guided_ig",
    "blur_ig",
    "idgi",
    "xrai",
];

/// Those of [`METHODS`] that evaluate perturbed inputs: they take a `budget`.
pub const ESTIMATORS: [&str; 11] = [
    "occlusion",
    "feature_ablation",
    "feature_permutation",
    "shapley_values",
    "shapley_sampling",
    "owen",
    "banzhaf",
    "kernel_shap",
    "lime",
    "rise",
    "sobol",
];

/// The tensors of a request file, by key.
pub type Tensors = BTreeMap<String, Constant>;

/// One thing to compute.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Unique in its file; names the output folder.
    pub id: String,
    /// One of [`METHODS`].
    pub method: String,
    /// Parameters.
    pub params: Map<String, Value>,
    /// What is explained.
    pub target: Value,
    /// Output file stems by input name (or `cam`); empty for the default.
    pub expected: BTreeMap<String, String>,
}

impl Request {
    /// The composite of a relevance method: lines of (nodes, rule, parameters). `None` for other methods.
    ///
    /// # Errors
    /// A parameter is wrong.
    pub fn composite(&self) -> Result<Option<Lrp>> {
        relevances::relevance(&self.method, &Parameters { map: &self.params })
            .map_err(|e| e.within(format!("request {:?}", self.id)))
    }

    /// Whether the request is about the network with stored normalisation merged into the layers before it: methods whose
    /// rules see what a layer computes (relevance, patterns) are, unless they say `"batchnorm": "pass"` or `"keep"`.
    pub fn merges_normalization(&self) -> bool {
        let stated = self.params.get("batchnorm").and_then(Value::as_str).unwrap_or("merged");
        let of_layers = relevances::is_relevance(&self.method) || self.method.starts_with("pattern_");
        of_layers && stated == "merged"
    }
}

/// The requests of a file, and whether the output is a map that the tensor `region` weighs.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The requests.
    pub requests: Vec<Request>,
    /// Whether `output_reduction` is set.
    pub reduction: bool,
}

/// The requests of a file: an object with a list `methods`, or the list itself.
///
/// # Errors
/// Not JSON, or an entry lacks `method`; the message names the entry.
pub fn parse(text: &str) -> Result<Batch> {
    let value: Value =
        serde_json::from_str(text).map_err(|e| Error::invalid(format!("the request is not JSON: {e}")))?;
    let list = value.get("methods").unwrap_or(&value).as_array();
    let list = list.ok_or_else(|| Error::invalid("the request needs a list \"methods\""))?;
    let requests = list.iter().enumerate().map(|(i, v)| entry(i, v)).collect::<Result<Vec<_>>>()?;
    let mut ids: Vec<&str> = requests.iter().map(|r| r.id.as_str()).collect();
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|w| w[0] == w[1]) {
        return Err(Error::invalid(format!("two requests have the id {:?}; ids must be unique", pair[0])));
    }
    let reduction = value.get("output_reduction").is_some_and(|r| !r.is_null());
    Ok(Batch { requests, reduction })
}

fn entry(i: usize, value: &Value) -> Result<Request> {
    let place = |e: Error| e.within(format!("request {i}"));
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(String::from);
    let method = text("method").ok_or_else(|| place(Error::invalid("a text \"method\" is missing")))?;
    let params = match value.get("params") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(map)) => map.clone(),
        Some(_) => return Err(place(Error::invalid("\"params\" must be an object"))),
    };
    let id = text("id").unwrap_or_else(|| method.clone());
    if id.is_empty() || id.contains(['/', '\\']) || id.starts_with('.') {
        return Err(place(Error::invalid(format!("id {id:?} must be a plain file name"))));
    }
    let stems = value.get("expected").and_then(Value::as_object).into_iter().flatten();
    let expected: BTreeMap<String, String> =
        stems.filter_map(|(k, v)| Some((k.clone(), String::from(v.as_str()?)))).collect();
    if let Some(stem) =
        expected.values().find(|s| s.split('/').any(|part| part.is_empty() || part.starts_with('.')))
    {
        return Err(place(Error::invalid(format!("output name {stem:?} must be a plain relative path"))));
    }
    let target = value.get("target").cloned().unwrap_or(Value::Null);
    Ok(Request { id, method, params, target, expected })
}
