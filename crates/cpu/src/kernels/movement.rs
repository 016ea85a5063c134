//! Kernels that move elements. Where an element comes from is found once for a run of elements that lie evenly in both arrays:
//! a division for every axis and element costs many times what moving the element does.

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

/// Runs of `length` elements of a target, whose sources lie `stride` apart.
#[derive(Clone, Copy)]
struct Runs {
    length: usize,
    stride: isize,
}

impl Runs {
    /// Calls `visit(first, count)` for the parts of runs among elements `start .. end` of the target.
    fn each(&self, start: usize, end: usize, mut visit: impl FnMut(usize, usize)) {
        let mut at = start;
        while at < end {
            let count = (self.length - at % self.length).min(end - at);
            visit(at, count);
            at += count;
        }
    }

    /// Copies a part of a run that begins with source element `from`.
    fn copy(&self, from: usize, x: &[f32], y: &mut [f32]) {
        match self.stride {
            1 => y.copy_from_slice(&x[from..from + y.len()]),
            stride => {
                for (k, y) in y.iter_mut().enumerate() {
                    *y = x[from.wrapping_add_signed(k as isize * stride)];
                }
            }
        }
    }
}

/// Writes `y[i] = x[index(i)]`.
fn gather(pool: &Pool, runs: Runs, x: &[f32], y: &mut [f32], index: impl Fn(usize) -> usize + Sync + Send) {
    pool.chunks(y, super::CHUNK, |i, y| {
        let start = i * super::CHUNK;
        runs.each(start, start + y.len(), |at, count| {
            runs.copy(index(at), x, &mut y[at - start..at - start + count]);
        });
    });
}

/// Axis `i` of the result is axis `permutation[i]` of x, which has shape `shape`.
pub fn permute(pool: &Pool, shape: Shape, permutation: &[usize; MAX_RANK], x: &[f32], y: &mut [f32]) {
    let mut sizes = [1; MAX_RANK];
    (0..shape.rank()).for_each(|i| sizes[i] = shape[permutation[i]]);
    let Ok(target) = Shape::new(&sizes[..shape.rank()]) else { return };
    let strides = shape.strides();
    let along = |axis: usize| strides[permutation[axis]];
    let last = shape.rank().saturating_sub(1);
    let runs = match shape.rank() {
        0 => Runs { length: 1, stride: 1 },
        _ => Runs { length: target[last], stride: along(last) as isize },
    };
    gather(pool, runs, x, y, |i| source_index(&target, i, |axis, k| k * along(axis)));
}

fn whole_index(g: &SliceGeometry, strides: &[usize; MAX_RANK], i: usize) -> usize {
    source_index(&g.part, i, |axis, k| {
        let step = g.axes[axis];
        (step.begin as isize + k as isize * step.step) as usize * strides[axis]
    })
}

/// The longest runs of a slice: axes from the last on that are taken whole, and the next one; or the last axis, in its steps.
fn runs_of(g: &SliceGeometry) -> Runs {
    let mut length = 1;
    for axis in (0..g.part.rank()).rev() {
        if g.axes[axis].step != 1 {
            let last = axis + 1 == g.part.rank();
            return if last {
                Runs { length: g.part[axis], stride: g.axes[axis].step }
            } else {
                Runs { length, stride: 1 }
            };
        }
        length *= g.part[axis];
        if g.part[axis] != g.whole[axis] {
            break;
        }
    }
    Runs { length, stride: 1 }
}

/// The slice of a whole.
pub fn slice(pool: &Pool, g: &SliceGeometry, x: &[f32], y: &mut [f32]) {
    let strides = g.whole.strides();
    gather(pool, runs_of(g), x, y, |i| whole_index(g, &strides, i));
}

/// A slice put back into zeros.
pub fn embed(pool: &Pool, g: &SliceGeometry, x: &[f32], y: &mut [f32]) {
    let (strides, runs) = (g.whole.strides(), runs_of(g));
    pool.chunks(y, super::CHUNK, |_, y| y.fill(0.0));
    runs.each(0, x.len(), |at, count| {
        let (from, part) = (whole_index(g, &strides, at), &x[at..at + count]);
        match runs.stride {
            1 => y[from..from + count].copy_from_slice(part),
            stride => {
                for (k, &v) in part.iter().enumerate() {
                    y[from.wrapping_add_signed(k as isize * stride)] = v;
                }
            }
        }
    });
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

/// The first element of the row along the last axis that padded row `row` shows, or `None` for a row of the constant.
fn inner_row(g: &PadGeometry, strides: &[usize; MAX_RANK], mut row: usize) -> Option<usize> {
    let mut index = 0;
    for axis in (0..g.padded.rank().saturating_sub(1)).rev() {
        index += unpadded(g, axis, row % g.padded[axis])? * strides[axis];
        row /= g.padded[axis];
    }
    Some(index)
}

/// Elements of a row along the last axis of a padded array; a number without axes is a row.
fn row_length(g: &PadGeometry) -> usize {
    g.padded.rank().checked_sub(1).map_or(1, |last| g.padded[last])
}

/// The place in a row of x that place `k` of a padded row shows.
fn along_row(g: &PadGeometry, k: usize) -> Option<usize> {
    g.padded.rank().checked_sub(1).map_or(Some(k), |last| unpadded(g, last, k))
}

/// Padding.
pub fn pad(pool: &Pool, g: &PadGeometry, x: &[f32], y: &mut [f32]) {
    let (strides, length) = (g.inner.strides(), row_length(g));
    let constant = if let PadFill::Constant(value) = g.fill { value as f32 } else { 0.0 };
    let rows = super::CHUNK.div_ceil(length);
    pool.chunks(y, rows * length, |i, y| {
        for (row, y) in y.chunks_mut(length).enumerate() {
            let Some(from) = inner_row(g, &strides, i * rows + row) else {
                y.fill(constant);
                continue;
            };
            for (k, y) in y.iter_mut().enumerate() {
                *y = along_row(g, k).map_or(constant, |at| x[from + at]);
            }
        }
    });
}

/// The adjoint of [`pad`].
pub fn pad_adjoint(g: &PadGeometry, upper: &[f32], dx: &mut [f32]) {
    let (strides, length) = (g.inner.strides(), row_length(g));
    dx.fill(0.0);
    for (row, upper) in upper.chunks(length).enumerate() {
        let Some(from) = inner_row(g, &strides, row) else { continue };
        for (k, &v) in upper.iter().enumerate() {
            if let Some(at) = along_row(g, k) {
                dx[from + at] += v;
            }
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
