//! Exporters leave helpers behind (the comparison of a softplus, the shape of a group normalisation, a second head),
//! and what no output needs must not decide whether a network loads.

use crate::raw::RawGraph;
use std::collections::HashSet;
use voxplain_tensor::{Error, Result};

/// Removes the nodes that no output depends on.
///
/// # Errors
/// A node uses a value that nothing before it makes: a cycle, a gap, or nodes out of order.
pub(crate) fn run(graph: &mut RawGraph) -> Result<()> {
    check_order(graph)?;
    let mut needed: HashSet<&str> = graph.outputs.iter().map(String::as_str).collect();
    let mut keep = vec![false; graph.nodes.len()];
    for (kept, node) in keep.iter_mut().zip(&graph.nodes).rev() {
        // A node without a result is kept, to be refused by name.
        *kept = node.output().is_empty() || node.outputs.iter().any(|o| needed.contains(o.as_str()));
        if *kept {
            needed.extend(node.inputs.iter().map(String::as_str));
        }
    }
    let mut kept = keep.into_iter();
    graph.nodes.retain(|_| kept.next().unwrap_or(true));
    Ok(())
}

fn check_order(graph: &RawGraph) -> Result<()> {
    let inputs = graph.inputs.iter().map(|(name, _)| name.as_str());
    let mut made: HashSet<&str> = inputs.chain(graph.constants.keys().map(String::as_str)).collect();
    for node in &graph.nodes {
        if let Some(gap) = node.inputs.iter().find(|i| !i.is_empty() && !made.contains(i.as_str())) {
            return Err(Error::invalid(format!(
                "node {:?} ({}): value {gap:?} is made by no node before this one; the graph has a cycle, a gap or is \
                 not sorted",
                node.name, node.op
            )));
        }
        made.extend(node.outputs.iter().map(String::as_str));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::RawNode;

    fn graph(nodes: &[(&str, &str, &str)]) -> RawGraph {
        let node = |&(op, from, to): &(&str, &str, &str)| RawNode {
            op: op.into(),
            name: to.into(),
            inputs: vec![from.into()],
            outputs: vec![to.into()],
            ..RawNode::default()
        };
        RawGraph {
            inputs: vec![("x".into(), vec![1, 2])],
            outputs: vec!["y".into()],
            nodes: nodes.iter().map(node).collect(),
            ..RawGraph::default()
        }
    }

    #[test]
    fn what_no_output_needs_goes() {
        let mut g =
            graph(&[("Greater", "x", "unused"), ("Relu", "x", "a"), ("Abs", "a", "y"), ("Not", "y", "z")]);
        run(&mut g).unwrap();
        assert_eq!(g.nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["a", "y"]);
    }

    #[test]
    fn a_cycle_is_refused_by_name_even_where_it_is_unused() {
        let mut g = graph(&[("Relu", "x", "y"), ("Relu", "b", "a"), ("Relu", "a", "b")]);
        let error = run(&mut g).unwrap_err();
        assert!(error.message().contains("node \"a\"") && error.message().contains("\"b\""), "{error}");
    }
}
