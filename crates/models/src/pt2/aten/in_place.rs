//! The training graph keeps operators that change their operand, `relu_(x)`. PyTorch gives the changed tensor a new name
//! and uses that from there on, so such an operator is an ordinary one, unless the change reaches a value that is used
//! under another name, through a view: that is refused.

use super::unsupported;
use crate::pt2::program::{Argument, Node, Program};
use std::collections::HashMap;
use voxplain_tensor::Result;

/// The name of the tensor that a node changes.
fn target(node: &Node) -> Option<&str> {
    let operator = node.target.split('.').next()?;
    if !operator.ends_with('_') {
        return None;
    }
    operand(node)
}

/// The tensor that a result may share its memory with.
fn operand(node: &Node) -> Option<&str> {
    ["self", "input"].iter().find_map(|key| match node.arguments.get(*key) {
        Some(Argument::Tensor(name)) => Some(name.as_str()),
        _ => None,
    })
}

/// Whether the result of an operator may be its operand seen in another way.
fn is_view(node: &Node) -> bool {
    let operator = node.target.split('.').next().unwrap_or("");
    let views = [
        "view",
        "reshape",
        "flatten",
        "unflatten",
        "squeeze",
        "unsqueeze",
        "view_as",
        "reshape_as",
        "permute",
        "transpose",
        "swapaxes",
        "swapdims",
        "t",
        "numpy_T",
        "movedim",
        "expand",
        "expand_as",
        "slice",
        "narrow",
        "select",
        "split",
        "split_with_sizes",
        "chunk",
        "unbind",
        "tensor_split",
        "contiguous",
        "alias",
        "detach",
        "to",
        "type_as",
        "dropout",
        "feature_dropout",
    ];
    operator.ends_with('_') || views.contains(&operator)
}

/// Which names mean the same memory, as the nodes go by.
pub(super) struct Memory<'p> {
    /// The first name of the memory behind a name.
    base: HashMap<&'p str, &'p str>,
    /// The names of a memory that may still be used.
    live: HashMap<&'p str, Vec<&'p str>>,
    /// The last node that uses a name.
    last: HashMap<&'p str, usize>,
}

impl<'p> Memory<'p> {
    pub fn new(program: &'p Program) -> Self {
        let mut last = HashMap::new();
        for (at, node) in program.nodes.iter().enumerate() {
            node.tensors().for_each(|name| {
                last.insert(name, at);
            });
        }
        last.extend(program.outputs.iter().map(|name| (name.as_str(), usize::MAX)));
        let mut memory = Self { base: HashMap::new(), live: HashMap::new(), last };
        program.inputs.iter().for_each(|(name, _)| memory.add(name, name));
        memory
    }

    fn add(&mut self, name: &'p str, base: &'p str) {
        self.base.insert(name, base);
        self.live.entry(base).or_default().push(name);
    }

    /// Passes node `at`.
    ///
    /// # Errors
    /// It changes memory that is used later under another name.
    pub fn pass(&mut self, at: usize, node: &'p Node) -> Result<()> {
        let shared = operand(node).filter(|_| is_view(node));
        let base = shared.map(|name| self.base.get(name).copied().unwrap_or(name));
        if let (Some(name), Some(base)) = (target(node), base) {
            let names = self.live.entry(base).or_default();
            names.retain(|other| self.last.get(other).is_some_and(|&last| last > at));
            if let Some(other) = names.first() {
                return Err(unsupported(&format!(
                    "it changes {name:?} in place, which shares its memory with {other:?}, and that is used later; \
                     views changed in place are not supported, leave the change in place out"
                )));
            }
        }
        for output in node.outputs.iter().filter(|o| !o.is_empty()) {
            self.add(output, base.unwrap_or(output));
        }
        Ok(())
    }
}
