//! Products of strided matrices.

use super::TILE;
use crate::backend::{Backend, Geometry};
use crate::device::Factors;
use crate::operands::Operands;
use voxplain_autodiff::{MatMulGeometry, MatrixStrides};
use voxplain_tensor::Result;

#[derive(Clone, Copy)]
#[repr(C)]
struct MatMul {
    batch: i64,
    m: i64,
    k: i64,
    n: i64,
    a: [i64; 3],
    b: [i64; 3],
    alpha: f64,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for MatMul {}

/// Rows and columns of the result that a block makes in single precision.
const SQUARE: usize = 16;

fn strides(s: MatrixStrides) -> [i64; 3] {
    [s.batch as i64, s.row as i64, s.column as i64]
}

/// Elements from the first to the last that strided matrices reach.
fn extent(s: MatrixStrides, sizes: [usize; 3]) -> usize {
    if sizes.contains(&0) {
        return 0;
    }
    1 + (sizes[0] - 1) * s.batch + (sizes[1] - 1) * s.row + (sizes[2] - 1) * s.column
}

pub(super) fn run<B: Backend>(o: &Operands<B>, g: &MatMulGeometry) -> Result<()> {
    let a = o.real(0, extent(g.a, [g.batch, g.m, g.k]))?;
    let b = o.real(1, extent(g.b, [g.batch, g.k, g.n]))?;
    let pointers = [a, b, o.out(g.batch * g.m * g.n)?];
    let [batch, m, k, n] = [g.batch, g.m, g.k, g.n].map(|v| v as i64);
    let geometry = MatMul { batch, m, k, n, a: strides(g.a), b: strides(g.b), alpha: g.alpha };
    // Whatever the sizes, so that a row has the same bits in every batch.
    let (name, tile) = match o.products().factors {
        Factors::Single | Factors::TensorFloat => ("matmul", (SQUARE, SQUARE)),
        Factors::Half => ("matmul_f16", TILE),
        Factors::Brain => ("matmul_bf16", TILE),
    };
    let blocks = g.batch * g.m.div_ceil(tile.0) * g.n.div_ceil(tile.1);
    o.blocks(("matmul", name), blocks, &pointers, &geometry)
}
