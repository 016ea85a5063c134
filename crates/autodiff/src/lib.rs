//! Reverse mode as a transformation of the graph, driven by a table of backward rules, because an attribution method is
//! another interpreter of the same network: the gradient is the default table, Guided BackProp, DeepLift and a user's own
//! rule are others.
//!
//! A [`Planner`] turns a graph into a [`Plan`]: steps over a closed [`Kernel`] set with every value's place in one arena.
//! A [`Session`] runs a plan on a [`Device`], many times. Nothing here knows which device runs or which rule is which.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod composite;
mod device;
mod emitter;
mod fuse;
mod geometry;
mod host;
mod kernel;
mod ledger;
mod memory;
mod mix;
mod noisy;
mod operators;
mod plan;
mod planner;
mod random;
mod region;
mod rule;
mod session;
mod signal;
mod site;

pub use composite::{Composite, Matcher, Resolved};
pub use device::{Batching, Device};
pub use emitter::Emitter;
pub use fuse::Joining;
pub use host::{HostCall, HostFunction};
pub use kernel::{
    AdjointFinish, BinaryFn, BroadcastGeometry, ChannelGeometry, ConvFinish, ConvGeometry, DType,
    GridGeometry, GridSumsGeometry, Kernel, MatMulGeometry, MatrixStrides, MixGeometry, MixShares,
    NoiseGeometry, NoiseKind, PadFill, PadGeometry, PoolGeometry, PooledStart, SliceGeometry, SliceStep,
    Span, SparseMatrix, WindowGeometry,
};
pub use ledger::{Cause, NodeBooks};
pub use mix::{from_words, ground_plan, path_plan, split, sums_plan, words};
pub use noisy::{Noise, Tally, noisy_plan};
pub use plan::{Plan, Reverse, Slot, SlotInfo, Step, Storage};
pub use planner::Planner;
pub use random::{NORMALS, Philox};
pub use region::{Class, CommonSizes, Dirty, Places, Regions};
pub use rule::{Gradient, Rule};
pub use session::Session;
pub use signal::{Cotangent, PosNeg, Relevance, Signal};
pub use site::Site;
