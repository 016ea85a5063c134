//! Max and average pooling.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use voxplain_tensor::{Error, Result, Shape};

/// The attributes of a pooling operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolAttributes {
    /// Window size, per spatial axis.
    pub kernel: Vec<usize>,
    /// Step of the window.
    pub strides: Vec<usize>,
    /// Entries outside the data before the first one.
    pub pads_begin: Vec<usize>,
    /// Entries outside the data after the last one.
    pub pads_end: Vec<usize>,
    /// Distance between window taps.
    pub dilations: Vec<usize>,
    /// Whether a last window that reaches over the end counts.
    pub ceil_mode: bool,
    /// Whether averages divide by the window volume including padding (not including what `ceil_mode` adds).
    pub count_include_pad: bool,
}

impl PoolAttributes {
    /// Windows of `kernel` side by side, without padding.
    pub fn tiles(kernel: &[usize]) -> Self {
        let n = kernel.len();
        Self {
            kernel: kernel.to_vec(),
            strides: kernel.to_vec(),
            pads_begin: vec![0; n],
            pads_end: vec![0; n],
            dilations: vec![1; n],
            ceil_mode: false,
            count_include_pad: false,
        }
    }
}

/// As PyTorch and ONNX (since opset 19) have it: with `ceil_mode` a last window must start inside data or left padding.
pub(super) fn infer(a: &PoolAttributes, x: Shape) -> Result<Shape> {
    let spatial = a.kernel.len();
    let lengths = [a.strides.len(), a.pads_begin.len(), a.pads_end.len(), a.dilations.len()];
    if !(1..=3).contains(&spatial) || x.rank() != spatial + 2 || lengths.iter().any(|&n| n != spatial) {
        return Err(Error::invalid(format!("a pool over {spatial} axes does not fit data of shape {x}")));
    }
    if a.kernel.contains(&0) || a.strides.contains(&0) || a.dilations.contains(&0) {
        return Err(Error::invalid("kernel, strides and dilations must be at least 1"));
    }
    let mut sizes = vec![x[0], x[1]];
    for i in 0..spatial {
        let reach = (a.kernel[i] - 1).saturating_mul(a.dilations[i]).saturating_add(1);
        if a.pads_begin[i] >= reach || a.pads_end[i] >= reach {
            return Err(Error::invalid(format!(
                "padding must be smaller than the window on spatial axis {i}"
            )));
        }
        let padded = x[i + 2].saturating_add(a.pads_begin[i]).saturating_add(a.pads_end[i]);
        let last = padded.checked_sub(reach).ok_or_else(|| {
            Error::invalid(format!(
                "window {:?} is larger than the padded data {x} on spatial axis {i}",
                a.kernel
            ))
        })?;
        let mut size = if a.ceil_mode { last.div_ceil(a.strides[i]) + 1 } else { last / a.strides[i] + 1 };
        if a.ceil_mode && (size - 1).saturating_mul(a.strides[i]) >= x[i + 2] + a.pads_begin[i] {
            size -= 1;
        }
        sizes.push(size);
    }
    Shape::new(&sizes)
}
