//! A graph must be readable by a person and by forty lines of Python, so the header holds it as JSON.

use crate::raw::{Attribute, RawGraph, RawNode};
use serde_json::{Map, Value, json};
use voxplain_tensor::{Error, Result};

/// Reads a graph from its JSON; the constants are added by the caller.
///
/// # Errors
/// The text is not JSON, or not a graph of version 1; the message names the field.
pub fn parse_graph(text: &str) -> Result<RawGraph> {
    crate::duplicates::refuse(text, "the graph")?;
    let value: Value =
        serde_json::from_str(text).map_err(|e| Error::invalid(format!("the graph is not JSON: {e}")))?;
    let format = value.get("format").and_then(Value::as_str);
    let version = value.get("version").and_then(Value::as_i64);
    if format != Some("graph") || version != Some(1) {
        return Err(Error::unsupported(format!(
            "graph format {format:?} version {version:?}; this program reads format \"graph\" version 1"
        )));
    }
    let mut graph = RawGraph::default();
    for input in list(&value, "inputs")? {
        graph.inputs.push((text_of(input, "name")?, ints(input.get("shape"), "shape")?));
    }
    graph.outputs = names(value.get("outputs"), "outputs")?;
    if value.get("rewrites").is_some() {
        graph.rewrites = names(value.get("rewrites"), "rewrites")?;
    }
    for node in list(&value, "nodes")? {
        graph.nodes.push(parse_node(node)?);
    }
    Ok(graph)
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value
        .get(key)
        .and_then(Value::as_array)
        .ok_or_else(|| Error::invalid(format!("the graph needs a list {key:?}")))
}

fn text_of(value: &Value, key: &str) -> Result<String> {
    let text = value.get(key).and_then(Value::as_str);
    text.map(String::from).ok_or_else(|| Error::invalid(format!("the graph: an entry needs a text {key:?}")))
}

fn names(value: Option<&Value>, key: &str) -> Result<Vec<String>> {
    let bad = || Error::invalid(format!("the graph: {key:?} must be a list of names"));
    value
        .and_then(Value::as_array)
        .ok_or_else(bad)?
        .iter()
        .map(|v| v.as_str().map(String::from).ok_or_else(bad))
        .collect()
}

fn ints(value: Option<&Value>, key: &str) -> Result<Vec<i64>> {
    let bad = || Error::invalid(format!("the graph: {key:?} must be a list of whole numbers"));
    value.and_then(Value::as_array).ok_or_else(bad)?.iter().map(|v| v.as_i64().ok_or_else(bad)).collect()
}

fn parse_node(value: &Value) -> Result<RawNode> {
    let name = text_of(value, "name")?;
    let place = |e: Error| e.within(format!("node {name:?}"));
    let mut node = RawNode {
        op: text_of(value, "op").map_err(place)?,
        inputs: names(value.get("inputs"), "inputs").map_err(place)?,
        outputs: names(value.get("outputs"), "outputs").map_err(place)?,
        ..RawNode::default()
    };
    match value.get("attributes") {
        None => {}
        Some(Value::Object(attributes)) => {
            for (key, value) in attributes {
                node.attributes.insert(key.clone(), attribute(key, value).map_err(place)?);
            }
        }
        Some(_) => return Err(place(Error::invalid("\"attributes\" must be an object of named values"))),
    }
    node.name = name;
    Ok(node)
}

fn attribute(key: &str, value: &Value) -> Result<Attribute> {
    let bad = || Error::invalid(format!("attribute {key:?} must be a number, a text or a list of numbers"));
    Ok(match value {
        Value::Bool(b) => Attribute::Int(i64::from(*b)),
        Value::Number(n) => match n.as_i64() {
            Some(i) => Attribute::Int(i),
            None => Attribute::Float(n.as_f64().ok_or_else(bad)?),
        },
        Value::String(s) => Attribute::Text(s.clone()),
        Value::Array(items) if items.iter().all(Value::is_i64) => {
            Attribute::Ints(items.iter().filter_map(Value::as_i64).collect())
        }
        Value::Array(items) => {
            Attribute::Floats(items.iter().map(|v| v.as_f64().ok_or_else(bad)).collect::<Result<_>>()?)
        }
        Value::Null | Value::Object(_) => return Err(bad()),
    })
}

/// Writes a graph as JSON, without its constants.
pub(crate) fn write_graph(graph: &RawGraph) -> String {
    let inputs: Vec<Value> =
        graph.inputs.iter().map(|(name, shape)| json!({"name": name, "shape": shape})).collect();
    let nodes: Vec<Value> = graph.nodes.iter().map(write_node).collect();
    let mut value =
        json!({"format": "graph", "version": 1, "inputs": inputs, "outputs": graph.outputs, "nodes": nodes});
    if !graph.rewrites.is_empty() {
        value["rewrites"] = json!(graph.rewrites);
    }
    value.to_string()
}

fn write_node(node: &RawNode) -> Value {
    let value = |a: &Attribute| match a {
        Attribute::Int(v) => json!(v),
        Attribute::Float(v) => json!(v),
        Attribute::Ints(v) => json!(v),
        Attribute::Floats(v) => json!(v),
        Attribute::Text(v) => json!(v),
        Attribute::Tensor(_) => Value::Null,
    };
    let attributes: Map<String, Value> = node.attributes.iter().map(|(k, a)| (k.clone(), value(a))).collect();
    json!({"op": node.op, "name": node.name, "inputs": node.inputs, "outputs": node.outputs, "attributes": attributes})
}
