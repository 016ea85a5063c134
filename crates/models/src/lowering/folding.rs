//! Exporters write shapes as arithmetic; a static graph has no place for it, so whatever is known is computed here.

use super::{Lowering, Value, choices};
use crate::raw::{Attribute, Constant, RawNode};
use voxplain_graph::ops::broadcast;
use voxplain_tensor::{Error, Result, Shape};

/// No computed constant is larger than this unless a weight of the file already is.
const MOST_ELEMENTS: usize = 1 << 24;

/// Refuses a result that a small file could blow up to fill the memory.
pub(super) fn limited(shape: Shape, operands: usize) -> Result<Shape> {
    if shape.elements() > MOST_ELEMENTS.max(operands) {
        return Err(Error::limit(format!(
            "a constant of shape {shape} would be computed; at most {MOST_ELEMENTS} elements are"
        )));
    }
    Ok(shape)
}

impl Lowering {
    /// The value of a node whose result is known now.
    pub(super) fn fold(&self, node: &RawNode) -> Result<Option<Value>> {
        let constant = match node.op.as_str() {
            "Constant" => Some(constant(node)?),
            "Shape" => Some(self.shape_of(node)?),
            "ConstantOfShape" => {
                let sizes = self.known_ints(node, 0)?.unwrap_or_default();
                Some(filled(node, &super::sizes(&sizes, "shape")?)?)
            }
            _ => self.fold_known(node)?,
        };
        Ok(constant.map(Value::Known))
    }

    fn fold_known(&self, node: &RawNode) -> Result<Option<Constant>> {
        let there = (0..node.inputs.len()).filter(|&i| node.input(i).is_some());
        let operands: Option<Vec<&Constant>> = there.map(|i| self.known(node, i)).collect();
        let Some(operands) = operands.filter(|o| !o.is_empty()) else { return Ok(None) };
        if operands.iter().any(|o| o.len() == 0 && o.shape().len() > 1) {
            return Err(Error::invalid("an operand has no elements"));
        }
        match (node.op.as_str(), operands.as_slice()) {
            ("Add" | "Sub" | "Mul" | "Div", [a, b]) => combined(&node.op, a, b),
            ("Mod", [a, b]) if node.int("fmod", 0)? == 0 => combined("Mod", a, b),
            ("Equal" | "Greater" | "Less", [a, b]) => choices::compared(&node.op, a, b).map(Some),
            ("Where", [condition, a, b]) => choices::chosen(condition, a, b),
            ("Cast", [x]) => cast(node, x),
            ("Sqrt" | "Neg", [x]) => Ok(each(&node.op, x)),
            ("Concat", _) => super::moves::joined(node, &operands).map(Some),
            (_, [x, ..]) => self.moved(node, x),
            _ => Ok(None),
        }
    }

    fn shape_of(&self, node: &RawNode) -> Result<Constant> {
        let shape = self.shape(node, 0)?;
        let rank = shape.rank() as i64;
        let bound = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize;
        let (start, end) = (bound(node.int("start", 0)?), bound(node.int("end", i64::MAX)?));
        Ok(Constant::whole(shape[start..end.max(start)].iter().map(|&s| s as i64).collect()))
    }
}

fn constant(node: &RawNode) -> Result<Constant> {
    let one = |data: f32| Constant::Float { shape: Vec::new(), data: vec![data] };
    match node.attributes.values().next() {
        Some(Attribute::Tensor(t)) => Ok(t.clone()),
        Some(Attribute::Int(v)) => Ok(Constant::Int { shape: Vec::new(), data: vec![*v] }),
        Some(Attribute::Ints(v)) => Ok(Constant::whole(v.clone())),
        Some(Attribute::Float(v)) => Ok(one(*v as f32)),
        Some(Attribute::Floats(v)) => {
            Ok(Constant::Float { shape: vec![v.len()], data: v.iter().map(|&v| v as f32).collect() })
        }
        _ => Err(Error::unsupported("a constant without a numeric value; numbers are expected")),
    }
}

fn filled(node: &RawNode, sizes: &[usize]) -> Result<Constant> {
    let count = limited(Shape::new(sizes)?, 0)?.elements();
    let shape = sizes.to_vec();
    match node.attributes.get("value") {
        Some(Attribute::Tensor(Constant::Int { data, .. })) if data.len() == 1 => {
            Ok(Constant::Int { shape, data: vec![data[0]; count] })
        }
        Some(Attribute::Tensor(Constant::Float { data, .. })) if data.len() == 1 => {
            Ok(Constant::Float { shape, data: vec![data[0]; count] })
        }
        None => Ok(Constant::Float { shape, data: vec![0.0; count] }),
        _ => Err(Error::unsupported("a fill value that is not one number; one number is expected")),
    }
}

/// ONNX numbers its element types: 1, 10, 11 and 16 are floating-point, 2 to 7, 12 and 13 whole, 9 truth values.
fn cast(node: &RawNode, x: &Constant) -> Result<Option<Constant>> {
    let shape = x.shape().to_vec();
    Ok(match (node.int("to", 1)?, x) {
        (1 | 10 | 11 | 16, Constant::Int { data, .. }) => {
            Some(Constant::Float { shape, data: data.iter().map(|&v| v as f32).collect() })
        }
        (2..=7 | 12 | 13, Constant::Float { data, .. }) => {
            Some(Constant::Int { shape, data: data.iter().map(|&v| v as i64).collect() })
        }
        (1 | 10 | 11 | 16, Constant::Float { .. }) | (2..=7 | 12 | 13, Constant::Int { .. }) => {
            Some(x.clone())
        }
        _ => None,
    })
}

fn each(op: &str, x: &Constant) -> Option<Constant> {
    let shape = x.shape().to_vec();
    match (op, x) {
        ("Sqrt", Constant::Float { data, .. }) => {
            Some(Constant::Float { shape, data: data.iter().map(|v| v.sqrt()).collect() })
        }
        ("Neg", Constant::Float { data, .. }) => {
            Some(Constant::Float { shape, data: data.iter().map(|v| -v).collect() })
        }
        ("Neg", Constant::Int { data, .. }) => {
            Some(Constant::Int { shape, data: data.iter().map(|v| v.wrapping_neg()).collect() })
        }
        _ => None,
    }
}

/// Arithmetic of two constants with broadcasting.
fn combined(op: &str, a: &Constant, b: &Constant) -> Result<Option<Constant>> {
    let out = broadcast(Shape::new(a.shape())?, Shape::new(b.shape())?)?;
    limited(out, a.len().max(b.len()))?;
    let (at, bt) =
        (super::moves::broadcast_index(a.shape(), out), super::moves::broadcast_index(b.shape(), out));
    let pairs = at.into_iter().zip(bt);
    let shape = out.to_vec();
    Ok(match (a, b) {
        (Constant::Float { data: x, .. }, Constant::Float { data: y, .. }) => {
            let data = pairs.map(|(i, j)| real(op, f64::from(x[i]), f64::from(y[j])) as f32).collect();
            Some(Constant::Float { shape, data })
        }
        (Constant::Int { data: x, .. }, Constant::Int { data: y, .. }) => {
            let data = pairs.map(|(i, j)| whole(op, x[i], y[j])).collect::<Result<_>>()?;
            Some(Constant::Int { shape, data })
        }
        _ => None,
    })
}

fn real(op: &str, a: f64, b: f64) -> f64 {
    match op {
        "Add" => a + b,
        "Sub" => a - b,
        "Mul" => a * b,
        "Mod" => a - b * (a / b).floor(),
        _ => a / b,
    }
}

fn whole(op: &str, a: i64, b: i64) -> Result<i64> {
    let result = match op {
        "Add" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        // The result has the divisor's sign.
        "Mod" => a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }),
        _ => a.checked_div(b),
    };
    result.ok_or_else(|| Error::invalid(format!("{op} of {a} and {b} has no result in 64 bits")))
}
