//! Rows between two examples, entry by entry: shares by label, or as means of the nodes around weighted by their distances.

use voxplain_autodiff::{GridGeometry, GridSumsGeometry, MixGeometry, MixShares};

fn number(numbers: &[f64], i: usize) -> f64 {
    numbers[3 * i..3 * i + 3].iter().sum()
}

fn interpolated(g: &GridGeometry, row: &[f64], entry: usize) -> f64 {
    let (side, sizes) = (g.cells + 2, &g.sizes[3 - g.axes..]);
    let inner: usize = sizes.iter().product();
    let grid = if g.grids == 1 { 0 } else { entry / inner };
    let mut places = vec![0.0; g.axes];
    let mut rest = entry % inner;
    for axis in (0..g.axes).rev() {
        let shift = number(row, g.grids * g.nodes() + axis);
        places[axis] = ((rest % sizes[axis]) as f64 + 0.5) * g.cells as f64 / sizes[axis] as f64 + shift;
        rest /= sizes[axis];
    }
    let weight = |mut node: usize| {
        let mut weight = 1.0;
        for place in places.iter().rev() {
            weight *= (1.0 - (place - (node % side) as f64).abs()).max(0.0);
            node /= side;
        }
        weight
    };
    (0..g.nodes()).map(|node| weight(node) * number(row, grid * g.nodes() + node)).sum()
}

pub(crate) fn mix(g: &MixGeometry, x: &[&[f64]]) -> Vec<f64> {
    let (numbers, width) = (x[x.len() - 1], 3 * g.shares.numbers());
    let value = |i: usize| {
        let (row, at) = (&numbers[i / g.length * width..], i % g.length);
        let share = match &g.shares {
            MixShares::Labelled { count } if x[2][at] < *count as f64 => number(row, x[2][at] as usize),
            MixShares::Labelled { .. } => 1.0,
            MixShares::Gridded(grid) => interpolated(grid, row, at),
        };
        if share == 0.0 { x[1][at] } else { share * x[0][at] + (1.0 - share) * x[1][at] }
    };
    (0..g.rows * g.length).map(value).collect()
}

pub(crate) fn sums(g: &GridSumsGeometry, weights: &[f64], numbers: &[f64]) -> Vec<f64> {
    let (width, n) = (3 * g.grid.numbers(), g.grid.length());
    let terms = |entry: usize| -> Vec<f64> {
        let term = |row: usize| {
            number(weights, row) * (interpolated(&g.grid, &numbers[row * width..], entry) - g.level)
        };
        (0..g.rows).map(term).collect()
    };
    let sums = (0..n).map(|entry| terms(entry).iter().sum());
    let squares = (0..n).map(|entry| terms(entry).iter().map(|t| t * t).sum());
    sums.chain(squares).flat_map(|sum: f64| [sum, 0.0, 0.0]).collect()
}

pub(crate) fn accumulate((rows, n): (usize, usize), x: &[&[f64]]) -> Vec<f64> {
    let sum = |entry: usize| (0..rows).fold(x[2][entry], |sum, row| sum + x[0][row] * x[1][row * n + entry]);
    (0..n).map(sum).collect()
}
