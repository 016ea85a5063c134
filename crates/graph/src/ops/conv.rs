//! Convolution and transposed convolution over 1 to 3 spatial axes.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use voxplain_tensor::{Error, Result, Shape};

/// The attributes of a convolution; the kernel size is that of the weight tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvAttributes {
    /// Step of the window, per spatial axis.
    pub strides: Vec<usize>,
    /// Zeros before the first entry, per spatial axis.
    pub pads_begin: Vec<usize>,
    /// Zeros after the last entry, per spatial axis.
    pub pads_end: Vec<usize>,
    /// Distance between kernel taps, per spatial axis.
    pub dilations: Vec<usize>,
    /// Channel groups; divides both channel counts.
    pub groups: usize,
}

impl ConvAttributes {
    /// Stride 1, no padding, no dilation, one group, over `spatial` axes.
    pub fn plain(spatial: usize) -> Self {
        Self {
            strides: vec![1; spatial],
            pads_begin: vec![0; spatial],
            pads_end: vec![0; spatial],
            dilations: vec![1; spatial],
            groups: 1,
        }
    }

    /// As [`ConvAttributes::plain`] with padding `pad` on all sides.
    pub fn padded(spatial: usize, pad: usize) -> Self {
        Self { pads_begin: vec![pad; spatial], pads_end: vec![pad; spatial], ..Self::plain(spatial) }
    }
}

/// The attributes of a transposed convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvTransposeAttributes {
    /// The convolution whose adjoint this is; its pads crop the output.
    pub conv: ConvAttributes,
    /// Entries added at the end of the output, per spatial axis.
    pub output_padding: Vec<usize>,
}

/// Checks that the attribute vectors have one entry per spatial axis and nothing is 0 that must not be.
fn check(a: &ConvAttributes, x: Shape, w: Shape) -> Result<usize> {
    let spatial = x.rank().saturating_sub(2);
    if !(1..=3).contains(&spatial) || w.rank() != x.rank() {
        return Err(Error::invalid(format!(
            "data of shape {x} and weights of shape {w}; [N, C] plus 1 to 3 spatial axes expected in both"
        )));
    }
    let lengths = [a.strides.len(), a.pads_begin.len(), a.pads_end.len(), a.dilations.len()];
    if lengths.iter().any(|&n| n != spatial) {
        return Err(Error::invalid(format!("strides, pads and dilations need {spatial} entries each")));
    }
    if a.strides.contains(&0) || a.dilations.contains(&0) || a.groups == 0 || w.contains(&0) {
        return Err(Error::invalid("strides, dilations, groups and kernel sizes must be at least 1"));
    }
    Ok(spatial)
}

fn check_bias(inputs: &[Shape], channels: usize) -> Result<()> {
    match inputs.get(2) {
        Some(bias) if bias[..] != [channels] => {
            Err(Error::invalid(format!("bias of shape {bias}; [{channels}] expected")))
        }
        _ => Ok(()),
    }
}

/// Size of the padded input minus the dilated kernel: the last window position, before the stride.
fn span(size: usize, pads: usize, kernel: usize, dilation: usize) -> Option<usize> {
    let reach = (kernel - 1).checked_mul(dilation)?.checked_add(1)?;
    size.checked_add(pads)?.checked_sub(reach)
}

pub(super) fn infer_conv(a: &ConvAttributes, inputs: &[Shape]) -> Result<Shape> {
    let (x, w) = (inputs[0], inputs[1]);
    let spatial = check(a, x, w)?;
    if w[1].checked_mul(a.groups) != Some(x[1]) || w[0] % a.groups != 0 {
        return Err(Error::invalid(format!(
            "weights of shape {w} with {} groups take {} channels; the data has {}",
            a.groups,
            w[1].saturating_mul(a.groups),
            x[1]
        )));
    }
    check_bias(inputs, w[0])?;
    let mut sizes = vec![x[0], w[0]];
    for i in 0..spatial {
        let pads = a.pads_begin[i].saturating_add(a.pads_end[i]);
        let last = span(x[i + 2], pads, w[i + 2], a.dilations[i]).ok_or_else(|| {
            Error::invalid(format!("the kernel {w} is larger than the padded data {x} on spatial axis {i}"))
        })?;
        sizes.push(last / a.strides[i] + 1);
    }
    Shape::new(&sizes)
}

pub(super) fn infer_transpose(t: &ConvTransposeAttributes, inputs: &[Shape]) -> Result<Shape> {
    let (a, x, w) = (&t.conv, inputs[0], inputs[1]);
    let spatial = check(a, x, w)?;
    if w[0] != x[1] || x[1] % a.groups != 0 || t.output_padding.len() != spatial {
        return Err(Error::invalid(format!(
            "transposed weights of shape {w} with {} groups do not fit data of shape {x}",
            a.groups
        )));
    }
    let channels = w[1].saturating_mul(a.groups);
    check_bias(inputs, channels)?;
    let mut sizes = vec![x[0], channels];
    for i in 0..spatial {
        let reach = (w[i + 2] - 1).saturating_mul(a.dilations[i]).saturating_add(1);
        let full = (x[i + 2] - 1).saturating_mul(a.strides[i]).saturating_add(reach);
        let size = full
            .saturating_add(t.output_padding[i])
            .checked_sub(a.pads_begin[i].saturating_add(a.pads_end[i]))
            .filter(|&n| n > 0 && t.output_padding[i] < a.strides[i].max(a.dilations[i]))
            .ok_or_else(|| {
                Error::invalid(format!("pads or output padding leave nothing on spatial axis {i}"))
            })?;
        sizes.push(size);
    }
    Shape::new(&sizes)
}
