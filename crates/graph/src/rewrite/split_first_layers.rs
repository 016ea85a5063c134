//! Takes the first, linear part of a network off the rest of it, for methods that walk along rays from the zero input: a
//! convolution with the poolings behind it follows a ray by a factor.

use crate::graph::{Graph, Node, Origin, Parameter, ValueId};
use crate::ops::{Binary, Pointwise};
use crate::{GraphBuilder, Op};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use voxplain_tensor::{Error, Result, Shape};

/// What a head makes may have so many times as many numbers as what it reads. A ray keeps two points, a sum and a row of the
/// tail's inputs: up to here that is no more than what the tail saves, the image of many channels in front of the pooling.
const MOST_GROWTH: usize = 2;

/// A network as `tail(head(x))`, input by input.
#[derive(Clone, Debug)]
pub struct Split {
    /// By input of the network: the head, from this input alone to what the tail reads instead of it; `None` where the tail reads
    /// the input itself. A head has `head(a x) = a head(x)` for every `a >= 0`, with the same winners of all windows where
    /// `a > 0`.
    pub heads: Vec<Option<Graph>>,
    /// From what the heads make, in the order of the network's inputs, to the target, its only output.
    pub tail: Graph,
}

/// The network up to `target` in two, where an input is read by a convolution alone: the head is the convolution with the
/// normalisation behind it (with stored statistics), without what both add, and the maximum poolings behind them. The tail
/// begins with the sum that was left out and the rectifier that stood between, since a maximum of windows commutes with adding a
/// constant and with a rectifier: `pool(relu(W x + b)) = relu(pool(W x) + b)`. Changes of shape may stand before the
/// convolution. `None` where no input has such a reader.
///
/// An input has no head where the target or a second reader sees a value inside of it, or where it would make more than twice as
/// many numbers as it reads.
///
/// # Errors
/// The parts do not make a network.
pub fn split_first_layers(graph: &Graph, target: ValueId) -> Result<Option<Split>> {
    let splitter = Splitter::new(graph, target);
    let heads: Vec<Option<Head>> = graph.inputs().iter().map(|&input| splitter.head(input)).collect();
    if heads.iter().all(Option::is_none) {
        return Ok(None);
    }
    let tail = splitter.tail(&heads)?;
    let alone = |(head, &input): (&Option<Head>, &ValueId)| {
        head.as_ref().map(|head| splitter.alone(head, input)).transpose()
    };
    let heads = heads.iter().zip(graph.inputs()).map(alone).collect::<Result<_>>()?;
    Ok(Some(Split { heads, tail }))
}

/// The nodes of a head, by position.
struct Head {
    /// Changes of shape before the convolution.
    before: Vec<usize>,
    convolution: usize,
    normalisation: Option<usize>,
    pools: Vec<usize>,
    /// Whether a rectifier stands before the last pooling.
    rectified: bool,
    /// The value of the network behind all of them.
    last: ValueId,
    /// All nodes that make it.
    nodes: Vec<usize>,
}

struct Splitter<'g> {
    graph: &'g Graph,
    target: ValueId,
    /// By node: whether the target depends on it.
    used: Vec<bool>,
    /// By value: the nodes that read it on the way to the target, one for each time.
    readers: Vec<Vec<usize>>,
}

impl<'g> Splitter<'g> {
    fn new(graph: &'g Graph, target: ValueId) -> Self {
        let mut wanted = vec![false; graph.values().len()];
        wanted[target.index()] = true;
        let mut used = vec![false; graph.nodes().len()];
        let mut readers = vec![Vec::new(); graph.values().len()];
        for (i, node) in graph.nodes().iter().enumerate().rev() {
            used[i] = wanted[node.output.index()];
            for value in node.inputs.iter().filter(|_| used[i]) {
                wanted[value.index()] = true;
                readers[value.index()].push(i);
            }
        }
        Self { graph, target, used, readers }
    }

    /// The node that alone reads a value, which the target must not be.
    fn only_reader(&self, value: ValueId) -> Option<(usize, &'g Node)> {
        match self.readers[value.index()][..] {
            [reader] if value != self.target => Some((reader, &self.graph.nodes()[reader])),
            _ => None,
        }
    }

    /// Whether all operands behind the first are weights.
    fn is_stored(&self, node: &Node) -> bool {
        node.inputs[1..].iter().all(|&v| matches!(self.graph.value(v).origin, Origin::Parameter(_)))
    }

    /// The head of an input.
    fn head(&self, input: ValueId) -> Option<Head> {
        let mut before = Vec::new();
        let (mut at, mut node) = self.only_reader(input)?;
        while matches!(node.op, Op::Reshape { .. } | Op::Transpose { .. } | Op::Identity) {
            before.push(at);
            (at, node) = self.only_reader(node.output)?;
        }
        if !matches!(node.op, Op::Conv(_)) || !self.is_stored(node) {
            return None;
        }
        let nodes = before.iter().copied().chain([at]).collect();
        let (last, convolution) = (node.output, at);
        let mut head = Head {
            before,
            convolution,
            normalisation: None,
            pools: Vec::new(),
            rectified: false,
            last,
            nodes,
        };
        self.extend(&mut head);
        let elements = |value| self.graph.shape(value).elements();
        (elements(head.last) <= MOST_GROWTH * elements(input)).then_some(head)
    }

    /// Takes up the normalisation, and everything up to the last pooling.
    fn extend(&self, head: &mut Head) {
        if let Some((at, node)) = self.only_reader(head.last) {
            if matches!(node.op, Op::BatchNormalization { .. }) && self.is_stored(node) {
                (head.normalisation, head.last) = (Some(at), node.output);
                head.nodes.push(at);
            }
        }
        let (mut value, mut rectified, mut passed) = (head.last, false, Vec::new());
        while let Some((at, node)) = self.only_reader(value) {
            passed.push(at);
            value = node.output;
            match node.op {
                Op::Pointwise(Pointwise::Relu) => rectified = true,
                Op::MaxPool(_) => {
                    head.pools.push(at);
                    head.nodes.append(&mut passed);
                    (head.rectified, head.last) = (rectified, value);
                }
                _ => break,
            }
        }
    }

    fn parameter(&self, value: ValueId) -> Result<&'g Parameter> {
        match self.graph.value(value).origin {
            Origin::Parameter(at) => Ok(&self.graph.parameters()[at]),
            _ => Err(Error::internal("a weight of a first layer is not a parameter")),
        }
    }

    /// A name that nothing in the graph has.
    fn fresh(&self, stem: &str, what: &str) -> String {
        let mut name = format!("{stem}.{what}");
        while self.graph.values().iter().any(|v| v.name == name) {
            name.push('\'');
        }
        name
    }

    /// The head as a network.
    fn alone(&self, head: &Head, input: ValueId) -> Result<Graph> {
        let mut b = GraphBuilder::new();
        let info = self.graph.value(input);
        let mut x = b.input(&info.name, &info.shape)?;
        let nodes = self.graph.nodes();
        for node in head.before.iter().map(|&at| &nodes[at]) {
            x = b.node(&node.name, node.op.clone(), &[x])?;
        }
        let node = &nodes[head.convolution];
        let weight = self.shared(&mut b, node.inputs[1])?;
        x = b.node(&node.name, node.op.clone(), &[x, weight])?;
        if let Some(node) = head.normalisation.map(|at| &nodes[at]) {
            let (scale, variance) =
                (self.shared(&mut b, node.inputs[1])?, self.shared(&mut b, node.inputs[4])?);
            let channels = b.shape(scale).elements();
            let zeros = b.parameter(&self.fresh(&node.name, "zeros"), &[channels], vec![0.0; channels])?;
            x = b.node(&node.name, node.op.clone(), &[x, scale, zeros, zeros, variance])?;
        }
        for node in head.pools.iter().map(|&at| &nodes[at]) {
            x = b.node(&node.name, node.op.clone(), &[x])?;
        }
        b.finish(&[x])
    }

    /// A weight, not copied.
    fn shared(&self, b: &mut GraphBuilder, value: ValueId) -> Result<ValueId> {
        let parameter = self.parameter(value)?;
        b.parameter(&parameter.name, &parameter.shape, parameter.data.clone())
    }

    fn tail(&self, heads: &[Option<Head>]) -> Result<Graph> {
        let graph = self.graph;
        let (mut b, mut of) = (GraphBuilder::new(), vec![None; graph.values().len()]);
        let parameters = b.share_parameters(graph)?;
        for (i, value) in graph.values().iter().enumerate() {
            if let Origin::Parameter(p) = value.origin {
                of[i] = Some(parameters[p]);
            }
        }
        let mut left = self.used.clone();
        for (head, &input) in heads.iter().zip(graph.inputs()) {
            let from = head.as_ref().map_or(input, |head| head.last);
            let start = b.input(&graph.value(input).name, &graph.shape(from))?;
            of[from.index()] = Some(match head {
                Some(head) => self.begin(&mut b, head, start, &parameters)?,
                None => start,
            });
            head.iter().flat_map(|head| &head.nodes).for_each(|&at| left[at] = false);
        }
        let missing = || Error::internal("the rest of a network needs a value of its first layers");
        for (node, _) in graph.nodes().iter().zip(left).filter(|(_, left)| *left) {
            let operand = |v: &ValueId| of[v.index()].ok_or_else(missing);
            let operands = node.inputs.iter().map(operand).collect::<Result<Vec<_>>>()?;
            of[node.output.index()] = Some(b.node(&node.name, node.op.clone(), &operands)?);
        }
        b.finish(&[of[self.target.index()].ok_or_else(missing)?])
    }

    /// What the tail begins with behind a head: what the layer adds, and the rectifier.
    fn begin(
        &self,
        b: &mut GraphBuilder,
        head: &Head,
        start: ValueId,
        parameters: &[ValueId],
    ) -> Result<ValueId> {
        let name = &self.graph.nodes()[head.convolution].name;
        let mut x = start;
        if let Some(added) = self.added(b, head, parameters)? {
            x = b.node(&self.fresh(name, "sum"), Op::Binary(Binary::Add), &[x, added])?;
        }
        if head.rectified { b.relu(&self.fresh(name, "rectified"), x) } else { Ok(x) }
    }

    /// What convolution and normalisation add, `[1, channels, 1, ...]`: the bias as the normalisation sees it, computed from the
    /// weights where the tail runs, so that it is as precise as there.
    fn added(&self, b: &mut GraphBuilder, head: &Head, parameters: &[ValueId]) -> Result<Option<ValueId>> {
        let nodes = self.graph.nodes();
        let node = &nodes[head.convolution];
        let shape = self.graph.shape(node.output);
        let mut sizes = vec![1; shape.rank()];
        sizes[1] = shape[1];
        let bias = node.inputs.get(2).map(|&v| self.parameter(v)).transpose()?;
        if bias.is_none() && head.normalisation.is_none() {
            return Ok(None);
        }
        let values = bias.map_or_else(|| vec![0.0; shape[1]].into(), |bias| bias.data.clone());
        let bias = b.parameter(&self.fresh(&node.name, "added"), &Shape::new(&sizes)?, values)?;
        let Some(norm) = head.normalisation.map(|at| &nodes[at]) else { return Ok(Some(bias)) };
        let position = |v: &ValueId| match self.graph.value(*v).origin {
            Origin::Parameter(at) => Ok(parameters[at]),
            _ => Err(Error::internal("a statistic is not a parameter")),
        };
        let statistics = norm.inputs[1..].iter().map(position);
        let operands = [Ok(bias)].into_iter().chain(statistics).collect::<Result<Vec<_>>>()?;
        b.node(&self.fresh(&norm.name, "added"), norm.op.clone(), &operands).map(Some)
    }
}
