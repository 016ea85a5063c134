//! Whatever an exporter calls them, there are two poolings and three reductions.

use super::attributes::unsupported;
use super::windows::Windows;
use super::{Lowering, Value, axes, refuse_unless, sizes};
use crate::raw::RawNode;
use voxplain_graph::ops::{PoolAttributes, Reduction};
use voxplain_graph::{Op, ValueId};
use voxplain_tensor::{Error, Result};

impl Lowering {
    pub(super) fn pool(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let x = self.shape(node, 0)?;
        let kernel = node.ints("kernel_shape")?.ok_or_else(|| Error::invalid("kernel_shape is missing"))?;
        let kernel = sizes(&kernel, "kernel_shape")?;
        let windows = Windows::of(node, x, &kernel)?;
        refuse_unless(node, "storage_order", 0)?;
        if node.outputs.iter().skip(1).any(|o| !o.is_empty()) {
            return Err(unsupported("indices as a result are not supported"));
        }
        let attributes = PoolAttributes {
            kernel,
            strides: windows.strides,
            pads_begin: windows.pads_begin,
            pads_end: windows.pads_end,
            dilations: windows.dilations,
            ceil_mode: node.int("ceil_mode", 0)? != 0,
            count_include_pad: node.int("count_include_pad", 0)? != 0,
        };
        let input = self.operand(node, 0)?;
        let op = if node.op == "MaxPool" { Op::MaxPool(attributes) } else { Op::AveragePool(attributes) };
        self.add(name, op, &[input])
    }

    pub(super) fn reduce(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let x = self.shape(node, 0)?;
        let input = self.operand(node, 0)?;
        if node.op.starts_with("Global") {
            let reduction = if node.op == "GlobalMaxPool" { Reduction::Max } else { Reduction::Mean };
            let axes: Vec<usize> = (2..x.rank()).collect();
            return self.add(name, Op::Reduce { reduction, axes, keep_axes: true }, &[input]);
        }
        let value = self.reduction(name, node, input)?;
        Ok(Value::Graph(value))
    }

    /// The reduction of `x` over the axes of a node, which are an attribute or its second operand.
    pub(super) fn reduction(&mut self, name: &str, node: &RawNode, x: ValueId) -> Result<ValueId> {
        let rank = self.builder.shape(x).rank();
        let reduction = match node.op.as_str() {
            "ReduceMean" => Reduction::Mean,
            "ReduceMax" | "ReduceMin" => Reduction::Max,
            _ => Reduction::Sum,
        };
        let listed = node.ints("axes")?.map_or_else(|| self.known_ints(node, 1), |a| Ok(Some(a)))?;
        let listed = listed.unwrap_or_default();
        if listed.is_empty() && node.int("noop_with_empty_axes", 0)? != 0 {
            return self.builder.node(name, Op::Identity, &[x]);
        }
        let axes = if listed.is_empty() { (0..rank).collect() } else { axes(&listed, rank)? };
        let keep_axes = node.int("keepdims", 1)? != 0;
        self.builder.node(name, Op::Reduce { reduction, axes, keep_axes }, &[x])
    }
}
