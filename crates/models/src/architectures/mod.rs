//! A plain state dict has weights but no graph; the graph has to come from here. Named architectures for PyTorch
//! state dicts, one file each.

mod genenet;

use crate::raw::{Constant, RawGraph};
use std::collections::BTreeMap;
use voxplain_tensor::{Error, Result};

/// The network of the named architecture with these weights.
pub(crate) fn build(
    name: &str,
    tensors: BTreeMap<String, Constant>,
    spatial: Option<[usize; 3]>,
) -> Result<RawGraph> {
    match name {
        "genenet" => genenet::build(tensors, spatial),
        _ => Err(Error::unsupported(format!("no architecture {name:?}; genenet is known"))),
    }
}
