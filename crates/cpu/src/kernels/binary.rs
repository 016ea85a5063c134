//! Arithmetic of two operands with broadcasting.

use super::CHUNK;
use crate::isa::{Isa, vectorized};
use crate::parallel::Pool;
use voxplain_autodiff::{BinaryFn, BroadcastGeometry};

#[inline(always)]
fn apply(f: BinaryFn, a: f32, b: f32) -> f32 {
    match f {
        BinaryFn::Add => a + b,
        BinaryFn::Sub => a - b,
        BinaryFn::Mul => a * b,
        BinaryFn::Div => a / b,
        BinaryFn::DivOrZero => {
            if a == 0.0 {
                0.0
            } else {
                a / b
            }
        }
        BinaryFn::DivOrOne => {
            if b == 0.0 {
                1.0
            } else {
                a / b
            }
        }
        BinaryFn::DivStabilised(epsilon) => {
            let epsilon = epsilon as f32;
            a / if b >= 0.0 { b + epsilon } else { b - epsilon }
        }
        BinaryFn::Maximum => {
            if b > a {
                b
            } else {
                a
            }
        }
        BinaryFn::Lerp(t) => a + t as f32 * (b - a),
        BinaryFn::Gate => {
            if b > 0.0 {
                a
            } else {
                0.0
            }
        }
    }
}

vectorized! {
    fn contiguous(f: BinaryFn, a: &[f32], b: &[f32], y: &mut [f32]) {
        // One loop per function, so that each vectorises.
        macro_rules! each {
            ($f:expr) => { for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) { *y = apply($f, a, b); } };
        }
        match f {
            BinaryFn::Add => each!(BinaryFn::Add),
            BinaryFn::Sub => each!(BinaryFn::Sub),
            BinaryFn::Mul => each!(BinaryFn::Mul),
            _ => each!(f),
        }
    }
}

/// `f(a, b)`.
pub fn run(pool: &Pool, isa: Isa, f: BinaryFn, g: &BroadcastGeometry, a: &[f32], b: &[f32], y: &mut [f32]) {
    let rank = g.shape.rank();
    let full = g.shape.strides();
    let same = |strides: &[usize]| (0..rank).all(|i| g.shape[i] == 1 || strides[i] == full[i]);
    if same(&g.a) && same(&g.b) {
        pool.chunks(y, CHUNK, |i, y| {
            let at = i * CHUNK..i * CHUNK + y.len();
            contiguous(isa, f, &a[at.clone()], &b[at], y);
        });
        return;
    }
    // Rows along the last axis: the strides of everything before are resolved once per row.
    let (last, sa, sb) = match rank {
        0 => (1, 0, 0),
        _ => (g.shape[rank - 1], g.a[rank - 1], g.b[rank - 1]),
    };
    pool.chunks(y, last.max(1), |row, y| {
        let (mut rest, mut at_a, mut at_b) = (row, 0, 0);
        for axis in (0..rank.saturating_sub(1)).rev() {
            let i = rest % g.shape[axis];
            rest /= g.shape[axis];
            at_a += i * g.a[axis];
            at_b += i * g.b[axis];
        }
        for (i, y) in y.iter_mut().enumerate() {
            *y = apply(f, a[at_a + i * sa], b[at_b + i * sb]);
        }
    });
}
