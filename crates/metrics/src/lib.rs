//! Measures of attribution maps, and of the networks that they explain.
//!
//! Each is a function of plain values, in one file, with what it says where it has nothing to say: a constant map has no
//! ranks and no direction, and the answer is then `None`, not a number that looks like one.
#![forbid(unsafe_code)]

mod accuracy;
mod area_under_curve;
mod complexity;
mod cosine;
mod faithfulness_correlation;
mod faithfulness_estimate;
mod infidelity;
mod pearson;
mod randomise;
mod ranks;
mod removal;
mod sensitivity;
mod sparseness;
mod spearman;
mod ssim;

pub use accuracy::accuracy;
pub use area_under_curve::area_under_curve;
pub use complexity::complexity;
pub use cosine::cosine;
pub use faithfulness_correlation::faithfulness_correlation;
pub use faithfulness_estimate::faithfulness_estimate;
pub use infidelity::{Change, Infidelity, Reading, infidelity};
pub use pearson::pearson;
pub use randomise::{Order, layers, randomised};
pub use removal::{Evaluate, Removal};
pub use sensitivity::{Explain, Stability, noise_radius, stability};
pub use sparseness::sparseness;
pub use spearman::spearman;
pub use ssim::ssim;
