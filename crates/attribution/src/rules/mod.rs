//! Propagation rules beyond the gradient, one file each.

mod deconvolution;
mod deeplift;
mod guided_backprop;
pub mod lrp;

pub use deconvolution::Deconvolution;
pub use deeplift::DeepLiftRescale;
pub use guided_backprop::GuidedBackProp;
