//! A network that takes values out of PyTorch's sight (`x.data`, `x.numpy()`) is exported as another function, without a
//! word: the value of the example input becomes a constant. MONAI's ResNet with shortcut type A does so.

use super::program::{Node, Program, Source};
use std::collections::{HashMap, HashSet};
use voxplain_tensor::{Error, Result};

/// Refuses a constant that was a value of the network: PyTorch named it, and a node makes one of its sizes for nothing.
pub(super) fn refuse(program: &Program, needed: &HashSet<&str>) -> Result<()> {
    let lifted = |(name, source): &&(String, Source)| {
        matches!(source, Source::Constant(path) if path.contains("lifted_tensor"))
            && needed.contains(name.as_str())
    };
    let lifted: Vec<&(String, Source)> = program.inputs.iter().filter(lifted).collect();
    if lifted.is_empty() {
        return Ok(());
    }
    let used: HashSet<&str> = program
        .nodes
        .iter()
        .flat_map(Node::tensors)
        .chain(program.outputs.iter().map(String::as_str))
        .collect();
    let sizes =
        |name: &str| program.values.get(name).map(|meta| meta.sizes.as_slice()).filter(|s| s.len() > 1);
    let unused = |node: &&Node| !node.outputs.iter().any(|o| used.contains(o.as_str()));
    let made = |node: &'_ Node| Some((sizes(node.outputs.first()?)?, node.target.clone()));
    let dead: HashMap<&[i64], String> = program.nodes.iter().filter(unused).filter_map(made).collect();
    match lifted.iter().find_map(|(name, _)| Some((name, dead.get(sizes(name)?)?))) {
        Some((name, target)) => Err(Error::unsupported(format!(
            "constant {name:?} holds what a node ({target}) made of the example input: the network uses .data or .numpy() in \
             forward, so PyTorch exported another function; take that out of forward and export again"
        ))),
        None => Ok(()),
    }
}
