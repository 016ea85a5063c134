//! The network this program was first asked to explain, published as a state dict without a graph: GeneNet, the 3D
//! VGG of Jin et al. (MethodsX 2023): blocks of n times convolution 3^3, batch normalisation, ReLU, then max
//! pooling 2; flatten; two linear layers with a ReLU between. Blocks, convolutions per block and widths are read
//! from the names and shapes of the state dict, so its smaller relatives load too.

use crate::raw::{Attribute, Constant, RawGraph, RawNode};
use std::collections::{BTreeMap, BTreeSet};
use voxplain_tensor::{Error, Result};

/// Modules per convolution in a block: convolution, normalisation, activation.
const PER_CONV: usize = 3;

pub(super) fn build(
    mut tensors: BTreeMap<String, Constant>,
    spatial: Option<[usize; 3]>,
) -> Result<RawGraph> {
    tensors.retain(|name, _| !name.ends_with("num_batches_tracked"));
    let prefix = prefix(&tensors)?;
    let mut b = Builder {
        graph: RawGraph::default(),
        used: BTreeSet::new(),
        current: String::from("x"),
        prefix,
        last_weight: String::new(),
    };
    let first = shape(&tensors, &b.weight(1, 0), 5)?;
    let mut blocks = 0;
    while tensors.contains_key(&b.weight(blocks + 1, 0)) {
        blocks += 1;
        b.block(&tensors, blocks)?;
    }
    b.head();
    if let Some(missing) = b.used.iter().find(|name| !tensors.contains_key(*name)) {
        return Err(Error::invalid(format!(
            "genenet needs a tensor {missing:?}, which the file does not have"
        )));
    }
    if let Some(extra) = tensors.keys().find(|name| !b.used.contains(*name)) {
        return Err(Error::invalid(format!("tensor {extra:?} does not belong to genenet")));
    }
    let size = spatial.map_or_else(|| cube(&tensors, &b, blocks), Ok)?;
    check_shapes(&tensors, &b, blocks, first[1], size)?;
    b.graph.inputs =
        vec![(String::from("x"), [&[-1, first[1] as i64], &size.map(|s| s as i64)[..]].concat())];
    b.graph.outputs = vec![b.current.clone()];
    b.graph.constants.extend(tensors);
    Ok(b.graph)
}

/// How module names continue after the block: `conv1.0` or `conv1.op.0`.
fn prefix(tensors: &BTreeMap<String, Constant>) -> Result<String> {
    let name = |infix: &str| format!("conv1{infix}.0.weight");
    ["", ".op", ".layers", ".block"]
        .into_iter()
        .find(|infix| tensors.contains_key(&name(infix)))
        .map(String::from)
        .ok_or_else(|| {
            Error::invalid("no tensor \"conv1.0.weight\"; the file is not a state dict of genenet")
        })
}

fn shape(tensors: &BTreeMap<String, Constant>, name: &str, rank: usize) -> Result<Vec<usize>> {
    let shape = tensors.get(name).map(|c| c.shape().to_vec());
    let shape = shape.ok_or_else(|| {
        Error::invalid(format!("genenet needs a tensor {name:?}, which the file does not have"))
    })?;
    if shape.len() != rank || shape.contains(&0) {
        return Err(Error::invalid(format!("tensor {name:?} has shape {shape:?}; {rank} axes are expected")));
    }
    Ok(shape)
}

/// The cube whose flattened last block fits the first linear layer.
fn cube(tensors: &BTreeMap<String, Constant>, b: &Builder, blocks: usize) -> Result<[usize; 3]> {
    let features = shape(tensors, "dense.0.weight", 2)?[1];
    let channels = shape(tensors, &b.last_weight, 5)?[0];
    let volume = features / channels;
    let edge = (1..=volume).find(|e| e * e * e >= volume).unwrap_or(0);
    if blocks > 16 || edge * edge * edge * channels != features {
        return Err(Error::invalid(format!(
            "{features} features of {channels} channels are no cube; name the input size"
        )));
    }
    Ok([edge << blocks; 3])
}

/// Every tensor against the convolution or linear layer before it, so that the message names the tensor.
fn check_shapes(
    tensors: &BTreeMap<String, Constant>,
    b: &Builder,
    blocks: usize,
    channels: usize,
    size: [usize; 3],
) -> Result<()> {
    let expect = |name: &str, expected: &[usize]| match tensors.get(name).map(Constant::shape) {
        Some(shape) if shape == expected => Ok(()),
        found => Err(Error::invalid(format!("tensor {name:?} has shape {found:?}; {expected:?} expected"))),
    };
    let mut width = channels;
    for node in b.graph.nodes.iter().filter(|n| n.op == "Conv" || n.op == "BatchNormalization") {
        let weight = node.input(1).unwrap_or_default();
        if node.op == "Conv" {
            let out = shape(tensors, weight, 5)?[0];
            expect(weight, &[out, width, 3, 3, 3])?;
            width = out;
        }
        let vectors = if node.op == "Conv" { 2.. } else { 1.. };
        node.inputs.iter().skip(vectors.start).try_for_each(|name| expect(name, &[width]))?;
    }
    let edges = size.map(|s| s.checked_shr(blocks as u32).unwrap_or(0));
    let volume = edges.iter().try_fold(width, |p, &e| p.checked_mul(e)).unwrap_or(0);
    if volume == 0 {
        return Err(Error::invalid(format!("an input of {size:?} does not survive {blocks} halvings")));
    }
    let hidden = shape(tensors, "dense.0.weight", 2)?[0];
    let classes = shape(tensors, "dense.3.weight", 2)?[0];
    let fits = expect("dense.0.weight", &[hidden, volume]);
    fits.map_err(|e| e.within(format!("with an input of {size:?}")))?;
    expect("dense.0.bias", &[hidden])?;
    expect("dense.3.weight", &[classes, hidden])?;
    expect("dense.3.bias", &[classes])
}

struct Builder {
    graph: RawGraph,
    used: BTreeSet<String>,
    current: String,
    prefix: String,
    /// The weight of the last convolution so far.
    last_weight: String,
}

impl Builder {
    fn weight(&self, block: usize, module: usize) -> String {
        format!("conv{block}{}.{module}.weight", self.prefix)
    }

    fn node(&mut self, op: &str, name: String, weights: &[&str], attributes: &[(&str, Attribute)]) {
        let mut inputs = vec![self.current.clone()];
        for part in weights {
            let weight = format!("{name}.{part}");
            self.used.insert(weight.clone());
            inputs.push(weight);
        }
        let attributes = attributes.iter().map(|(k, v)| (String::from(*k), v.clone())).collect();
        self.current = name.clone();
        self.graph.nodes.push(RawNode {
            op: String::from(op),
            outputs: vec![name.clone()],
            name,
            inputs,
            attributes,
        });
    }

    fn block(&mut self, tensors: &BTreeMap<String, Constant>, block: usize) -> Result<()> {
        let mut module = 0;
        while tensors.contains_key(&self.weight(block, module)) {
            let kernel = shape(tensors, &self.weight(block, module), 5)?;
            if kernel[2..] != [3, 3, 3] {
                return Err(Error::invalid(format!(
                    "conv{block}.{module} has kernel {:?}; 3x3x3 expected",
                    &kernel[2..]
                )));
            }
            self.last_weight = self.weight(block, module);
            let name = |m: usize, prefix: &str| format!("conv{block}{prefix}.{m}");
            let prefix = self.prefix.clone();
            let pads = ("pads", Attribute::Ints(vec![1; 6]));
            self.node("Conv", name(module, &prefix), &["weight", "bias"], &[pads]);
            let statistics = ["weight", "bias", "running_mean", "running_var"];
            let epsilon = ("epsilon", Attribute::Float(1e-5));
            self.node("BatchNormalization", name(module + 1, &prefix), &statistics, &[epsilon]);
            self.node("Relu", name(module + 2, &prefix), &[], &[]);
            module += PER_CONV;
        }
        let name = format!("conv{block}{}.{module}", self.prefix);
        let two = || Attribute::Ints(vec![2; 3]);
        self.node("MaxPool", name, &[], &[("kernel_shape", two()), ("strides", two())]);
        Ok(())
    }

    fn head(&mut self) {
        self.node("Flatten", String::from("flat"), &[], &[]);
        let linear = [("transB", Attribute::Int(1))];
        self.node("Gemm", String::from("dense.0"), &["weight", "bias"], &linear);
        self.node("Relu", String::from("dense.1"), &[], &[]);
        self.node("Gemm", String::from("dense.3"), &["weight", "bias"], &linear);
    }
}
