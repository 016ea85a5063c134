//! Users name layers as their PyTorch modules, and each exporter hides these names in its own way.

use crate::raw::RawGraph;
use std::collections::{HashMap, HashSet};

/// `/layer1/layer1.0/conv1/Conv` of the TorchScript dialect is module `layer1.0.conv1`; other names stay.
pub(super) fn module_name(name: &str) -> String {
    let Some((scopes, _)) = name.strip_prefix('/').and_then(|n| n.rsplit_once('/')) else {
        return String::from(name.trim_start_matches('/'));
    };
    let mut path: Vec<&str> = Vec::new();
    for scope in scopes.split('/') {
        // A child of a list of modules repeats the list's name: `layer1`, then `layer1.0`.
        let repeated = path
            .last()
            .is_some_and(|last| scope.strip_prefix(last).is_some_and(|rest| rest.starts_with('.')));
        if repeated {
            path.pop();
        }
        path.push(scope);
    }
    path.join(".")
}

/// The module in the scopes that the dynamo exporter notes, `['', 'layer1.0', 'layer1.0.conv1', 'conv2d']`: the last
/// but one.
pub(super) fn module_of_scopes(scopes: &str) -> Option<String> {
    let inner = scopes.trim().strip_prefix('[')?.strip_suffix(']')?;
    let all: Vec<&str> = inner.split(',').map(|s| s.trim().trim_matches(['\'', '"'])).collect();
    let module = all.get(all.len().checked_sub(2)?)?;
    (!module.is_empty()).then(|| String::from(*module))
}

/// Gives every node a name of its own. Of several nodes of one module the last has the module's name, and the others
/// have their operator behind it: `embed.matmul`, `embed`.
pub(crate) fn make_unique(graph: &mut RawGraph) {
    let mut left: HashMap<String, usize> = HashMap::new();
    graph.nodes.iter().for_each(|n| *left.entry(n.name.clone()).or_default() += 1);
    let values = graph.inputs.iter().map(|(name, _)| name).chain(graph.constants.keys());
    let mut taken: HashSet<String> = values.chain(left.keys()).cloned().collect();
    let mut next: HashMap<String, usize> = HashMap::new();
    let inputs: HashSet<&str> = graph.inputs.iter().map(|(name, _)| name.as_str()).collect();
    for node in graph.nodes.iter_mut().filter(|n| !n.name.is_empty()) {
        let rest = left.get_mut(&node.name).map_or(0, |n| {
            *n = n.saturating_sub(1);
            *n
        });
        let is_value = graph.constants.contains_key(&node.name) || inputs.contains(node.name.as_str());
        if rest == 0 && !is_value {
            continue;
        }
        let stem = format!("{}.{}", node.name, node.op.to_lowercase());
        let count = next.entry(stem.clone()).or_default();
        let mut name = if *count == 0 { stem.clone() } else { format!("{stem}_{count}") };
        while !taken.insert(name.clone()) {
            *count += 1;
            name = format!("{stem}_{count}");
        }
        *count += 1;
        node.name = name;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::RawNode;

    #[test]
    fn names_of_both_exporters_become_module_paths() {
        assert_eq!(module_name("/conv1/Conv"), "conv1");
        assert_eq!(module_name("/layer1/layer1.0/conv1/Conv"), "layer1.0.conv1");
        assert_eq!(module_name("/Concat"), "Concat");
        assert_eq!(module_name("conv1.0"), "conv1.0");
        assert_eq!(module_of_scopes("['', 'a.0', 'a.0.conv', 'conv2d']").as_deref(), Some("a.0.conv"));
        assert_eq!(module_of_scopes("['', 'relu']"), None);
        assert_eq!(module_of_scopes("nonsense"), None);
    }

    #[test]
    fn the_last_node_of_a_module_has_its_name() {
        let node = |op: &str| RawNode { op: op.into(), name: "embed".into(), ..RawNode::default() };
        let mut graph =
            RawGraph { nodes: vec![node("Mul"), node("Mul"), node("Add")], ..RawGraph::default() };
        make_unique(&mut graph);
        let names: Vec<&str> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["embed.mul", "embed.mul_1", "embed"]);
    }
}
