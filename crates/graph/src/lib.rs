//! The network as a static graph, because attribution is thousands of passes over one fixed network: what can be checked
//! once, at build time, is never checked again.
//!
//! Operators have ONNX semantics. The batch is symbolic: every shape in the graph is the shape **of one example**, with
//! its leading axis kept (`[1, C, D, H, W]`, or `[slices, C, H, W]` behind a reshape that joins slices to the batch).
//! Running `N` examples multiplies the leading size by `N`; an operator that works along the leading axis works inside
//! each example. The graph knows no kernels, devices or files.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod build;
mod graph;
pub mod ops;
pub mod rewrite;

pub use build::GraphBuilder;
pub use graph::{Graph, Node, NodeId, Origin, Parameter, ValueId, ValueInfo};
pub use ops::{Class, Op};
