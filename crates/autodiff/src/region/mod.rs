//! Passes that compute only what a change of the inputs can reach, with the bits of a full pass.
//!
//! A known state of the network is kept: the values that may be read again ([`Regions::kept`]), from one full pass. An input
//! that differs from the state in a box changes a box of every value behind it (`links`). [`Regions::place`] finds these
//! boxes, rounded to where the device's sums are the same (`align`); rows whose boxes have the same sizes are of one
//! [`Class`] and share a plan ([`Regions::plan`]), in which a node reads a part of the state with the row's own box over it
//! ([`crate::Kernel::Window`]), zeros of paddings included, and is otherwise the node that it is, without padding.
//! Where a box is all of a value, the node is computed as it stands, for all rows together. Where that is so for (almost) all
//! classes, [`Regions::split`] lets rows of different classes share the rest of the network.
//!
//! Why the bits are the same: every entry of a result is computed from the same entries by the same kernel in the same order;
//! a kernel's way of computing is decided by its channels and windows, never by its sizes or batch (`laws.rs` and
//! `incremental/` among the tests hold devices to that).

mod align;
mod attributes;
mod common_sizes;
mod links;
mod place;
mod program;
mod reach;
mod tail;

pub use common_sizes::CommonSizes;
pub use place::{Class, Dirty, Places};

use alloc::vec;
use alloc::vec::Vec;
use voxplain_graph::{Graph, Node, Origin, ValueId};

/// A network as seen by passes over parts of it, up to some of its values: one, or those at which it is split.
#[derive(Clone, Debug)]
pub struct Regions<'g> {
    graph: &'g Graph,
    targets: Vec<ValueId>,
    /// By node: whether a target depends on it.
    used: Vec<bool>,
    /// By value: what boxes begin at multiples of along every axis.
    align: Vec<Vec<usize>>,
    /// By node: how many outputs along every axis share their rounding.
    sharing: Vec<Vec<usize>>,
    /// By node: the factors by which its box follows from its operand's.
    following: Vec<Option<Vec<usize>>>,
    /// By node and operand; empty for operands that do not vary.
    links: Vec<Vec<Vec<links::Link<'g>>>>,
    kept: Vec<ValueId>,
}

impl<'g> Regions<'g> {
    /// Prepares for passes up to `target` on a device that computes `tile` outputs of a convolution together
    /// ([`crate::Device::tile`]).
    pub fn new(graph: &'g Graph, target: ValueId, tile: [usize; 3]) -> Self {
        let used = used(graph, target);
        let (align, sharing) = (align::alignments(graph, tile), align::sharing(graph, tile));
        let following = |node: &Node| {
            let aligned =
                |f: &Vec<usize>| f.iter().zip(&align[node.inputs[0].index()]).all(|(f, a)| a % f == 0);
            align::following(graph, node).filter(aligned)
        };
        let following: Vec<_> = graph.nodes().iter().map(following).collect();
        let operands = |node: &'g Node| {
            let one = |k: usize| match graph.value(node.inputs[k]).varies {
                true => links::links(graph, node, k),
                false => Vec::new(),
            };
            (0..node.inputs.len()).map(one).collect()
        };
        let links = graph.nodes().iter().map(operands).collect();
        let mut regions =
            Self { graph, targets: vec![target], used, align, sharing, following, links, kept: Vec::new() };
        regions.kept = regions.find_kept(target);
        regions
    }

    /// The graph.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// The values that passes end at.
    pub fn targets(&self) -> &[ValueId] {
        &self.targets
    }

    /// The values of the state that passes read, the inputs among them and the target first: what the plan of the full pass
    /// must capture, in this order.
    pub fn kept(&self) -> &[ValueId] {
        &self.kept
    }

    /// Values that a node reads parts of, unless its box simply follows from its operand's.
    fn find_kept(&self, target: ValueId) -> Vec<ValueId> {
        let mut wanted = vec![false; self.graph.values().len()];
        self.graph.inputs().iter().for_each(|v| wanted[v.index()] = true);
        for (i, node) in self.graph.nodes().iter().enumerate() {
            if self.used[i] && self.following[i].is_none() {
                node.inputs.iter().for_each(|v| wanted[v.index()] = true);
            }
        }
        wanted[target.index()] = false;
        let varies = |v: &ValueId| wanted[v.index()] && self.graph.value(*v).varies;
        let all = self.graph.nodes().iter().map(|n| n.output);
        let behind = self.graph.inputs().iter().copied().chain(all).filter(varies);
        core::iter::once(target).chain(behind).collect()
    }

    fn kept_at(&self, value: ValueId) -> Option<usize> {
        self.kept.iter().position(|&v| v == value)
    }
}

/// By node: whether the target depends on it.
fn used(graph: &Graph, target: ValueId) -> Vec<bool> {
    let mut wanted = vec![false; graph.values().len()];
    wanted[target.index()] = true;
    let mut used = vec![false; graph.nodes().len()];
    for (i, node) in graph.nodes().iter().enumerate().rev() {
        used[i] = wanted[node.output.index()];
        if used[i] {
            node.inputs.iter().for_each(|v| wanted[v.index()] = true);
        }
    }
    used
}

/// Whether a value is an input of the graph.
fn is_input(graph: &Graph, value: ValueId) -> bool {
    matches!(graph.value(value).origin, Origin::Input(_))
}
