//! One bit per element, in rows that begin on bytes.

use crate::backend::{Backend, Geometry};
use crate::operands::Operands;
use voxplain_autodiff::DType;
use voxplain_tensor::{Error, Result};

#[derive(Clone, Copy)]
#[repr(C)]
struct Rows {
    n: i64,
    row: i64,
}
// SAFETY: numbers of eight bytes.
unsafe impl Geometry for Rows {}

/// The bits of `n` numbers at address `x`, in rows of `row`.
pub(super) fn of<B: Backend>(o: &Operands<B>, x: u64, bits: u64, n: usize, row: usize) -> Result<()> {
    let bytes = n / row.max(1) * row.div_ceil(8);
    o.each(("bits", "positive_bits"), bytes, &[x, bits], &Rows { n: n as i64, row: row as i64 })
}

pub(super) fn positive<B: Backend>(o: &Operands<B>) -> Result<()> {
    let n = o.length();
    let bits = o.wanted(0, DType::Bits, n)?;
    if bits == 0 {
        return Err(Error::internal("a step without a result"));
    }
    of(o, o.real(0, n)?, bits, n, o.written_row(0))
}

pub(super) fn mask<B: Backend>(o: &Operands<B>) -> Result<()> {
    let (n, row) = (o.length(), o.read_row(1)?);
    let pointers = [o.real(0, n)?, o.coded(1, DType::Bits, n)?, o.out(n)?];
    o.each(("bits", "mask"), n, &pointers, &Rows { n: n as i64, row: row as i64 })
}
