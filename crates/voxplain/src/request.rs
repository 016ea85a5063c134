//! Requests as JSON: the form of `golden/*/case.json`, and what the command line's short form turns into.
//!
//! A request names a method, its parameters and a target. Parameters that are tensors name keys of a tensors file, one
//! per input (`{"x": "baseline/x"}`).

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use voxplain_attribution::methods::{
    Backward, Baseline, Cam, CamWeights, DeepLift, DeepLiftShap, GradientShap, GuidedGradCam,
    IntegratedGradients, ShapDraws, Smooth, Statistic, Steps,
};
use voxplain_attribution::{Draws, Interpolation, Method, Quadrature, Target};
use voxplain_models::Constant;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// The methods that requests can name.
pub const METHODS: [&str; 18] = [
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

/// Where parameters are looked up.
pub struct Context<'a> {
    /// Names of the graph inputs, in order.
    pub inputs: &'a [String],
    /// The tensors file.
    pub tensors: &'a Tensors,
    /// The seed of draws that are not injected.
    pub seed: u64,
    /// The layer of class activation maps that do not name one.
    pub cam_layer: Option<&'a str>,
    /// The network's inputs, for parameters that default to their shape.
    pub network_inputs: &'a [Tensor<f32>],
}

impl Context<'_> {
    /// A tensor by key.
    ///
    /// # Errors
    /// There is no such tensor of numbers.
    pub fn tensor<S: Scalar>(&self, key: &str) -> Result<Tensor<S>> {
        match self.tensors.get(key) {
            Some(Constant::Float { shape, data }) => {
                Tensor::new(shape, data.iter().map(|&v| S::from_f64(f64::from(v))).collect())
            }
            Some(Constant::Int { shape, data }) => {
                Tensor::new(shape, data.iter().map(|&v| S::from_f64(v as f64)).collect())
            }
            None => Err(Error::invalid(format!("the tensors file has no tensor {key:?}"))),
        }
    }

    /// The network's inputs: the keys `input/<name>`.
    ///
    /// # Errors
    /// One is missing.
    pub fn stored_inputs<S: Scalar>(&self) -> Result<Vec<Tensor<S>>> {
        self.inputs.iter().map(|name| self.tensor(&format!("input/{name}"))).collect()
    }

    /// One tensor per input, from `{input: key}`.
    fn per_input<S: Scalar>(&self, value: &Value, name: &str) -> Result<Vec<Tensor<S>>> {
        let map = value.as_object().ok_or_else(|| {
            Error::invalid(format!(
                "{name} must map every input to a key of the tensors file, as {{\"x\": \"{name}/x\"}}"
            ))
        })?;
        if let Some(unknown) = map.keys().find(|k| !self.inputs.contains(k)) {
            return Err(Error::invalid(format!(
                "{name}: no input {unknown:?}; the network has {}",
                self.inputs.join(", ")
            )));
        }
        let one = |input: &String| {
            let key = map.get(input).and_then(Value::as_str);
            self.tensor(key.ok_or_else(|| Error::invalid(format!("{name}: input {input:?} is missing")))?)
        };
        self.inputs.iter().map(one).collect()
    }

    /// The target of a request for these inputs; `reduction` says that the output is a map to be weighted by the tensor
    /// `region`.
    ///
    /// # Errors
    /// The target is not an index, a list of indices, `pred`, or a text `a-b`.
    pub fn target(&self, value: &Value, reduction: bool) -> Result<Target> {
        let bad = || {
            Error::invalid(format!("target {value}: a class index, a list of indices or \"pred\" expected"))
        };
        let index = |v: &Value| v.as_u64().map(|v| v as usize).ok_or_else(bad);
        let class = match value {
            Value::Null => return Ok(Target::Predicted),
            Value::String(s) if s == "pred" => return Ok(Target::Predicted),
            Value::String(s) => match s.split_once('-') {
                Some((a, b)) => {
                    return Ok(Target::Difference(
                        a.parse().map_err(|_| bad())?,
                        b.parse().map_err(|_| bad())?,
                    ));
                }
                None => vec![s.parse().map_err(|_| bad())?],
            },
            Value::Array(list) => list.iter().map(index).collect::<Result<_>>()?,
            other => vec![index(other)?],
        };
        if reduction {
            return Ok(Target::Region { class, against: None, region: self.tensor("region")? });
        }
        Ok(Target::Class(class))
    }

    /// The method of a request.
    ///
    /// # Errors
    /// The method or a parameter is unknown or does not fit; the message names it.
    pub fn method<S: Scalar>(&self, request: &Request) -> Result<Box<dyn Method<S>>> {
        self.build(&request.method, &request.params)
            .map_err(|e| e.within(format!("request {:?}", request.id)))
    }

    fn build<S: Scalar>(&self, method: &str, params: &Map<String, Value>) -> Result<Box<dyn Method<S>>> {
        let p = Params { map: params };
        Ok(match method {
            "saliency" | "gradient" => {
                p.only(&["abs"])?;
                Box::new(Backward::saliency(p.flag("abs", false)?))
            }
            "input_x_gradient" => p.none(Box::new(Backward::input_x_gradient()))?,
            "guided_backprop" => p.none(Box::new(Backward::guided_backprop()))?,
            "deconvolution" => p.none(Box::new(Backward::deconvolution()))?,
            "integrated_gradients" => Box::new(self.integrated_gradients(&p)?),
            "gradient_shap" | "expected_gradients" => Box::new(self.gradient_shap(&p)?),
            "smoothgrad" => self.smooth(&p, Statistic::Mean)?,
            "smoothgrad_sq" => self.smooth(&p, Statistic::MeanOfSquares)?,
            "vargrad" => self.smooth(&p, Statistic::Variance)?,
            "deeplift" => {
                p.only(&["baseline", "multiply_by_inputs", "eps"])?;
                let (baseline, multiply_by_inputs) =
                    (self.baseline(&p)?, p.flag("multiply_by_inputs", true)?);
                Box::new(DeepLift { baseline, multiply_by_inputs })
            }
            "deeplift_shap" => {
                p.only(&["baseline", "baselines", "multiply_by_inputs", "eps"])?;
                let baselines = self.baselines(p.map.get("baselines").or(p.map.get("baseline")))?;
                let multiply_by_inputs = p.flag("multiply_by_inputs", true)?;
                Box::new(DeepLiftShap { baselines, multiply_by_inputs })
            }
            "gradcam" => Box::new(self.cam(&p, CamWeights::GradCam)?),
            "hirescam" => Box::new(self.cam(&p, CamWeights::HiResCam)?),
            "layercam" => Box::new(self.cam(&p, CamWeights::LayerCam)?),
            "gradcam_plus_plus" => Box::new(self.cam(&p, CamWeights::GradCamPlusPlus)?),
            "guided_gradcam" => {
                p.only(&["layer", "interpolate"])?;
                let interpolation =
                    Interpolation::parse(&p.text("interpolate")?.unwrap_or_else(|| "nearest".into()))?;
                Box::new(GuidedGradCam { layer: self.layer(&p)?, interpolation })
            }
            _ => {
                return Err(Error::unsupported(format!(
                    "no method {method:?}; there are {}",
                    METHODS.join(", ")
                )));
            }
        })
    }

    fn layer(&self, p: &Params<'_>) -> Result<String> {
        let default = self.cam_layer.map(String::from);
        p.text("layer")?.or(default).ok_or_else(|| {
            Error::invalid("class activation maps need a layer (--set layer=NAME); inspect lists the layers")
        })
    }

    fn cam(&self, p: &Params<'_>, weights: CamWeights) -> Result<Cam> {
        p.only(&["layer", "relu", "interpolate"])?;
        let interpolation = p.text("interpolate")?.map(|name| Interpolation::parse(&name)).transpose()?;
        Ok(Cam { layer: self.layer(p)?, weights, relu: p.flag("relu", false)?, interpolation })
    }

    fn baseline<S: Scalar>(&self, p: &Params<'_>) -> Result<Baseline<S>> {
        match p.map.get("baseline") {
            None | Some(Value::Null) => Ok(Baseline::Constant(0.0)),
            Some(Value::String(s)) if s == "zero" => Ok(Baseline::Constant(0.0)),
            Some(Value::Number(n)) => Ok(Baseline::Constant(n.as_f64().unwrap_or(0.0))),
            Some(map) => Ok(Baseline::Given(self.per_input(map, "baseline")?)),
        }
    }

    /// Rows of baselines for every input; one row of zeros where none are given.
    fn baselines<S: Scalar>(&self, value: Option<&Value>) -> Result<Vec<Tensor<S>>> {
        let zero = |x: &Tensor<f32>| Ok(Tensor::zeros(x.shape().with(0, 1)?));
        match value {
            Some(map) => self.per_input(map, "baselines"),
            None => self.network_inputs.iter().map(zero).collect(),
        }
    }

    fn integrated_gradients<S: Scalar>(&self, p: &Params<'_>) -> Result<IntegratedGradients<S>> {
        p.only(&["baseline", "multiply_by_inputs", "n_steps", "steps", "quadrature", "tolerance"])?;
        let n = p.count("n_steps")?.or(p.count("steps")?);
        let steps = match p.number("tolerance")? {
            Some(tolerance) => Steps::Adaptive { tolerance, most: n.unwrap_or(512) },
            None => {
                let quadrature = p.text("quadrature")?.unwrap_or_else(|| "gausslegendre".into());
                Steps::Fixed(Quadrature::parse(&quadrature)?, n.unwrap_or(50))
            }
        };
        let multiply_by_inputs = p.flag("multiply_by_inputs", true)?;
        Ok(IntegratedGradients { baseline: self.baseline(p)?, steps, multiply_by_inputs })
    }

    fn gradient_shap<S: Scalar>(&self, p: &Params<'_>) -> Result<GradientShap<S>> {
        p.only(&["baselines", "baseline_index", "alpha", "noise", "draws", "sigma", "seed"])?;
        let draws = p.count("draws")?.unwrap_or(5);
        let seed = p.count("seed")?.map_or(self.seed, |s| s as u64);
        let baselines = self.baselines(p.map.get("baselines"))?;
        let given = match (p.text("baseline_index")?, p.text("alpha")?) {
            (Some(index), Some(alpha)) => {
                let rows = |t: Tensor<f64>| (0..t.rows()).map(|k| t.row(k).to_vec()).collect::<Vec<_>>();
                let baseline = rows(self.tensor(&index)?);
                let baseline =
                    baseline.into_iter().map(|r| r.into_iter().map(|v| v as usize).collect()).collect();
                Some(ShapDraws::Given { baseline, alpha: rows(self.tensor(&alpha)?) })
            }
            (None, None) => None,
            _ => return Err(Error::invalid("baseline_index and alpha must be given together")),
        };
        let noise = match (p.map.get("noise"), p.number("sigma")?) {
            (Some(map), _) => Some(Draws::Given(self.per_input(map, "noise")?)),
            (None, Some(sigma)) => Some(Draws::Seeded { seed, draws, sigma: vec![sigma] }),
            (None, None) => None,
        };
        Ok(GradientShap { baselines, draws: given.unwrap_or(ShapDraws::Seeded { seed, draws }), noise })
    }

    fn smooth<S: Scalar>(&self, p: &Params<'_>, statistic: Statistic) -> Result<Box<dyn Method<S>>> {
        p.only(&["noise", "base", "base_params", "draws", "sigma", "seed"])?;
        let base = p.text("base")?.unwrap_or_else(|| "saliency".into());
        let empty = Map::new();
        let params = p.map.get("base_params").and_then(Value::as_object).unwrap_or(&empty);
        let base = if base == "saliency" && params.is_empty() {
            Box::new(Backward::saliency(false))
        } else {
            self.build(&base, params).map_err(|e| e.within("base"))?
        };
        let draws = match p.map.get("noise") {
            Some(map) => Draws::Given(self.per_input(map, "noise")?),
            None => Draws::Seeded {
                seed: p.count("seed")?.map_or(self.seed, |s| s as u64),
                draws: p.count("draws")?.unwrap_or(10),
                sigma: vec![p.number("sigma")?.unwrap_or(1.0)],
            },
        };
        Ok(Box::new(Smooth { base, draws, statistic }))
    }
}

/// The parameters of one method.
struct Params<'a> {
    map: &'a Map<String, Value>,
}

impl Params<'_> {
    /// Refuses parameters that the method does not have.
    fn only(&self, known: &[&str]) -> Result<()> {
        match self.map.keys().find(|k| !known.contains(&k.as_str())) {
            Some(unknown) if known.is_empty() => {
                Err(Error::invalid(format!("parameter {unknown:?}: this method has no parameters")))
            }
            Some(unknown) => {
                Err(Error::invalid(format!("no parameter {unknown:?}; this method has {}", known.join(", "))))
            }
            None => Ok(()),
        }
    }

    fn none<S>(&self, method: Box<dyn Method<S>>) -> Result<Box<dyn Method<S>>> {
        self.only(&[])?;
        Ok(method)
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.map.get(key) {
            None => Ok(default),
            Some(v) => v.as_bool().ok_or_else(|| Error::invalid(format!("{key} must be true or false"))),
        }
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(v) => v.as_f64().map(Some).ok_or_else(|| Error::invalid(format!("{key} must be a number"))),
        }
    }

    fn count(&self, key: &str) -> Result<Option<usize>> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(v) => {
                let count = v.as_u64().map(|v| Some(v as usize));
                count.ok_or_else(|| Error::invalid(format!("{key} must be a whole number, not negative")))
            }
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(v) => {
                let text = v.as_str().map(|v| Some(String::from(v)));
                text.ok_or_else(|| Error::invalid(format!("{key} must be a text")))
            }
        }
    }
}
