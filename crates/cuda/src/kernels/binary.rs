//! Arithmetic of two operands with broadcasting.

use crate::backend::{Backend, Geometry};
use crate::operands::Operands;
use voxplain_autodiff::{BinaryFn, BroadcastGeometry};
use voxplain_tensor::{MAX_RANK, Result};

#[derive(Clone, Copy)]
#[repr(C)]
struct Binary {
    n: i64,
    function: i32,
    rank: i32,
    same: i32,
    pad: i32,
    value: f64,
    shape: [i64; MAX_RANK],
    a: [i64; MAX_RANK],
    b: [i64; MAX_RANK],
}
// SAFETY: numbers, and the four of four bytes fill two places of eight.
unsafe impl Geometry for Binary {}

/// The number by which `binary.cu` knows a function, and its parameter.
fn number(f: BinaryFn) -> (i32, f64) {
    match f {
        BinaryFn::Add => (0, 0.0),
        BinaryFn::Sub => (1, 0.0),
        BinaryFn::Mul => (2, 0.0),
        BinaryFn::Div => (3, 0.0),
        BinaryFn::DivOrZero => (4, 0.0),
        BinaryFn::DivOrOne => (5, 0.0),
        BinaryFn::DivStabilised(epsilon) => (6, epsilon),
        BinaryFn::Maximum => (7, 0.0),
        BinaryFn::Lerp(t) => (8, t),
        BinaryFn::Gate => (9, 0.0),
    }
}

/// Elements from the first to the last that an operand with these strides reaches.
fn extent(g: &BroadcastGeometry, strides: &[usize; MAX_RANK]) -> usize {
    if g.shape.elements() == 0 {
        return 0;
    }
    1 + g.shape.iter().zip(strides).map(|(n, s)| (n - 1) * s).sum::<usize>()
}

pub(super) fn run<B: Backend>(o: &Operands<B>, f: BinaryFn, g: &BroadcastGeometry) -> Result<()> {
    let (n, rank, full) = (g.shape.elements(), g.shape.rank(), g.shape.strides());
    let whole = |s: &[usize; MAX_RANK]| (0..rank).all(|i| g.shape[i] == 1 || s[i] == full[i]);
    let (function, value) = number(f);
    let mut shape = [1; MAX_RANK];
    shape.iter_mut().zip(g.shape.iter()).for_each(|(to, &n)| *to = n as i64);
    let geometry = Binary {
        n: n as i64,
        function,
        rank: rank as i32,
        same: i32::from(whole(&g.a) && whole(&g.b)),
        pad: 0,
        value,
        shape,
        a: g.a.map(|s| s as i64),
        b: g.b.map(|s| s as i64),
    };
    let pointers = [o.real(0, extent(g, &g.a))?, o.real(1, extent(g, &g.b))?, o.out(n)?];
    o.each(("binary", "binary"), n, &pointers, &geometry)
}
