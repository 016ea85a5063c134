//! Layer-wise relevance propagation: rules for weighted layers, one file each, and what all other layers do.
//!
//! `x` are a layer's inputs, `w` its weights, `c` its bias, `z = sum w x + c`; `+` and `-` are the positive and the
//! negative part; `st(z)` is `z` moved away from 0 by a stabiliser of the same sign, sign(0) being +. Sums that are
//! divided by are those over the inputs that reach an output, so padding contributes nothing. Names say which variant
//! is meant where libraries disagree.
//!
//! To add a rule: one file with the rule and its [`Entry`], and its line in [`RULES`].

mod alpha_beta;
mod boxed;
mod epsilon;
mod excitation_backprop;
mod flat;
mod gamma;
mod gate;
mod generalized_gamma;
mod identity;
mod named;
mod normalise;
mod number;
mod pass;
mod positive_weights;
mod product;
mod sum;
mod w_square;
mod weighted;
mod z_plus;
mod zero;

pub use alpha_beta::AlphaBeta;
pub use boxed::ZBox;
pub use epsilon::Epsilon;
pub use excitation_backprop::ExcitationBackProp;
pub use flat::Flat;
pub use gamma::Gamma;
pub use gate::GateConstant;
pub use generalized_gamma::GeneralizedGamma;
pub use identity::Identity;
pub use named::{AnyRule, Entry, STABILIZER, named};
pub use normalise::Normalise;
pub use number::{Given, Number};
pub use pass::Unweighted;
pub use positive_weights::PositiveWeights;
pub use product::ProductHalves;
pub use sum::SumByMagnitude;
pub use w_square::WSquare;
pub use z_plus::ZPlus;
pub use zero::Zero;

pub(super) use weighted::{Weighted, parts};

/// The rules that composites can name.
pub const RULES: &[Entry] = &[
    zero::ENTRY,
    epsilon::ENTRY,
    gamma::ENTRY,
    gamma::PLAIN_BIAS,
    generalized_gamma::ENTRY,
    alpha_beta::ENTRY,
    z_plus::ENTRY,
    z_plus::WITHOUT_BIAS,
    positive_weights::ENTRY,
    excitation_backprop::ENTRY,
    flat::ENTRY,
    w_square::ENTRY,
    w_square::WITH_BIAS,
    boxed::ENTRY,
    identity::ENTRY,
    product::ENTRY,
    gate::ENTRY,
    normalise::ENTRY,
    sum::ENTRY,
    pass::ENTRY,
    pass::PASS_NORMALIZATION,
];
