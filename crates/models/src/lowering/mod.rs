//! Everything doubtful in a file is decided here, once, so that the graph after it is verified: ONNX-like nodes to
//! typed operators, one file per family.
//!
//! Shapes are those of one example: a free or literal batch of 1 becomes the leading axis that plans multiply.
//! Shape arithmetic on whole numbers is computed here and leaves no nodes.

mod activations;
mod adaptive;
mod arithmetic;
mod attributes;
mod choices;
mod composed;
mod folding;
mod layers;
mod movement;
mod moves;
mod pieces;
mod pooling;
mod resize;
mod windows;

use crate::raw::{Attribute, Constant, RawGraph, RawNode};
use std::collections::{BTreeMap, HashMap};
use voxplain_graph::{Graph, GraphBuilder, Op, ValueId};
use voxplain_tensor::{Error, Result, Shape};

/// A named value during lowering.
#[derive(Clone, Debug)]
enum Value {
    /// A value of the graph.
    Graph(ValueId),
    /// Known now; weights become parameters when an operator uses them.
    Known(Constant),
}

/// The state of a lowering.
pub(crate) struct Lowering {
    builder: GraphBuilder,
    values: HashMap<String, Value>,
    parameters: HashMap<String, ValueId>,
    /// What the file says about results.
    stated: BTreeMap<String, Vec<i64>>,
    /// How many numbers may still be computed at import.
    left: usize,
}

/// Numbers that all nodes together may make at import, unless the file has weights enough to speak of.
const MOST_COMPUTED: usize = 1 << 26;

/// What a node costs beside a number.
const NUMBERS_OF_A_NODE: usize = 256;

/// Builds the graph.
///
/// # Errors
/// A node uses an unknown value or operator, or does not fit its operands; the message names the node.
pub(crate) fn lower(raw: RawGraph) -> Result<Graph> {
    let mut state = Lowering {
        builder: GraphBuilder::new(),
        values: HashMap::new(),
        parameters: HashMap::new(),
        stated: raw.shapes,
        left: MOST_COMPUTED.max(raw.constants.values().map(Constant::len).sum::<usize>().saturating_mul(4)),
    };
    for (name, sizes) in raw.inputs.iter().filter(|(name, _)| !raw.constants.contains_key(name)) {
        let id = state.builder.input(name, &example_sizes(name, sizes)?)?;
        state.values.insert(name.clone(), Value::Graph(id));
    }
    state.values.extend(raw.constants.into_iter().map(|(name, constant)| (name, Value::Known(constant))));
    for node in &raw.nodes {
        state.place(node)?;
    }
    let outputs = raw.outputs.iter().map(|name| match state.values.get(name) {
        Some(Value::Graph(id)) => Ok(*id),
        Some(Value::Known(_)) => Err(Error::invalid(format!("output {name:?} does not depend on any input"))),
        None => Err(Error::invalid(format!("output {name:?} is made by no node"))),
    });
    let outputs: Vec<ValueId> = outputs.collect::<Result<_>>()?;
    raw.rewrites.into_iter().for_each(|r| state.builder.record(r));
    state.builder.finish(&outputs)
}

/// The sizes of one example: a free or zero batch becomes 1.
fn example_sizes(name: &str, sizes: &[i64]) -> Result<Vec<usize>> {
    let size = |(i, &s): (usize, &i64)| match s {
        s if s > 0 => Ok(s as usize),
        _ if i == 0 => Ok(1),
        _ => Err(Error::unsupported(format!(
            "input {name:?} has a free size on axis {i}; export with fixed spatial sizes"
        ))),
    };
    sizes.iter().enumerate().map(size).collect()
}

impl Lowering {
    /// Lowers a node and names its result.
    fn place(&mut self, node: &RawNode) -> Result<()> {
        let label = self.label(node);
        if node.outputs.iter().any(|o| !o.is_empty() && self.values.contains_key(o)) {
            return Err(Error::invalid(format!(
                "node {label:?} ({}) makes a value that exists already; names of values must be unique",
                node.op
            )));
        }
        let placed = |e: Error| {
            if e.message().starts_with("node ") {
                e
            } else {
                e.within(format!("node {label:?} ({})", node.op))
            }
        };
        if node.op == "Split" {
            return self.split(&label, node).map_err(placed);
        }
        let value = self.node(&label, node).map_err(placed)?;
        if !node.output().is_empty() {
            self.check_stated(&label, node, &value)?;
            self.values.insert(String::from(node.output()), value);
        }
        Ok(())
    }

    /// A result of another shape than its exporter found means that one of the two is wrong about the operator.
    fn check_stated(&self, label: &str, node: &RawNode, value: &Value) -> Result<()> {
        let Some(stated) = self.stated.get(node.output()) else { return Ok(()) };
        let found: Vec<i64> = match value {
            Value::Graph(id) => self.builder.shape(*id).iter().map(|&s| s as i64).collect(),
            Value::Known(constant) => constant.shape().iter().map(|&s| s as i64).collect(),
        };
        if found == *stated {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "node {label:?} ({}) gives {found:?} where the file says {stated:?}; the file was changed, or this program \
             reads the operator wrongly and should be told",
            node.op
        )))
    }

    /// The name that users give to a node: its own, or that of its result.
    fn label(&self, node: &RawNode) -> String {
        if node.name.is_empty() { String::from(node.output()) } else { node.name.clone() }
    }

    fn value(&self, name: &str) -> Result<&Value> {
        let missing = || {
            Error::invalid(format!(
                "value {name:?} is made by no node before this one; the graph has a cycle, a gap or is not sorted"
            ))
        };
        self.values.get(name).ok_or_else(missing)
    }

    /// Operand `i`, which must be there.
    fn operand_name<'n>(&self, node: &'n RawNode, i: usize) -> Result<&'n str> {
        node.input(i).ok_or_else(|| Error::invalid(format!("operand {i} is missing")))
    }

    /// Operand `i` as a graph value; a known tensor becomes a parameter.
    fn operand(&mut self, node: &RawNode, i: usize) -> Result<ValueId> {
        let name = self.operand_name(node, i)?;
        if let Value::Graph(id) = self.value(name)? {
            return Ok(*id);
        }
        if let Some(&id) = self.parameters.get(name) {
            return Ok(id);
        }
        let Some(Value::Known(Constant::Float { shape, data })) = self.values.get(name) else {
            return Err(Error::unsupported(format!(
                "value {name:?} holds whole numbers where weights are expected"
            )));
        };
        if data.is_empty() {
            return Err(Error::invalid(format!("weight {name:?} has no elements")));
        }
        let id = self.builder.parameter(name, shape, data.as_slice())?;
        self.parameters.insert(String::from(name), id);
        Ok(id)
    }

    /// All operands that are there.
    fn operands(&mut self, node: &RawNode) -> Result<Vec<ValueId>> {
        (0..node.inputs.len()).filter(|&i| node.input(i).is_some()).map(|i| self.operand(node, i)).collect()
    }

    /// Operand `i` if it is known now.
    fn known(&self, node: &RawNode, i: usize) -> Option<&Constant> {
        match self.values.get(node.input(i)?)? {
            Value::Known(constant) => Some(constant),
            Value::Graph(_) => None,
        }
    }

    /// Operand `i` as whole numbers, if it is there.
    fn known_ints(&self, node: &RawNode, i: usize) -> Result<Option<Vec<i64>>> {
        if node.input(i).is_none() {
            return Ok(None);
        }
        match self.known(node, i) {
            Some(Constant::Int { data, .. }) => Ok(Some(data.clone())),
            Some(Constant::Float { data, .. }) if data.is_empty() => Ok(Some(Vec::new())),
            _ => Err(Error::unsupported(format!("operand {i} must be whole numbers known at import"))),
        }
    }

    /// Operand `i` as one number, if it is there.
    fn known_number(&self, node: &RawNode, i: usize) -> Result<Option<f64>> {
        if node.input(i).is_none() {
            return Ok(None);
        }
        match self.known(node, i) {
            Some(Constant::Float { data, .. }) if data.len() == 1 => Ok(Some(f64::from(data[0]))),
            Some(Constant::Int { data, .. }) if data.len() == 1 => Ok(Some(data[0] as f64)),
            _ => Err(Error::unsupported(format!("operand {i} must be one number known at import"))),
        }
    }

    /// The shape of one example of operand `i`.
    fn shape(&self, node: &RawNode, i: usize) -> Result<Shape> {
        match self.value(self.operand_name(node, i)?)? {
            Value::Graph(id) => Ok(self.builder.shape(*id)),
            Value::Known(constant) => Shape::new(constant.shape()),
        }
    }

    /// Adds a graph node.
    fn add(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<Value> {
        Ok(Value::Graph(self.builder.node(name, op, inputs)?))
    }

    /// Lowers one node to its value.
    fn node(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        attributes::check(node)?;
        if let Some(value) = self.fold(node)? {
            if let Value::Known(constant) = &value {
                self.spend(constant.len())?;
            }
            return Ok(value);
        }
        self.no_empty_operand(node)?;
        match node.op.as_str() {
            "Conv" | "ConvTranspose" => self.convolution(name, node),
            "BatchNormalization" | "InstanceNormalization" | "GroupNormalization" | "LayerNormalization" => {
                self.normalization(name, node)
            }
            "Gemm" | "MatMul" => self.matrix(name, node),
            "Linear" => self.linear(name, node),
            "MaxPool" | "AveragePool" => self.pool(name, node),
            "AdaptiveAveragePool" | "AdaptiveMaxPool" => self.adaptive_pool(name, node),
            "Gather" => self.gather(name, node),
            "Tile" => self.tile(name, node),
            "Pow" => self.power(name, node),
            "Max" | "Min" => self.bounded(name, node),
            "ReduceMin" => self.reduce_min(name, node),
            "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" | "ReduceMax" | "ReduceSum" => {
                self.reduce(name, node)
            }
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(name, node),
            "Resize" | "Upsample" => self.resize(name, node),
            "Concat" | "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Transpose" | "Slice" | "Pad"
            | "Expand" => self.movement(name, node),
            "Softmax" | "LogSoftmax" => self.softmax(name, node),
            _ => match activations::pointwise(self, node)? {
                Some(f) => {
                    let x = self.operand(node, 0)?;
                    self.add(name, Op::Pointwise(f), &[x])
                }
                None => self.other(name, node),
            },
        }
    }

    /// Many small nodes must not fill the memory where one large one may not.
    fn spend(&mut self, numbers: usize) -> Result<()> {
        self.left = self.left.checked_sub(numbers).ok_or_else(|| {
            Error::limit(
                "the constants computed up to here are too many; at most 67 million numbers are computed",
            )
        })?;
        Ok(())
    }

    /// Nodes that stand for one node of the file, each counted as many numbers: a small file must not make millions.
    fn spend_nodes(&mut self, nodes: usize) -> Result<()> {
        self.spend(nodes.saturating_mul(NUMBERS_OF_A_NODE))
            .map_err(|_| Error::limit("the poolings and picked entries up to here need too many nodes"))
    }

    /// Weights without elements have no meaning to any operator; absent options are allowed to be empty.
    fn no_empty_operand(&self, node: &RawNode) -> Result<()> {
        match self.known(node, 0) {
            Some(constant) if constant.len() == 0 => Err(Error::invalid("operand 0 has no elements")),
            _ => Ok(()),
        }
    }

    fn other(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let op = match node.op.as_str() {
            "PRelu" => Op::PRelu,
            "Identity" | "Dropout" => Op::Identity,
            // A cast between floating-point types; 1, 10, 11 and 16 are ONNX's numbers for them.
            "Cast" if [1, 10, 11, 16].contains(&node.int("to", 1)?) => Op::Identity,
            "Where" | "Greater" => {
                return Err(attributes::unsupported(
                    "only PyTorch's softplus may use Where and Greater, and nothing else may use its parts",
                ));
            }
            "Cast" => return Err(attributes::unsupported("data can only be cast to floating-point numbers")),
            _ => return Err(attributes::unsupported(&format!("operator {} is not supported", node.op))),
        };
        if node.op == "Dropout" && self.known_number(node, 2)?.is_some_and(|training| training != 0.0) {
            return Err(attributes::unsupported("dropout in training mode; export the network in eval mode"));
        }
        let inputs = if op == Op::Identity { vec![self.operand(node, 0)?] } else { self.operands(node)? };
        self.add(name, op, &inputs)
    }

    fn softmax(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let shape = self.shape(node, 0)?;
        let axis = axis(node.int("axis", -1)?, shape.rank())?;
        let x = self.operand(node, 0)?;
        let op = if node.op == "Softmax" { Op::Softmax { axis } } else { Op::LogSoftmax { axis } };
        self.add(name, op, &[x])
    }
}

/// A possibly negative axis of an array of `rank` axes.
fn axis(axis: i64, rank: usize) -> Result<usize> {
    let positive = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    usize::try_from(positive)
        .ok()
        .filter(|&a| a < rank.max(1))
        .ok_or_else(|| Error::invalid(format!("axis {axis} of data with {rank} axes")))
}

/// Possibly negative axes, sorted.
fn axes(list: &[i64], rank: usize) -> Result<Vec<usize>> {
    let mut all = list.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>>>()?;
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// A list of sizes that must not be negative.
fn sizes(list: &[i64], what: &str) -> Result<Vec<usize>> {
    let bad = |_| Error::invalid(format!("{what} {list:?} must not be negative"));
    list.iter().map(|&v| usize::try_from(v)).collect::<core::result::Result<_, _>>().map_err(bad)
}

/// Refuses an attribute that has any value but those that change nothing.
fn refuse_unless(node: &RawNode, key: &str, harmless: i64) -> Result<()> {
    match node.attributes.get(key) {
        None => Ok(()),
        Some(Attribute::Int(v)) if *v == harmless => Ok(()),
        Some(other) => Err(attributes::unsupported(&format!(
            "attribute {key} = {other:?} is not supported, only {harmless} is"
        ))),
    }
}
