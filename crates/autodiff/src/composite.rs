//! Rule tables: which rule speaks at which node, resolved before anything runs.

use crate::rule::Rule;
use crate::signal::Signal;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
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
    /// As [`Matcher::FirstWeighted`], on a path from the graph input of that name.
    FirstOfInput(String),
    /// Nodes whose name fits a pattern in which `*` stands for any text.
    Glob(String),
    /// The node of that name.
    Name(String),
}

impl Matcher {
    /// The matcher that a text says: `everything`, `class NAME`, `kind OPERATOR`, `first`, `first OPERATOR`, `input NAME` (the
    /// first weighted layers behind that input), `glob PATTERN` or `name NODE`.
    ///
    /// # Errors
    /// It says something else.
    pub fn parse(text: &str) -> Result<Self> {
        let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let rest = String::from(rest.trim());
        match (word, rest.is_empty()) {
            ("everything", true) => return Ok(Self::Everything),
            ("first", true) => return Ok(Self::FirstWeighted),
            ("kind", false) => return Ok(Self::Kind(rest)),
            ("first", false) => return Ok(Self::FirstOfKind(rest)),
            ("input", false) => return Ok(Self::FirstOfInput(rest)),
            ("glob", false) => return Ok(Self::Glob(rest)),
            ("name", false) => return Ok(Self::Name(rest)),
            ("class", false) => {
                if let Some(class) = Class::ALL.into_iter().find(|c| c.name() == rest) {
                    return Ok(Self::Class(class));
                }
            }
            _ => {}
        }
        let classes: Vec<&str> = Class::ALL.iter().map(|c| c.name()).collect();
        Err(Error::invalid(format!(
            "{text:?} names no nodes; everything, class NAME (of {}), kind OPERATOR, first, first OPERATOR, input NAME, glob \
             PATTERN or name NODE expected",
            classes.join(", ")
        )))
    }

    fn rank(&self) -> usize {
        match self {
            Self::Everything => 0,
            Self::Class(_) => 1,
            Self::Kind(_) => 2,
            Self::FirstWeighted => 3,
            Self::FirstOfKind(_) => 4,
            Self::FirstOfInput(_) => 5,
            Self::Glob(_) => 6,
            Self::Name(_) => 7,
        }
    }

    fn matches(&self, node: &Node, class: Class, first: &[&str]) -> bool {
        match self {
            Self::Everything => true,
            Self::Class(wanted) => *wanted == class,
            Self::Kind(kind) => node.op.kind() == kind,
            Self::FirstWeighted => !first.is_empty(),
            Self::FirstOfKind(kind) => !first.is_empty() && node.op.kind() == kind,
            Self::FirstOfInput(input) => first.contains(&input.as_str()),
            Self::Glob(pattern) => glob(pattern, &node.name),
            Self::Name(name) => node.name == *name,
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => write!(f, "everything"),
            Self::Class(class) => write!(f, "class {}", class.name()),
            Self::Kind(kind) => write!(f, "kind {kind}"),
            Self::FirstWeighted => write!(f, "first"),
            Self::FirstOfKind(kind) => write!(f, "first {kind}"),
            Self::FirstOfInput(input) => write!(f, "input {input}"),
            Self::Glob(pattern) => write!(f, "glob {pattern}"),
            Self::Name(name) => write!(f, "name {name}"),
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

/// A line of a composite.
struct Entry<S: Signal> {
    on: Matcher,
    rule: Box<dyn Rule<Signal = S>>,
    /// Whether a graph without such a node is refused.
    required: bool,
}

/// An ordered list of (matcher, rule) for one type of signal.
pub struct Composite<S: Signal> {
    entries: Vec<Entry<S>>,
    books: bool,
}

impl<S: Signal> Composite<S> {
    /// A table in which `rule` speaks everywhere.
    pub fn everywhere(rule: impl Rule<Signal = S> + 'static) -> Self {
        Self::empty().on(Matcher::Everything, rule)
    }

    /// An empty table.
    pub fn empty() -> Self {
        Self { entries: Vec::new(), books: false }
    }

    /// Adds a rule for the nodes that `matcher` names. A graph may have none of a class, of an operator or that is first, so
    /// that one table fits many networks; a node, a pattern or an input that is named has to be there.
    #[must_use]
    pub fn on(self, matcher: Matcher, rule: impl Rule<Signal = S> + 'static) -> Self {
        self.on_boxed(matcher, Box::new(rule))
    }

    /// As [`Composite::on`], for a rule whose type is not known.
    #[must_use]
    pub fn on_boxed(self, matcher: Matcher, rule: Box<dyn Rule<Signal = S>>) -> Self {
        let required = matches!(matcher, Matcher::Name(_) | Matcher::Glob(_) | Matcher::FirstOfInput(_));
        self.with(Entry { on: matcher, rule, required })
    }

    /// As [`Composite::on_boxed`]; a graph without any node that `matcher` names is refused.
    #[must_use]
    pub fn on_required(self, matcher: Matcher, rule: Box<dyn Rule<Signal = S>>) -> Self {
        self.with(Entry { on: matcher, rule, required: true })
    }

    fn with(mut self, entry: Entry<S>) -> Self {
        self.entries.push(entry);
        self
    }

    /// The same table, with a ledger of what every node received and kept ([`crate::NodeBooks`]), if the signal has a mass.
    #[must_use]
    pub fn with_books(mut self) -> Self {
        self.books = true;
        self
    }

    /// Whether a ledger is kept.
    pub fn keeps_books(&self) -> bool {
        self.books
    }

    /// The rule that speaks at each node of `graph`.
    ///
    /// # Errors
    /// A node has no rule, two entries match it with the same specificity, or an entry that needs a node matches none; the
    /// message names the node or the entry.
    pub fn resolve<'c>(&'c self, graph: &Graph) -> Result<Resolved<'c, S>> {
        let first = first_weighted(graph);
        let mut seen = vec![false; self.entries.len()];
        let mut rules = Vec::with_capacity(graph.nodes().len());
        for (node, first) in graph.nodes().iter().zip(&first) {
            let varies: Vec<bool> = node.inputs.iter().map(|&v| graph.value(v).varies).collect();
            let class = node.op.class(&varies);
            let matching: Vec<usize> =
                (0..self.entries.len()).filter(|&i| self.entries[i].on.matches(node, class, first)).collect();
            matching.iter().for_each(|&i| seen[i] = true);
            rules.push(self.choose(node, class, &matching));
        }
        // A line that names nothing explains best why a node has no rule.
        self.check(&seen)?;
        let rules = rules.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(Resolved { rules, first: first.iter().map(|f| !f.is_empty()).collect() })
    }

    /// Refuses entries that need a node and match none; `seen[i]` says whether entry `i` matches one.
    fn check(&self, seen: &[bool]) -> Result<()> {
        match self.entries.iter().zip(seen).find(|(entry, seen)| entry.required && !**seen) {
            None => Ok(()),
            Some((Entry { on, rule, .. }, _)) => Err(Error::invalid(format!(
                "\"{on}\" of the composite, for rule {}, matches nothing in this network; inspect lists its nodes",
                rule.name()
            ))),
        }
    }

    /// The rule of the most specific of the entries that match a node.
    fn choose(&self, node: &Node, class: Class, matching: &[usize]) -> Result<&dyn Rule<Signal = S>> {
        let matching = matching.iter().map(|&i| &self.entries[i]);
        let best = matching.clone().map(|entry| entry.on.rank()).max();
        let mut top = matching.filter(|entry| Some(entry.on.rank()) == best);
        match (top.next(), top.next()) {
            (Some(entry), None) => Ok(&*entry.rule),
            (None, _) => Err(Error::invalid(format!(
                "no rule of the composite matches node {:?} ({}, {})",
                node.name,
                node.op.kind(),
                class.name()
            ))),
            (Some(a), Some(b)) => Err(Error::invalid(format!(
                "\"{}\" and \"{}\" of the composite both match node {:?}; make one more specific",
                a.on, b.on, node.name
            ))),
        }
    }

    /// Whether any rule looks at the reference run.
    pub fn needs_reference(&self) -> bool {
        self.entries.iter().any(|entry| entry.rule.needs_reference())
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

/// For every node the inputs from which some path has it as its first weighted layer.
fn first_weighted(graph: &Graph) -> Vec<Vec<&str>> {
    let own = |v: &voxplain_graph::ValueInfo| matches!(v.origin, Origin::Input(_));
    let mut untouched: Vec<Vec<&str>> = vec![Vec::new(); graph.values().len()];
    for (set, value) in untouched.iter_mut().zip(graph.values()).filter(|(_, v)| own(v)) {
        set.push(&value.name);
    }
    let mut found = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        let mut reached: Vec<&str> =
            node.inputs.iter().flat_map(|v| untouched[v.index()].iter().copied()).collect();
        reached.sort_unstable();
        reached.dedup();
        let weighted = is_weighted(graph, node);
        untouched[node.output.index()] = if weighted { Vec::new() } else { reached.clone() };
        found.push(if weighted { reached } else { Vec::new() });
    }
    found
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
