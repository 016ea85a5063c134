//! The derivative of activations; a rectifier keeps one bit per element instead of its input.

use super::Run;
use crate::emitter::Emitter;
use crate::kernel::Kernel;
use crate::plan::Slot;
use voxplain_graph::ops::Pointwise;

pub(super) fn vjp(f: Pointwise, e: &mut Emitter, run: &Run, g: Slot) -> Slot {
    let shape = e.shape(g);
    match f {
        Pointwise::Affine { scale, .. } => e.scale(g, scale),
        Pointwise::Relu => {
            let bits = e.positive_bits(run.inputs[0]);
            e.emit(Kernel::Mask, &[g, bits], shape)
        }
        _ => e.emit(Kernel::MapGradient(f), &[g, run.inputs[0]], shape),
    }
}
