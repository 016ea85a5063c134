//! Rule tables: which rule speaks at which node, resolved before anything runs.

use crate::rule::{Rule, Signal};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use voxplain_graph::{Class, Graph, Node, Op, Origin};
use voxplain_tensor::{Error, Result};

/// Which nodes a rule is for. Of several matches the most specific wins, in the order of the variants; two different
/// entries that match with the same specificity are an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// Every node.
    Everything,
    /// Nodes of a structural class.
    Class(Class),
    /// Nodes of an ONNX operator type.
    Kind(String),
    /// The first weighted layer (convolution, linear) on every path from a graph input.
    FirstWeighted,
    /// As [`Matcher::FirstWeighted`], of an ONNX operator type.
    FirstOfKind(String),
    /// Nodes whose name fits a pattern in which `*` stands for any text.
    Glob(String),
    /// The node of that name.
    Name(String),
}

impl Matcher {
    fn rank(&self) -> usize {
        match self {
            Self::Everything => 0,
            Self::Class(_) => 1,
            Self::Kind(_) => 2,
            Self::FirstWeighted => 3,
            Self::FirstOfKind(_) => 4,
            Self::Glob(_) => 5,
            Self::Name(_) => 6,
        }
    }

    fn matches(&self, node: &Node, class: Class, first: bool) -> bool {
        match self {
            Self::Everything => true,
            Self::Class(wanted) => *wanted == class,
            Self::Kind(kind) => node.op.kind() == kind,
            Self::FirstWeighted => first,
            Self::FirstOfKind(kind) => first && node.op.kind() == kind,
            Self::Glob(pattern) => glob(pattern, &node.name),
            Self::Name(name) => node.name == *name,
        }
    }
}

/// Whether `text` fits `pattern`, where `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len()).filter(|&i| tail.is_char_boundary(i)).any(|i| glob(rest, &tail[i..]))
        }),
    }
}

/// An ordered list of (matcher, rule) for one type of signal.
pub struct Composite<S: Signal> {
    entries: Vec<(Matcher, Box<dyn Rule<Signal = S>>)>,
}

impl<S: Signal> Composite<S> {
    /// A table in which `rule` speaks everywhere.
    pub fn everywhere(rule: impl Rule<Signal = S> + 'static) -> Self {
        Self { entries: vec![(Matcher::Everything, Box::new(rule))] }
    }

    /// An empty table.
    pub fn empty() -> Self {
        Self { entries: Vec::new() }
    }

    /// Adds a rule for the nodes that `matcher` names.
    #[must_use]
    pub fn on(mut self, matcher: Matcher, rule: impl Rule<Signal = S> + 'static) -> Self {
        self.entries.push((matcher, Box::new(rule)));
        self
    }

    /// The rule that speaks at each node of `graph`.
    ///
    /// # Errors
    /// A node has no rule, or two entries match it with the same specificity; the message names the node.
    pub fn resolve<'c>(&'c self, graph: &Graph) -> Result<Resolved<'c, S>> {
        let first = first_weighted(graph);
        let mut rules = Vec::with_capacity(graph.nodes().len());
        for (i, node) in graph.nodes().iter().enumerate() {
            let varies: Vec<bool> = node.inputs.iter().map(|&v| graph.value(v).varies).collect();
            rules.push(self.choose(node, node.op.class(&varies), first[i])?);
        }
        Ok(Resolved { rules, first: Arc::from(first) })
    }

    fn choose(&self, node: &Node, class: Class, first: bool) -> Result<&dyn Rule<Signal = S>> {
        let matching = self.entries.iter().filter(|(m, _)| m.matches(node, class, first));
        let best = matching.clone().map(|(m, _)| m.rank()).max();
        let mut top = matching.filter(|(m, _)| Some(m.rank()) == best);
        match (top.next(), top.next()) {
            (Some((_, rule)), None) => Ok(&**rule),
            (None, _) => Err(Error::invalid(format!(
                "no rule of the composite matches node {:?} ({}, {})",
                node.name,
                node.op.kind(),
                class.name()
            ))),
            (Some((a, _)), Some((b, _))) => Err(Error::invalid(format!(
                "{a:?} and {b:?} both match node {:?}; make one more specific",
                node.name
            ))),
        }
    }

    /// Whether any rule looks at the reference run.
    pub fn needs_reference(&self) -> bool {
        self.entries.iter().any(|(_, rule)| rule.needs_reference())
    }
}

/// A composite resolved for one graph.
pub struct Resolved<'c, S: Signal> {
    rules: Vec<&'c dyn Rule<Signal = S>>,
    first: Arc<[bool]>,
}

impl<'c, S: Signal> Resolved<'c, S> {
    /// The rule at node `i`.
    pub fn rule(&self, i: usize) -> &'c dyn Rule<Signal = S> {
        self.rules[i]
    }

    /// Whether node `i` is the first weighted layer on a path from an input.
    pub fn is_first(&self, i: usize) -> bool {
        self.first[i]
    }

    /// One line per node: name, operator, rule.
    pub fn explain(&self, graph: &Graph) -> Vec<String> {
        let line = |(node, rule): (&Node, &&dyn Rule<Signal = S>)| {
            format!("{} ({}): {}", node.name, node.op.kind(), rule.name())
        };
        graph.nodes().iter().zip(&self.rules).map(line).collect()
    }
}

fn is_weighted(graph: &Graph, node: &Node) -> bool {
    let by_kind = matches!(node.op, Op::Conv(_) | Op::ConvTranspose(_) | Op::Gemm(_) | Op::MatMul);
    by_kind && node.inputs.get(1).is_some_and(|&w| matches!(graph.value(w).origin, Origin::Parameter(_)))
}

/// For every node whether it is the first weighted layer on some path from a graph input.
fn first_weighted(graph: &Graph) -> Vec<bool> {
    let mut untouched: Vec<bool> =
        graph.values().iter().map(|v| matches!(v.origin, Origin::Input(_))).collect();
    graph
        .nodes()
        .iter()
        .map(|node| {
            let reached = node.inputs.iter().any(|&v| untouched[v.index()]);
            let weighted = is_weighted(graph, node);
            untouched[node.output.index()] = reached && !weighted;
            reached && weighted
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn globs_match_any_text() {
        assert!(super::glob("conv*.1", "conv2.block.1"));
        assert!(super::glob("*", ""));
        assert!(!super::glob("conv*.1", "conv2.10"));
    }
}
