//! Where changes have spread over almost everything: from there on rows have too little left to save by their boxes and much by
//! being computed together, whatever their classes, since large weights are then read once for many of them.

use super::place::Class;
use super::{Regions, is_input};
use alloc::vec;
use alloc::vec::Vec;
use voxplain_graph::{Graph, GraphBuilder, Origin, ValueId};
use voxplain_tensor::{Error, Result};

/// The mean share of a value that rows change, from which it is computed whole.
const SPREAD: f64 = 0.75;

impl<'g> Regions<'g> {
    /// The network in two: passes over parts up to some values, which they give whole, and the network from these values to
    /// the target, whose inputs they are. `rows` are the classes that the split is for and how many rows each has. `None`
    /// where it has nothing to offer: no node has its changes spread over it, or all have.
    ///
    /// # Errors
    /// The nodes do not make a network.
    pub fn split(&self, rows: &[(&Class, usize)]) -> Result<Option<(Regions<'g>, Graph)>> {
        let late = self.late(rows);
        let border = self.border(&late);
        if border.is_empty() || border.iter().any(|&v| is_input(self.graph, v)) {
            return Ok(None);
        }
        let tail = self.tail(&late, &border)?;
        let used = self.used.iter().zip(&late).map(|(used, late)| *used && !late).collect();
        Ok(Some((Regions { targets: border, used, ..self.clone() }, tail)))
    }

    /// By node: whether its changes, and those of all nodes behind it, are spread.
    fn late(&self, rows: &[(&Class, usize)]) -> Vec<bool> {
        let all: usize = rows.iter().map(|(_, count)| count).sum();
        let nodes = self.graph.nodes();
        let spread = |i: usize| {
            let output = nodes[i].output;
            let whole = self.graph.shape(output).elements() as f64;
            let changed: f64 = rows.iter().map(|(class, count)| class.changed(i) * *count as f64).sum();
            self.used[i] && self.graph.value(output).varies && changed >= SPREAD * whole * all as f64
        };
        let mut late: Vec<bool> = (0..nodes.len()).map(spread).collect();
        for i in (0..nodes.len()).rev().filter(|&i| self.used[i]) {
            if !late[i] {
                nodes[i].inputs.iter().filter_map(|&v| self.maker(v)).for_each(|n| late[n] = false);
            }
        }
        // What a node of windows side by side reads is not kept.
        for i in 0..nodes.len() {
            late[i] &= self.following[i].is_none() || self.maker(nodes[i].inputs[0]).is_some_and(|n| late[n]);
        }
        late
    }

    /// The node that makes a value.
    fn maker(&self, value: ValueId) -> Option<usize> {
        match self.graph.value(value).origin {
            Origin::Node(id) => Some(id.index()),
            _ => None,
        }
    }

    /// The values that late nodes read from others.
    fn border(&self, late: &[bool]) -> Vec<ValueId> {
        let mut border = Vec::new();
        for (node, _) in self.graph.nodes().iter().zip(late).filter(|(_, late)| **late) {
            for &value in node.inputs.iter().filter(|v| self.graph.value(**v).varies) {
                if !self.maker(value).is_some_and(|n| late[n]) && !border.contains(&value) {
                    border.push(value);
                }
            }
        }
        border
    }

    /// The late nodes with the values before them as inputs, and what they need of the weights.
    fn tail(&self, late: &[bool], border: &[ValueId]) -> Result<Graph> {
        let graph = self.graph;
        let mut b = GraphBuilder::new();
        let mut of: Vec<Option<ValueId>> = vec![None; graph.values().len()];
        let parameters = b.share_parameters(graph)?;
        for (i, value) in graph.values().iter().enumerate() {
            if let Origin::Parameter(p) = value.origin {
                of[i] = Some(parameters[p]);
            }
        }
        for &value in border {
            of[value.index()] = Some(b.input(&graph.value(value).name, &graph.shape(value))?);
        }
        let missing = || Error::internal("the last nodes need a value that is not there");
        for (i, node) in graph.nodes().iter().enumerate().filter(|(i, _)| self.used[*i]) {
            if late[i] || !graph.value(node.output).varies {
                let operand = |v: &ValueId| of[v.index()].ok_or_else(missing);
                let operands = node.inputs.iter().map(operand).collect::<Result<Vec<_>>>()?;
                of[node.output.index()] = Some(b.node(&node.name, node.op.clone(), &operands)?);
            }
        }
        let targets = self.targets.iter().map(|t| of[t.index()].ok_or_else(missing));
        b.finish(&targets.collect::<Result<Vec<_>>>()?)
    }
}
