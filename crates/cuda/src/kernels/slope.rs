//! Divided differences of functions of one element.

use super::pointwise::Function;
use crate::backend::Backend;
use crate::operands::Operands;
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::Result;

pub(super) fn run<B: Backend>(o: &Operands<B>, f: Pointwise) -> Result<()> {
    let n = o.length();
    let pointers = [o.real(0, n)?, o.real(1, n)?, o.real(2, n)?, o.out(n)?];
    o.each(("slope", "map_slope"), n, &pointers, &Function::new(f, n))
}
