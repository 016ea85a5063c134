//! What the output becomes when parts of the input are taken away.
//!
//! Two layers: a [`Game`] says what the explained value is when only a [`Coalition`] of features is present, evaluating
//! each coalition once; estimators ([`methods`]) ask it and turn the answers into one score per feature. Methods that
//! score single windows or features ask the network directly. A score is painted on every entry of its feature,
//! divided by the feature's size where [`Spread::Divide`] asks for it.
//!
//! Every estimator is an [`Estimator`]: a [`Run`] bounds what it may cost ([`Budget`]) and remembers what has been evaluated
//! ([`Ledger`]), so that it ends at any time and goes on later, with the same bits as without a break.
#![forbid(unsafe_code)]

mod changes;
mod coalition;
mod coalition_outputs;
mod coalitions;
mod estimator;
mod exact;
mod features;
mod fills;
mod frame;
mod game;
pub mod methods;
mod moments;
mod paint;
pub mod regression;
mod rise_masks;
mod run;
mod sobol_sequence;

pub use coalition::Coalition;
pub use coalition_outputs::coalition_outputs;
pub use estimator::Estimator;
pub use exact::{banzhaf, shapley};
pub use features::{Features, NO_FEATURE, Sharing, Spread};
pub use fills::{Fill, Inside};
pub use frame::Frame;
pub use game::Game;
pub use run::{Budget, Ledger, Precision, Run};
