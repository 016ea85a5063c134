//! What every architecture is drawn with: layers named by their PyTorch module path, whose weights are looked up and
//! checked by that path, so that a builder reads like the `forward` it repeats.

use super::settings::{ArchitectureOptions, Settings};
use super::weights::Weights;
use crate::raw::{Attribute, Constant, RawGraph, RawNode};
use std::collections::BTreeMap;
use voxplain_tensor::{Error, Result};

/// A value on its way through the network: its name and the shape of one example without the leading axis.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub name: String,
    pub shape: Vec<usize>,
}

impl Flow {
    /// The number of channels or features.
    pub fn channels(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The sizes after the channels.
    pub fn spatial(&self) -> &[usize] {
        self.shape.get(1..).unwrap_or(&[])
    }

    /// The number of spatial axes.
    pub fn axes(&self) -> usize {
        self.spatial().len()
    }
}

/// The graph so far, the weights and the settings.
pub(super) struct Blueprint {
    pub weights: Weights,
    pub settings: Settings,
    graph: RawGraph,
    /// How often a name was used: PyTorch modules may be called several times, nodes are unique.
    calls: BTreeMap<String, usize>,
}

/// Attributes of a node, by name.
pub(super) type Attributes<'a> = &'a [(&'a str, Attribute)];

/// A list attribute.
pub(super) fn ints(values: impl IntoIterator<Item = usize>) -> Attribute {
    Attribute::Ints(values.into_iter().map(|v| v as i64).collect())
}

impl Blueprint {
    pub fn new(weights: Weights, options: ArchitectureOptions) -> Self {
        Self { weights, settings: Settings::new(options), graph: RawGraph::default(), calls: BTreeMap::new() }
    }

    /// An input of the network.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> Flow {
        let sizes = std::iter::once(-1).chain(shape.iter().map(|&s| s as i64)).collect();
        self.graph.inputs.push((String::from(name), sizes));
        Flow { name: String::from(name), shape: shape.to_vec() }
    }

    /// The input `x` with as many spatial axes as the kernel of the first convolution, whose channels it takes.
    pub fn image(&mut self, first: &str, default: Option<usize>) -> Result<Flow> {
        let weight = self.weights.shape(&format!("{first}.weight"))?;
        let axes = weight.len().saturating_sub(2);
        if !(2..=3).contains(&axes) {
            return Err(Error::invalid(format!(
                "tensor \"{first}.weight\" has shape {weight:?}; a convolution over 2 or 3 axes is expected"
            )));
        }
        let default = default.map(|size| vec![size; axes]);
        let sizes = self.settings.spatial(axes, default.as_deref())?;
        self.settings.note(format!("channels={} (weights)", weight[1]));
        let shape: Vec<usize> = std::iter::once(weight[1]).chain(sizes).collect();
        Ok(self.input("x", &shape))
    }

    /// A node whose one result has its name; the second call of a module is `name_1`, as exporters have it.
    pub fn node(
        &mut self,
        op: &str,
        name: &str,
        inputs: Vec<String>,
        attributes: Attributes<'_>,
        shape: Vec<usize>,
    ) -> Flow {
        let calls = self.calls.entry(String::from(name)).or_default();
        let name = if *calls == 0 { String::from(name) } else { format!("{name}_{calls}") };
        *calls += 1;
        let attributes = attributes.iter().map(|(k, v)| (String::from(*k), v.clone())).collect();
        let outputs = vec![name.clone()];
        self.graph.nodes.push(RawNode {
            op: String::from(op),
            name: name.clone(),
            inputs,
            outputs,
            attributes,
        });
        Flow { name, shape }
    }

    /// A node of one operand that keeps the shape.
    pub fn pointwise(&mut self, op: &str, x: &Flow, name: &str, attributes: Attributes<'_>) -> Flow {
        self.node(op, name, vec![x.name.clone()], attributes, x.shape.clone())
    }

    /// A constant that is no weight of the file.
    pub fn constant(&mut self, name: String, constant: Constant) -> String {
        self.graph.constants.insert(name.clone(), constant);
        name
    }

    /// The rectifier.
    pub fn relu(&mut self, x: &Flow, name: &str) -> Flow {
        self.pointwise("Relu", x, name, &[])
    }

    /// The logistic function.
    pub fn sigmoid(&mut self, x: &Flow, name: &str) -> Flow {
        self.pointwise("Sigmoid", x, name, &[])
    }

    /// `x * sigmoid(x)`.
    pub fn silu(&mut self, x: &Flow, name: &str) -> Flow {
        self.pointwise("Silu", x, name, &[])
    }

    /// The sum of two values of one shape.
    pub fn add(&mut self, a: &Flow, b: &Flow, name: &str) -> Result<Flow> {
        if a.shape != b.shape {
            return Err(Error::invalid(format!(
                "{name}: {:?} and {:?} cannot be added; choose input sizes that all strides divide",
                a.shape, b.shape
            )));
        }
        Ok(self.node("Add", name, vec![a.name.clone(), b.name.clone()], &[], a.shape.clone()))
    }

    /// A product in which the second operand may have size 1 on an axis.
    pub fn gate(&mut self, x: &Flow, gate: &Flow, name: &str) -> Flow {
        self.node("Mul", name, vec![x.name.clone(), gate.name.clone()], &[], x.shape.clone())
    }

    /// Channels side by side.
    pub fn concat(&mut self, parts: &[&Flow], name: &str) -> Result<Flow> {
        let sizes = parts.first().map_or(&[][..], |p| p.spatial()).to_vec();
        if let Some(other) = parts.iter().find(|p| p.spatial() != sizes) {
            return Err(Error::invalid(format!(
                "{name}: sizes {sizes:?} and {:?} cannot be joined; choose input sizes that all strides divide",
                other.spatial()
            )));
        }
        let channels = parts.iter().map(|p| p.channels()).sum();
        let shape = std::iter::once(channels).chain(sizes).collect();
        let inputs = parts.iter().map(|p| p.name.clone()).collect();
        Ok(self.node("Concat", name, inputs, &[("axis", Attribute::Int(1))], shape))
    }

    /// All axes of an example as one.
    pub fn flatten(&mut self, x: &Flow, name: &str) -> Flow {
        let total = x.shape.iter().fold(1usize, |p, &s| p.saturating_mul(s));
        self.node("Flatten", name, vec![x.name.clone()], &[], vec![total])
    }

    /// Another shape; `sizes` includes the leading axis.
    pub fn reshape(&mut self, x: &Flow, name: &str, sizes: &[i64], shape: Vec<usize>) -> Flow {
        let attributes = [("shape", Attribute::Ints(sizes.to_vec()))];
        self.node("Reshape", name, vec![x.name.clone()], &attributes, shape)
    }

    /// A linear layer with bias.
    pub fn linear(&mut self, x: &Flow, module: &str) -> Result<Flow> {
        let (weight, bias) = (format!("{module}.weight"), format!("{module}.bias"));
        let out = self.weights.ranked(&weight, 2)?[0];
        self.weights.take(&weight, &[out, x.channels()])?;
        self.weights.take(&bias, &[out])?;
        let inputs = vec![x.name.clone(), weight, bias];
        Ok(self.node("Gemm", module, inputs, &[("transB", Attribute::Int(1))], vec![out]))
    }

    /// The last linear layer, whose outputs are the classes.
    pub fn classifier(&mut self, x: &Flow, module: &str) -> Result<Flow> {
        let logits = self.linear(x, module)?;
        self.settings.note(format!("classes={} (weights)", logits.channels()));
        Ok(logits)
    }

    /// The finished graph.
    ///
    /// # Errors
    /// A tensor is left over, or a setting is unknown.
    pub fn finish(self, architecture: &str, outputs: &[Flow]) -> Result<RawGraph> {
        let mut graph = self.graph;
        let tensors: BTreeMap<String, Constant> = self.weights.finish()?;
        graph.constants.extend(tensors);
        graph.outputs = outputs.iter().map(|o| o.name.clone()).collect();
        graph.rewrites.push(self.settings.finish(architecture)?);
        Ok(graph)
    }
}
