//! Constants are moved like data (reshaped, sliced, joined), but at import: each operator is a list of positions.

use super::folding::limited;
use super::{Lowering, axis, sizes};
use crate::raw::{Constant, RawNode};
use voxplain_graph::ops::broadcast;
use voxplain_tensor::{Error, Result, Shape};

/// Positions `offset + sum coordinate * stride` in row-major order of the coordinates.
fn strided(sizes: &[usize], offset: isize, strides: &[isize]) -> Vec<usize> {
    if sizes.contains(&0) {
        return Vec::new();
    }
    let mut at = vec![offset];
    for (&size, &stride) in sizes.iter().zip(strides) {
        at = at.iter().flat_map(|&base| (0..size as isize).map(move |i| base + i * stride)).collect();
    }
    at.into_iter().map(|i| i.max(0) as usize).collect()
}

/// Where each element of the broadcast result comes from.
pub(super) fn broadcast_index(from: &[usize], to: Shape) -> Vec<usize> {
    let mut strides = vec![0; to.rank()];
    let (mut step, lead) = (1, to.rank() - from.len().min(to.rank()));
    for (i, &size) in from.iter().enumerate().rev() {
        strides[lead + i] = if size == 1 { 0 } else { step };
        step *= size as isize;
    }
    strided(&to, 0, &strides)
}

/// The elements of `x` at `index` in a new shape.
fn picked(x: &Constant, shape: Vec<usize>, index: &[usize]) -> Result<Constant> {
    let beyond = || Error::invalid(format!("a constant of shape {:?} is read beyond its end", x.shape()));
    Ok(match x {
        Constant::Float { data, .. } => {
            let each = index.iter().map(|&i| data.get(i).copied().ok_or_else(beyond));
            Constant::Float { shape, data: each.collect::<Result<_>>()? }
        }
        Constant::Int { data, .. } => {
            let each = index.iter().map(|&i| data.get(i).copied().ok_or_else(beyond));
            Constant::Int { shape, data: each.collect::<Result<_>>()? }
        }
    })
}

impl Lowering {
    /// The result of an operator that only moves elements, on a constant.
    pub(super) fn moved(&self, node: &RawNode, x: &Constant) -> Result<Option<Constant>> {
        let from = Shape::new(x.shape())?;
        let steps: Vec<isize> = from.strides().iter().map(|&s| s as isize).collect();
        let (to, index) = match node.op.as_str() {
            "Identity" => return Ok(Some(x.clone())),
            "Reshape" => (self.reshape_sizes(node, from)?, None),
            "Squeeze" if node.ints("axes")?.is_none() && node.input(1).is_none() => {
                (from.iter().copied().filter(|&s| s != 1).collect(), None)
            }
            "Squeeze" | "Unsqueeze" => (self.squeezed(node, from)?, None),
            "Transpose" => {
                let order = super::movement::permutation(node, from.rank())?;
                let to: Vec<usize> = order.iter().map(|&a| from[a]).collect();
                let steps: Vec<isize> = order.iter().map(|&a| steps[a]).collect();
                let index = strided(&to, 0, &steps);
                (to, Some(index))
            }
            "Slice" => {
                let axes = self.slice_axes(node, from)?;
                let to: Vec<usize> = axes.iter().map(|a| a.count).collect();
                let offset = axes.iter().zip(&steps).map(|(a, s)| a.begin as isize * s).sum();
                let steps: Vec<isize> =
                    axes.iter().zip(&steps).map(|(a, s)| s.saturating_mul(a.step)).collect();
                let index = strided_safely(&to, offset, &steps);
                (to, Some(index))
            }
            "Gather" => self.gathered(node, from)?,
            "Expand" => {
                let wanted = sizes(&self.known_ints(node, 1)?.unwrap_or_default(), "shape")?;
                let to = limited(broadcast(from, Shape::new(&wanted)?)?, x.len())?;
                (to.to_vec(), Some(broadcast_index(&from, to)))
            }
            _ => return Ok(None),
        };
        let index = index.unwrap_or_else(|| (0..x.len()).collect());
        if Shape::new(&to)?.elements() != index.len() {
            return Err(Error::invalid(format!("a constant of shape {from} does not fit shape {to:?}")));
        }
        picked(x, to, &index).map(Some)
    }

    fn gathered(&self, node: &RawNode, x: Shape) -> Result<(Vec<usize>, Option<Vec<usize>>)> {
        let a = axis(node.int("axis", 0)?, x.rank())?;
        let Some(Constant::Int { shape, data }) = self.known(node, 1) else {
            return Err(Error::unsupported("indices must be whole numbers known at import"));
        };
        let size = x.get(a).copied().unwrap_or(0);
        let at = data.iter().map(|&i| axis(i, size)).collect::<Result<Vec<usize>>>()?;
        let (before, after) = (x[..a].to_vec(), x.get(a + 1..).unwrap_or(&[]).to_vec());
        let to = [before, shape.clone(), after].concat();
        let all = limited(Shape::new(&to)?, x.elements())?.elements();
        let (outer, inner) =
            (x[..a].iter().product::<usize>(), x.get(a + 1..).unwrap_or(&[]).iter().product());
        let mut index = Vec::with_capacity(all);
        for o in 0..outer {
            for &i in &at {
                index.extend((0..inner).map(|k: usize| (o * size + i) * inner + k));
            }
        }
        Ok((to, Some(index)))
    }
}

/// As [`strided`], where an axis of one entry may have any step.
fn strided_safely(sizes: &[usize], offset: isize, strides: &[isize]) -> Vec<usize> {
    let strides: Vec<isize> = sizes.iter().zip(strides).map(|(&n, &s)| if n > 1 { s } else { 0 }).collect();
    strided(sizes, offset, &strides)
}

/// Constants joined along an axis.
pub(super) fn joined(node: &RawNode, parts: &[&Constant]) -> Result<Constant> {
    let Some(first) = parts.first().map(|p| p.shape()).filter(|s| !s.is_empty()) else {
        return Err(Error::invalid("single numbers cannot be joined; lists are expected"));
    };
    let a = axis(node.int("axis", 0)?, first.len())?;
    let fits = |p: &&Constant| {
        let s = p.shape();
        s.len() == first.len() && s[..a] == first[..a] && s[a + 1..] == first[a + 1..]
    };
    if !parts.iter().all(fits) {
        return Err(Error::invalid(format!("constants joined along axis {a} differ in their other sizes")));
    }
    let mut shape = first.to_vec();
    shape[a] = parts.iter().fold(0, |n: usize, p| n.saturating_add(p.shape()[a]));
    limited(Shape::new(&shape)?, 0)?;
    let outer: usize = first[..a].iter().product();
    let (mut floats, mut whole) = (Vec::new(), Vec::new());
    for o in 0..outer {
        for part in parts {
            let n = part.len() / outer;
            match part {
                Constant::Float { data, .. } => floats.extend_from_slice(&data[o * n..(o + 1) * n]),
                Constant::Int { data, .. } => whole.extend_from_slice(&data[o * n..(o + 1) * n]),
            }
        }
    }
    match (floats.is_empty(), whole.is_empty()) {
        (false, false) => Err(Error::invalid("whole numbers and weights cannot be joined")),
        (false, true) => Ok(Constant::Float { shape, data: floats }),
        _ => Ok(Constant::Int { shape, data: whole }),
    }
}
