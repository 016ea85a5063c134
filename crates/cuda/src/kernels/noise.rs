//! Rows with noise, and moments over rows.

use crate::backend::{Backend, Geometry};
use crate::operands::Operands;
use voxplain_autodiff::{NORMALS, NoiseGeometry, NoiseKind};
use voxplain_tensor::{Error, Result};

const STEM: &str = "noise";

#[derive(Clone, Copy)]
#[repr(C)]
struct Noise {
    rows: i64,
    length: i64,
    baselines: i64,
    kind: i64,
    seed: i64,
    stream: i64,
    sigma: f64,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Noise {}

#[derive(Clone, Copy)]
#[repr(C)]
struct Rows {
    rows: i64,
    length: i64,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Rows {}

pub(super) fn rows<B: Backend>(o: &Operands<B>, g: &NoiseGeometry) -> Result<()> {
    let (n, count) = (g.length, g.kind.baselines());
    if count == Some(0) {
        return Err(Error::internal("rows between an example and no baselines"));
    }
    // Without baselines the kernel does not look at them.
    let baselines = match count {
        Some(count) => o.real(1, count * n)?,
        None => o.real(0, n)?,
    };
    let numbers = o.real(1 + usize::from(count.is_some()), g.rows * g.kind.numbers())?;
    let geometry = Noise {
        rows: g.rows as i64,
        length: n as i64,
        baselines: count.unwrap_or(1) as i64,
        kind: match g.kind {
            NoiseKind::Noisy => 0,
            NoiseKind::Between(_) => 1,
            NoiseKind::Gap(_) => 2,
        },
        seed: g.source.seed as i64,
        stream: i64::from(g.source.stream),
        sigma: g.sigma,
    };
    let pointers = [o.real(0, n)?, baselines, numbers, o.out(g.rows * n)?];
    o.each((STEM, "noise"), g.rows * n.div_ceil(NORMALS), &pointers, &geometry)
}

pub(super) fn moments<B: Backend>(o: &Operands<B>, rows: usize, n: usize) -> Result<()> {
    let pointers = [o.real(0, rows)?, o.real(1, rows * n)?, o.real(2, 6 * n)?, o.out(6 * n)?];
    o.each((STEM, "moments"), n, &pointers, &Rows { rows: rows as i64, length: n as i64 })
}
