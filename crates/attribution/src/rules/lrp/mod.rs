//! Layer-wise relevance propagation: rules for weighted layers, one file each, and what all other layers do.
//!
//! `x` are a layer's inputs, `w` its weights, `c` its bias, `z = sum w x + c`; `+` and `-` are the positive and the
//! negative part; `st(z)` is `z` moved away from 0 by a stabiliser of the same sign, sign(0) being +. Sums that are
//! divided by are those over the inputs that reach an output, so padding contributes nothing. Names say which variant
//! is meant where libraries disagree.

mod alpha_beta;
mod boxed;
mod epsilon;
mod flat;
mod gamma;
mod pass;
mod weighted;
mod z_plus;

pub use alpha_beta::AlphaBeta;
pub use boxed::ZBox;
pub use epsilon::Epsilon;
pub use flat::Flat;
pub use gamma::GeneralizedGamma;
pub use pass::Unweighted;
pub use z_plus::ZPlus;
