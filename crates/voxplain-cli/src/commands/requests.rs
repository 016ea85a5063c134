//! The requests that the words of a command line mean.

use serde_json::{Map, Value};
use voxplain::request::{ESTIMATORS, Request};
use voxplain::{Error, Model, Result};

/// The methods that `all` stands for.
pub const ALL: [&str; 16] = [
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
    "gradcam",
    "hirescam",
    "layercam",
    "gradcam_plus_plus",
    "guided_gradcam",
    "deeplift_shap",
];

/// What the command line says about all requests.
pub struct Words<'a> {
    /// Methods with commas, `all`, or `study`.
    pub methods: &'a str,
    pub target: &'a str,
    pub set: &'a [String],
    /// The parameters that a composite's file says.
    pub composite: Option<Map<String, Value>>,
    pub budget: Option<&'a str>,
    pub save_draws: bool,
    /// The layer of class activation maps; by default the card's.
    pub layer: Option<&'a str>,
}

impl Words<'_> {
    /// One request per method.
    pub fn requests(&self, model: &Model) -> Result<Vec<Request>> {
        let set = parameters(self.set)?;
        let all = self.methods == "all";
        let cams = model.card.cam_layer.is_some() || self.layer.is_some() || set.contains_key("layer");
        let mut requests = if self.methods == "study" {
            voxplain::request::study(&model.graph, cams)
        } else {
            let names: Vec<&str> =
                if all { ALL.to_vec() } else { self.methods.split(',').map(str::trim).collect() };
            let wanted = names.into_iter().filter(|n| !all || cams || !n.contains("cam"));
            wanted.map(Request::named).collect()
        };
        if let Some(budget) = self.budget {
            voxplain::perturbation::Budget::parse(budget).map_err(|e| e.within("--budget"))?;
            if !requests.iter().any(|r| ESTIMATORS.contains(&r.method.as_str())) {
                return Err(Error::invalid(format!(
                    "--budget bounds perturbation methods ({}), and none was asked for",
                    ESTIMATORS.join(", ")
                )));
            }
        }
        if self.layer.is_some() && !requests.iter().any(|r| r.method.contains("cam")) {
            return Err(Error::invalid(format!(
                "--layer is for class activation maps, not for {}",
                self.methods
            )));
        }
        if self.composite.is_some() && !requests.iter().any(|r| r.method == "composite") {
            return Err(Error::invalid(format!(
                "--composite is for the method composite, not for {}",
                self.methods
            )));
        }
        requests.iter_mut().for_each(|request| self.complete(request, &set, all));
        Ok(requests)
    }

    /// Adds what the command line says to a request.
    fn complete(&self, request: &mut Request, set: &Map<String, Value>, all: bool) {
        request.target = Value::from(self.target);
        let given = set.iter().filter(|(key, _)| !all || belongs(&request.method, key));
        request.params.extend(given.map(|(k, v)| (k.clone(), v.clone())));
        if let Some(layer) = self.layer.filter(|_| request.method.contains("cam")) {
            request.params.entry("layer").or_insert_with(|| Value::from(layer));
        }
        if request.method == "composite" {
            request.params.extend(self.composite.iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
        }
        if ESTIMATORS.contains(&request.method.as_str()) {
            if let Some(budget) = self.budget {
                request.params.insert(String::from("budget"), Value::from(budget));
            }
            if self.save_draws {
                request.params.insert(String::from("save_draws"), Value::from(true));
            }
        }
    }
}

/// The pairs of `--set`; values are JSON or else text.
///
/// # Errors
/// One is no pair.
pub fn parameters(set: &[String]) -> Result<Map<String, Value>> {
    let pair = |pair: &String| {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| Error::invalid(format!("--set {pair:?}; key=value expected")))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        Ok((String::from(key), value))
    };
    set.iter().map(pair).collect()
}

/// With `all`, a parameter goes to the methods that it belongs to; alone, a wrong one is an error.
fn belongs(method: &str, key: &str) -> bool {
    match key {
        "layer" => method.contains("cam"),
        "baseline" => ["integrated_gradients", "deeplift"].contains(&method),
        "n_steps" | "quadrature" | "tolerance" => method == "integrated_gradients",
        "draws" | "sigma" => ["smoothgrad", "smoothgrad_sq", "vargrad", "gradient_shap"].contains(&method),
        _ => true,
    }
}
