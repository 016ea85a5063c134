//! Exporters compare sizes and choose between them; all of it is known at import.

use super::folding::limited;
use super::moves::broadcast_index;
use crate::raw::Constant;
use voxplain_graph::ops::broadcast;
use voxplain_tensor::{Result, Shape};

/// A comparison of two constants, as 0 and 1.
pub(super) fn compared(op: &str, a: &Constant, b: &Constant) -> Result<Constant> {
    let out = limited(broadcast(Shape::new(a.shape())?, Shape::new(b.shape())?)?, a.len().max(b.len()))?;
    let (at, bt) = (broadcast_index(a.shape(), out), broadcast_index(b.shape(), out));
    let holds = |(i, j): (usize, usize)| match (a, b) {
        (Constant::Int { data: x, .. }, Constant::Int { data: y, .. }) => ordered(op, &x[i], &y[j]),
        _ => ordered(op, &real(a, i), &real(b, j)),
    };
    let data = at.into_iter().zip(bt).map(|pair| i64::from(holds(pair))).collect();
    Ok(Constant::Int { shape: out.to_vec(), data })
}

fn ordered<T: PartialOrd>(op: &str, a: &T, b: &T) -> bool {
    match op {
        "Equal" => a == b,
        "Greater" => a > b,
        _ => a < b,
    }
}

fn real(x: &Constant, i: usize) -> f64 {
    match x {
        Constant::Float { data, .. } => f64::from(data[i]),
        Constant::Int { data, .. } => data[i] as f64,
    }
}

/// Elements of `a` where the condition holds and of `b` elsewhere.
pub(super) fn chosen(condition: &Constant, a: &Constant, b: &Constant) -> Result<Option<Constant>> {
    let Constant::Int { data: holds, .. } = condition else { return Ok(None) };
    let pair = broadcast(Shape::new(a.shape())?, Shape::new(b.shape())?)?;
    let out = broadcast(Shape::new(condition.shape())?, pair)?;
    limited(out, a.len().max(b.len()).max(condition.len()))?;
    let from = |x: &Constant| broadcast_index(x.shape(), out);
    let each = from(condition).into_iter().zip(from(a).into_iter().zip(from(b)));
    let shape = out.to_vec();
    Ok(match (a, b) {
        (Constant::Int { data: x, .. }, Constant::Int { data: y, .. }) => {
            let data = each.map(|(c, (i, j))| if holds[c] != 0 { x[i] } else { y[j] }).collect();
            Some(Constant::Int { shape, data })
        }
        (Constant::Float { data: x, .. }, Constant::Float { data: y, .. }) => {
            let data = each.map(|(c, (i, j))| if holds[c] != 0 { x[i] } else { y[j] }).collect();
            Some(Constant::Float { shape, data })
        }
        _ => None,
    })
}
