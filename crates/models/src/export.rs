//! A graph as ONNX-like nodes again, to be saved. Reading the result gives the same graph.

use crate::raw::{Attribute, Constant, RawGraph, RawNode};
use std::collections::BTreeMap;
use voxplain_graph::ops::{Binary, ConvAttributes, PadMode, Pointwise, PoolAttributes};
use voxplain_graph::{Graph, Node, Op};
use voxplain_tensor::{Error, Result};

type Attributes = BTreeMap<String, Attribute>;

/// The graph before lowering.
///
/// # Errors
/// The graph holds a resize that is not one of ONNX's modes any more.
pub(crate) fn to_raw(graph: &Graph) -> Result<RawGraph> {
    let name = |v: &voxplain_graph::ValueId| graph.value(*v).name.clone();
    let mut raw = RawGraph::default();
    for input in graph.inputs() {
        let mut sizes: Vec<i64> = graph.shape(*input).iter().map(|&s| s as i64).collect();
        if sizes[0] == 1 {
            sizes[0] = -1;
        }
        raw.inputs.push((name(input), sizes));
    }
    raw.outputs = graph.outputs().iter().map(name).collect();
    for p in graph.parameters() {
        raw.constants
            .insert(p.name.clone(), Constant::Float { shape: p.shape.to_vec(), data: p.data.to_vec() });
    }
    for node in graph.nodes() {
        let mut writer = Writer { graph, node, constants: Vec::new(), attributes: Attributes::new() };
        let op = writer.write()?;
        let mut inputs: Vec<String> = node.inputs.iter().map(name).collect();
        for (i, constant) in writer.constants.into_iter().enumerate() {
            let key = format!("{}.constant{i}", node.name);
            inputs.push(if constant.is_some() { key.clone() } else { String::new() });
            if let Some(constant) = constant {
                raw.constants.insert(key, constant);
            }
        }
        let outputs = vec![graph.value(node.output).name.clone()];
        let attributes = writer.attributes;
        raw.nodes.push(RawNode { op, name: node.name.clone(), inputs, outputs, attributes });
    }
    Ok(raw)
}

struct Writer<'g> {
    graph: &'g Graph,
    node: &'g Node,
    /// Further operands; `None` for an absent one.
    constants: Vec<Option<Constant>>,
    attributes: Attributes,
}

impl Writer<'_> {
    fn put(&mut self, key: &str, value: Attribute) {
        self.attributes.insert(String::from(key), value);
    }

    fn ints(&mut self, key: &str, values: &[usize]) {
        self.put(key, Attribute::Ints(values.iter().map(|&v| v as i64).collect()));
    }

    fn operand(&mut self, data: Vec<i64>) {
        self.constants.push(Some(Constant::Int { shape: vec![data.len()], data }));
    }

    fn whole(&mut self, sizes: &[usize]) {
        self.operand(sizes.iter().map(|&s| s as i64).collect());
    }

    fn conv(&mut self, a: &ConvAttributes) {
        self.ints("strides", &a.strides);
        self.ints("dilations", &a.dilations);
        self.ints("pads", &[&a.pads_begin[..], &a.pads_end[..]].concat());
        self.put("group", Attribute::Int(a.groups as i64));
    }

    fn pool(&mut self, a: &PoolAttributes) {
        self.ints("kernel_shape", &a.kernel);
        self.ints("strides", &a.strides);
        self.ints("dilations", &a.dilations);
        self.ints("pads", &[&a.pads_begin[..], &a.pads_end[..]].concat());
        self.put("ceil_mode", Attribute::Int(i64::from(a.ceil_mode)));
    }

    /// Fills attributes and further operands; returns the operator type.
    fn write(&mut self) -> Result<String> {
        let node = self.node;
        match &node.op {
            Op::Conv(a) => self.conv(a),
            Op::ConvTranspose(t) => {
                self.conv(&t.conv);
                self.ints("output_padding", &t.output_padding);
            }
            Op::BatchNormalization { epsilon } => self.put("epsilon", Attribute::Float(*epsilon)),
            Op::GroupNormalization { groups, epsilon } => {
                self.put("num_groups", Attribute::Int(*groups as i64));
                self.put("epsilon", Attribute::Float(*epsilon));
            }
            Op::LayerNormalization { axis, epsilon } => {
                self.put("axis", Attribute::Int(*axis as i64));
                self.put("epsilon", Attribute::Float(*epsilon));
            }
            Op::Pointwise(f) => self.pointwise(*f),
            Op::MaxPool(a) => self.pool(a),
            Op::AveragePool(a) => {
                self.pool(a);
                self.put("count_include_pad", Attribute::Int(i64::from(a.count_include_pad)));
            }
            Op::Reduce { axes, keep_axes, .. } => {
                self.put("keepdims", Attribute::Int(i64::from(*keep_axes)));
                self.whole(axes);
            }
            Op::Gemm(g) => {
                self.put("alpha", Attribute::Float(g.alpha));
                self.put("beta", Attribute::Float(g.beta));
                self.put("transA", Attribute::Int(i64::from(g.transpose_a)));
                self.put("transB", Attribute::Int(i64::from(g.transpose_b)));
            }
            Op::Concat { axis } | Op::Softmax { axis } | Op::LogSoftmax { axis } => {
                self.put("axis", Attribute::Int(*axis as i64));
            }
            Op::Reshape { sizes } => {
                // The batch axis is written as free, for readers other than this one.
                let mut sizes: Vec<i64> = sizes.iter().map(|&s| s as i64).collect();
                if sizes.first() == Some(&1) {
                    sizes[0] = -1;
                }
                self.operand(sizes);
            }
            Op::Expand { sizes } => self.whole(sizes),
            Op::Transpose { permutation } => self.ints("perm", permutation),
            Op::Slice { .. } | Op::Pad { .. } | Op::Resize { .. } => self.moved()?,
            Op::PRelu
            | Op::MatMul
            | Op::Binary(Binary::Add | Binary::Sub | Binary::Mul | Binary::Div)
            | Op::Identity => {}
        }
        Ok(String::from(node.op.kind()))
    }

    fn pointwise(&mut self, f: Pointwise) {
        let mut number = |key: &str, value: f64| self.put(key, Attribute::Float(value));
        match f {
            Pointwise::LeakyRelu { alpha } | Pointwise::Elu { alpha } => number("alpha", alpha),
            Pointwise::Selu { alpha, gamma } => {
                number("alpha", alpha);
                number("gamma", gamma);
            }
            Pointwise::HardSigmoid { alpha, beta } => {
                number("alpha", alpha);
                number("beta", beta);
            }
            Pointwise::Clip { low, high } => {
                number("min", low);
                number("max", high);
            }
            Pointwise::Affine { scale, shift } => {
                number("scale", scale);
                number("shift", shift);
            }
            Pointwise::GeluTanh => self.put("approximate", Attribute::Text(String::from("tanh"))),
            _ => {}
        }
    }

    fn moved(&mut self) -> Result<()> {
        let node = self.node;
        match &node.op {
            Op::Slice { axes } => {
                let end = |a: &voxplain_graph::ops::SliceAxis| {
                    let end = a.begin as i64 + a.count as i64 * a.step as i64;
                    if end < 0 { i64::MIN / 2 } else { end }
                };
                self.operand(axes.iter().map(|a| a.begin as i64).collect());
                self.operand(axes.iter().map(end).collect());
                self.operand((0..axes.len() as i64).collect());
                self.operand(axes.iter().map(|a| a.step as i64).collect());
            }
            Op::Pad { mode, before, after, value } => {
                let mode = match mode {
                    PadMode::Constant => "constant",
                    PadMode::Edge => "edge",
                    PadMode::Reflect => "reflect",
                };
                self.put("mode", Attribute::Text(String::from(mode)));
                self.put("value", Attribute::Float(*value));
                self.operand(before.iter().chain(after).map(|&p| p as i64).collect());
            }
            Op::Resize { taps } => {
                let at: Vec<f64> = taps.iter().map(|t| t.as_ref().map_or(0.0, |t| t.len() as f64)).collect();
                let flat = |pick: fn(&voxplain_graph::ops::AxisTap) -> [f64; 2]| {
                    taps.iter().flatten().flatten().flat_map(pick).collect::<Vec<f64>>()
                };
                self.put("taps", Attribute::Floats(at));
                self.put("tap_entries", Attribute::Floats(flat(|t| t.at.map(|a| a as f64))));
                self.put("tap_weights", Attribute::Floats(flat(|t| t.weight)));
            }
            _ => {
                return Err(Error::internal(format!(
                    "{} is not a moving operator in {}",
                    node.op.kind(),
                    self.graph.nodes().len()
                )));
            }
        }
        Ok(())
    }
}
