//! Measures of attribution maps, and of the networks that they explain.
//!
//! Each is a function of plain values, in one file, with what it says where it has nothing to say: a constant map has no
//! ranks and no direction, and the answer is then `None`, not a number that looks like one.
#![forbid(unsafe_code)]

mod accuracy;
mod area_under_curve;
mod cosine;
mod randomise;
mod ranks;
mod sensitivity;
mod spearman;
mod ssim;

pub use accuracy::accuracy;
pub use area_under_curve::area_under_curve;
pub use cosine::cosine;
pub use randomise::{Order, layers, randomised};
pub use sensitivity::{Explain, Stability, noise_radius, stability};
pub use spearman::spearman;
pub use ssim::ssim;
