//! The graph of `torch.export` as JSON: what the nodes are called, what goes in, and the sizes that PyTorch found, which
//! are never worked out a second time here.

use super::symbols;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use voxplain_tensor::{Error, Result, Shape};

/// An argument of a node.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Argument {
    /// A tensor by name.
    Tensor(String),
    /// Tensors by name.
    Tensors(Vec<String>),
    /// A whole number.
    Int(i64),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// A number.
    Float(f64),
    /// Numbers.
    Floats(Vec<f64>),
    /// Text.
    Text(String),
    /// Yes or no.
    Bool(bool),
    /// PyTorch's number of an element type.
    Type(i64),
    /// Something that no supported operator takes.
    Other,
}

/// An ATen operator.
#[derive(Debug)]
pub(super) struct Node {
    /// `conv3d.default` without the library's prefix.
    pub target: String,
    /// The path of the module whose `forward` it comes from.
    pub module: String,
    /// The arguments that were given; absent ones are not listed.
    pub arguments: BTreeMap<String, Argument>,
    /// The names of the tensors it makes; empty for unused ones.
    pub outputs: Vec<String>,
    /// Whether the file says where in the source it comes from.
    pub traced: bool,
}

impl Node {
    /// The tensors that it takes.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        self.arguments
            .values()
            .flat_map(|argument| match argument {
                Argument::Tensor(name) => std::slice::from_ref(name),
                Argument::Tensors(names) => names.as_slice(),
                _ => &[],
            })
            .map(String::as_str)
    }
}

/// PyTorch's numbers of floating-point types: half, single, double, bfloat16.
pub(super) const FLOATS: [i64; 4] = [6, 7, 8, 13];

/// What an input of the graph is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// Data.
    User,
    /// A trained parameter, by its path.
    Parameter(String),
    /// A buffer or constant, by its path.
    Constant(String),
}

/// A tensor as PyTorch saw it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Meta {
    /// PyTorch's number of the element type.
    pub dtype: i64,
    /// The sizes of one example.
    pub sizes: Vec<i64>,
    /// The first axis but the leading one whose size is free.
    pub free: Option<usize>,
}

/// A whole exported program.
#[derive(Debug, Default)]
pub(super) struct Program {
    /// Names and kinds of what goes in.
    pub inputs: Vec<(String, Source)>,
    /// Names of the results.
    pub outputs: Vec<String>,
    /// In order.
    pub nodes: Vec<Node>,
    /// Every tensor.
    pub values: HashMap<String, Meta>,
}

impl Program {
    /// Reads `models/model.json`.
    pub fn parse(text: &str) -> Result<Self> {
        crate::duplicates::refuse(text, "the exported graph")?;
        let value: Value = serde_json::from_str(text)
            .map_err(|e| Error::invalid(format!("the exported graph is not JSON ({e}); export again")))?;
        let schema = |part: &str| value.pointer(&format!("/schema_version/{part}")).and_then(Value::as_i64);
        if schema("major") != Some(8) {
            return Err(Error::unsupported(format!(
                "export schema {:?}.{:?}; schema 8 is read: {}",
                schema("major").unwrap_or(0),
                schema("minor").unwrap_or(0),
                super::SAVE_AGAIN
            )));
        }
        let module = value.get("graph_module").ok_or_else(|| missing("graph_module"))?;
        let graph = module.get("graph").ok_or_else(|| missing("graph"))?;
        let symbols = symbols::read(graph);
        let mut program = Self::default();
        for (name, meta) in object(graph, "tensor_values")? {
            program
                .values
                .insert(name.clone(), read_meta(meta).map_err(|e| e.within(format!("tensor {name:?}")))?);
        }
        for node in list(graph, "nodes")? {
            program.nodes.push(read_node(node, &symbols)?);
        }
        let signature = module.get("signature").ok_or_else(|| missing("signature"))?;
        for spec in list(signature, "input_specs")? {
            program.inputs.push(read_input(spec)?);
        }
        for spec in list(signature, "output_specs")? {
            program.outputs.extend(read_output(spec)?);
        }
        Ok(program)
    }

    /// The sizes of one example of a tensor; any product of some of them is a number.
    pub fn sizes(&self, name: &str) -> Result<&[i64]> {
        let meta = self.values.get(name).ok_or_else(|| {
            Error::invalid(format!("the file does not say how large tensor {name:?} is; export again"))
        })?;
        match meta.free {
            Some(axis) => Err(Error::unsupported(format!(
                "tensor {name:?} has a free size on axis {axis}; only the first axis, the batch, may be free: export \
                 with fixed spatial sizes"
            ))),
            None => {
                let sizes = meta.sizes.iter().map(|&s| usize::try_from(s).unwrap_or(usize::MAX).max(1));
                Shape::new(&sizes.collect::<Vec<_>>()).map_err(|e| e.within(format!("tensor {name:?}")))?;
                Ok(&meta.sizes)
            }
        }
    }
}

fn missing(key: &str) -> Error {
    Error::invalid(format!("the exported graph has no {key:?}; the file is incomplete, export again"))
}

/// A list, under a key.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value.get(key).and_then(Value::as_array).ok_or_else(|| missing(key))
}

/// Named values, under a key.
pub(super) fn object<'a>(value: &'a Value, key: &str) -> Result<&'a serde_json::Map<String, Value>> {
    value.get(key).and_then(Value::as_object).ok_or_else(|| missing(key))
}

/// Text, at a path.
fn text(value: &Value, path: &str) -> Result<String> {
    value.pointer(path).and_then(Value::as_str).map(String::from).ok_or_else(|| missing(path))
}

/// Element type and sizes; a free size is that of one example where it is the leading one.
pub(super) fn read_meta(value: &Value) -> Result<Meta> {
    let dtype = value.get("dtype").and_then(Value::as_i64).ok_or_else(|| missing("dtype"))?;
    let (mut sizes, mut free) = (Vec::new(), None);
    for (axis, size) in list(value, "sizes")?.iter().enumerate() {
        let known = size.get("as_int").and_then(Value::as_i64);
        let size = match size.pointer("/as_expr/expr_str").and_then(Value::as_str) {
            Some(expression) => {
                free = free.or((axis > 0).then_some(axis));
                symbols::of_one_example(expression)
            }
            None => known,
        };
        let size = size.filter(|&s| s >= 0).ok_or_else(|| {
            Error::invalid(format!(
                "the size of axis {axis} is not a whole number that is not negative; export again"
            ))
        })?;
        sizes.push(size);
    }
    Ok(Meta { dtype, sizes, free })
}

fn read_node(value: &Value, symbols: &HashMap<String, i64>) -> Result<Node> {
    let target = text(value, "/target")?;
    let place = |e: Error| {
        e.within(format!("node {:?} ({target})", value.get("name").and_then(Value::as_str).unwrap_or("")))
    };
    let mut arguments = BTreeMap::new();
    for input in list(value, "inputs").map_err(place)? {
        let name = text(input, "/name").map_err(place)?;
        if let Some(argument) = read_argument(input.get("arg"), symbols).map_err(place)? {
            arguments.insert(name, argument);
        }
    }
    let mut outputs = Vec::new();
    for output in list(value, "outputs").map_err(place)? {
        match read_argument(Some(output), symbols).map_err(place)? {
            Some(Argument::Tensor(name)) => outputs.push(name),
            Some(Argument::Tensors(names)) => outputs.extend(names),
            _ => outputs.push(String::new()),
        }
    }
    let note = |key: &str| value.get("metadata").and_then(|m| m.get(key)).and_then(Value::as_str);
    let module = note("nn_module_stack").and_then(module_path).unwrap_or_default();
    let traced = note("stack_trace").is_some();
    let target = target.strip_prefix("torch.ops.aten.").unwrap_or(&target).to_owned();
    Ok(Node { target, module, arguments, outputs, traced })
}

/// `L__self__,,Net;L__self__conv6,conv6,Sequential;L__self__conv6.0,conv6.0,Conv3d` is module `conv6.0`.
fn module_path(stack: &str) -> Option<String> {
    let path = stack.rsplit(';').next()?.split(',').nth(1)?;
    // A path that nobody can type is none.
    (path.len() <= 500).then(|| String::from(path))
}

/// The value of a tagged union such as `{"as_int": 3}`; `None` where it says that there is none.
fn read_argument(value: Option<&Value>, symbols: &HashMap<String, i64>) -> Result<Option<Argument>> {
    let tagged = value.and_then(Value::as_object).and_then(|o| o.iter().next());
    let Some((tag, value)) = tagged else { return Err(missing("arg")) };
    let bad = || Error::invalid(format!("an argument says {tag:?} and holds something else; export again"));
    let name = |v: &Value| text(v, "/name");
    let items = || value.as_array().ok_or_else(bad);
    Ok(Some(match tag.as_str() {
        "as_none" => return Ok(None),
        "as_tensor" => Argument::Tensor(name(value)?),
        "as_tensors" => Argument::Tensors(items()?.iter().map(name).collect::<Result<_>>()?),
        "as_int" => Argument::Int(value.as_i64().ok_or_else(bad)?),
        "as_ints" => {
            Argument::Ints(items()?.iter().map(|v| v.as_i64().ok_or_else(bad)).collect::<Result<_>>()?)
        }
        "as_sym_int" => Argument::Int(symbols::argument(value, symbols)?),
        "as_sym_ints" => {
            Argument::Ints(items()?.iter().map(|v| symbols::argument(v, symbols)).collect::<Result<_>>()?)
        }
        "as_float" => Argument::Float(number(value).ok_or_else(bad)?),
        "as_floats" => {
            Argument::Floats(items()?.iter().map(|v| number(v).ok_or_else(bad)).collect::<Result<_>>()?)
        }
        "as_string" => Argument::Text(value.as_str().map(String::from).ok_or_else(bad)?),
        "as_bool" => Argument::Bool(value.as_bool().ok_or_else(bad)?),
        "as_scalar_type" => Argument::Type(value.as_i64().ok_or_else(bad)?),
        "as_optional_tensor" => return read_argument(Some(value), symbols),
        _ => Argument::Other,
    }))
}

/// JSON has no infinity; PyTorch writes it as text.
fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        _ => value.as_f64(),
    }
}

fn read_input(spec: &Value) -> Result<(String, Source)> {
    let Some((kind, body)) = spec.as_object().and_then(|o| o.iter().next()) else {
        return Err(missing("input_specs"));
    };
    let named = || text(body, "/arg/name");
    match kind.as_str() {
        "user_input" => {
            let name = text(body, "/arg/as_tensor/name").map_err(|_| {
                Error::unsupported("an input of the network is no tensor; export with tensors alone")
            })?;
            Ok((name, Source::User))
        }
        "parameter" => Ok((named()?, Source::Parameter(text(body, "/parameter_name")?))),
        "buffer" => Ok((named()?, Source::Constant(text(body, "/buffer_name")?))),
        "tensor_constant" => Ok((named()?, Source::Constant(text(body, "/tensor_constant_name")?))),
        other => Err(Error::unsupported(format!(
            "an input of kind {other:?}; tensors, parameters, buffers and constants are supported, export with tensors \
             alone"
        ))),
    }
}

/// The name of a result that is a tensor.
fn read_output(spec: &Value) -> Result<Option<String>> {
    let Some((kind, body)) = spec.as_object().and_then(|o| o.iter().next()) else {
        return Err(missing("output_specs"));
    };
    match kind.as_str() {
        // Numbers and absent results beside tensors carry no signal.
        "user_output" => Ok(body.pointer("/arg/as_tensor/name").and_then(Value::as_str).map(String::from)),
        other => Err(Error::unsupported(format!(
            "the network changes its own state or returns a loss ({other}); call model.eval() and export again"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_module_names_a_node() {
        let stack = "L__self__,,Net;L__self__conv6,conv6,Sequential;L__self__conv6.op.6,conv6.op.6,Conv3d";
        assert_eq!(module_path(stack).as_deref(), Some("conv6.op.6"));
        assert_eq!(module_path("L__self__,,Net").as_deref(), Some(""));
        assert_eq!(module_path("L__self__act@1,act,ReLU").as_deref(), Some("act"));
        assert_eq!(module_path("nonsense"), None);
    }
}
