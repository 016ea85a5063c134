//! ATen operators of the training graph as ONNX-like nodes, one file per family, so that fusion, lowering, rules and
//! kernels exist once.
//!
//! Sizes of results are those that PyTorch found; the lowering checks that it finds the same.

mod activation;
mod adaptive;
mod arithmetic;
mod call;
mod hints;
mod in_place;
mod layers;
mod normalization;
mod passing;
mod pieces;
mod pooling;
mod reduction;
mod resize;
mod views;

use super::program::Program;
use crate::raw::{Attribute, RawGraph};
use call::Call;
use std::collections::{HashMap, HashSet};
use voxplain_tensor::{Error, Result};

/// Says whether the operator is one of its family, and translates it.
type Family = fn(&mut Call<'_>) -> Result<bool>;

const FAMILIES: [Family; 10] = [
    layers::translate,
    normalization::translate,
    activation::translate,
    pooling::translate,
    arithmetic::translate,
    views::translate,
    pieces::translate,
    reduction::translate,
    resize::translate,
    passing::translate,
];

/// Numbers that nodes may make up together, nodes counted as 64: some 200 000 nodes.
const MOST_NUMBERS: usize = 1 << 24;

/// Adds the nodes that an output needs. `names` are the names of weights in the graph by those in the program.
pub(super) fn translate(
    program: &Program,
    needed: &HashSet<&str>,
    mut names: HashMap<String, String>,
    graph: &mut RawGraph,
    notes: &mut Vec<String>,
) -> Result<()> {
    let mut left = MOST_NUMBERS;
    let mut memory = in_place::Memory::new(program);
    for (at, node) in program.nodes.iter().enumerate() {
        let place =
            |e: Error| e.within(format!("node {:?} ({})", label(&node.module, &node.outputs), node.target));
        memory.pass(at, node).map_err(place)?;
        // Sizes that nodes compute were read with the program.
        if !node.outputs.iter().any(|o| needed.contains(o.as_str())) {
            continue;
        }
        let mut call = Call::new(program, node, &mut names, graph, notes, &mut left);
        let mut known = false;
        for family in FAMILIES {
            known = family(&mut call).map_err(place)?;
            if known {
                break;
            }
        }
        if !known {
            return Err(place(hints::unknown(&node.target)));
        }
        call.finish().map_err(place)?;
        let stated = node.outputs.iter().filter(|o| !o.is_empty());
        for output in stated {
            let sizes = program.sizes(output).map_err(place)?;
            graph.shapes.insert(output.clone(), sizes.to_vec());
        }
    }
    graph.outputs = program.outputs.iter().map(|o| names.get(o).unwrap_or(o).clone()).collect();
    Ok(())
}

/// How a user knows a node.
fn label<'a>(module: &'a str, outputs: &'a [String]) -> &'a str {
    if module.is_empty() { outputs.first().map_or("", String::as_str) } else { module }
}

/// The error for a form of an operator that this program does not do; `what` says which form it does.
fn unsupported(what: &str) -> Error {
    Error::unsupported(what)
}

/// Whole numbers as an attribute.
fn ints(values: &[i64]) -> Attribute {
    Attribute::Ints(values.to_vec())
}
