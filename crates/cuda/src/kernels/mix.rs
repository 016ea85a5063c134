//! Rows between two known examples, and sums over such rows.

use crate::backend::{Backend, Geometry};
use crate::operands::Operands;
use voxplain_autodiff::{GridGeometry, GridSumsGeometry, MixGeometry, MixShares};
use voxplain_tensor::{Error, Result};

const STEM: &str = "mix";

#[derive(Clone, Copy)]
#[repr(C)]
struct Labelled {
    rows: i64,
    length: i64,
    count: i64,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Labelled {}

#[derive(Clone, Copy)]
#[repr(C)]
struct Grid {
    rows: i64,
    length: i64,
    inner: i64,
    grids: i64,
    nodes: i64,
    axes: i64,
    cells: i64,
    sizes: [i64; 3],
    level: f64,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Grid {}

/// The geometry, after checking what keeps every entry inside its grid.
fn grid(g: &GridGeometry, rows: usize, level: f64) -> Result<Grid> {
    let missing = 3usize.checked_sub(g.axes);
    let flat = missing.is_some_and(|m| g.sizes[..m].iter().all(|&n| n == 1));
    if !flat || !(g.grids == 1 || g.grids == g.channels) {
        return Err(Error::internal("grids that do not cover their example"));
    }
    Ok(Grid {
        rows: rows as i64,
        length: g.length() as i64,
        inner: g.sizes.iter().product::<usize>() as i64,
        grids: g.grids as i64,
        nodes: g.nodes() as i64,
        axes: g.axes as i64,
        cells: g.cells as i64,
        sizes: g.sizes.map(|n| n as i64),
        level,
    })
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Rows {
    rows: i64,
    length: i64,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Rows {}

pub(super) fn run<B: Backend>(o: &Operands<B>, g: &MixGeometry) -> Result<()> {
    let (n, all) = (g.length, g.rows * g.length);
    let numbers = 3 * g.rows * g.shares.numbers();
    match &g.shares {
        MixShares::Labelled { count } => {
            let pointers = [o.real(0, n)?, o.real(1, n)?, o.real(2, n)?, o.real(3, numbers)?, o.out(all)?];
            let geometry = Labelled { rows: g.rows as i64, length: n as i64, count: *count as i64 };
            o.each((STEM, "mix_labels"), all, &pointers, &geometry)
        }
        MixShares::Gridded(shape) if shape.length() == n => {
            let pointers = [o.real(0, n)?, o.real(1, n)?, o.real(2, numbers)?, o.out(all)?];
            o.each((STEM, "mix_grid"), all, &pointers, &grid(shape, g.rows, 0.0)?)
        }
        MixShares::Gridded(_) => Err(Error::internal("grids over another number of entries")),
    }
}

pub(super) fn sums<B: Backend>(o: &Operands<B>, g: &GridSumsGeometry) -> Result<()> {
    let (n, numbers) = (g.grid.length(), 3 * g.rows * g.grid.numbers());
    let pointers = [o.real(0, 3 * g.rows)?, o.real(1, numbers)?, o.out(6 * n)?];
    o.each((STEM, "grid_sums"), n, &pointers, &grid(&g.grid, g.rows, g.level)?)
}

pub(super) fn accumulate<B: Backend>(o: &Operands<B>, rows: usize, n: usize) -> Result<()> {
    let pointers = [o.real(0, rows)?, o.real(1, rows * n)?, o.real(2, n)?, o.out(n)?];
    o.each((STEM, "accumulate"), n, &pointers, &Rows { rows: rows as i64, length: n as i64 })
}
