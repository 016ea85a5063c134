//! How networks come in and go out, without Python and without pickle.
//!
//! Every door (our own safetensors file, ONNX, PyTorch's `.pt2`, a named architecture with a plain state dict) ends in one list of
//! ONNX-like nodes, [`RawGraph`]; operators that an exporter took apart are put together again there (`fusion`),
//! because propagation rules belong to operators; and one `lowering` turns it into a verified graph.
#![forbid(unsafe_code)]

mod adaptive;
mod architectures;
mod card;
mod container;
mod duplicates;
mod export;
mod fusion;
mod json;
mod lowering;
mod model;
mod onnx;
mod pruning;
mod pt2;
mod raw;

pub use architectures::{ArchitectureOptions, architectures};
pub use card::{Card, CardInput, SlidingWindow, companion_card};
pub use container::{read_tensors, write_tensors};
pub use json::parse_graph;
pub use model::Model;
pub use raw::{Attribute, Constant, RawGraph, RawNode};
