//! Puts operators together again that exporters take apart. Each pattern matches only where its inner values have no
//! other use; the fused node has the name and result of the last node of the pattern.

mod gelu;
mod group_normalization;
mod simple;

use crate::raw::{Constant, RawGraph, RawNode};
use std::collections::HashMap;

/// Runs every pattern until none matches.
pub(crate) fn run(graph: &mut RawGraph) {
    let patterns: [fn(&View<'_>, &RawNode) -> Option<Match>; 7] = [
        simple::softplus,
        simple::silu,
        simple::mish,
        simple::hard_swish,
        gelu::exact,
        gelu::tanh,
        group_normalization::group_normalization,
    ];
    loop {
        let view = View::new(graph);
        let found = graph.nodes.iter().enumerate().find_map(|(i, node)| {
            patterns.iter().find_map(|p| p(&view, node)).filter(|m| view.closed(m, node)).map(|m| (i, m))
        });
        let Some((at, found)) = found else { return };
        let last = graph.nodes[at].clone();
        let node = RawNode { name: last.name.clone(), outputs: last.outputs.clone(), ..found.node };
        graph.nodes[at] = node;
        graph.nodes.retain(|n| !found.inner.contains(&n.outputs));
        graph.constants.extend(found.constants);
    }
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
}

impl<'a> View<'a> {
    fn new(graph: &'a RawGraph) -> Self {
        let mut makers = HashMap::new();
        for node in &graph.nodes {
            node.outputs.iter().for_each(|o| {
                makers.insert(o.as_str(), node);
            });
        }
        Self { graph, makers }
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
            _ => None,
        }
    }

    fn is_number(&self, value: &str, expected: f64) -> bool {
        self.number(value).is_some_and(|v| (v - expected).abs() <= 1e-5 * expected.abs())
    }

    /// Whether the inner nodes feed nothing but each other and `root`.
    fn closed(&self, found: &Match, root: &RawNode) -> bool {
        let belongs = |node: &RawNode| node.outputs == root.outputs || found.inner.contains(&node.outputs);
        found.inner.iter().flatten().all(|name| {
            let users = self.graph.nodes.iter().filter(|n| n.inputs.contains(name));
            !self.graph.outputs.contains(name) && users.into_iter().all(belongs)
        })
    }
}
