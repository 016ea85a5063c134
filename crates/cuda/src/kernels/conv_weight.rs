//! The adjoint of a convolution in its weights.

use super::conv::{Conv, sizes};
use crate::backend::Backend;
use crate::operands::Operands;
use voxplain_autodiff::ConvGeometry;
use voxplain_tensor::Result;

pub(super) fn adjoint<B: Backend>(o: &Operands<B>, g: &ConvGeometry) -> Result<()> {
    let (x, w, y) = sizes(g);
    let pointers = [o.real(0, x)?, o.real(1, y)?, o.out(w)?];
    o.blocks(("conv_weight", "conv_weight_adjoint"), w, &pointers, &Conv::new(g)?)
}
