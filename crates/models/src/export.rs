//! Saving goes back through the form that reading starts from, so that one reader serves all files: a graph as
//! ONNX-like nodes again, such that reading them gives the same graph.

use crate::raw::{Attribute, Constant, RawGraph, RawNode};
use std::collections::{BTreeMap, HashSet};
use voxplain_graph::ops::{AxisTap, ConvAttributes, PadMode, Pointwise, PoolAttributes, SliceAxis};
use voxplain_graph::{Graph, Node, Op, ValueId};
use voxplain_tensor::{Error, Result};

type Attributes = BTreeMap<String, Attribute>;

/// The graph before lowering.
///
/// # Errors
/// The graph holds numbers that a file cannot.
pub(crate) fn to_raw(graph: &Graph) -> Result<RawGraph> {
    let name = |v: &ValueId| graph.value(*v).name.clone();
    let mut raw = RawGraph { rewrites: graph.rewrites().to_vec(), ..RawGraph::default() };
    for input in graph.inputs() {
        let mut sizes: Vec<i64> = graph.shape(*input).iter().map(|&s| s as i64).collect();
        if let Some(batch) = sizes.first_mut().filter(|b| **b == 1) {
            *batch = -1;
        }
        raw.inputs.push((name(input), sizes));
    }
    raw.outputs = graph.outputs().iter().map(name).collect();
    for p in graph.parameters() {
        raw.constants
            .insert(p.name.clone(), Constant::Float { shape: p.shape.to_vec(), data: p.data.to_vec() });
    }
    let mut taken: HashSet<String> = graph.values().iter().map(|v| v.name.clone()).collect();
    for node in graph.nodes() {
        let node = write_node(graph, node, &mut taken, &mut raw.constants)?;
        raw.nodes.push(node);
    }
    Ok(raw)
}

fn write_node(
    graph: &Graph,
    node: &Node,
    taken: &mut HashSet<String>,
    constants: &mut BTreeMap<String, Constant>,
) -> Result<RawNode> {
    let name = |v: &ValueId| graph.value(*v).name.clone();
    let mut writer = Writer { node, constants: Vec::new(), attributes: Attributes::new() };
    writer.write();
    let finite = |a: &Attribute| match a {
        Attribute::Float(v) => v.is_finite(),
        Attribute::Floats(v) => v.iter().all(|v| v.is_finite()),
        _ => true,
    };
    if let Some((key, _)) = writer.attributes.iter().find(|(_, a)| !finite(a)) {
        return Err(Error::invalid(format!(
            "node {:?} ({}): attribute {key:?} is not finite and cannot be saved",
            node.name,
            node.op.kind()
        )));
    }
    let mut inputs: Vec<String> = node.inputs.iter().map(name).collect();
    for (i, constant) in writer.constants.into_iter().enumerate() {
        let mut key = format!("{}.constant{i}", node.name);
        while !taken.insert(key.clone()) {
            key.push('_');
        }
        inputs.push(key.clone());
        constants.insert(key, constant);
    }
    let (op, attributes) = (String::from(node.op.kind()), writer.attributes);
    Ok(RawNode { op, name: node.name.clone(), inputs, outputs: vec![name(&node.output)], attributes })
}

struct Writer<'g> {
    node: &'g Node,
    /// Further operands.
    constants: Vec<Constant>,
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
        self.constants.push(Constant::whole(data));
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

    /// Fills attributes and further operands.
    fn write(&mut self) {
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
            _ => self.shaped(),
        }
    }

    fn shaped(&mut self) {
        match &self.node.op {
            Op::Reshape { sizes } => {
                // The leading size is written as free, for readers other than this one.
                let rest = sizes.iter().skip(1).map(|&s| s as i64);
                self.operand(std::iter::once(-1).chain(rest).collect());
            }
            Op::Expand { sizes } => self.whole(sizes),
            Op::Transpose { permutation } => self.ints("perm", permutation),
            Op::Slice { axes } => self.slice(axes),
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
            Op::Resize { taps } => self.resize(taps),
            _ => {}
        }
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

    fn slice(&mut self, axes: &[SliceAxis]) {
        let end = |a: &SliceAxis| {
            let end = a.begin as i64 + a.count as i64 * a.step as i64;
            if end < 0 { i64::MIN / 2 } else { end }
        };
        self.operand(axes.iter().map(|a| a.begin as i64).collect());
        self.operand(axes.iter().map(end).collect());
        self.operand((0..axes.len() as i64).collect());
        self.operand(axes.iter().map(|a| a.step as i64).collect());
    }

    /// The maps themselves, so that every mode survives exactly.
    fn resize(&mut self, taps: &[Option<Vec<AxisTap>>]) {
        let counts = taps.iter().map(|t| t.as_ref().map_or(0.0, |t| t.len() as f64)).collect();
        let flat = |pick: fn(&AxisTap) -> [f64; 2]| taps.iter().flatten().flatten().flat_map(pick).collect();
        self.put("taps", Attribute::Floats(counts));
        self.put("tap_entries", Attribute::Floats(flat(|t| t.at.map(|a| a as f64))));
        self.put("tap_weights", Attribute::Floats(flat(|t| t.weight)));
    }
}
