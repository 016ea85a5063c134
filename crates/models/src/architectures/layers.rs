//! Normalisations and activations of a [`Blueprint`]. Libraries let users choose them; the tensors tell some choices
//! (running statistics, a learned slope), and settings the rest.

use super::blueprint::{Blueprint, Flow};
use crate::raw::{Attribute, Constant};
use voxplain_tensor::{Error, Result};

/// PyTorch's default for all normalisations.
pub(super) const EPSILON: f64 = 1e-5;

/// The activations that a setting may name, with the ONNX operator and its attribute.
const ACTIVATIONS: [(&str, &str, &str); 9] = [
    ("relu", "Relu", ""),
    ("leakyrelu", "LeakyRelu", "alpha"),
    ("elu", "Elu", "alpha"),
    ("gelu", "Gelu", ""),
    ("silu", "Silu", ""),
    ("sigmoid", "Sigmoid", ""),
    ("tanh", "Tanh", ""),
    ("mish", "Mish", ""),
    ("softplus", "Softplus", ""),
];

impl Blueprint {
    fn vectors(&mut self, x: &Flow, module: &str, parts: &[&str]) -> Result<Vec<String>> {
        let mut inputs = vec![x.name.clone()];
        for part in parts {
            let name = format!("{module}.{part}");
            self.weights.take(&name, &[x.channels()])?;
            inputs.push(name);
        }
        Ok(inputs)
    }

    /// Batch normalisation with stored statistics.
    pub fn batch_norm(&mut self, x: &Flow, module: &str, epsilon: f64) -> Result<Flow> {
        let inputs = self.vectors(x, module, &["weight", "bias", "running_mean", "running_var"])?;
        let attributes = [("epsilon", Attribute::Float(epsilon))];
        Ok(self.node("BatchNormalization", module, inputs, &attributes, x.shape.clone()))
    }

    /// Instance normalisation, with scale and bias if the file has them.
    pub fn instance_norm(&mut self, x: &Flow, module: &str) -> Result<Flow> {
        let inputs = if self.weights.has(&format!("{module}.weight")) {
            self.vectors(x, module, &["weight", "bias"])?
        } else {
            let filled = |v: f32| Constant::Float { shape: vec![x.channels()], data: vec![v; x.channels()] };
            let one = self.constant(format!("{module}/ones"), filled(1.0));
            let zero = self.constant(format!("{module}/zeros"), filled(0.0));
            vec![x.name.clone(), one, zero]
        };
        let attributes = [("epsilon", Attribute::Float(EPSILON))];
        Ok(self.node("InstanceNormalization", module, inputs, &attributes, x.shape.clone()))
    }

    /// Group normalisation with scale and bias.
    pub fn group_norm(&mut self, x: &Flow, module: &str, groups: usize) -> Result<Flow> {
        if x.channels() % groups != 0 {
            return Err(Error::invalid(format!(
                "{module}: {groups} groups do not divide {} channels; set groups to what the network was built with",
                x.channels()
            )));
        }
        let inputs = self.vectors(x, module, &["weight", "bias"])?;
        let attributes =
            [("epsilon", Attribute::Float(EPSILON)), ("num_groups", Attribute::Int(groups as i64))];
        Ok(self.node("GroupNormalization", module, inputs, &attributes, x.shape.clone()))
    }

    /// The normalisation of a library that lets users choose: batch where the file has statistics, otherwise what the
    /// setting `norm` says.
    pub fn norm(&mut self, x: &Flow, module: &str, default: &str) -> Result<Flow> {
        if self.weights.has(&format!("{module}.running_mean")) {
            self.settings.note(String::from("norm=batch (weights)"));
            return self.batch_norm(x, module, EPSILON);
        }
        match self.settings.choice("norm", &["instance", "group", "none"], default)?.as_str() {
            "instance" => self.instance_norm(x, module),
            "group" => {
                let groups = self.settings.number("groups", 8)?;
                self.group_norm(x, module, groups)
            }
            _ => Ok(x.clone()),
        }
    }

    /// The activation of a library that lets users choose: a learned slope where the file has one, otherwise what the
    /// setting `act` says: a name, with a parameter after a colon where it has one (`leakyrelu:0.1`).
    pub fn activation(&mut self, x: &Flow, module: &str, default: &str) -> Result<Flow> {
        let slope = format!("{module}.weight");
        if self.weights.has(&slope) {
            self.settings.note(String::from("act=prelu (weights)"));
            let found = self.weights.shape(&slope)?;
            // A slope that serves two places is already spread along the axes at the second.
            if let [count] = found[..] {
                self.weights.take(&slope, &[if count == 1 { 1 } else { x.channels() }])?;
                let spread = [count].into_iter().chain(std::iter::repeat_n(1, x.axes()));
                self.weights.reshape(&slope, &spread.collect::<Vec<_>>())?;
            }
            return Ok(self.node("PRelu", module, vec![x.name.clone(), slope], &[], x.shape.clone()));
        }
        if default == "prelu" && self.settings.given("act").is_none() {
            return Err(Error::invalid(format!(
                "no tensor {slope:?} (the slope of a PReLU); if the network has another activation, set act, as act=relu"
            )));
        }
        let text = self.settings.text("act", default);
        let (name, parameter) = text.split_once(':').unwrap_or((&text, ""));
        let found = ACTIVATIONS.iter().find(|row| row.0 == name);
        let bad = || {
            let names: Vec<&str> = ACTIVATIONS.iter().map(|row| row.0).collect();
            Error::invalid(format!("setting act={text}; one of {} expected", names.join(", ")))
        };
        let &(_, op, key) = found.ok_or_else(bad)?;
        let attributes = match (key, parameter) {
            (_, "") => Vec::new(),
            ("", _) => return Err(bad()),
            (key, number) => vec![(key, Attribute::Float(number.parse().map_err(|_| bad())?))],
        };
        Ok(self.pointwise(op, x, module, &attributes))
    }
}
