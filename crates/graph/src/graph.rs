//! The verified graph: values, nodes in topological order, parameters.

use crate::Op;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use voxplain_tensor::{Error, Result, Shape};

/// A value of the graph: an input, a parameter or a node's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(crate) usize);

impl ValueId {
    /// The position in [`Graph::values`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// A node of the graph, by its position in topological order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) usize);

impl NodeId {
    /// The position in [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The graph input with this position.
    Input(usize),
    /// The parameter with this position.
    Parameter(usize),
    /// The output of this node.
    Node(NodeId),
}

/// A value's name, shape and origin.
#[derive(Clone, Debug)]
pub struct ValueInfo {
    /// The name, unique in the graph. A node's output has the node's name.
    pub name: String,
    /// The shape of one example (leading axis included), or a parameter's whole shape.
    pub shape: Shape,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether it depends on a graph input; parameters and what is computed from them alone do not.
    pub varies: bool,
}

/// A weight tensor in single precision, shared and never written.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The name, as in the weight file.
    pub name: String,
    /// The shape.
    pub shape: Shape,
    /// The values in row-major order.
    pub data: Arc<[f32]>,
}

/// One operator applied to values.
#[derive(Clone, Debug)]
pub struct Node {
    /// The name, unique among nodes; the module path where the model had one.
    pub name: String,
    /// The operator and its attributes.
    pub op: Op,
    /// The operands, data first, then parameters in ONNX order.
    pub inputs: Vec<ValueId>,
    /// The result.
    pub output: ValueId,
}

/// A verified static graph. Nodes are in topological order and all shapes are known.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) values: Vec<ValueInfo>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) outputs: Vec<ValueId>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) rewrites: Vec<String>,
}

impl Graph {
    /// All values.
    pub fn values(&self) -> &[ValueInfo] {
        &self.values
    }

    /// All nodes in topological order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node with this id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The inputs in declaration order.
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// The outputs in declaration order; there is at least one.
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    /// The weights.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The names of the graph-to-graph rewrites that ran, in order; recorded with every map.
    pub fn rewrites(&self) -> &[String] {
        &self.rewrites
    }

    /// Name, shape and origin of a value.
    pub fn value(&self, id: ValueId) -> &ValueInfo {
        &self.values[id.0]
    }

    /// The shape of one example of a value.
    pub fn shape(&self, id: ValueId) -> Shape {
        self.values[id.0].shape
    }

    /// The shape of a value for `batch` examples: the leading size times `batch`, parameters unchanged.
    ///
    /// # Errors
    /// The result is too large to address.
    pub fn batched_shape(&self, id: ValueId, batch: usize) -> Result<Shape> {
        let info = &self.values[id.0];
        if !info.varies || info.shape.rank() == 0 {
            return Ok(info.shape);
        }
        let leading =
            info.shape[0].checked_mul(batch).ok_or_else(|| Error::limit("the batch is too large"))?;
        info.shape.with(0, leading)
    }

    /// The output of the node named `name`, or the input of that name, or the output of the last node inside the module
    /// `name`: where names are module paths, `layer4` is what `layer4` returns.
    ///
    /// # Errors
    /// Nothing has that name; the message lists the names that come closest.
    pub fn find(&self, name: &str) -> Result<ValueId> {
        let by_node = self.nodes.iter().find(|n| n.name == name).map(|n| n.output);
        let by_value = || self.values.iter().position(|v| v.name == name).map(ValueId);
        let inside = |n: &&Node| n.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        let by_module = || self.nodes.iter().rev().find(inside).map(|n| n.output);
        let found = by_node.or_else(by_value).or_else(by_module);
        found.ok_or_else(|| {
            let stem = name.split('.').next().unwrap_or(name);
            let mut close: Vec<&str> =
                self.nodes.iter().map(|n| n.name.as_str()).filter(|n| n.starts_with(stem)).take(12).collect();
            if close.is_empty() {
                close = self.nodes.iter().map(|n| n.name.as_str()).take(24).collect();
            }
            Error::invalid(format!("no layer named {name:?}; the network has {}", close.join(", ")))
        })
    }

    /// The graph input named `name`.
    ///
    /// # Errors
    /// There is no such input; the message lists the inputs.
    pub fn input(&self, name: &str) -> Result<ValueId> {
        self.inputs.iter().copied().find(|&v| self.values[v.0].name == name).ok_or_else(|| {
            let names: Vec<&str> = self.inputs.iter().map(|&v| self.values[v.0].name.as_str()).collect();
            Error::invalid(format!("no input named {name:?}; the network has {}", names.join(", ")))
        })
    }

    /// The same graph with other values for its parameters, in their order.
    ///
    /// # Errors
    /// A number of values differs.
    pub fn with_parameters(&self, values: &[Vec<f32>]) -> Result<Self> {
        let mut graph = self.clone();
        if values.len() != graph.parameters.len() {
            return Err(Error::invalid(format!(
                "{} tensors for {} parameters",
                values.len(),
                graph.parameters.len()
            )));
        }
        for (parameter, data) in graph.parameters.iter_mut().zip(values) {
            if parameter.data.len() != data.len() {
                return Err(Error::invalid(format!(
                    "{} values for parameter {:?}",
                    data.len(),
                    parameter.name
                )));
            }
            parameter.data = data.as_slice().into();
        }
        Ok(graph)
    }

    /// The number of weights.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(|p| p.shape.elements()).sum()
    }
}
