//! Other networks that compute the same function.

mod behind;
mod layers;
mod neurons;

use crate::compose::rewritten;
use voxplain_graph::{Graph, GraphBuilder, Node, Op, ValueId};
use voxplain_tensor::Result;

/// A way to write the same function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// A hidden layer's first channel twice, each with half of the weights that read it.
    Split,
    /// A layer with the identity (and its inverse: a shear and back) behind every hidden layer.
    Factored,
    /// `z = relu(z) - relu(-z)` behind every layer.
    Rectified,
    /// A normalisation with stored statistics behind every layer, whose weights undo it.
    Normalised,
    /// A layer that does nothing behind every layer.
    Identity,
    /// `z + c - c` behind every layer.
    Shifted,
    /// Every layer as two, each for half of its channels, joined.
    Grouped,
    /// Every convolution along one axis as a product with a matrix.
    Dense,
    /// Sums with their operands exchanged.
    Exchanged,
    /// A hidden layer's channels in reverse order.
    Reordered,
    /// A channel more that is never positive before its rectifier, whatever reads it.
    Dead,
}

impl Rewrite {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Split,
        Self::Factored,
        Self::Rectified,
        Self::Normalised,
        Self::Identity,
        Self::Shifted,
        Self::Grouped,
        Self::Dense,
        Self::Exchanged,
        Self::Reordered,
        Self::Dead,
    ];

    /// For tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Split => "neuron split",
            Self::Factored => "layer factored",
            Self::Rectified => "relu(z) - relu(-z)",
            Self::Normalised => "normalisation unfolded",
            Self::Identity => "identity layer",
            Self::Shifted => "z + c - c",
            Self::Grouped => "two groups joined",
            Self::Dense => "convolution as matrix",
            Self::Exchanged => "sums exchanged",
            Self::Reordered => "channels reordered",
            Self::Dead => "dead neuron",
        }
    }

    /// The other network. `None` where there is nothing to rewrite.
    ///
    /// # Errors
    /// None but faults of this crate.
    pub fn apply(self, graph: &Graph) -> Result<Option<Graph>> {
        match self {
            Self::Split | Self::Reordered | Self::Dead => neurons::apply(self, graph),
            Self::Factored => each(graph, is_hidden, behind::factored),
            Self::Rectified => each(graph, is_hidden, behind::rectified),
            Self::Normalised => each(graph, is_hidden, behind::normalised),
            Self::Identity => each(graph, is_hidden, behind::identity),
            Self::Shifted => each(graph, is_hidden, behind::shifted),
            Self::Grouped => each(graph, layers::is_divisible, layers::grouped),
            Self::Dense => each(graph, layers::is_a_matrix, layers::dense),
            Self::Exchanged => each(graph, layers::is_a_sum, layers::exchanged),
        }
    }
}

fn is_hidden(graph: &Graph, node: &Node) -> bool {
    matches!(&node.op, Op::Conv(a) if a.groups == 1) && !graph.outputs().contains(&node.output)
}

/// A node as it was, with its place in the new network.
struct Place<'a> {
    graph: &'a Graph,
    node: &'a Node,
    /// Its operands in the new network.
    x: &'a [ValueId],
}

type Then = fn(&mut GraphBuilder, &Place<'_>) -> Result<ValueId>;

/// `then` in place of every node that `fits`; all others stay.
fn each(graph: &Graph, fits: fn(&Graph, &Node) -> bool, then: Then) -> Result<Option<Graph>> {
    if !graph.nodes().iter().any(|n| fits(graph, n)) {
        return Ok(None);
    }
    rewritten(graph, &mut |b, renamed, x| {
        let Some(node) = graph.nodes().iter().find(|n| n.name == renamed.name) else { return Ok(None) };
        if fits(graph, node) { then(b, &Place { graph, node, x }).map(Some) } else { Ok(None) }
    })
    .map(Some)
}
