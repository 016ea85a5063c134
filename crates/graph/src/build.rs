//! Building a graph: every operand and shape is checked when a node is added, with the node's path in the message.

use crate::Op;
use crate::graph::{Graph, Node, NodeId, Origin, Parameter, ValueId, ValueInfo};
use crate::ops::{ConvAttributes, Pointwise};
use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use voxplain_tensor::{Error, Result, Shape};

/// Builds a [`Graph`] node by node, in the style of a define-by-run framework.
///
/// ```
/// use voxplain_graph::GraphBuilder;
/// let mut b = GraphBuilder::new();
/// let x = b.input("x", &[1, 2])?;
/// let w = b.parameter("fc.weight", &[1, 2], vec![1.0, -1.0])?;
/// let y = b.linear("fc", x, w, None)?;
/// let y = b.relu("act", y)?;
/// let graph = b.finish(&[y])?;
/// assert_eq!(graph.nodes().len(), 2);
/// # Ok::<(), voxplain_tensor::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct GraphBuilder {
    values: Vec<ValueInfo>,
    nodes: Vec<Node>,
    inputs: Vec<ValueId>,
    parameters: Vec<Parameter>,
    names: BTreeSet<String>,
    rewrites: Vec<String>,
}

impl GraphBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a named input; `sizes` are those of one example with the leading batch axis of size 1.
    ///
    /// # Errors
    /// The name is taken, or the sizes are empty or contain 0.
    pub fn input(&mut self, name: &str, sizes: &[usize]) -> Result<ValueId> {
        if sizes.is_empty() || sizes.contains(&0) {
            return Err(Error::invalid(format!(
                "input {name:?}: shape {sizes:?} needs a batch axis and positive sizes"
            )));
        }
        let position = self.inputs.len();
        let id = self.push(name, Shape::new(sizes)?, Origin::Input(position), true)?;
        self.inputs.push(id);
        Ok(id)
    }

    /// Adds a weight tensor.
    ///
    /// # Errors
    /// The name is taken, the number of values does not fit the sizes, or a value is not finite.
    pub fn parameter(
        &mut self,
        name: &str,
        sizes: &[usize],
        data: impl Into<alloc::sync::Arc<[f32]>>,
    ) -> Result<ValueId> {
        let (shape, data) = (Shape::new(sizes)?, data.into());
        if shape.elements() != data.len() {
            return Err(Error::invalid(format!(
                "parameter {name:?}: {} values for shape {shape}",
                data.len()
            )));
        }
        if let Some(at) = data.iter().position(|v| !v.is_finite()) {
            return Err(Error::invalid(format!(
                "parameter {name:?}: element {at} is {}; weights must be finite",
                data[at]
            )));
        }
        let id = self.push(name, shape, Origin::Parameter(self.parameters.len()), false)?;
        self.parameters.push(Parameter { name: name.to_owned(), shape, data });
        Ok(id)
    }

    /// Adds the weight tensors of another graph, shared with it and not checked again; their values here, in its order.
    ///
    /// # Errors
    /// A name is taken.
    pub fn share_parameters(&mut self, of: &Graph) -> Result<Vec<ValueId>> {
        let one = |p: &Parameter| {
            let id = self.push(&p.name, p.shape, Origin::Parameter(self.parameters.len()), false)?;
            self.parameters.push(p.clone());
            Ok(id)
        };
        of.parameters.iter().map(one).collect()
    }

    /// Applies `op` to `inputs` as a node named `name`.
    ///
    /// # Errors
    /// The name is taken, or the operator does not accept these operands; the message names the node and operator.
    pub fn node(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        let place = |e: Error| e.within(format!("node {name:?} ({})", op.kind()));
        let shapes: Vec<Shape> = inputs.iter().map(|&v| self.values[v.0].shape).collect();
        let varies: Vec<bool> = inputs.iter().map(|&v| self.values[v.0].varies).collect();
        let shape = op.infer(&shapes, &varies).map_err(place)?;
        let id = NodeId(self.nodes.len());
        let output = self.push(name, shape, Origin::Node(id), varies.iter().any(|&v| v))?;
        self.nodes.push(Node { name: name.to_owned(), op, inputs: inputs.to_vec(), output });
        Ok(output)
    }

    /// The shape of one example of a value.
    pub fn shape(&self, value: ValueId) -> Shape {
        self.values[value.0].shape
    }

    /// The values of a parameter, or `None` for anything else.
    pub fn parameter_data(&self, value: ValueId) -> Option<&Parameter> {
        match self.values[value.0].origin {
            Origin::Parameter(at) => self.parameters.get(at),
            _ => None,
        }
    }

    /// Records that a rewrite ran.
    pub fn record(&mut self, rewrite: impl Into<String>) {
        self.rewrites.push(rewrite.into());
    }

    /// A convolution with weights `[out, in / groups, kernel...]` and optional bias `[out]`.
    ///
    /// # Errors
    /// As [`GraphBuilder::node`].
    pub fn conv(
        &mut self,
        name: &str,
        x: ValueId,
        weight: ValueId,
        bias: Option<ValueId>,
        attributes: ConvAttributes,
    ) -> Result<ValueId> {
        let inputs: Vec<ValueId> = [Some(x), Some(weight), bias].into_iter().flatten().collect();
        self.node(name, Op::Conv(attributes), &inputs)
    }

    /// A fully connected layer with weights `[out, in]` and optional bias `[out]`.
    ///
    /// # Errors
    /// As [`GraphBuilder::node`].
    pub fn linear(
        &mut self,
        name: &str,
        x: ValueId,
        weight: ValueId,
        bias: Option<ValueId>,
    ) -> Result<ValueId> {
        let inputs: Vec<ValueId> = [Some(x), Some(weight), bias].into_iter().flatten().collect();
        self.node(name, Op::linear(), &inputs)
    }

    /// A rectifier.
    ///
    /// # Errors
    /// As [`GraphBuilder::node`].
    pub fn relu(&mut self, name: &str, x: ValueId) -> Result<ValueId> {
        self.node(name, Op::Pointwise(Pointwise::Relu), &[x])
    }

    /// Ends building. Nodes that no output depends on are kept; plans skip them.
    ///
    /// # Errors
    /// There is no input or no output, or an output does not depend on any input.
    pub fn finish(self, outputs: &[ValueId]) -> Result<Graph> {
        if outputs.is_empty() || self.inputs.is_empty() {
            return Err(Error::invalid("a network needs at least one input and one output"));
        }
        for &output in outputs {
            let info = &self.values[output.0];
            if !info.varies {
                return Err(Error::invalid(format!("output {:?} does not depend on any input", info.name)));
            }
        }
        Ok(Graph {
            values: self.values,
            nodes: self.nodes,
            inputs: self.inputs,
            outputs: outputs.to_vec(),
            parameters: self.parameters,
            rewrites: self.rewrites,
        })
    }

    fn push(&mut self, name: &str, shape: Shape, origin: Origin, varies: bool) -> Result<ValueId> {
        if !self.names.insert(name.to_owned()) {
            return Err(Error::invalid(format!("two values are named {name:?}; names must be unique")));
        }
        self.values.push(ValueInfo { name: name.to_owned(), shape, origin, varies });
        Ok(ValueId(self.values.len() - 1))
    }
}
