//! A protobuf compiler and its runtime are too much for five messages: ONNX models, opset 13 to 23, in the dialects
//! of both PyTorch exporters, read by hand.
//!
//! Field numbers are those of `onnx.proto3` (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto).

mod names;
mod tensor;
mod wire;

use crate::raw::{Attribute, RawGraph, RawNode};
pub(crate) use names::make_unique;
use std::path::Path;
use voxplain_tensor::{Error, Result};
use wire::{Field, Reader};

/// Reads a model: the graph, and what a user should know about how it was read.
pub(crate) fn read(bytes: &[u8], folder: Option<&Path>) -> Result<(RawGraph, Vec<String>)> {
    let (mut graph, mut opset) = (None, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        match number {
            7 => graph = Some(field.bytes()?),
            8 => opset = default_opset(field.bytes()?)?.unwrap_or(opset),
            _ => {}
        }
    }
    let graph = graph.ok_or_else(|| Error::invalid("the file holds no ONNX graph"))?;
    if !(13..=23).contains(&opset) {
        return Err(Error::unsupported(format!(
            "ONNX opset {opset}; opsets 13 to 23 are supported, export again with one of them"
        )));
    }
    let traces = traces(graph)?;
    let note =
        format!("stack traces of {traces} nodes, with paths of the machine of the export, are not kept");
    let mut notes = if traces > 0 { vec![note] } else { Vec::new() };
    let graph = read_graph(graph, folder)?;
    notes.extend(graph.notes_on_batches());
    Ok((graph, notes))
}

/// How many nodes say where in whose files they were made.
fn traces(graph: &[u8]) -> Result<usize> {
    let mut count = 0;
    for node in children(graph, 1)? {
        let mut reader = Reader::new(node);
        let mut traced = false;
        while let Some((number, field)) = reader.next()? {
            traced |= match number {
                6 => field.bytes()?.windows(6).any(|w| w == b", line"),
                9 => tensor::entry(field.bytes()?)?.0 == "pkg.torch.onnx.stack_trace",
                _ => false,
            };
        }
        count += usize::from(traced);
    }
    Ok(count)
}

/// The version of the default operator set, if this entry is about it.
fn default_opset(bytes: &[u8]) -> Result<Option<i64>> {
    let (mut domain, mut version) = (String::new(), 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => domain = field.text()?,
            2 => version = field.int()?,
            _ => {}
        }
    }
    Ok((domain.is_empty() || domain == "ai.onnx").then_some(version))
}

fn read_graph(bytes: &[u8], folder: Option<&Path>) -> Result<RawGraph> {
    let mut graph = RawGraph::default();
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => graph.nodes.push(read_node(field.bytes()?, folder)?),
            5 => {
                let (name, constant) = tensor::read(field.bytes()?, folder)?;
                if graph.constants.insert(name.clone(), constant).is_some() {
                    return Err(Error::invalid(format!("two tensors are named {name:?}")));
                }
            }
            11 => graph.inputs.push(read_value(field.bytes()?)?),
            12 => graph.outputs.push(read_value(field.bytes()?)?.0),
            15 => return Err(Error::unsupported("sparse initializers are not supported")),
            _ => {}
        }
    }
    make_unique(&mut graph);
    Ok(graph)
}

fn read_node(bytes: &[u8], folder: Option<&Path>) -> Result<RawNode> {
    let mut node = RawNode::default();
    let mut domain = String::new();
    let (mut attributes, mut scopes) = (Vec::new(), None);
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => node.inputs.push(field.text()?),
            2 => node.outputs.push(field.text()?),
            3 => node.name = names::module_name(&field.text()?),
            4 => node.op = field.text()?,
            5 => attributes.push(field.bytes()?),
            7 => domain = field.text()?,
            9 => match tensor::entry(field.bytes()?)? {
                (key, value) if key == "pkg.torch.onnx.name_scopes" => scopes = Some(value),
                _ => {}
            },
            _ => {}
        }
    }
    // The dynamo exporter numbers its nodes and notes the module beside them.
    let anonymous = node.name.is_empty() || node.name.starts_with("node_");
    if let Some(module) = scopes.filter(|_| anonymous).and_then(|s| names::module_of_scopes(&s)) {
        node.name = module;
    }
    let place = |e: Error| e.within(format!("node {:?} ({})", node.name, node.op));
    if !domain.is_empty() && domain != "ai.onnx" {
        return Err(place(Error::unsupported(format!("operators of domain {domain:?} are not supported"))));
    }
    for attribute in attributes {
        if let Some((name, value)) = read_attribute(attribute, folder).map_err(place)? {
            node.attributes.insert(name, value);
        }
    }
    Ok(node)
}

fn read_attribute(bytes: &[u8], folder: Option<&Path>) -> Result<Option<(String, Attribute)>> {
    let (mut name, mut value, mut kind) = (String::new(), None, 0);
    let (mut floats, mut ints) = (Vec::new(), Vec::new());
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => name = field.text()?,
            2 => value = Some(Attribute::Float(f64::from(field.float()?))),
            3 => value = Some(Attribute::Int(field.int()?)),
            4 => value = Some(Attribute::Text(String::from_utf8_lossy(field.bytes()?).into_owned())),
            5 => value = Some(Attribute::Tensor(tensor::read(field.bytes()?, folder)?.1)),
            6 | 11 => {
                return Err(Error::unsupported(format!(
                    "attribute {name:?} holds a graph; If, Loop and Scan are not supported"
                )));
            }
            7 => field.floats_into(&mut floats)?,
            8 => field.ints_into(&mut ints)?,
            20 => kind = field.int()?,
            _ => {}
        }
    }
    // proto3 leaves zeros out, so the stated type decides what an absent value was.
    let value = match kind {
        1 => value.or(Some(Attribute::Float(0.0))),
        2 => value.or(Some(Attribute::Int(0))),
        3 => value.or(Some(Attribute::Text(String::new()))),
        6 => Some(Attribute::Floats(floats.iter().map(|&v| f64::from(v)).collect())),
        7 => Some(Attribute::Ints(ints)),
        _ => value,
    };
    Ok(value.map(|v| (name, v)))
}

/// Name and sizes of an input or output; -1 for a named size.
fn read_value(bytes: &[u8]) -> Result<(String, Vec<i64>)> {
    let (mut name, mut sizes) = (String::new(), Vec::new());
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => name = field.text()?,
            2 => sizes = read_type(field)?,
            _ => {}
        }
    }
    Ok((name, sizes))
}

/// TypeProto.tensor_type (1) . shape (2) . dim (1).
fn read_type(field: Field<'_>) -> Result<Vec<i64>> {
    let mut sizes = Vec::new();
    for tensor in children(field.bytes()?, 1)? {
        for shape in children(tensor, 2)? {
            for dim in children(shape, 1)? {
                let mut size = -1;
                let mut reader = Reader::new(dim);
                while let Some((number, field)) = reader.next()? {
                    if number == 1 {
                        size = field.int()?;
                    }
                }
                sizes.push(size);
            }
        }
    }
    Ok(sizes)
}

/// The messages in field `wanted`.
fn children(bytes: &[u8], wanted: u64) -> Result<Vec<&[u8]>> {
    let mut found = Vec::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next()? {
        if number == wanted {
            found.push(field.bytes()?);
        }
    }
    Ok(found)
}
