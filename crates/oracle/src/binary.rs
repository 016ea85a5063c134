//! Arithmetic of two broadcast operands, one position at a time.

use crate::movement::unravel;
use voxplain_autodiff::{BinaryFn, BroadcastGeometry};

pub(crate) fn apply(f: BinaryFn, g: &BroadcastGeometry, a: &[f64], b: &[f64]) -> Vec<f64> {
    let offset = |at: &[usize], strides: &[usize]| at.iter().zip(strides).map(|(k, s)| k * s).sum::<usize>();
    let value = |i: usize| {
        let at = unravel(&g.shape, i);
        let (a, b) = (a[offset(&at, &g.a)], b[offset(&at, &g.b)]);
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
            BinaryFn::DivStabilised(e) => a / (b + if b >= 0.0 { e } else { -e }),
            BinaryFn::Maximum => {
                if b > a {
                    b
                } else {
                    a
                }
            }
            BinaryFn::Lerp(t) => a + t * (b - a),
            BinaryFn::Gate => {
                if b > 0.0 {
                    a
                } else {
                    0.0
                }
            }
        }
    };
    (0..g.shape.elements()).map(value).collect()
}
