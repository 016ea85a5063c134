//! Rows between two known examples, and sums over such rows.

use super::CHUNK;
use crate::parallel::{Pool, Shared};
use voxplain_autodiff::{GridGeometry, GridSumsGeometry, MixGeometry, MixShares, split};
use voxplain_tensor::{Error, Result};

/// Number `i` of a row.
fn number(row: &[f32], i: usize) -> f64 {
    let part = |k: usize| f64::from(row[3 * i + k]);
    part(0) + part(1) + part(2)
}

fn mixed(share: f64, x: f32, fill: f32) -> f32 {
    if share == 1.0 {
        x
    } else if share == 0.0 {
        fill
    } else {
        (share * f64::from(x) + (1.0 - share) * f64::from(fill)) as f32
    }
}

/// The share of an entry of a grid.
fn interpolated(g: &GridGeometry, row: &[f32], entry: usize) -> f64 {
    let (inner, side, missing) = (g.sizes.iter().product::<usize>(), g.cells + 2, 3 - g.axes);
    let grid = if g.grids == 1 { 0 } else { entry / inner };
    let (mut rest, mut step, mut first) = (entry % inner, 1, grid * g.nodes());
    let (mut steps, mut parts) = ([0; 3], [0.0; 3]);
    for axis in (missing..3).rev() {
        let (n, shift) = (g.sizes[axis], number(row, g.grids * g.nodes() + axis - missing));
        let place = ((rest % n) as f64 + 0.5) * g.cells as f64 / n as f64 + shift;
        let low = (place as usize).min(g.cells);
        (parts[axis], steps[axis]) = (place - low as f64, step);
        first += low * step;
        (rest, step) = (rest / n, step * side);
    }
    let mut corners = [0.0; 8];
    for (c, corner) in corners.iter_mut().enumerate() {
        let at = first + (c >> 2) * steps[0] + (c >> 1 & 1) * steps[1] + (c & 1) * steps[2];
        *corner = number(row, at);
    }
    for (half, part) in [4, 2, 1].into_iter().zip(parts) {
        (0..half).for_each(|c| corners[c] += part * (corners[c + half] - corners[c]));
    }
    corners[0]
}

/// Refuses sizes that are not those of the geometry.
fn check(fits: bool) -> Result<()> {
    if fits { Ok(()) } else { Err(Error::internal("operands of rows between examples have other sizes")) }
}

/// Every row between the example and its fill.
pub fn run(
    pool: &Pool,
    g: &MixGeometry,
    (x, fill): (&[f32], &[f32]),
    labels: Option<&[f32]>,
    numbers: &[f32],
    y: &mut [f32],
) -> Result<()> {
    let (width, n) = (3 * g.shares.numbers(), g.length);
    let gridded = |grid: &GridGeometry| grid.length() == n && grid.axes <= 3;
    check(match &g.shares {
        MixShares::Labelled { .. } => labels.is_some_and(|l| l.len() >= n),
        MixShares::Gridded(grid) => gridded(grid),
    })?;
    check(x.len() >= n && fill.len() >= n && numbers.len() >= g.rows * width && y.len() >= g.rows * n)?;
    let (pieces, shared) = (n.div_ceil(CHUNK), Shared::new(y));
    pool.each(g.rows * pieces, g.rows * n, |item| {
        let (row, start) = (item / pieces, item % pieces * CHUNK);
        let (of, count) = (&numbers[row * width..][..width], CHUNK.min(n - start));
        // SAFETY: pieces of rows do not overlap, and each is visited once.
        let into = unsafe { shared.slice(row * n + start, count) };
        for (at, v) in (start..).zip(into) {
            let share = match (&g.shares, labels) {
                (MixShares::Gridded(grid), _) => interpolated(grid, of, at),
                (MixShares::Labelled { count }, Some(labels)) if labels[at] < *count as f32 => {
                    number(of, labels[at] as usize)
                }
                _ => 1.0,
            };
            *v = mixed(share, x[at], fill[at]);
        }
    });
    Ok(())
}

/// The sums of [`voxplain_autodiff::Kernel::GridSums`].
pub fn sums(
    pool: &Pool,
    g: &GridSumsGeometry,
    weights: &[f32],
    numbers: &[f32],
    y: &mut [f32],
) -> Result<()> {
    let (width, n) = (3 * g.grid.numbers(), g.grid.length());
    check(weights.len() >= 3 * g.rows && numbers.len() >= g.rows * width && y.len() >= 6 * n)?;
    let shared = Shared::new(y);
    pool.each(n.div_ceil(CHUNK), g.rows * n, |piece| {
        for entry in piece * CHUNK..(piece * CHUNK + CHUNK).min(n) {
            let (mut sum, mut square) = (0.0, 0.0);
            for row in 0..g.rows {
                let share = interpolated(&g.grid, &numbers[row * width..][..width], entry);
                let part = number(weights, row) * (share - g.level);
                (sum, square) = (sum + part, square + part * part);
            }
            for (at, value) in [(entry, sum), (n + entry, square)] {
                // SAFETY: every entry has places of its own.
                unsafe { shared.slice(3 * at, 3) }.copy_from_slice(&split(value));
            }
        }
    });
    Ok(())
}

/// What was before and the weighted rows, one after the other.
pub fn accumulate(
    pool: &Pool,
    (rows, n): (usize, usize),
    [weights, x, before]: [&[f32]; 3],
    y: &mut [f32],
) -> Result<()> {
    check(weights.len() >= rows && x.len() >= rows * n && before.len() >= n && y.len() >= n)?;
    let shared = Shared::new(y);
    pool.each(n.div_ceil(CHUNK), (rows + 1) * n, |piece| {
        let (start, count) = (piece * CHUNK, CHUNK.min(n - piece * CHUNK));
        // SAFETY: pieces do not overlap, and each is visited once.
        let sums = unsafe { shared.slice(start, count) };
        sums.copy_from_slice(&before[start..][..count]);
        for (row, weight) in weights[..rows].iter().enumerate() {
            sums.iter_mut().zip(&x[row * n + start..][..count]).for_each(|(sum, v)| *sum += weight * v);
        }
    });
    Ok(())
}
