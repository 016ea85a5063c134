//! Propagation rules belong to operators, and exporters take operators apart; here they are whole again. Each
//! pattern matches only where its inner values have no other use; the fused node has the name and result of the
//! last node of the pattern.

mod adaptive_pooling;
mod gelu;
mod group_normalization;
mod picked;
mod simple;

use crate::raw::{Attribute, Constant, RawGraph, RawNode};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Runs every pattern until none matches.
pub(crate) fn run(graph: &mut RawGraph) {
    let patterns: [Pattern; 10] = [
        simple::softplus,
        simple::silu,
        simple::mish,
        simple::hard_swish,
        simple::linear,
        gelu::exact,
        gelu::tanh,
        group_normalization::group_normalization,
        adaptive_pooling::average,
        picked::picked,
    ];
    hoist_constants(graph);
    while pass(graph, &patterns) {}
}

type Pattern = fn(&View<'_>, &RawNode) -> Option<Match>;

/// TorchScript writes every number as a `Constant` node; patterns look for numbers among the constants.
fn hoist_constants(graph: &mut RawGraph) {
    let RawGraph { nodes, constants, outputs, inputs, .. } = graph;
    let free = |name: &str, constants: &BTreeMap<String, Constant>| {
        !constants.contains_key(name)
            && !outputs.iter().any(|o| o == name)
            && !inputs.iter().any(|(i, _)| i == name)
    };
    nodes.retain(|node| match (node.op.as_str(), node.attributes.get("value"), node.outputs.as_slice()) {
        ("Constant", Some(Attribute::Tensor(tensor)), [name]) if free(name, constants) => {
            constants.insert(name.clone(), tensor.clone());
            false
        }
        _ => true,
    });
}

/// Replaces the matches that share no node; says whether there were any.
fn pass(graph: &mut RawGraph, patterns: &[Pattern]) -> bool {
    let view = View::new(graph);
    let (mut used, mut found) = (HashSet::new(), Vec::new());
    for (at, node) in graph.nodes.iter().enumerate() {
        let matched = patterns.iter().find_map(|p| p(&view, node)).filter(|m| view.closed(m, node));
        let Some(matched) = matched else { continue };
        let names: Vec<String> = matched.inner.iter().chain([&node.outputs]).flatten().cloned().collect();
        if names.iter().all(|n| !used.contains(n)) {
            used.extend(names);
            found.push((at, matched));
        }
    }
    let any = !found.is_empty();
    let mut gone = HashSet::new();
    for (at, matched) in found {
        let last = &mut graph.nodes[at];
        *last = RawNode {
            name: std::mem::take(&mut last.name),
            outputs: std::mem::take(&mut last.outputs),
            ..matched.node
        };
        gone.extend(matched.inner.into_iter().flatten());
        graph.constants.extend(matched.constants);
    }
    graph.nodes.retain(|n| n.outputs.is_empty() || !n.outputs.iter().all(|o| gone.contains(o)));
    any
}

/// A pattern found: the node that replaces it and the outputs of the nodes that go.
pub(crate) struct Match {
    node: RawNode,
    inner: Vec<Vec<String>>,
    constants: Vec<(String, Constant)>,
}

impl Match {
    /// A fused node of operator `op` on `inputs` that replaces `inner` nodes.
    fn new(op: &str, inputs: Vec<String>, inner: &[&RawNode]) -> Self {
        let node = RawNode { op: String::from(op), inputs, ..RawNode::default() };
        Self { node, inner: inner.iter().map(|n| n.outputs.clone()).collect(), constants: Vec::new() }
    }
}

/// Producers of values.
pub(crate) struct View<'a> {
    graph: &'a RawGraph,
    makers: HashMap<&'a str, &'a RawNode>,
    users: HashMap<&'a str, Vec<&'a RawNode>>,
    outputs: HashSet<&'a str>,
}

impl<'a> View<'a> {
    fn new(graph: &'a RawGraph) -> Self {
        let (mut makers, mut users) = (HashMap::new(), HashMap::<_, Vec<_>>::new());
        for node in &graph.nodes {
            node.inputs.iter().for_each(|i| users.entry(i.as_str()).or_default().push(node));
            node.outputs.iter().for_each(|o| {
                makers.insert(o.as_str(), node);
            });
        }
        Self { graph, makers, users, outputs: graph.outputs.iter().map(String::as_str).collect() }
    }

    /// The node of operator `op` that makes `value`.
    fn maker(&self, value: &str, op: &str) -> Option<&'a RawNode> {
        self.makers.get(value).copied().filter(|n| n.op == op)
    }

    /// The operands of a two-operand node, in both orders.
    fn pairs(node: &'a RawNode) -> Vec<(&'a str, &'a str)> {
        match (node.input(0), node.input(1)) {
            (Some(a), Some(b)) => vec![(a, b), (b, a)],
            _ => Vec::new(),
        }
    }

    /// The value of a one-element constant.
    fn number(&self, value: &str) -> Option<f64> {
        match self.graph.constants.get(value)? {
            Constant::Float { data, .. } if data.len() == 1 => Some(f64::from(data[0])),
            Constant::Int { data, .. } if data.len() == 1 => Some(data[0] as f64),
            _ => None,
        }
    }

    /// The shape of a constant of floating-point numbers.
    fn weight(&self, value: &str) -> Option<&'a [usize]> {
        match self.graph.constants.get(value)? {
            Constant::Float { shape, .. } => Some(shape),
            Constant::Int { .. } => None,
        }
    }

    fn is_number(&self, value: &str, expected: f64) -> bool {
        self.number(value).is_some_and(|v| (v - expected).abs() <= 1e-5 * expected.abs())
    }

    /// Whether the inner nodes feed nothing but each other and `root`.
    fn closed(&self, found: &Match, root: &RawNode) -> bool {
        let belongs = |node: &RawNode| node.outputs == root.outputs || found.inner.contains(&node.outputs);
        found.inner.iter().flatten().all(|name| {
            let users = self.users.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            !self.outputs.contains(name.as_str()) && users.iter().all(|n| belongs(n))
        })
    }
}
