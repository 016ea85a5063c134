//! Arguments of a node by name with PyTorch's defaults, and the nodes made from it. Every argument is read or refused:
//! one that is passed over in silence is a wrong map.

use super::unsupported;
use crate::pt2::program::{Argument, FLOATS, Node, Program};
use crate::raw::{Attribute, Constant, RawGraph, RawNode};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use voxplain_tensor::{Error, Result};

/// Arguments that change nothing about the values.
const HARMLESS: [&str; 10] = [
    "cudnn_enabled",
    "cudnn_enable",
    "momentum",
    "device",
    "layout",
    "pin_memory",
    "memory_format",
    "non_blocking",
    "copy",
    "requires_grad",
];

/// One node of the program, being translated.
pub(super) struct Call<'a> {
    program: &'a Program,
    node: &'a Node,
    names: &'a mut HashMap<String, String>,
    graph: &'a mut RawGraph,
    /// What the user should know.
    pub notes: &'a mut Vec<String>,
    /// What may still be made.
    left: &'a mut usize,
    read: RefCell<BTreeSet<&'a str>>,
}

impl<'a> Call<'a> {
    pub fn new(
        program: &'a Program,
        node: &'a Node,
        names: &'a mut HashMap<String, String>,
        graph: &'a mut RawGraph,
        notes: &'a mut Vec<String>,
        left: &'a mut usize,
    ) -> Self {
        Self { program, node, names, graph, notes, left, read: RefCell::default() }
    }

    /// `conv3d` of `conv3d.padding`, and of `relu_.default` `relu`: in-place variants are the same operator.
    pub fn operator(&self) -> &'a str {
        let name = self.node.target.split('.').next().unwrap_or("");
        name.strip_suffix('_').unwrap_or(name)
    }

    /// `padding` of `conv3d.padding`.
    pub fn overload(&self) -> &'a str {
        self.node.target.split_once('.').map_or("", |(_, overload)| overload)
    }

    /// Refuses what nobody asked for, and files of many small nodes that become many more.
    pub fn finish(&self) -> Result<()> {
        if *self.left == 0 {
            return Err(Error::limit("the nodes up to here become too many; a network has some thousand"));
        }
        let read = self.read.borrow();
        let all = self.node.arguments.keys().map(String::as_str);
        match all.filter(|key| !HARMLESS.contains(key)).find(|key| !read.contains(key)) {
            Some(key) => Err(unsupported(&format!("argument {key:?} is not known"))),
            None => Ok(()),
        }
    }

    fn argument(&self, key: &'a str) -> Option<&'a Argument> {
        self.read.borrow_mut().insert(key);
        self.node.arguments.get(key)
    }

    fn wrong(key: &str, expected: &str) -> Error {
        Error::invalid(format!("argument {key:?} must be {expected}; export again"))
    }

    /// The name in our graph of a tensor of the program.
    fn named(&self, name: &str) -> String {
        self.names.get(name).map_or(name, String::as_str).to_owned()
    }

    fn tensor_name(&self, key: &'a str) -> Result<&'a str> {
        match self.argument(key) {
            Some(Argument::Tensor(name)) => Ok(name),
            _ => Err(Self::wrong(key, "a tensor")),
        }
    }

    /// A tensor, which must be there.
    pub fn tensor(&self, key: &'a str) -> Result<String> {
        self.tensor_name(key).map(|name| self.named(name))
    }

    /// A tensor, if it is there.
    pub fn optional(&self, key: &'a str) -> Result<Option<String>> {
        self.argument(key).map(|_| self.tensor(key)).transpose()
    }

    /// A list of tensors and their sizes.
    pub fn tensors(&self, key: &'a str) -> Result<Vec<(String, Vec<i64>)>> {
        let Some(Argument::Tensors(names)) = self.argument(key) else {
            return Err(Self::wrong(key, "a list of tensors"));
        };
        names.iter().map(|name| Ok((self.named(name), self.program.sizes(name)?.to_vec()))).collect()
    }

    /// The sizes of a tensor argument.
    pub fn sizes(&self, key: &'a str) -> Result<&'a [i64]> {
        self.program.sizes(self.tensor_name(key)?)
    }

    /// Whether a tensor argument holds whole numbers.
    pub fn is_whole(&self, key: &'a str) -> bool {
        let meta = self.tensor_name(key).ok().and_then(|name| self.program.values.get(name));
        meta.is_some_and(|m| !FLOATS.contains(&m.dtype))
    }

    /// Whether a tensor argument is a weight or constant.
    pub fn is_constant(&self, key: &'a str) -> Result<bool> {
        Ok(self.graph.constants.contains_key(&self.tensor(key)?))
    }

    /// The names of the results; unused ones are empty.
    pub fn outputs(&self) -> &'a [String] {
        &self.node.outputs
    }

    /// The sizes of result `i`.
    pub fn output_sizes(&self, i: usize) -> Result<&'a [i64]> {
        let missing = || Error::invalid("the node makes nothing; export again");
        self.program.sizes(self.node.outputs.get(i).ok_or_else(missing)?)
    }

    /// Whether an argument is there at all.
    pub fn has(&self, key: &'a str) -> bool {
        self.argument(key).is_some()
    }

    /// A whole number, if it is there.
    pub fn optional_int(&self, key: &'a str) -> Result<Option<i64>> {
        match self.argument(key) {
            None => Ok(None),
            Some(Argument::Int(v)) => Ok(Some(*v)),
            Some(_) => Err(Self::wrong(key, "a whole number")),
        }
    }

    /// A whole number or its default.
    pub fn int(&self, key: &'a str, default: i64) -> Result<i64> {
        Ok(self.optional_int(key)?.unwrap_or(default))
    }

    /// Whole numbers, if they are there; a single one is a list of one.
    pub fn optional_ints(&self, key: &'a str) -> Result<Option<Vec<i64>>> {
        match self.argument(key) {
            None => Ok(None),
            Some(Argument::Int(v)) => Ok(Some(vec![*v])),
            Some(Argument::Ints(v)) => Ok(Some(v.clone())),
            Some(_) => Err(Self::wrong(key, "whole numbers")),
        }
    }

    /// One whole number for each of `count` axes: a list of one speaks for all of them.
    pub fn ints(&self, key: &'a str, count: usize, default: i64) -> Result<Vec<i64>> {
        match self.optional_ints(key)?.unwrap_or_default().as_slice() {
            [] => Ok(vec![default; count]),
            [one] => Ok(vec![*one; count]),
            list if list.len() == count => Ok(list.to_vec()),
            list => Err(Error::invalid(format!("{key} {list:?} for {count} axes; export again"))),
        }
    }

    /// A number, if it is there.
    pub fn optional_float(&self, key: &'a str) -> Result<Option<f64>> {
        match self.argument(key) {
            None => Ok(None),
            Some(Argument::Int(v)) => Ok(Some(*v as f64)),
            Some(Argument::Float(v)) => Ok(Some(*v)),
            Some(_) => Err(Self::wrong(key, "a number")),
        }
    }

    /// A number or its default.
    pub fn float(&self, key: &'a str, default: f64) -> Result<f64> {
        Ok(self.optional_float(key)?.unwrap_or(default))
    }

    /// Numbers, if they are there.
    pub fn floats(&self, key: &'a str) -> Result<Option<Vec<f64>>> {
        match self.argument(key) {
            None => Ok(None),
            Some(Argument::Floats(v)) => Ok(Some(v.clone())),
            Some(Argument::Ints(v)) => Ok(Some(v.iter().map(|&v| v as f64).collect())),
            Some(_) => Err(Self::wrong(key, "numbers")),
        }
    }

    /// Yes or no, or its default.
    pub fn flag(&self, key: &'a str, default: bool) -> Result<bool> {
        match self.argument(key) {
            None => Ok(default),
            Some(Argument::Bool(v)) => Ok(*v),
            Some(_) => Err(Self::wrong(key, "true or false")),
        }
    }

    /// Text or its default.
    pub fn text(&self, key: &'a str, default: &'a str) -> Result<&'a str> {
        match self.argument(key) {
            None => Ok(default),
            Some(Argument::Text(v)) => Ok(v),
            Some(_) => Err(Self::wrong(key, "text")),
        }
    }

    /// An axis of a tensor of `rank` axes, which may be counted from the end.
    pub fn axis(&self, key: &'a str, default: i64, rank: usize) -> Result<usize> {
        axis(self.int(key, default)?, rank)
    }

    /// Refuses a computation in a type that is none of floating-point numbers.
    pub fn float_type(&self, key: &'a str) -> Result<()> {
        match self.argument(key) {
            None => Ok(()),
            Some(Argument::Type(dtype)) if FLOATS.contains(dtype) => Ok(()),
            Some(_) => Err(unsupported("data can only be converted to floating-point numbers")),
        }
    }

    /// The result is another value.
    pub fn alias(&mut self, name: String) {
        if let Some(output) = self.node.outputs.first() {
            self.names.insert(output.clone(), name);
        }
    }

    /// A node whose result is used by the next one; its name.
    pub fn step(
        &mut self,
        suffix: &str,
        op: &str,
        inputs: Vec<String>,
        attributes: Vec<(&str, Attribute)>,
    ) -> String {
        let output = self.inner(suffix);
        self.push(op, String::new(), inputs, output.clone(), attributes);
        output
    }

    /// The node that makes the first result.
    pub fn emit(&mut self, op: &str, inputs: Vec<String>, attributes: Vec<(&str, Attribute)>) {
        self.emit_output(0, op, inputs, attributes);
    }

    /// The node that makes result `i`.
    pub fn emit_output(
        &mut self,
        i: usize,
        op: &str,
        inputs: Vec<String>,
        attributes: Vec<(&str, Attribute)>,
    ) {
        let output = self.node.outputs.get(i).cloned().unwrap_or_default();
        self.push(op, self.node.module.clone(), inputs, output, attributes);
    }

    /// Adds numbers as a constant; its name.
    pub fn constant(&mut self, suffix: &str, constant: Constant) -> String {
        let name = self.inner(suffix);
        self.spend(constant.len());
        self.graph.constants.insert(name.clone(), constant);
        name
    }

    /// One number as a constant; its name.
    pub fn number(&mut self, suffix: &str, value: f64) -> String {
        self.constant(suffix, Constant::Float { shape: Vec::new(), data: vec![value as f32] })
    }

    /// A list of whole numbers as a constant; its name.
    pub fn whole(&mut self, suffix: &str, values: &[i64]) -> String {
        self.constant(suffix, Constant::whole(values.to_vec()))
    }

    /// A node or constant counts as much as 64 numbers, which is about its memory.
    fn spend(&mut self, numbers: usize) {
        *self.left = self.left.saturating_sub(numbers.saturating_add(64));
    }

    /// The name of a value inside this node. Identifiers of Python and paths of modules hold no slash.
    fn inner(&self, suffix: &str) -> String {
        let output = self.node.outputs.iter().find(|o| !o.is_empty());
        format!("{}/{suffix}", output.map_or("", String::as_str))
    }

    fn push(
        &mut self,
        op: &str,
        name: String,
        inputs: Vec<String>,
        output: String,
        attributes: Vec<(&str, Attribute)>,
    ) {
        self.spend(inputs.len() * 16);
        let attributes = attributes.into_iter().map(|(key, value)| (String::from(key), value)).collect();
        let (op, outputs) = (String::from(op), vec![output]);
        self.graph.nodes.push(RawNode { op, name, inputs, outputs, attributes });
    }
}

/// A possibly negative axis of a tensor of `rank` axes.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize> {
    let positive = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    usize::try_from(positive)
        .ok()
        .filter(|&a| a < rank.max(1))
        .ok_or_else(|| Error::invalid(format!("axis {axis} of data with {rank} axes; export again")))
}
