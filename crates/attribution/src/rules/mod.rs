//! Propagation rules beyond the gradient, one file each.

mod deconvolution;
mod deeplift;
mod guided_backprop;
mod host;
pub mod lrp;
mod pattern;
mod rect_grad;
mod reveal_cancel;

pub use deconvolution::Deconvolution;
pub use deeplift::DeepLiftRescale;
pub use guided_backprop::GuidedBackProp;
pub use host::{HostNode, HostRule, HostSignals, HostValue, Single};
pub(crate) use pattern::has_weights;
pub use pattern::{Pattern, Patterns};
pub use rect_grad::{RectGrad, Threshold};
pub use reveal_cancel::RevealCancel;
