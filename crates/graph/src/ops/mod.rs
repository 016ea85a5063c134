//! The operators: attributes, shape inference and structural class, one file per family.
//!
//! To add an operator: one file here with its attributes and `infer`, one variant of [`Op`], and one file of the same
//! stem in the `autodiff` crate that lowers it to kernels. The `match` statements then name every place that is missing.

mod conv;
mod elementwise;
mod matrix;
mod normalization;
mod pointwise;
mod pool;
mod reduce;
mod resize;
mod shaping;
mod softmax;

pub use conv::{ConvAttributes, ConvTransposeAttributes};
pub use elementwise::{Binary, broadcast};
pub use matrix::GemmAttributes;
pub use pointwise::Pointwise;
pub use pool::PoolAttributes;
pub use reduce::Reduction;
pub use resize::{AxisTap, Coordinates, ResizeMode, axis_taps};
pub use shaping::{PadMode, SliceAxis};

use alloc::format;
use alloc::vec::Vec;
use voxplain_tensor::{Error, Result, Shape};

/// What the user may bring, as printed by the one error for anything else.
pub const SUPPORTED: &str = "Conv, ConvTranspose, BatchNormalization, InstanceNormalization, GroupNormalization, \
LayerNormalization, Relu, LeakyRelu, PRelu, Elu, Selu, Gelu, Sigmoid, HardSigmoid, HardSwish, SiLU, Mish, Tanh, Softplus, \
Clip, Exp, Log, Sqrt, Abs, Neg, Reciprocal, Erf, MaxPool, AveragePool, GlobalAveragePool, GlobalMaxPool, ReduceMean, \
ReduceMax, ReduceMin, ReduceSum, Gemm, MatMul, Add, Sub, Mul, Div, Pow, Max, Min, Concat, Flatten, Reshape, Squeeze, \
Unsqueeze, Transpose, Slice, Split, Gather, Tile, Pad, Resize, Expand, Softmax, LogSoftmax, Identity, Dropout, Constant, Shape, Cast";

/// The structural class of an operator at its place: which kind of rule speaks about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Linear up to a constant in the inputs that vary: convolution, fixed normalisation, addition, shape changes.
    Affine,
    /// One output element from one input element: activations.
    Pointwise,
    /// The output copies one of several candidates: max pooling, maximum over an axis.
    Select,
    /// Linear in each of two inputs that both vary: products and gates.
    Bilinear,
    /// Scaling that depends on the data: softmax, instance, group and layer normalisation.
    Normalise,
    /// Anything else; only its vector-Jacobian product is known.
    Opaque,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 6] =
        [Self::Affine, Self::Pointwise, Self::Select, Self::Bilinear, Self::Normalise, Self::Opaque];

    /// The name used in composites and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Affine => "affine",
            Self::Pointwise => "pointwise",
            Self::Select => "select",
            Self::Bilinear => "bilinear",
            Self::Normalise => "normalise",
            Self::Opaque => "opaque",
        }
    }
}

/// An operator with its attributes, in ONNX semantics. Operands are data first, then parameters in ONNX order.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Convolution: x, weight, optional bias.
    Conv(ConvAttributes),
    /// Transposed convolution: x, weight `[in, out / groups, kernel...]`, optional bias.
    ConvTranspose(ConvTransposeAttributes),
    /// Batch normalisation with stored statistics: x, scale, bias, mean, variance.
    BatchNormalization {
        /// Added to the variance.
        epsilon: f64,
    },
    /// Normalisation per example and group of channels, then per-channel scale and bias: x, scale `[C]`, bias `[C]`.
    /// Instance normalisation has as many groups as channels.
    GroupNormalization {
        /// The number of groups; divides the number of channels.
        groups: usize,
        /// Added to the variance.
        epsilon: f64,
    },
    /// Normalisation over the axes from `axis` to the last: x, scale, optional bias, both of the normalised shape.
    LayerNormalization {
        /// The first normalised axis.
        axis: usize,
        /// Added to the variance.
        epsilon: f64,
    },
    /// A function of one element.
    Pointwise(Pointwise),
    /// `x` where positive, `slope * x` elsewhere: x, slope (broadcast as ONNX says).
    PRelu,
    /// Maximum over windows; the first of equal entries in row-major order wins.
    MaxPool(PoolAttributes),
    /// Average over windows.
    AveragePool(PoolAttributes),
    /// Sum, mean or maximum over axes.
    Reduce {
        /// Which.
        reduction: Reduction,
        /// The axes, ascending, none repeated.
        axes: Vec<usize>,
        /// Whether reduced axes stay with size 1.
        keep_axes: bool,
    },
    /// `alpha * a * b + beta * c` on matrices: a, b, optional c broadcast to the result.
    Gemm(GemmAttributes),
    /// Matrix product over the last two axes, the others broadcast.
    MatMul,
    /// Elementwise arithmetic with broadcasting.
    Binary(Binary),
    /// Joins along an axis.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// The same elements in another shape (of one example).
    Reshape {
        /// The new sizes.
        sizes: Vec<usize>,
    },
    /// Axes reordered: axis `i` of the output is axis `permutation[i]` of the input.
    Transpose {
        /// The permutation.
        permutation: Vec<usize>,
    },
    /// Every `step`-th entry between bounds, per axis.
    Slice {
        /// One entry per axis.
        axes: Vec<SliceAxis>,
    },
    /// Entries added (or, negative, removed) at both ends of each axis.
    Pad {
        /// What fills them.
        mode: PadMode,
        /// Added before, per axis.
        before: Vec<isize>,
        /// Added after, per axis.
        after: Vec<isize>,
        /// The fill of [`PadMode::Constant`].
        value: f64,
    },
    /// Interpolation along axes.
    Resize {
        /// Per axis: `None` where the size stays.
        taps: Vec<Option<Vec<AxisTap>>>,
    },
    /// Broadcast to a larger shape.
    Expand {
        /// The new sizes.
        sizes: Vec<usize>,
    },
    /// `exp(x) / sum exp(x)` along an axis.
    Softmax {
        /// The axis.
        axis: usize,
    },
    /// The logarithm of [`Op::Softmax`].
    LogSoftmax {
        /// The axis.
        axis: usize,
    },
    /// The input itself (Identity, Dropout at inference, Cast between floating-point types).
    Identity,
}

impl Op {
    /// The operator of a fully connected layer: `x * weight^T + bias`.
    pub fn linear() -> Self {
        Self::Gemm(GemmAttributes { alpha: 1.0, beta: 1.0, transpose_a: false, transpose_b: true })
    }

    /// The ONNX operator type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Conv(_) => "Conv",
            Self::ConvTranspose(_) => "ConvTranspose",
            Self::BatchNormalization { .. } => "BatchNormalization",
            Self::GroupNormalization { .. } => "GroupNormalization",
            Self::LayerNormalization { .. } => "LayerNormalization",
            Self::Pointwise(f) => f.kind(),
            Self::PRelu => "PRelu",
            Self::MaxPool(_) => "MaxPool",
            Self::AveragePool(_) => "AveragePool",
            Self::Reduce { reduction, .. } => reduction.kind(),
            Self::Gemm(_) => "Gemm",
            Self::MatMul => "MatMul",
            Self::Binary(b) => b.kind(),
            Self::Concat { .. } => "Concat",
            Self::Reshape { .. } => "Reshape",
            Self::Transpose { .. } => "Transpose",
            Self::Slice { .. } => "Slice",
            Self::Pad { .. } => "Pad",
            Self::Resize { .. } => "Resize",
            Self::Expand { .. } => "Expand",
            Self::Softmax { .. } => "Softmax",
            Self::LogSoftmax { .. } => "LogSoftmax",
            Self::Identity => "Identity",
        }
    }

    /// The structural class where `varies[i]` says whether operand `i` depends on a graph input.
    pub fn class(&self, varies: &[bool]) -> Class {
        let varying = varies.iter().filter(|&&v| v).count();
        match self {
            Self::Pointwise(f) if f.is_affine() => Class::Affine,
            Self::Pointwise(_) | Self::PRelu => Class::Pointwise,
            Self::MaxPool(_) | Self::Reduce { reduction: Reduction::Max, .. } => Class::Select,
            Self::GroupNormalization { .. }
            | Self::LayerNormalization { .. }
            | Self::Softmax { .. }
            | Self::LogSoftmax { .. } => Class::Normalise,
            Self::MatMul | Self::Gemm(_) | Self::Binary(Binary::Mul)
                if varying == 2 && varies.get(2) != Some(&true) =>
            {
                Class::Bilinear
            }
            Self::Binary(Binary::Div) if varies.get(1) == Some(&true) => Class::Opaque,
            Self::Gemm(_) | Self::Conv(_) | Self::ConvTranspose(_) if varying > 1 => Class::Opaque,
            _ => Class::Affine,
        }
    }

    /// The shape of one example of the result.
    ///
    /// # Errors
    /// The operands do not fit the operator; the message says what was expected.
    pub fn infer(&self, inputs: &[Shape], varies: &[bool]) -> Result<Shape> {
        self.check_operands(inputs, varies)?;
        match self {
            Self::Conv(a) => conv::infer_conv(a, inputs),
            Self::ConvTranspose(a) => conv::infer_transpose(a, inputs),
            Self::BatchNormalization { .. } => normalization::infer_batch(inputs),
            Self::GroupNormalization { groups, .. } => normalization::infer_group(*groups, inputs),
            Self::LayerNormalization { axis, .. } => normalization::infer_layer(*axis, inputs),
            Self::Pointwise(_) | Self::Identity => Ok(inputs[0]),
            Self::PRelu => elementwise::infer_prelu(inputs),
            Self::MaxPool(a) | Self::AveragePool(a) => pool::infer(a, inputs[0]),
            Self::Reduce { axes, keep_axes, .. } => reduce::infer(axes, *keep_axes, inputs[0]),
            Self::Gemm(a) => matrix::infer_gemm(a, inputs),
            Self::MatMul => matrix::infer_matmul(inputs),
            Self::Binary(_) => broadcast(inputs[0], inputs[1]),
            Self::Concat { axis } => shaping::infer_concat(*axis, inputs),
            Self::Reshape { sizes } => shaping::infer_reshape(sizes, inputs[0]),
            Self::Transpose { permutation } => shaping::infer_transpose(permutation, inputs[0]),
            Self::Slice { axes } => shaping::infer_slice(axes, inputs[0]),
            Self::Pad { mode, before, after, .. } => shaping::infer_pad(*mode, before, after, inputs[0]),
            Self::Resize { taps } => resize::infer(taps, inputs[0]),
            Self::Expand { sizes } => shaping::infer_expand(sizes, inputs[0]),
            Self::Softmax { axis } | Self::LogSoftmax { axis } => softmax::infer(*axis, inputs[0]),
        }
    }

    /// The least and most operands.
    fn arity(&self) -> (usize, usize) {
        match self {
            Self::Conv(_) | Self::ConvTranspose(_) | Self::Gemm(_) | Self::LayerNormalization { .. } => {
                (2, 3)
            }
            Self::BatchNormalization { .. } => (5, 5),
            Self::GroupNormalization { .. } => (3, 3),
            Self::PRelu | Self::MatMul | Self::Binary(_) => (2, 2),
            Self::Concat { .. } => (1, usize::MAX),
            _ => (1, 1),
        }
    }

    /// Whether operands after the first must be parameters.
    fn wants_parameters(&self) -> bool {
        matches!(
            self,
            Self::Conv(_)
                | Self::ConvTranspose(_)
                | Self::BatchNormalization { .. }
                | Self::GroupNormalization { .. }
                | Self::LayerNormalization { .. }
                | Self::PRelu
        )
    }

    fn check_operands(&self, inputs: &[Shape], varies: &[bool]) -> Result<()> {
        let (least, most) = self.arity();
        if inputs.len() < least || inputs.len() > most {
            return Err(Error::invalid(format!("{} operands; {least} to {most} expected", inputs.len())));
        }
        if self.wants_parameters() && varies[1..].contains(&true) {
            return Err(Error::unsupported("weights computed from the network's input are not supported"));
        }
        Ok(())
    }
}
