//! One bit per element.

use super::Count;
use crate::backend::Backend;
use crate::operands::Operands;
use voxplain_autodiff::DType;
use voxplain_tensor::{Error, Result};

pub(super) fn positive<B: Backend>(o: &Operands<B>) -> Result<()> {
    let n = o.length();
    let bits = o.wanted(0, DType::Bits, n)?;
    if bits == 0 {
        return Err(Error::internal("a step without a result"));
    }
    let pointers = [o.real(0, n)?, bits];
    o.each(("bits", "positive_bits"), n.div_ceil(8), &pointers, &Count { n: n as i64 })
}

pub(super) fn mask<B: Backend>(o: &Operands<B>) -> Result<()> {
    let n = o.length();
    let pointers = [o.real(0, n)?, o.coded(1, DType::Bits, n)?, o.out(n)?];
    o.each(("bits", "mask"), n, &pointers, &Count { n: n as i64 })
}
