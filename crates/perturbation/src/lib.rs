//! What the output becomes when parts of the input are taken away.
//!
//! Two layers: a [`Game`] says what the explained value is when only a [`Coalition`] of features is present, evaluating
//! each coalition once; estimators ([`methods`]) ask it and turn the answers into one score per feature. Methods that
//! score single windows or features ask the network directly. A score is painted on every entry of its feature,
//! divided by the feature's size where [`Spread::Divide`] asks for it.
#![forbid(unsafe_code)]

mod coalition;
mod features;
mod fills;
mod game;
pub mod methods;
mod paint;
pub mod regression;

pub use coalition::Coalition;
pub use features::{Features, NO_FEATURE, Sharing, Spread};
pub use fills::{Fill, Inside};
pub use game::Game;
