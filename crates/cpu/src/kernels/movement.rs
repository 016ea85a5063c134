//! Kernels that move elements.

use crate::parallel::Pool;
use voxplain_autodiff::{PadFill, PadGeometry, SliceGeometry};
use voxplain_tensor::{MAX_RANK, Shape};

/// The index in the source of every element of a target of shape `shape`, given per axis.
fn source_index(shape: &Shape, mut at: usize, along: impl Fn(usize, usize) -> usize) -> usize {
    let mut index = 0;
    for axis in (0..shape.rank()).rev() {
        index += along(axis, at % shape[axis]);
        at /= shape[axis];
    }
    index
}

/// Writes `y[i] = x[index(i)]`.
fn gather(pool: &Pool, x: &[f32], y: &mut [f32], index: impl Fn(usize) -> usize + Sync + Send) {
    pool.chunks(y, super::CHUNK, |i, y| {
        y.iter_mut().enumerate().for_each(|(k, y)| *y = x[index(i * super::CHUNK + k)]);
    });
}

/// Axis `i` of the result is axis `permutation[i]` of x, which has shape `shape`.
pub fn permute(pool: &Pool, shape: Shape, permutation: &[usize; MAX_RANK], x: &[f32], y: &mut [f32]) {
    let mut sizes = [1; MAX_RANK];
    (0..shape.rank()).for_each(|i| sizes[i] = shape[permutation[i]]);
    let Ok(target) = Shape::new(&sizes[..shape.rank()]) else { return };
    let strides = shape.strides();
    gather(pool, x, y, |i| source_index(&target, i, |axis, k| k * strides[permutation[axis]]));
}

fn whole_index(g: &SliceGeometry, strides: &[usize; MAX_RANK], i: usize) -> usize {
    source_index(&g.part, i, |axis, k| {
        let step = g.axes[axis];
        (step.begin as isize + k as isize * step.step) as usize * strides[axis]
    })
}

/// The slice of a whole.
pub fn slice(pool: &Pool, g: &SliceGeometry, x: &[f32], y: &mut [f32]) {
    let strides = g.whole.strides();
    gather(pool, x, y, |i| whole_index(g, &strides, i));
}

/// A slice put back into zeros.
pub fn embed(g: &SliceGeometry, x: &[f32], y: &mut [f32]) {
    let strides = g.whole.strides();
    y.fill(0.0);
    x.iter().enumerate().for_each(|(i, &v)| y[whole_index(g, &strides, i)] = v);
}

/// The entry of an axis of `size` that padded position `p` shows, or `None` for the constant.
fn unpadded(g: &PadGeometry, axis: usize, p: usize) -> Option<usize> {
    let (at, size) = (p as isize - g.before[axis], g.inner[axis] as isize);
    if (0..size).contains(&at) {
        return Some(at as usize);
    }
    match g.fill {
        PadFill::Constant(_) => None,
        PadFill::Edge => Some(at.clamp(0, size - 1) as usize),
        PadFill::Reflect => Some(if at < 0 { -at } else { 2 * (size - 1) - at } as usize),
    }
}

fn inner_index(g: &PadGeometry, strides: &[usize; MAX_RANK], mut i: usize) -> Option<usize> {
    let mut index = 0;
    for axis in (0..g.padded.rank()).rev() {
        index += unpadded(g, axis, i % g.padded[axis])? * strides[axis];
        i /= g.padded[axis];
    }
    Some(index)
}

/// Padding.
pub fn pad(pool: &Pool, g: &PadGeometry, x: &[f32], y: &mut [f32]) {
    let strides = g.inner.strides();
    let constant = if let PadFill::Constant(value) = g.fill { value as f32 } else { 0.0 };
    pool.chunks(y, super::CHUNK, |i, y| {
        for (k, y) in y.iter_mut().enumerate() {
            *y = inner_index(g, &strides, i * super::CHUNK + k).map_or(constant, |at| x[at]);
        }
    });
}

/// The adjoint of [`pad`].
pub fn pad_adjoint(g: &PadGeometry, upper: &[f32], dx: &mut [f32]) {
    let strides = g.inner.strides();
    dx.fill(0.0);
    for (i, &v) in upper.iter().enumerate() {
        if let Some(at) = inner_index(g, &strides, i) {
            dx[at] += v;
        }
    }
}

/// Joins `parts` row by row.
pub fn concat(outer: usize, sizes: &[usize], parts: &[&[f32]], y: &mut [f32]) {
    let total: usize = sizes.iter().sum();
    for row in 0..outer {
        let mut at = row * total;
        for (&size, part) in sizes.iter().zip(parts) {
            y[at..at + size].copy_from_slice(&part[row * size..(row + 1) * size]);
            at += size;
        }
    }
}
