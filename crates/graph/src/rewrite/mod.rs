//! Canonical rewrites: graph to graph, never in place, each recorded by name because it may change rule-based maps.

mod fold_batch_normalization;
mod split_first_layers;

pub use fold_batch_normalization::fold_batch_normalization;
pub use split_first_layers::{Split, split_first_layers};
