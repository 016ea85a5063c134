//! One form behind every door, so that fusion and lowering are written once: ONNX-like nodes between named values.

use std::collections::BTreeMap;
use voxplain_tensor::{Error, Result};

/// A tensor known at import.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// Single-precision values.
    Float {
        /// Sizes.
        shape: Vec<usize>,
        /// Values in row-major order.
        data: Vec<f32>,
    },
    /// Whole numbers: shapes, axes, pads.
    Int {
        /// Sizes.
        shape: Vec<usize>,
        /// Values in row-major order.
        data: Vec<i64>,
    },
}

impl Constant {
    /// Whole numbers along one axis.
    pub(crate) fn whole(data: Vec<i64>) -> Self {
        Self::Int { shape: vec![data.len()], data }
    }

    /// The number of values.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Float { data, .. } => data.len(),
            Self::Int { data, .. } => data.len(),
        }
    }

    /// The sizes.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Float { shape, .. } | Self::Int { shape, .. } => shape,
        }
    }
}

/// An attribute of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f64>),
    /// Text.
    Text(String),
    /// A tensor.
    Tensor(Constant),
}

/// A node before lowering.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct RawNode {
    /// The ONNX operator type.
    pub op: String,
    /// The module path where the exporter kept it.
    pub name: String,
    /// Names of operands; an empty name is an absent optional operand.
    pub inputs: Vec<String>,
    /// Names of results.
    pub outputs: Vec<String>,
    /// Attributes.
    pub attributes: BTreeMap<String, Attribute>,
}

impl RawNode {
    /// A whole-number attribute or its default.
    ///
    /// # Errors
    /// It has another type.
    pub fn int(&self, key: &str, default: i64) -> Result<i64> {
        match self.attributes.get(key) {
            None => Ok(default),
            Some(Attribute::Int(v)) => Ok(*v),
            Some(Attribute::Float(v)) if v.fract() == 0.0 => Ok(*v as i64),
            Some(_) => Err(Error::invalid(format!("attribute {key:?} must be a whole number"))),
        }
    }

    /// A number attribute or its default.
    ///
    /// # Errors
    /// It has another type or is not finite.
    pub fn float(&self, key: &str, default: f64) -> Result<f64> {
        match self.attributes.get(key) {
            None => Ok(default),
            Some(Attribute::Float(v)) if v.is_finite() => Ok(*v),
            Some(Attribute::Int(v)) => Ok(*v as f64),
            Some(_) => Err(Error::invalid(format!("attribute {key:?} must be a finite number"))),
        }
    }

    /// A list of whole numbers, if it is there.
    ///
    /// # Errors
    /// It has another type.
    pub fn ints(&self, key: &str) -> Result<Option<Vec<i64>>> {
        match self.attributes.get(key) {
            None => Ok(None),
            Some(Attribute::Ints(v)) => Ok(Some(v.clone())),
            Some(Attribute::Floats(v)) if v.is_empty() => Ok(Some(Vec::new())),
            Some(_) => Err(Error::invalid(format!("attribute {key:?} must be a list of whole numbers"))),
        }
    }

    /// A text attribute or its default.
    ///
    /// # Errors
    /// It has another type.
    pub fn text(&self, key: &str, default: &str) -> Result<String> {
        match self.attributes.get(key) {
            None => Ok(String::from(default)),
            Some(Attribute::Text(v)) => Ok(v.clone()),
            Some(_) => Err(Error::invalid(format!("attribute {key:?} must be text"))),
        }
    }

    /// Operand `i`, if it is there.
    pub fn input(&self, i: usize) -> Option<&str> {
        self.inputs.get(i).map(String::as_str).filter(|s| !s.is_empty())
    }

    /// The first result's name.
    pub fn output(&self) -> &str {
        self.outputs.first().map_or("", String::as_str)
    }
}

/// A whole network before lowering.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawGraph {
    /// Names and sizes of the inputs; -1 is a free size.
    pub inputs: Vec<(String, Vec<i64>)>,
    /// Names of the outputs.
    pub outputs: Vec<String>,
    /// Nodes in topological order.
    pub nodes: Vec<RawNode>,
    /// Weights and other constants by name.
    pub constants: BTreeMap<String, Constant>,
    /// The rewrites that ran before the network was saved; they go with every map.
    pub rewrites: Vec<String>,
    /// Sizes of one example that the file states for results of nodes; the lowering must find the same.
    pub shapes: BTreeMap<String, Vec<i64>>,
}

impl RawGraph {
    /// What to know about inputs that were exported with several examples, which no plan can tell from one.
    pub(crate) fn notes_on_batches(&self) -> Vec<String> {
        let inputs = self.inputs.iter().filter(|(name, _)| !self.constants.contains_key(name));
        let several = inputs.filter(|(_, sizes)| sizes.first().is_some_and(|&s| s > 1));
        let note = |(name, sizes): &(String, Vec<i64>)| {
            format!(
                "input {name:?} was exported with a batch of {0}, so one example is {0} rows together; export with a batch \
                 of 1 to have one row each",
                sizes[0]
            )
        };
        several.map(note).collect()
    }
}
