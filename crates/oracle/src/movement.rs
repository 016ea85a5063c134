//! Moving elements, by explicit index arithmetic on lists of positions.

use voxplain_autodiff::{PadFill, PadGeometry, SliceGeometry, WindowGeometry};
use voxplain_tensor::{MAX_RANK, Shape};

/// The position of flat index `i` in an array of this shape.
pub(crate) fn unravel(shape: &[usize], mut i: usize) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for axis in (0..shape.len()).rev() {
        at[axis] = i % shape[axis];
        i /= shape[axis];
    }
    at
}

/// The flat index of a position.
fn ravel(shape: &[usize], at: &[usize]) -> usize {
    shape.iter().zip(at).fold(0, |i, (s, k)| i * s + k)
}

pub(crate) fn permute(shape: &Shape, permutation: &[usize; MAX_RANK], x: &[f64]) -> Vec<f64> {
    let target: Vec<usize> = (0..shape.rank()).map(|i| shape[permutation[i]]).collect();
    let value = |i: usize| {
        let at = unravel(&target, i);
        let mut from = vec![0; shape.rank()];
        (0..shape.rank()).for_each(|axis| from[permutation[axis]] = at[axis]);
        x[ravel(shape, &from)]
    };
    (0..x.len()).map(value).collect()
}

fn in_whole(g: &SliceGeometry, i: usize) -> usize {
    let at = unravel(&g.part, i);
    let whole: Vec<usize> = (0..at.len())
        .map(|a| (g.axes[a].begin as isize + at[a] as isize * g.axes[a].step) as usize)
        .collect();
    ravel(&g.whole, &whole)
}

pub(crate) fn slice(g: &SliceGeometry, x: &[f64]) -> Vec<f64> {
    (0..g.part.elements()).map(|i| x[in_whole(g, i)]).collect()
}

pub(crate) fn embed(g: &SliceGeometry, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; g.whole.elements()];
    x.iter().enumerate().for_each(|(i, v)| y[in_whole(g, i)] = *v);
    y
}

/// The flat inner index that padded index `i` shows, or `None` for the constant.
fn shown(g: &PadGeometry, i: usize) -> Option<usize> {
    let at = unravel(&g.padded, i);
    let mut inner = Vec::new();
    for axis in 0..at.len() {
        let (size, mut p) = (g.inner[axis] as isize, at[axis] as isize - g.before[axis]);
        if p < 0 || p >= size {
            p = match g.fill {
                PadFill::Constant(_) => return None,
                PadFill::Edge if p < 0 => 0,
                PadFill::Edge => size - 1,
                PadFill::Reflect if p < 0 => -p,
                PadFill::Reflect => 2 * size - 2 - p,
            };
        }
        inner.push(p as usize);
    }
    Some(ravel(&g.inner, &inner))
}

pub(crate) fn pad(g: &PadGeometry, x: &[f64]) -> Vec<f64> {
    let constant = if let PadFill::Constant(v) = g.fill { v } else { 0.0 };
    (0..g.padded.elements()).map(|i| shown(g, i).map_or(constant, |at| x[at])).collect()
}

pub(crate) fn pad_adjoint(g: &PadGeometry, upper: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; g.inner.elements()];
    for (i, v) in upper.iter().enumerate() {
        if let Some(at) = shown(g, i) {
            dx[at] += v;
        }
    }
    dx
}

pub(crate) fn concat(outer: usize, sizes: &[usize], parts: &[&[f64]]) -> Vec<f64> {
    let mut y = Vec::new();
    for row in 0..outer {
        for (size, part) in sizes.iter().zip(parts) {
            y.extend_from_slice(&part[row * size..(row + 1) * size]);
        }
    }
    y
}

/// Entry by entry: outside of the array the fill, in a row's patch the patch, elsewhere the array.
pub(crate) fn window(g: &WindowGeometry, x: &[&[f64]]) -> Vec<f64> {
    let (rank, part) = (g.whole.rank(), g.part.elements());
    let places = x[x.len() - 1];
    let value = |i: usize| {
        let (row, at) = (i / part, unravel(&g.part, i % part));
        let place = |k: usize, a: usize| places[(2 * row + k) * rank + a] as isize;
        let whole: Vec<isize> = (0..rank).map(|a| at[a] as isize + place(0, a)).collect();
        if !(0..rank).all(|a| (0..g.whole[a] as isize).contains(&whole[a])) {
            return g.fill;
        }
        let over = |patch: &Shape| -> Option<f64> {
            let inside: Vec<isize> = (0..rank).map(|a| whole[a] - place(1, a)).collect();
            let covered = (0..rank).all(|a| (0..patch[a] as isize).contains(&inside[a]));
            let inside: Vec<usize> = inside.iter().map(|&k| k.unsigned_abs()).collect();
            covered.then(|| x[1][row * patch.elements() + ravel(patch, &inside)])
        };
        let shared = || x[0][ravel(&g.whole, &whole.iter().map(|&k| k.unsigned_abs()).collect::<Vec<_>>())];
        g.patch.as_ref().and_then(over).unwrap_or_else(shared)
    };
    (0..g.rows * part).map(value).collect()
}

/// Writes a box into an array from position `at` on, but for what lies outside.
pub(crate) fn paste(part: &[f64], shape: &[usize], into: &mut [f64], whole: &[usize], at: &[isize]) {
    for (i, v) in part.iter().enumerate() {
        let place: Vec<isize> = unravel(shape, i).iter().zip(at).map(|(&k, &a)| k as isize + a).collect();
        if place.iter().zip(whole).all(|(p, &n)| (0..n as isize).contains(p)) {
            into[ravel(whole, &place.iter().map(|&k| k.unsigned_abs()).collect::<Vec<_>>())] = *v;
        }
    }
}
