//! Softmax and its logarithm along an axis.

use super::{Spans, elements};
use crate::backend::{Backend, Geometry};
use crate::operands::Operands;
use voxplain_autodiff::Span;
use voxplain_tensor::Result;

#[derive(Clone, Copy)]
#[repr(C)]
struct Softmax {
    s: Spans,
    logarithm: i64,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Softmax {}

fn geometry(s: Span, logarithm: bool) -> Softmax {
    Softmax { s: s.into(), logarithm: i64::from(logarithm) }
}

pub(super) fn forward<B: Backend>(o: &Operands<B>, s: Span, logarithm: bool) -> Result<()> {
    let n = elements(s);
    let pointers = [o.real(0, n)?, o.out(n)?];
    o.each(("softmax", "softmax"), s.outer * s.inner, &pointers, &geometry(s, logarithm))
}

pub(super) fn adjoint<B: Backend>(o: &Operands<B>, s: Span, logarithm: bool) -> Result<()> {
    let n = elements(s);
    let pointers = [o.real(0, n)?, o.real(1, n)?, o.out(n)?];
    o.each(("softmax", "softmax_adjoint"), s.outer * s.inner, &pointers, &geometry(s, logarithm))
}
