//! An import nobody compared is a guess: a network against inputs and outputs that its origin computed.

use crate::request::Tensors;
use voxplain_attribution::methods::{Backward, Method};
use voxplain_attribution::{Engine, Network, Target};
use voxplain_cpu::Cpu;
use voxplain_graph::Graph;
use voxplain_models::{Constant, Model};
use voxplain_tensor::{Error, Result, Tensor};

/// How far one tensor is from what was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The key of the stored tensor.
    pub key: String,
    /// The largest difference.
    pub error: f64,
    /// The largest stored magnitude.
    pub scale: f64,
}

impl Comparison {
    /// The largest difference as a part of the largest stored magnitude; the difference itself where all stored numbers
    /// are 0.
    pub fn relative(&self) -> f64 {
        if self.scale > 0.0 { self.error / self.scale } else { self.error }
    }
}

/// Compares a network with stored tensors: inputs under `input/NAME`, outputs under `output/NAME`, and, if there, the
/// gradient of class 0 of the first output (summed over examples and space) under `gradient/NAME`. A network with one
/// input or output may leave out `/NAME`.
///
/// # Errors
/// A tensor is missing, fits nothing or has another shape; the message names it.
pub fn check(model: &Model, tensors: &Tensors) -> Result<Vec<Comparison>> {
    let (graph, cpu) = (&model.graph, Cpu::best());
    let stored = Stored { graph, tensors };
    stored.known()?;
    let inputs: Vec<Tensor<f32>> =
        graph.inputs().iter().map(|&v| stored.input(&graph.value(v).name)).collect::<Result<_>>()?;
    let mut engine = Engine::new(graph, &cpu, None);
    let mut found = Vec::new();
    for &value in graph.outputs() {
        if let Some((key, expected)) = stored.get("output", &graph.value(value).name, graph.outputs().len()) {
            let values = engine.values(&inputs, value)?.concat();
            found.push(compare(key, &values, expected)?);
        }
    }
    if found.is_empty() {
        return Err(Error::invalid("no output to compare with; store one as \"output\" or \"output/NAME\""));
    }
    let gradients = |name: &str| stored.get("gradient", name, graph.inputs().len());
    if graph.inputs().iter().any(|&v| gradients(&graph.value(v).name).is_some()) {
        let class = Target::Class(vec![0]);
        let maps = Backward::saliency(false).attribute(&mut engine, &inputs, &class)?.maps;
        for (&value, map) in graph.inputs().iter().zip(maps) {
            if let Some((key, expected)) = gradients(&graph.value(value).name) {
                found.push(compare(key, map.values.data(), expected)?);
            }
        }
    }
    Ok(found)
}

/// The tensors file, seen by the network's names.
struct Stored<'a> {
    graph: &'a Graph,
    tensors: &'a Tensors,
}

impl Stored<'_> {
    /// The tensor `KIND/NAME`, or `KIND` where there is only one of the kind.
    fn get(&self, kind: &str, name: &str, count: usize) -> Option<(String, &Constant)> {
        let full = format!("{kind}/{name}");
        let key = if self.tensors.contains_key(&full) || count > 1 { full } else { String::from(kind) };
        self.tensors.get(&key).map(|t| (key, t))
    }

    /// Refuses keys that nothing would be compared with.
    fn known(&self) -> Result<()> {
        let names = |values: &[voxplain_graph::ValueId]| -> Vec<String> {
            values.iter().map(|&v| self.graph.value(v).name.clone()).collect()
        };
        let (inputs, outputs) = (names(self.graph.inputs()), names(self.graph.outputs()));
        let fits = |key: &str| match key.split_once('/') {
            Some(("input" | "gradient", name)) => inputs.iter().any(|n| n == name),
            Some(("output", name)) => outputs.iter().any(|n| n == name),
            _ => match key {
                "input" | "gradient" => inputs.len() == 1,
                "output" => outputs.len() == 1,
                _ => false,
            },
        };
        match self.tensors.keys().find(|k| !fits(k)) {
            None => Ok(()),
            Some(key) => Err(Error::invalid(format!(
                "tensor {key:?} fits nothing; input/, output/ and gradient/ are known with the inputs {} and the outputs {}",
                inputs.join(", "),
                outputs.join(", ")
            ))),
        }
    }

    fn input(&self, name: &str) -> Result<Tensor<f32>> {
        let stored = self.get("input", name, self.graph.inputs().len());
        match stored {
            Some((_, Constant::Float { shape, data })) => Tensor::new(shape, data.clone()),
            Some((key, Constant::Int { .. })) => {
                Err(Error::invalid(format!("tensor {key:?} holds whole numbers; store it as float32")))
            }
            None => Err(Error::invalid(format!("tensor \"input/{name}\" is missing"))),
        }
    }
}

fn compare(key: String, have: &[f32], expected: &Constant) -> Result<Comparison> {
    let Constant::Float { data, .. } = expected else {
        return Err(Error::invalid(format!("tensor {key:?} holds whole numbers; store it as float32")));
    };
    if data.len() != have.len() {
        return Err(Error::invalid(format!(
            "tensor {key:?} has {} numbers where the network gives {}",
            data.len(),
            have.len()
        )));
    }
    let largest = |values: &mut dyn Iterator<Item = f64>| {
        values.fold(0.0, |m: f64, v| if v > m || v.is_nan() { v } else { m })
    };
    let error = largest(&mut have.iter().zip(data).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs()));
    let scale = largest(&mut data.iter().map(|&v| f64::from(v).abs()));
    Ok(Comparison { key, error, scale })
}
