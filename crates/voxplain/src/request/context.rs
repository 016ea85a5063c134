//! Where a request's words are looked up: tensors by key, inputs by name, methods by theirs.

use super::features::Supervoxels;
use super::parameters::Parameters;
use super::{METHODS, Request, Tensors};
use crate::case::Case;
use serde_json::{Map, Value};
use voxplain_attribution::{Method, Target};
use voxplain_graph::Graph;
use voxplain_models::Constant;
use voxplain_tensor::{Error, Result, Scalar, Tensor};

/// Where parameters are looked up.
pub struct Context<'a> {
    /// The network.
    pub graph: &'a Graph,
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
    /// The images behind the inputs and the labels on their grid, where there are any.
    pub case: Option<&'a Case>,
    /// Regions that were made before, of the same inputs.
    pub supervoxels: &'a Supervoxels,
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
    pub(super) fn per_input<S: Scalar>(&self, value: &Value, name: &str) -> Result<Vec<Tensor<S>>> {
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
        self.named(&request.method, &request.params)
            .map_err(|e| e.within(format!("request {:?}", request.id)))
    }

    /// The method of that name with these parameters.
    pub(super) fn named<S: Scalar>(
        &self,
        method: &str,
        params: &Map<String, Value>,
    ) -> Result<Box<dyn Method<S>>> {
        let p = Parameters { map: params };
        if let Some(method) = self.gradient_method(method, &p)? {
            return Ok(method);
        }
        if let Some(estimator) = self.perturbation_method::<S>(method, &p)? {
            return Ok(Box::new(estimator));
        }
        if let Some(method) = self.relevance_method(method, &p)? {
            return Ok(method);
        }
        if let Some(method) = self.path_method(method, &p)? {
            return Ok(method);
        }
        if let Some(method) = self.rule_method(method, &p)? {
            return Ok(method);
        }
        Err(Error::unsupported(format!("no method {method:?}; there are {}", METHODS.join(", "))))
    }
}
