//! Pooling, and the scatter and gather by winners' codes.

use crate::backend::{Backend, Geometry};
use crate::operands::{Operands, int, ints};
use voxplain_autodiff::{DType, PoolGeometry, PooledStart};
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
    rectified: i32,
    row: i32,
    /// Fills the last place of eight bytes.
    unused: i32,
}
// SAFETY: numbers, 26 of four bytes behind one of eight.
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
        rectified: 0,
        row: 1,
        unused: 0,
    })
}

/// Elements of x and of y.
fn sizes(g: &PoolGeometry) -> (usize, usize) {
    (g.planes * g.input.iter().product::<usize>(), g.planes * g.output.iter().product::<usize>())
}

pub(super) fn max<B: Backend>(o: &Operands<B>, g: &PoolGeometry) -> Result<()> {
    max_of(o, g, o.real(0, sizes(g).0)?, 0)
}

/// The maxima of what lies at address `x`, to the results from `first` on.
pub(super) fn max_of<B: Backend>(o: &Operands<B>, g: &PoolGeometry, x: u64, first: usize) -> Result<()> {
    let n = sizes(g).1;
    let pointers = [x, o.wanted(first, DType::Real, n)?, o.wanted(first + 1, g.code(), n)?];
    o.each((STEM, "max_pool"), n, &pointers, &geometry(g)?)
}

pub(super) fn scatter<B: Backend>(o: &Operands<B>, g: &PoolGeometry) -> Result<()> {
    let (x, y) = sizes(g);
    let pointers = [o.real(0, y)?, o.coded(1, g.code(), y)?, 0, o.out(x)?];
    o.each((STEM, "max_scatter"), x, &pointers, &geometry(g)?)
}

/// The scatter with a mask, if there is one, and a rectifier.
pub(super) fn unpool<B: Backend>(o: &Operands<B>, g: &PoolGeometry, rectified: bool) -> Result<()> {
    let start = PooledStart { pool: *g, masked: o.reads() > 2, rectified };
    scatter_into(o, &start, 1, o.out(sizes(g).0)?).map(drop)
}

/// The scatter of operand 0 by the codes and bits from operand `codes` on, into `to`, which is returned.
pub(super) fn scatter_into<B: Backend>(
    o: &Operands<B>,
    start: &PooledStart,
    codes: usize,
    to: u64,
) -> Result<u64> {
    let (g, (x, y)) = (&start.pool, sizes(&start.pool));
    let at = codes + 1;
    let (bits, row) = if start.masked { (o.coded(at, DType::Bits, x)?, o.read_row(at)?) } else { (0, 1) };
    let geometry = Pool { rectified: i32::from(start.rectified), row: int(row)?, ..geometry(g)? };
    let pointers = [o.real(0, y)?, o.coded(codes, g.code(), y)?, bits, to];
    o.each((STEM, "max_scatter"), x, &pointers, &geometry)?;
    Ok(to)
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
