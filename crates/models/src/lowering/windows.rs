//! Convolutions and pools share their strides, pads and dilations, and the defaults and automatic pads of these.

use super::attributes::unsupported;
use super::sizes;
use crate::raw::RawNode;
use voxplain_tensor::{Error, Result, Shape};

/// Per spatial axis.
pub(super) struct Windows {
    pub strides: Vec<usize>,
    pub pads_begin: Vec<usize>,
    pub pads_end: Vec<usize>,
    pub dilations: Vec<usize>,
}

impl Windows {
    /// From a node's attributes, for data of shape `x` and windows of `kernel`.
    pub fn of(node: &RawNode, x: Shape, kernel: &[usize]) -> Result<Self> {
        let n = kernel.len();
        if x.rank() != n + 2 {
            return Err(Error::invalid(format!("windows {kernel:?} do not fit data of shape {x}")));
        }
        let list = |key: &str, default: usize, length: usize| -> Result<Vec<usize>> {
            let list = node.ints(key)?.map_or_else(|| Ok(vec![default; length]), |l| sizes(&l, key))?;
            if list.len() == length {
                return Ok(list);
            }
            Err(Error::invalid(format!("{key} needs {length} entries")))
        };
        let (strides, dilations, pads) =
            (list("strides", 1, n)?, list("dilations", 1, n)?, list("pads", 0, 2 * n)?);
        if strides.contains(&0) || dilations.contains(&0) || kernel.contains(&0) {
            return Err(Error::invalid("strides, dilations and window sizes must be at least 1"));
        }
        let (mut pads_begin, mut pads_end) = (pads[..n].to_vec(), pads[n..].to_vec());
        match node.text("auto_pad", "NOTSET")?.as_str() {
            "NOTSET" | "" => {}
            "VALID" => (pads_begin, pads_end) = (vec![0; n], vec![0; n]),
            same @ ("SAME_UPPER" | "SAME_LOWER") => {
                for i in 0..n {
                    let reach = (kernel[i] - 1).saturating_mul(dilations[i]).saturating_add(1);
                    let out = x[i + 2].div_ceil(strides[i]);
                    let total =
                        ((out - 1).saturating_mul(strides[i]).saturating_add(reach)).saturating_sub(x[i + 2]);
                    let small = total / 2;
                    (pads_begin[i], pads_end[i]) =
                        if same == "SAME_UPPER" { (small, total - small) } else { (total - small, small) };
                }
            }
            other => return Err(unsupported(&format!("auto_pad {other:?} is not supported"))),
        }
        Ok(Self { strides, pads_begin, pads_end, dilations })
    }
}
