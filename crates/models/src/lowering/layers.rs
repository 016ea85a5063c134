//! Layers with weights are what rules speak about, so each stays one node: convolutions, normalisations, matrix
//! products.

use super::attributes::unsupported;
use super::windows::Windows;
use super::{Lowering, Value, axis, sizes};
use crate::raw::{Constant, RawNode};
use voxplain_graph::Op;
use voxplain_graph::ops::{ConvAttributes, ConvTransposeAttributes, GemmAttributes};
use voxplain_tensor::{Error, Result, Shape};

impl Lowering {
    pub(super) fn convolution(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let (x, w) = (self.shape(node, 0)?, self.shape(node, 1)?);
        let kernel = w.get(2..).unwrap_or(&[]).to_vec();
        if let Some(stated) = node.ints("kernel_shape")? {
            if sizes(&stated, "kernel_shape")? != kernel {
                return Err(Error::invalid(format!(
                    "kernel_shape {stated:?} and weights of shape {w} differ"
                )));
            }
        }
        let windows = Windows::of(node, x, &kernel)?;
        let groups = usize::try_from(node.int("group", 1)?).unwrap_or(0);
        let conv = ConvAttributes {
            strides: windows.strides,
            pads_begin: windows.pads_begin,
            pads_end: windows.pads_end,
            dilations: windows.dilations,
            groups,
        };
        let inputs = self.operands(node)?;
        if node.op == "Conv" {
            return self.add(name, Op::Conv(conv), &inputs);
        }
        if node.ints("output_shape")?.is_some()
            || !["NOTSET", ""].contains(&node.text("auto_pad", "NOTSET")?.as_str())
        {
            return Err(unsupported(
                "output_shape and auto_pad are not supported, give pads and output_padding",
            ));
        }
        let output_padding = node
            .ints("output_padding")?
            .map_or_else(|| Ok(vec![0; kernel.len()]), |p| sizes(&p, "output_padding"))?;
        self.add(name, Op::ConvTranspose(ConvTransposeAttributes { conv, output_padding }), &inputs)
    }

    pub(super) fn normalization(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let epsilon = node.float("epsilon", 1e-5)?;
        let x = self.shape(node, 0)?;
        let channels = x.get(1).copied().unwrap_or(1);
        if node.int("training_mode", 0)? != 0 {
            return Err(Error::unsupported(
                "normalisation in training mode; call model.eval() and export again",
            ));
        }
        if node.outputs.iter().skip(1).any(|o| !o.is_empty()) {
            return Err(unsupported("further results (statistics) are not supported"));
        }
        let op = match node.op.as_str() {
            "BatchNormalization" => Op::BatchNormalization { epsilon },
            "InstanceNormalization" => Op::GroupNormalization { groups: channels, epsilon },
            "GroupNormalization" => {
                let groups = usize::try_from(node.int("num_groups", 0)?).unwrap_or(0);
                self.check_restored(node, x)?;
                return self.group_normalization(name, node, groups, epsilon, channels);
            }
            _ => Op::LayerNormalization { axis: axis(node.int("axis", -1)?, x.rank())?, epsilon },
        };
        let inputs = self.operands(node)?;
        self.add(name, op, &inputs)
    }

    /// What the fusion of group normalisation could not see without shapes: the values must come back in the data's
    /// shape, and the scale must lie along the channels.
    fn check_restored(&self, node: &RawNode, x: Shape) -> Result<()> {
        if let Some(target) = node.ints("restored")? {
            let keeps =
                |(i, &t): (usize, &i64)| t == -1 || t == 0 || x.get(i).is_some_and(|&s| s as i64 == t);
            if target.len() != x.rank() || !target.iter().enumerate().all(keeps) {
                return Err(Error::unsupported(format!(
                    "an instance normalisation between reshapes of {x} and {target:?}; the same shape is expected"
                )));
            }
        }
        let spatial = node.int("spatial_axes", x.rank() as i64 - 2)?;
        if spatial != x.rank() as i64 - 2 {
            return Err(Error::unsupported(format!(
                "scale and bias over {spatial} trailing axes of data of shape {x}; one value per channel is expected"
            )));
        }
        Ok(())
    }

    /// Opset 18 has one scale per group, opset 21 one per channel.
    fn group_normalization(
        &mut self,
        name: &str,
        node: &RawNode,
        groups: usize,
        epsilon: f64,
        channels: usize,
    ) -> Result<Value> {
        let mut inputs = vec![self.operand(node, 0)?];
        for i in 1..3 {
            let constant = self.known(node, i).cloned();
            let Some(Constant::Float { data, .. }) = constant else {
                return Err(Error::unsupported("scale and bias must be weights"));
            };
            if data.len() == channels || data.is_empty() || data.len() != groups || channels % groups != 0 {
                inputs.push(self.operand(node, i)?);
            } else {
                let each = channels / data.len();
                let spread = data.iter().flat_map(|&v| std::iter::repeat_n(v, each)).collect();
                let spread: Vec<f32> = spread;
                inputs.push(self.builder.parameter(
                    &format!("{name}.per_channel.{i}"),
                    &[channels],
                    spread,
                )?);
            }
        }
        self.add(name, Op::GroupNormalization { groups, epsilon }, &inputs)
    }

    pub(super) fn matrix(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let inputs = self.operands(node)?;
        if node.op == "MatMul" {
            return self.add(name, Op::MatMul, &inputs);
        }
        let attributes = GemmAttributes {
            alpha: node.float("alpha", 1.0)?,
            beta: node.float("beta", 1.0)?,
            transpose_a: node.int("transA", 0)? != 0,
            transpose_b: node.int("transB", 0)? != 0,
        };
        self.add(name, Op::Gemm(attributes), &inputs)
    }

    /// `x W + b` over the last axis, with or without the bias, as one matrix product of all rows. `transB` says that the
    /// weights are stored as PyTorch does, outputs first.
    pub(super) fn linear(&mut self, name: &str, node: &RawNode) -> Result<Value> {
        let shape = self.shape(node, 0)?;
        let mut operands = self.operands(node)?;
        let transpose_b = node.int("transB", 0)? != 0;
        let (weights, rank) = (self.builder.shape(operands[1]), shape.rank());
        if weights.rank() != 2 || rank < 2 {
            return Err(unsupported("a linear layer needs data with a batch axis and weights of two axes"));
        }
        let product = Op::Gemm(GemmAttributes { alpha: 1.0, beta: 1.0, transpose_a: false, transpose_b });
        if rank == 2 {
            return self.add(name, product, &operands);
        }
        let last = shape[rank - 1];
        let rows = Op::Reshape { sizes: vec![shape.elements() / last.max(1), last] };
        operands[0] = self.builder.node(&format!("{name}.rows"), rows, &operands[..1])?;
        let product = self.builder.node(&format!("{name}.product"), product, &operands)?;
        let width = weights[usize::from(!transpose_b)];
        self.add(name, Op::Reshape { sizes: shape.with(rank - 1, width)?.to_vec() }, &[product])
    }
}
