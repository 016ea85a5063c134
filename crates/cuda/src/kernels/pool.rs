//! Pooling, and the scatter and gather by winners' codes.

use crate::backend::{Backend, Geometry};
use crate::operands::{Operands, ints};
use voxplain_autodiff::{DType, PoolGeometry};
use voxplain_tensor::Result;

const STEM: &str = "pool";

#[derive(Clone, Copy)]
#[repr(C)]
struct Pool {
    planes: i64,
    input: [i32; 3],
    output: [i32; 3],
    kernel: [i32; 3],
    stride: [i32; 3],
    pad: [i32; 3],
    pad_end: [i32; 3],
    dilation: [i32; 3],
    include_pad: i32,
    wide: i32,
    /// Fills the last place of eight bytes.
    unused: i32,
}
// SAFETY: numbers, 24 of four bytes behind one of eight.
unsafe impl Geometry for Pool {}

fn geometry(g: &PoolGeometry) -> Result<Pool> {
    Ok(Pool {
        planes: g.planes as i64,
        input: ints(g.input)?,
        output: ints(g.output)?,
        kernel: ints(g.kernel)?,
        stride: ints(g.stride)?,
        pad: ints(g.pad)?,
        pad_end: ints(g.pad_end)?,
        dilation: ints(g.dilation)?,
        include_pad: i32::from(g.include_pad),
        wide: i32::from(g.code() == DType::Index),
        unused: 0,
    })
}

/// Elements of x and of y.
fn sizes(g: &PoolGeometry) -> (usize, usize) {
    (g.planes * g.input.iter().product::<usize>(), g.planes * g.output.iter().product::<usize>())
}

pub(super) fn max<B: Backend>(o: &Operands<B>, g: &PoolGeometry) -> Result<()> {
    let (x, y) = sizes(g);
    let pointers = [o.real(0, x)?, o.wanted(0, DType::Real, y)?, o.wanted(1, g.code(), y)?];
    o.each((STEM, "max_pool"), y, &pointers, &geometry(g)?)
}

pub(super) fn scatter<B: Backend>(o: &Operands<B>, g: &PoolGeometry) -> Result<()> {
    let (x, y) = sizes(g);
    let pointers = [o.real(0, y)?, o.coded(1, g.code(), y)?, o.out(x)?];
    o.each((STEM, "max_scatter"), x, &pointers, &geometry(g)?)
}

pub(super) fn gather<B: Backend>(o: &Operands<B>, g: &PoolGeometry) -> Result<()> {
    let (x, y) = sizes(g);
    let pointers = [o.real(0, x)?, o.coded(1, g.code(), y)?, o.out(y)?];
    o.each((STEM, "max_gather"), y, &pointers, &geometry(g)?)
}

pub(super) fn average<B: Backend>(o: &Operands<B>, g: &PoolGeometry) -> Result<()> {
    let (x, y) = sizes(g);
    o.each((STEM, "average_pool"), y, &[o.real(0, x)?, o.out(y)?], &geometry(g)?)
}

pub(super) fn average_adjoint<B: Backend>(o: &Operands<B>, g: &PoolGeometry) -> Result<()> {
    let (x, y) = sizes(g);
    o.each((STEM, "average_pool_adjoint"), x, &[o.real(0, y)?, o.out(x)?], &geometry(g)?)
}
