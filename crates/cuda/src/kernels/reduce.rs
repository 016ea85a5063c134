//! Sums along an axis and their adjoint.

use super::{Spans, elements};
use crate::backend::{Backend, Geometry};
use crate::operands::{Operands, THREADS};
use voxplain_autodiff::Span;
use voxplain_tensor::Result;

#[derive(Clone, Copy)]
#[repr(C)]
struct Scaled {
    s: Spans,
    scale: f64,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Scaled {}

pub(super) fn sum<B: Backend>(o: &Operands<B>, s: Span, scale: f64) -> Result<()> {
    let sums = s.outer * s.inner;
    let pointers = [o.real(0, elements(s))?, o.out(sums)?];
    let geometry = Scaled { s: s.into(), scale };
    // A row in one piece: its threads read neighbours. The choice depends on the shape alone, as the bits do.
    if s.inner == 1 && s.n >= THREADS {
        return o.blocks(("reduce", "reduce_rows"), sums, &pointers, &geometry);
    }
    o.each(("reduce", "reduce_columns"), sums, &pointers, &geometry)
}

pub(super) fn repeat<B: Backend>(o: &Operands<B>, s: Span, scale: f64) -> Result<()> {
    let n = elements(s);
    let pointers = [o.real(0, s.outer * s.inner)?, o.out(n)?];
    o.each(("reduce", "repeat"), n, &pointers, &Scaled { s: s.into(), scale })
}
