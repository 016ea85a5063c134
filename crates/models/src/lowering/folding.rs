//! What can be computed at import: shape arithmetic on whole numbers, and arithmetic of weights among themselves.

use super::{Lowering, Value, axis};
use crate::raw::{Attribute, Constant, RawNode};
use voxplain_graph::ops::broadcast;
use voxplain_tensor::{Error, Result, Shape};

impl Lowering {
    /// The value of a node whose result is known now.
    pub(super) fn fold(&self, node: &RawNode) -> Result<Option<Value>> {
        let known = |constant: Constant| Ok(Some(Value::Known(constant)));
        match node.op.as_str() {
            "Constant" => return known(constant(node)?),
            "Shape" => return known(self.shape_of(node)?),
            "ConstantOfShape" => {
                let sizes = self.known_ints(node, 0)?.unwrap_or_default();
                return known(filled(node, &super::sizes(&sizes, "shape")?)?);
            }
            _ => {}
        }
        let operands: Vec<Option<&Constant>> = (0..node.inputs.len())
            .filter(|&i| node.input(i).is_some())
            .map(|i| self.known(node, i))
            .collect();
        if operands.is_empty() || operands.iter().any(Option::is_none) {
            return Ok(None);
        }
        let operands: Vec<&Constant> = operands.into_iter().flatten().collect();
        match operands[0] {
            Constant::Int { shape, data } => Ok(fold_ints(node, shape, data, &operands)?.map(Value::Known)),
            Constant::Float { shape, data } => {
                Ok(fold_floats(node, shape, data, &operands)?.map(Value::Known))
            }
        }
    }

    fn shape_of(&self, node: &RawNode) -> Result<Constant> {
        let shape = self.shape(node, 0)?;
        let bound =
            |v: i64| (if v < 0 { v + shape.rank() as i64 } else { v }).clamp(0, shape.rank() as i64) as usize;
        let (start, end) = (bound(node.int("start", 0)?), bound(node.int("end", i64::MAX)?));
        let data: Vec<i64> = shape[start..end.max(start)].iter().map(|&s| s as i64).collect();
        Ok(Constant::Int { shape: vec![data.len()], data })
    }
}

fn constant(node: &RawNode) -> Result<Constant> {
    let one = |data: f32| Constant::Float { shape: Vec::new(), data: vec![data] };
    match node.attributes.iter().next() {
        Some((_, Attribute::Tensor(t))) => Ok(t.clone()),
        Some((_, Attribute::Int(v))) => Ok(Constant::Int { shape: Vec::new(), data: vec![*v] }),
        Some((_, Attribute::Ints(v))) => Ok(Constant::Int { shape: vec![v.len()], data: v.clone() }),
        Some((_, Attribute::Float(v))) => Ok(one(*v as f32)),
        Some((_, Attribute::Floats(v))) => {
            Ok(Constant::Float { shape: vec![v.len()], data: v.iter().map(|&v| v as f32).collect() })
        }
        _ => Err(Error::unsupported("a constant without a numeric value")),
    }
}

fn filled(node: &RawNode, sizes: &[usize]) -> Result<Constant> {
    let count = Shape::new(sizes)?.elements();
    if count > 1 << 24 {
        return Err(Error::unsupported(format!("a constant of {count} elements")));
    }
    let shape = sizes.to_vec();
    match node.attributes.get("value") {
        Some(Attribute::Tensor(Constant::Int { data, .. })) if data.len() == 1 => {
            Ok(Constant::Int { shape, data: vec![data[0]; count] })
        }
        Some(Attribute::Tensor(Constant::Float { data, .. })) if data.len() == 1 => {
            Ok(Constant::Float { shape, data: vec![data[0]; count] })
        }
        None => Ok(Constant::Float { shape, data: vec![0.0; count] }),
        _ => Err(Error::unsupported("a fill value that is not one number")),
    }
}

fn vector(data: Vec<i64>) -> Option<Constant> {
    Some(Constant::Int { shape: vec![data.len()], data })
}

fn fold_ints(
    node: &RawNode,
    shape: &[usize],
    data: &[i64],
    operands: &[&Constant],
) -> Result<Option<Constant>> {
    let ints = |i: usize| match operands.get(i) {
        Some(Constant::Int { data, .. }) => Some(data.as_slice()),
        _ => None,
    };
    Ok(match node.op.as_str() {
        "Identity" => Some(Constant::Int { shape: shape.to_vec(), data: data.to_vec() }),
        "Cast" if [6, 7].contains(&node.int("to", 7)?) => {
            Some(Constant::Int { shape: shape.to_vec(), data: data.to_vec() })
        }
        "Cast" => {
            Some(Constant::Float { shape: shape.to_vec(), data: data.iter().map(|&v| v as f32).collect() })
        }
        "Squeeze" | "Unsqueeze" | "Reshape" if data.len() == 1 && node.op == "Squeeze" => {
            Some(Constant::Int { shape: Vec::new(), data: data.to_vec() })
        }
        "Squeeze" | "Unsqueeze" | "Reshape" => vector(data.to_vec()),
        "Concat" => {
            let parts: Option<Vec<&[i64]>> = (0..operands.len()).map(ints).collect();
            parts.and_then(|p| vector(p.concat()))
        }
        "Gather" => {
            let at = ints(1).unwrap_or(&[]);
            let pick = |&i: &i64| axis(i, data.len()).map(|i| data[i]);
            let picked = at.iter().map(pick).collect::<Result<Vec<i64>>>()?;
            let scalar = operands.get(1).is_some_and(|c| c.shape().is_empty());
            Some(Constant::Int { shape: if scalar { Vec::new() } else { vec![picked.len()] }, data: picked })
        }
        "Slice" => {
            let bound = |i: usize, default: i64| ints(i).and_then(|v| v.first().copied()).unwrap_or(default);
            let clamp = |v: i64| {
                (if v < 0 { v.saturating_add(data.len() as i64) } else { v }).clamp(0, data.len() as i64)
                    as usize
            };
            let (start, end, step) = (clamp(bound(1, 0)), clamp(bound(2, i64::MAX)), bound(4, 1));
            (step > 0)
                .then(|| data[start..end.max(start)].iter().step_by(step as usize).copied().collect())
                .and_then(vector)
        }
        "Add" | "Sub" | "Mul" | "Div" => {
            let other = ints(1).unwrap_or(&[]);
            let n = data.len().max(other.len());
            let fits = |len: usize| len == n || len == 1;
            if data.is_empty() || other.is_empty() || !fits(data.len()) || !fits(other.len()) {
                return Ok(None);
            }
            let at = |v: &[i64], i: usize| v[if v.len() == 1 { 0 } else { i }];
            let result = |i: usize| whole(&node.op, at(data, i), at(other, i));
            let data = (0..n).map(result).collect::<Result<Vec<i64>>>()?;
            Some(Constant::Int { shape: if shape.is_empty() { Vec::new() } else { vec![n] }, data })
        }
        _ => None,
    })
}

fn whole(op: &str, a: i64, b: i64) -> Result<i64> {
    let result = match op {
        "Add" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        _ => a.checked_div(b),
    };
    result.ok_or_else(|| Error::invalid(format!("{op} of {a} and {b} has no result")))
}

fn fold_floats(
    node: &RawNode,
    shape: &[usize],
    data: &[f32],
    operands: &[&Constant],
) -> Result<Option<Constant>> {
    let same = |data: Vec<f32>| Some(Constant::Float { shape: shape.to_vec(), data });
    Ok(match node.op.as_str() {
        "Identity" | "Cast" => same(data.to_vec()),
        "Sqrt" => same(data.iter().map(|v| v.sqrt()).collect()),
        "Neg" => same(data.iter().map(|v| -v).collect()),
        "Reshape" | "Unsqueeze" | "Squeeze" if !Lowering::has_tensor(node) => {
            reshaped(node, shape, data, operands)?
        }
        "Transpose" => transposed(node, shape, data)?,
        "Add" | "Sub" | "Mul" | "Div" => match operands.get(1) {
            Some(Constant::Float { shape: s, data: d }) => combined(&node.op, (shape, data), (s, d))?,
            _ => None,
        },
        _ => None,
    })
}

fn reshaped(
    node: &RawNode,
    shape: &[usize],
    data: &[f32],
    operands: &[&Constant],
) -> Result<Option<Constant>> {
    let Some(Constant::Int { data: list, .. }) = operands.get(1) else { return Ok(None) };
    let shape = match node.op.as_str() {
        "Reshape" => {
            let known: i64 = list.iter().filter(|&&v| v > 0).product();
            let free = if known > 0 { data.len() as i64 / known } else { 0 };
            list.iter().map(|&v| if v == -1 { free as usize } else { v.max(0) as usize }).collect()
        }
        "Unsqueeze" => {
            let mut sizes = shape.to_vec();
            super::axes(list, shape.len() + list.len())?
                .iter()
                .for_each(|&a| sizes.insert(a.min(sizes.len()), 1));
            sizes
        }
        _ => {
            let gone = super::axes(list, shape.len())?;
            (0..shape.len()).filter(|a| !gone.contains(a)).map(|a| shape[a]).collect::<Vec<_>>()
        }
    };
    if Shape::new(&shape)?.elements() != data.len() {
        return Err(Error::invalid(format!("{} weights do not fit shape {shape:?}", data.len())));
    }
    Ok(Some(Constant::Float { shape, data: data.to_vec() }))
}

fn transposed(node: &RawNode, shape: &[usize], data: &[f32]) -> Result<Option<Constant>> {
    let default = (0..shape.len() as i64).rev().collect();
    let order = node
        .ints("perm")?
        .unwrap_or(default)
        .iter()
        .map(|&a| axis(a, shape.len()))
        .collect::<Result<Vec<_>>>()?;
    if order.len() != shape.len() {
        return Err(Error::invalid("the permutation does not fit the weights"));
    }
    let from = Shape::new(shape)?;
    let sizes: Vec<usize> = order.iter().map(|&a| shape[a]).collect();
    let to = Shape::new(&sizes)?;
    let element = |mut i: usize| {
        let mut at = 0;
        for axis in (0..to.rank()).rev() {
            at += i % to[axis] * from.strides()[order[axis]];
            i /= to[axis];
        }
        data[at]
    };
    let data = (0..to.elements()).map(element).collect();
    Ok(Some(Constant::Float { shape: sizes, data }))
}

fn combined(op: &str, a: (&[usize], &[f32]), b: (&[usize], &[f32])) -> Result<Option<Constant>> {
    let (sa, sb) = (Shape::new(a.0)?, Shape::new(b.0)?);
    let out = broadcast(sa, sb)?;
    let index = |s: &Shape, mut i: usize| {
        let (mut at, strides) = (0, s.strides());
        for axis in (0..out.rank()).rev() {
            let k = i % out[axis];
            i /= out[axis];
            if let Some(own) = (axis + s.rank()).checked_sub(out.rank()).filter(|&own| s[own] != 1) {
                at += k * strides[own];
            }
        }
        at
    };
    let value = |i: usize| {
        let (x, y) = (f64::from(a.1[index(&sa, i)]), f64::from(b.1[index(&sb, i)]));
        (match op {
            "Add" => x + y,
            "Sub" => x - y,
            "Mul" => x * y,
            _ => x / y,
        }) as f32
    };
    Ok(Some(Constant::Float { shape: out.to_vec(), data: (0..out.elements()).map(value).collect() }))
}
