//! Operators that move elements: joining, reshaping, permuting, slicing, padding, broadcasting.

use super::broadcast;
use alloc::format;
use alloc::vec::Vec;
use voxplain_tensor::{Error, Result, Shape};

/// A slice of one axis: entries `begin`, `begin + step`, ... (`count` of them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceAxis {
    /// The first entry.
    pub begin: usize,
    /// The distance between entries; negative walks backwards.
    pub step: isize,
    /// The number of entries, at least 1.
    pub count: usize,
}

/// What padding is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PadMode {
    /// A constant.
    Constant,
    /// The nearest entry (PyTorch `replicate`).
    Edge,
    /// Mirrored without repeating the border entry.
    Reflect,
}

pub(super) fn infer_concat(axis: usize, inputs: &[Shape]) -> Result<Shape> {
    let first = inputs[0];
    if axis >= first.rank() {
        return Err(Error::invalid(format!("axis {axis} of data of shape {first}")));
    }
    let mut total = 0usize;
    for shape in inputs {
        let fits =
            shape.rank() == first.rank() && (0..first.rank()).all(|i| i == axis || shape[i] == first[i]);
        if !fits {
            return Err(Error::invalid(format!("{first} and {shape} differ outside the joined axis {axis}")));
        }
        total = total.saturating_add(shape[axis]);
    }
    first.with(axis, total)
}

pub(super) fn infer_reshape(sizes: &[usize], x: Shape) -> Result<Shape> {
    let shape = Shape::new(sizes)?;
    if shape.elements() != x.elements() || shape.rank() == 0 {
        return Err(Error::invalid(format!(
            "{x} has {} elements, {shape} has {}",
            x.elements(),
            shape.elements()
        )));
    }
    Ok(shape)
}

pub(super) fn infer_transpose(permutation: &[usize], x: Shape) -> Result<Shape> {
    let mut seen: Vec<usize> = permutation.to_vec();
    seen.sort_unstable();
    if seen.len() != x.rank() || seen.iter().enumerate().any(|(i, &p)| i != p) {
        return Err(Error::invalid(format!("{permutation:?} does not permute the axes of {x}")));
    }
    let sizes: Vec<usize> = permutation.iter().map(|&p| x[p]).collect();
    Shape::new(&sizes)
}

pub(super) fn infer_slice(axes: &[SliceAxis], x: Shape) -> Result<Shape> {
    let inside = |(axis, &size): (&SliceAxis, &usize)| {
        let last = (axis.count as isize)
            .checked_sub(1)
            .and_then(|n| n.checked_mul(axis.step))
            .and_then(|d| d.checked_add(axis.begin as isize));
        axis.count > 0
            && axis.begin < size
            && axis.step != 0
            && last.is_some_and(|l| l >= 0 && (l as usize) < size)
    };
    if axes.len() != x.rank() || !axes.iter().zip(x.iter()).all(inside) {
        return Err(Error::invalid(format!("a slice of data of shape {x} is empty or out of range")));
    }
    let sizes: Vec<usize> = axes.iter().map(|a| a.count).collect();
    Shape::new(&sizes)
}

pub(super) fn infer_pad(mode: PadMode, before: &[isize], after: &[isize], x: Shape) -> Result<Shape> {
    if before.len() != x.rank() || after.len() != x.rank() {
        return Err(Error::invalid(format!("pads need {} entries per side for data of shape {x}", x.rank())));
    }
    let mut sizes = Vec::new();
    for i in 0..x.rank() {
        let size = x[i] as isize;
        let total = size.checked_add(before[i]).and_then(|s| s.checked_add(after[i])).filter(|&s| s > 0);
        if before[i] <= -size || after[i] <= -size {
            return Err(Error::invalid(format!("axis {i} of {x} is cropped by more than it has")));
        }
        let most = if mode == PadMode::Reflect { size - 1 } else { isize::MAX };
        if before[i] > most || after[i] > most {
            return Err(Error::invalid(format!("axis {i} of {x} is too short to be mirrored that far")));
        }
        let total = total.ok_or_else(|| Error::invalid(format!("pads leave nothing of axis {i} of {x}")))?;
        sizes.push(total as usize);
    }
    Shape::new(&sizes)
}

pub(super) fn infer_expand(sizes: &[usize], x: Shape) -> Result<Shape> {
    broadcast(x, Shape::new(sizes)?)
}
