//! Reductions over axes.

use alloc::format;
use alloc::vec::Vec;
use voxplain_tensor::{Error, Result, Shape};

/// How the entries along reduced axes combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// Their maximum; the first of equal entries in row-major order wins.
    Max,
}

impl Reduction {
    /// The ONNX operator type.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Sum => "ReduceSum",
            Self::Mean => "ReduceMean",
            Self::Max => "ReduceMax",
        }
    }
}

pub(super) fn infer(axes: &[usize], keep_axes: bool, x: Shape) -> Result<Shape> {
    let ascending = axes.windows(2).all(|w| w[0] < w[1]);
    if axes.is_empty() || !ascending || axes.iter().any(|&a| a >= x.rank()) {
        return Err(Error::invalid(format!(
            "axes {axes:?} of data of shape {x}; ascending valid axes expected"
        )));
    }
    let sizes: Vec<usize> = (0..x.rank())
        .filter_map(|i| match (axes.contains(&i), keep_axes) {
            (false, _) => Some(x[i]),
            (true, true) => Some(1),
            (true, false) => None,
        })
        .collect();
    if sizes.is_empty() || (axes.contains(&0) && !keep_axes && x[0] == 1) {
        return Err(Error::unsupported(format!(
            "axes {axes:?} of data of shape {x}: removing the batch axis is not supported; keep it with size 1"
        )));
    }
    Shape::new(&sizes)
}
