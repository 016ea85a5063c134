//! Convolutions and pools of a [`Blueprint`]: sizes are followed here, so that a wrong input size or kernel is named by
//! its module and not by a shape deep inside the network.

use super::blueprint::{Blueprint, Flow, ints};
use crate::raw::Attribute;
use voxplain_tensor::{Error, Result};

/// No axis of a result is longer, so that sizes can be multiplied.
const LONGEST: usize = 1 << 24;

/// Whether a layer has a bias.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bias {
    Yes,
    No,
    AsFound,
}

/// How a convolution moves; its kernel and channels come from its weight.
#[derive(Clone, Debug)]
pub(super) struct Conv {
    kernel: Option<usize>,
    strides: Vec<usize>,
    pads: Option<Vec<[usize; 2]>>,
    groups: Option<usize>,
    bias: Bias,
    output_padding: Vec<usize>,
}

impl Conv {
    /// Any odd kernel, padded so that stride 1 keeps the size; a bias if the file has one.
    pub fn same() -> Self {
        Self {
            kernel: None,
            strides: Vec::new(),
            pads: None,
            groups: Some(1),
            bias: Bias::AsFound,
            output_padding: Vec::new(),
        }
    }

    /// A kernel of this size on every axis, padded by half, without bias.
    pub fn plain(kernel: usize) -> Self {
        Self { kernel: Some(kernel), bias: Bias::No, ..Self::same() }
    }

    /// As [`Conv::plain`], with bias.
    pub fn biased(kernel: usize) -> Self {
        Self { bias: Bias::Yes, ..Self::plain(kernel) }
    }

    /// As [`Conv::plain`], with a bias if the file has one.
    pub fn kernel(kernel: usize) -> Self {
        Self { bias: Bias::AsFound, ..Self::plain(kernel) }
    }

    /// One stride for all axes.
    pub fn stride(self, stride: usize) -> Self {
        Self { strides: vec![stride; 3], ..self }
    }

    /// One stride per axis.
    pub fn strides(self, strides: &[usize]) -> Self {
        Self { strides: strides.to_vec(), ..self }
    }

    /// Padding before and after, per axis.
    pub fn pads(self, pads: Vec<[usize; 2]>) -> Self {
        Self { pads: Some(pads), ..self }
    }

    /// The same padding everywhere.
    pub fn pad(self, pad: usize) -> Self {
        self.pads(vec![[pad; 2]; 3])
    }

    /// One group per channel.
    pub fn depthwise(self, channels: usize) -> Self {
        Self { groups: Some(channels), ..self }
    }

    /// As many groups as the weight's shape tells.
    pub fn any_groups(self) -> Self {
        Self { groups: None, ..self }
    }

    /// Entries added at the end by a transposed convolution, per axis.
    pub fn output_padding(self, padding: Vec<usize>) -> Self {
        Self { output_padding: padding, ..self }
    }

    /// The kernel sizes that the weight must have.
    fn sizes(&self, name: &str, found: &[usize], axes: usize) -> Result<Vec<usize>> {
        let sizes = match self.kernel {
            Some(k) => vec![k; axes],
            None => found.iter().copied().skip(2).take(axes).collect(),
        };
        if sizes.len() != axes {
            return Err(Error::invalid(format!(
                "tensor {name:?} has shape {found:?}; {axes} kernel sizes are expected"
            )));
        }
        if self.pads.is_none() && sizes.iter().any(|k| k % 2 == 0) {
            return Err(Error::unsupported(format!(
                "tensor {name:?} has an even kernel; odd kernels are expected"
            )));
        }
        Ok(sizes)
    }

    fn stride_of(&self, axis: usize) -> usize {
        self.strides.get(axis).copied().unwrap_or(1)
    }

    fn pads_of(&self, axis: usize, kernel: usize) -> [usize; 2] {
        self.pads.as_ref().and_then(|p| p.get(axis)).copied().unwrap_or([kernel / 2; 2])
    }

    fn attributes(&self, kernel: &[usize], groups: usize) -> Vec<(&'static str, Attribute)> {
        let pads: Vec<[usize; 2]> = kernel.iter().enumerate().map(|(i, &k)| self.pads_of(i, k)).collect();
        let both = pads.iter().map(|p| p[0]).chain(pads.iter().map(|p| p[1]));
        vec![
            ("strides", ints((0..kernel.len()).map(|i| self.stride_of(i)))),
            ("pads", ints(both)),
            ("group", Attribute::Int(groups as i64)),
        ]
    }
}

/// The size of a window's result on one axis.
fn slid(
    name: &str,
    size: usize,
    pads: [usize; 2],
    kernel: usize,
    stride: usize,
    ceil: bool,
) -> Result<usize> {
    let last = (size + pads[0] + pads[1]).checked_sub(kernel).ok_or_else(|| {
        Error::invalid(format!(
            "{name}: {size} entries are too few for a window of {kernel}; a larger input is needed"
        ))
    })?;
    let count = if ceil { last.div_ceil(stride) } else { last / stride } + 1;
    // A window that the ceiling adds must begin inside the data, as PyTorch has it.
    Ok(if ceil && (count - 1) * stride >= size + pads[0] { count - 1 } else { count })
}

impl Blueprint {
    /// The weight and perhaps the bias of a convolution, with the operand first.
    fn conv_operands(
        &mut self,
        x: &Flow,
        module: &str,
        shape: &[usize],
        out: usize,
        bias: Bias,
    ) -> Result<Vec<String>> {
        let (weight, offset) = (format!("{module}.weight"), format!("{module}.bias"));
        self.weights.take(&weight, shape)?;
        let mut inputs = vec![x.name.clone(), weight];
        if bias == Bias::Yes || (bias == Bias::AsFound && self.weights.has(&offset)) {
            self.weights.take(&offset, &[out])?;
            inputs.push(offset);
        }
        Ok(inputs)
    }

    /// A convolution.
    pub fn conv(&mut self, x: &Flow, module: &str, c: &Conv) -> Result<Flow> {
        let weight = format!("{module}.weight");
        let found = self.weights.shape(&weight)?;
        let kernel = c.sizes(&weight, &found, x.axes())?;
        let (out, each) = (found.first().copied().unwrap_or(0), found.get(1).copied().unwrap_or(1));
        let groups = c.groups.unwrap_or(x.channels() / each.max(1)).max(1);
        let expected = [&[out, x.channels() / groups][..], &kernel].concat();
        let inputs = self.conv_operands(x, module, &expected, out, c.bias)?;
        let mut shape = vec![out];
        for (i, &k) in kernel.iter().enumerate() {
            shape.push(slid(module, x.spatial()[i], c.pads_of(i, k), k, c.stride_of(i), false)?);
        }
        Ok(self.node("Conv", module, inputs, &c.attributes(&kernel, groups), shape))
    }

    /// A transposed convolution.
    pub fn conv_transpose(&mut self, x: &Flow, module: &str, c: &Conv) -> Result<Flow> {
        let weight = format!("{module}.weight");
        let found = self.weights.shape(&weight)?;
        let kernel = c.sizes(&weight, &found, x.axes())?;
        let out = found.get(1).copied().unwrap_or(1);
        let expected = [&[x.channels(), out][..], &kernel].concat();
        let inputs = self.conv_operands(x, module, &expected, out, c.bias)?;
        let extra = |i: usize| c.output_padding.get(i).copied().unwrap_or(0);
        let mut shape = vec![out];
        for (i, &k) in kernel.iter().enumerate() {
            let full = (x.spatial()[i] - 1) * c.stride_of(i) + k + extra(i);
            let pads = c.pads_of(i, k);
            let size = full.checked_sub(pads[0] + pads[1]).filter(|s| (1..=LONGEST).contains(s));
            shape.push(size.ok_or_else(|| {
                Error::invalid(format!(
                    "{module}: the result would be empty or too large; another input size is needed"
                ))
            })?);
        }
        let mut attributes = c.attributes(&kernel, 1);
        attributes.push(("output_padding", ints((0..kernel.len()).map(extra))));
        Ok(self.node("ConvTranspose", module, inputs, &attributes, shape))
    }

    fn pool(
        &mut self,
        op: &str,
        x: &Flow,
        name: &str,
        (kernel, stride, pad): (usize, usize, usize),
        ceil: bool,
    ) -> Result<Flow> {
        let n = x.axes();
        let mut shape = vec![x.channels()];
        for &size in x.spatial() {
            shape.push(slid(name, size, [pad; 2], kernel, stride, ceil)?);
        }
        let attributes = [
            ("kernel_shape", ints(vec![kernel; n])),
            ("strides", ints(vec![stride; n])),
            ("pads", ints(vec![pad; 2 * n])),
            ("ceil_mode", Attribute::Int(i64::from(ceil))),
        ];
        Ok(self.node(op, name, vec![x.name.clone()], &attributes, shape))
    }

    /// A maximum over windows of (size, stride, padding).
    pub fn max_pool(&mut self, x: &Flow, name: &str, window: (usize, usize, usize)) -> Result<Flow> {
        self.pool("MaxPool", x, name, window, false)
    }

    /// As [`Blueprint::max_pool`], where a last window may reach over the end.
    pub fn max_pool_ceil(&mut self, x: &Flow, name: &str, window: (usize, usize, usize)) -> Result<Flow> {
        self.pool("MaxPool", x, name, window, true)
    }

    /// An average over windows of (size, stride) without padding.
    pub fn average_pool(&mut self, x: &Flow, name: &str, kernel: usize, stride: usize) -> Result<Flow> {
        self.pool("AveragePool", x, name, (kernel, stride, 0), false)
    }

    /// One average or maximum per channel; spatial axes stay with size 1.
    pub fn global(&mut self, op: &str, x: &Flow, name: &str) -> Flow {
        let shape = std::iter::once(x.channels()).chain(x.spatial().iter().map(|_| 1)).collect();
        self.node(op, name, vec![x.name.clone()], &[], shape)
    }

    /// The mean of every channel; spatial axes stay with size 1.
    pub fn global_average(&mut self, x: &Flow, name: &str) -> Flow {
        self.global("GlobalAveragePool", x, name)
    }

    /// PyTorch's adaptive average: entry `i` of `to` is the mean of the entries `floor(i n / to) .. ceil((i + 1) n / to)`
    /// of each spatial axis.
    pub fn adaptive_average(&mut self, x: &Flow, name: &str, to: usize) -> Flow {
        if x.spatial().iter().all(|&s| s == to) {
            return self.pointwise("Identity", x, name, &[]);
        }
        let shape = std::iter::once(x.channels()).chain(x.spatial().iter().map(|_| to)).collect();
        let sizes = [("output_size", ints(vec![to; x.axes()]))];
        self.node("AdaptiveAveragePool", name, vec![x.name.clone()], &sizes, shape)
    }

    /// Twice the size by linear interpolation.
    pub fn upsample_linear(&mut self, x: &Flow, name: &str, align_corners: bool) -> Result<Flow> {
        let mut shape = x.shape.clone();
        if shape.iter().skip(1).any(|&s| s > LONGEST / 2) {
            return Err(Error::limit(format!("{name}: {:?} cannot be doubled", x.spatial())));
        }
        shape.iter_mut().skip(1).for_each(|s| *s *= 2);
        let sizes = std::iter::once(1).chain(shape.iter().map(|&s| s as i64)).collect();
        let sizes = self.constant(format!("{name}/sizes"), crate::raw::Constant::whole(sizes));
        let coordinates = if align_corners { "align_corners" } else { "half_pixel" };
        let attributes = [
            ("mode", Attribute::Text(String::from("linear"))),
            ("coordinate_transformation_mode", Attribute::Text(String::from(coordinates))),
        ];
        let inputs = vec![x.name.clone(), String::new(), String::new(), sizes];
        Ok(self.node("Resize", name, inputs, &attributes, shape))
    }

    /// Entries added after the data, per axis of an example: copies of the last one, or zeros.
    pub fn pad_after(&mut self, x: &Flow, name: &str, after: &[usize], mode: &str) -> Flow {
        let shape = x.shape.iter().zip(after).map(|(s, a)| s + a).collect();
        let zeros = vec![0; after.len() + 2];
        let pads = ints(zeros.into_iter().chain(after.iter().copied()));
        let attributes = [("pads", pads), ("mode", Attribute::Text(String::from(mode)))];
        self.node("Pad", name, vec![x.name.clone()], &attributes, shape)
    }
}
