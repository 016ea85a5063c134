//! The closed set of kernels: all that a device has to implement, and all that a rule can emit.
//!
//! A kernel is plain data in canonical form: one convolution covers 1 to 3 dimensions (missing axes have size 1), every
//! reduction is `[outer, n, inner]`. Operands are whole values in row-major order; how a device stores them is its own
//! affair (channel blocks, halos), as long as `write` and `read` speak row-major. Because the set is closed, a device
//! that lacks a kernel does not compile, and every rule runs on every device.

use alloc::sync::Arc;
use alloc::vec::Vec;
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::{MAX_RANK, Shape};

/// A convolution `[batch, in_channels, input] -> [batch, out_channels, output]` with weights
/// `[out_channels, in_channels / groups, kernel]`:
/// `y[o, p] = bias[o] + sum_{c, k} w[o, c, k] x[c, p * stride + k * dilation - pad]`, entries outside the data being 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Examples.
    pub batch: usize,
    /// Channel groups; divides both channel counts.
    pub groups: usize,
    /// Channels of x, all groups together.
    pub in_channels: usize,
    /// Channels of y, all groups together.
    pub out_channels: usize,
    /// Spatial sizes of x (depth, height, width).
    pub input: [usize; 3],
    /// Spatial sizes of y.
    pub output: [usize; 3],
    /// Spatial sizes of the weights.
    pub kernel: [usize; 3],
    /// Steps.
    pub stride: [usize; 3],
    /// Zeros before the first entry; those after the last follow from `output`.
    pub pad: [usize; 3],
    /// Distances between taps.
    pub dilation: [usize; 3],
}

/// Windows over `planes` (batch times channels) separate arrays of spatial size `input`.
/// Window `p` covers the entries `p * stride + k * dilation - pad` that lie inside the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolGeometry {
    /// Batch times channels.
    pub planes: usize,
    /// Spatial sizes of x.
    pub input: [usize; 3],
    /// Spatial sizes of y.
    pub output: [usize; 3],
    /// Window sizes.
    pub kernel: [usize; 3],
    /// Steps.
    pub stride: [usize; 3],
    /// Entries before the data.
    pub pad: [usize; 3],
    /// Entries after the data; matters only for `include_pad`.
    pub pad_end: [usize; 3],
    /// Distances between taps.
    pub dilation: [usize; 3],
    /// Whether an average divides by the taps inside data and padding (true) or inside the data (false).
    /// Taps beyond the end padding (`ceil_mode`) never count.
    pub include_pad: bool,
}

impl PoolGeometry {
    /// The type that holds a winner's code: its position in the window, row-major.
    pub fn code(&self) -> DType {
        if self.kernel.iter().product::<usize>() <= 256 { DType::Byte } else { DType::Index }
    }
}

/// Strides of a matrix operand in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixStrides {
    /// Between matrices; 0 repeats one.
    pub batch: usize,
    /// Between rows.
    pub row: usize,
    /// Between columns.
    pub column: usize,
}

/// `c = alpha a b` for `batch` pairs of matrices `[m, k]` and `[k, n]`; c is contiguous `[batch, m, n]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatMulGeometry {
    /// Pairs.
    pub batch: usize,
    /// Rows of the result.
    pub m: usize,
    /// Inner size.
    pub k: usize,
    /// Columns of the result.
    pub n: usize,
    /// Layout of the first operand.
    pub a: MatrixStrides,
    /// Layout of the second operand.
    pub b: MatrixStrides,
    /// Factor.
    pub alpha: f64,
}

/// An array seen as `[outer, n, inner]`; the kernel works along `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Product of the sizes before.
    pub outer: usize,
    /// Size of the axis.
    pub n: usize,
    /// Product of the sizes after.
    pub inner: usize,
}

/// A sparse matrix by rows: row `r` holds the entries `starts[r] .. starts[r + 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseMatrix {
    /// Number of columns.
    pub columns: usize,
    /// Row starts, one more than rows.
    pub starts: Vec<usize>,
    /// Column of each entry, ascending in a row.
    pub column: Vec<usize>,
    /// Weight of each entry.
    pub weight: Vec<f64>,
}

impl SparseMatrix {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// A matrix from its rows of (column, weight); entries of one column in a row are added, zeros dropped.
    pub fn from_rows(columns: usize, rows: &[Vec<(usize, f64)>]) -> Self {
        let mut matrix = Self { columns, starts: alloc::vec![0], column: Vec::new(), weight: Vec::new() };
        for row in rows {
            let mut merged = alloc::collections::BTreeMap::new();
            for &(column, weight) in row {
                *merged.entry(column).or_insert(0.0) += weight;
            }
            for (column, weight) in merged.into_iter().filter(|&(_, w)| w != 0.0) {
                matrix.column.push(column);
                matrix.weight.push(weight);
            }
            matrix.starts.push(matrix.column.len());
        }
        matrix
    }

    /// The transposed matrix.
    pub fn transposed(&self) -> Self {
        let mut rows = alloc::vec![Vec::new(); self.columns];
        for r in 0..self.rows() {
            for e in self.starts[r]..self.starts[r + 1] {
                rows[self.column[e]].push((r, self.weight[e]));
            }
        }
        Self::from_rows(self.rows(), &rows)
    }
}

/// One axis of a strided slice: entry `i` of the slice is entry `begin + i * step` of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceStep {
    /// First entry.
    pub begin: usize,
    /// Distance, may be negative.
    pub step: isize,
}

/// A slice of an array of shape `whole`; the slice has shape `part`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceGeometry {
    /// Shape of the whole array.
    pub whole: Shape,
    /// Shape of the slice, of the same rank.
    pub part: Shape,
    /// Per axis.
    pub axes: [SliceStep; MAX_RANK],
}

/// How padded entries are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadFill {
    /// A constant.
    Constant(f64),
    /// The nearest entry.
    Edge,
    /// Mirrored without repeating the border.
    Reflect,
}

/// Padding from shape `inner` to shape `padded`; entry `p` of an axis comes from entry `p - before`.
/// A negative `before` crops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PadGeometry {
    /// Shape before padding.
    pub inner: Shape,
    /// Shape after padding.
    pub padded: Shape,
    /// Entries added in front, per axis.
    pub before: [isize; MAX_RANK],
    /// What fills the rest.
    pub fill: PadFill,
}

/// Arithmetic of two operands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BinaryFn {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
    /// `a / b`.
    Div,
    /// `a / b`, and 0 where `a` is 0 whatever `b` is.
    DivOrZero,
    /// `a / b`, and 1 where `b` is 0.
    DivOrOne,
    /// `a / (b + epsilon)` for `b >= 0`, `a / (b - epsilon)` for `b < 0`: the LRP stabiliser with sign(0) = +1.
    DivStabilised(f64),
    /// The larger.
    Maximum,
    /// `a + t (b - a)`.
    Lerp(f64),
    /// `a` where `b > 0`, else 0.
    Gate,
}

/// Two operands broadcast to `shape`; a stride of 0 repeats along that axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BroadcastGeometry {
    /// Shape of the result.
    pub shape: Shape,
    /// Strides of the first operand, in elements.
    pub a: [usize; MAX_RANK],
    /// Strides of the second operand.
    pub b: [usize; MAX_RANK],
}

/// Per-channel scaling of `[batch, channels, inner]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelGeometry {
    /// Examples.
    pub batch: usize,
    /// Channels.
    pub channels: usize,
    /// Elements per channel.
    pub inner: usize,
    /// Added to the variance.
    pub epsilon: f64,
}

/// What one step computes. Operands in brackets: `[reads] -> [writes]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Kernel {
    /// `[x, w, bias?] -> [y]`.
    Conv(ConvGeometry),
    /// `[g, w] -> [dx]`: the adjoint in x; also the forward pass of a transposed convolution.
    ConvAdjoint(ConvGeometry),
    /// `[x, g] -> [dw]`: the adjoint in w, summed over the batch.
    ConvWeightAdjoint(ConvGeometry),
    /// `[a, b] -> [c]`.
    MatMul(MatMulGeometry),
    /// `[x, scale, bias, mean, variance] -> [y]`: `y = s x + (bias - mean s)`, `s = scale / sqrt(variance + epsilon)`
    /// computed in double precision and rounded once.
    BatchNorm(ChannelGeometry),
    /// `[g, scale, variance] -> [dx]`: `s g`.
    BatchNormAdjoint(ChannelGeometry),
    /// `[x] -> [y]`.
    AveragePool(PoolGeometry),
    /// `[g] -> [dx]`.
    AveragePoolAdjoint(PoolGeometry),
    /// `[x] -> [y]`: a sparse matrix along `n` (its columns); y has the matrix's rows there.
    AxisMap(Span, Arc<SparseMatrix>),
    /// `[x] -> [y]` where axis `i` of y is axis `permutation[i]` of x; the shape is that of x.
    Permute(Shape, [usize; MAX_RANK]),
    /// `[whole] -> [part]`.
    Slice(SliceGeometry),
    /// `[part] -> [whole]`, zeros elsewhere: the adjoint of [`Kernel::Slice`].
    Embed(SliceGeometry),
    /// `[inner] -> [padded]`.
    Pad(PadGeometry),
    /// `[g of padded] -> [g of inner]`, adding up what edge and reflect padding repeat.
    PadAdjoint(PadGeometry),
    /// `[x0, x1, ...] -> [y]`: `outer` rows, operand `i` giving `sizes[i]` contiguous entries of each.
    Concat {
        /// Rows.
        outer: usize,
        /// Entries of each operand in a row.
        sizes: Vec<usize>,
    },
    /// `[x] -> [y]`: `scale` times the sum along `n`; y is `[outer, inner]`.
    Reduce(Span, f64),
    /// `[x] -> [y]`: `scale x` repeated along `n`; x is `[outer, inner]`. The adjoint of [`Kernel::Reduce`].
    Repeat(Span, f64),
    /// `[x] -> [f(x)]`.
    Map(Pointwise),
    /// `[g, x] -> [g f'(x)]`.
    MapGradient(Pointwise),
    /// `[g, x, r] -> [g (f(x) - f(r)) / (x - r)]`, the divided difference, in closed form, `f'(x)` where `x = r`.
    MapSlope(Pointwise),
    /// `[x] -> [bits]`: one bit per element, set where `x > 0`.
    PositiveBits,
    /// `[g, bits] -> [y]`: g where the bit is set, else 0.
    Mask,
    /// `[a, b] -> [y]`.
    Binary(BinaryFn, BroadcastGeometry),
    /// `[x] -> [y, codes?]`: the maximum and the winner's code (first of equals in row-major order; NaN never wins).
    MaxPool(PoolGeometry),
    /// `[g, codes] -> [dx]`: every g added to its window's winner.
    MaxScatter(PoolGeometry),
    /// `[x, codes] -> [y]`: the entry that the code names in every window.
    MaxGather(PoolGeometry),
    /// `[x] -> [xhat, inverse]` for `outer` groups of `n` entries (inner = 1): `xhat = (x - mean) inverse`,
    /// `inverse = 1 / sqrt(population variance + epsilon)`, one per group.
    Normalize(Span, f64),
    /// `[u, xhat, inverse] -> [dx]`: `inverse (u - mean(u) - xhat mean(u xhat))`.
    NormalizeAdjoint(Span),
    /// `[x] -> [y]`: softmax along `n`, or its logarithm if the flag is set.
    Softmax(Span, bool),
    /// `[g, y] -> [dx]`: `y (g - sum(g y))`, or `g - e^y sum(g)` for the logarithm.
    SoftmaxAdjoint(Span, bool),
    /// `[] -> [y]`: a constant.
    Fill(f64),
}

impl Kernel {
    /// The name printed in plans.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv(_) => "conv",
            Self::ConvAdjoint(_) => "conv_adjoint",
            Self::ConvWeightAdjoint(_) => "conv_weight_adjoint",
            Self::MatMul(_) => "matmul",
            Self::BatchNorm(_) => "batch_norm",
            Self::BatchNormAdjoint(_) => "batch_norm_adjoint",
            Self::AveragePool(_) => "average_pool",
            Self::AveragePoolAdjoint(_) => "average_pool_adjoint",
            Self::AxisMap(..) => "axis_map",
            Self::Permute(..) => "permute",
            Self::Slice(_) => "slice",
            Self::Embed(_) => "embed",
            Self::Pad(_) => "pad",
            Self::PadAdjoint(_) => "pad_adjoint",
            Self::Concat { .. } => "concat",
            Self::Reduce(..) => "reduce",
            Self::Repeat(..) => "repeat",
            Self::Map(_) => "map",
            Self::MapGradient(_) => "map_gradient",
            Self::MapSlope(_) => "map_slope",
            Self::PositiveBits => "positive_bits",
            Self::Mask => "mask",
            Self::Binary(..) => "binary",
            Self::MaxPool(_) => "max_pool",
            Self::MaxScatter(_) => "max_scatter",
            Self::MaxGather(_) => "max_gather",
            Self::Normalize(..) => "normalize",
            Self::NormalizeAdjoint(_) => "normalize_adjoint",
            Self::Softmax(..) => "softmax",
            Self::SoftmaxAdjoint(..) => "softmax_adjoint",
            Self::Fill(_) => "fill",
        }
    }

    /// Floating-point operations of the dense products (2 per multiply-add); everything else counts as 0.
    pub fn flops(&self) -> u64 {
        match self {
            Self::Conv(g) | Self::ConvAdjoint(g) | Self::ConvWeightAdjoint(g) => {
                let taps: usize = g.kernel.iter().product::<usize>() * (g.in_channels / g.groups);
                let places: usize = g.output.iter().product::<usize>() * g.out_channels * g.batch;
                2 * taps as u64 * places as u64
            }
            Self::MatMul(g) => 2 * (g.batch * g.m) as u64 * (g.k * g.n) as u64,
            _ => 0,
        }
    }
}

/// The element type of a planned value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DType {
    /// The device's scalar (f32; f64 in the oracle).
    Real,
    /// One bit per element, packed from the least significant bit of bytes.
    Bits,
    /// Window codes up to 255.
    Byte,
    /// Window codes beyond.
    Index,
}

impl DType {
    /// Bytes of `elements` elements where a scalar takes `scalar` bytes.
    pub fn bytes(self, elements: usize, scalar: usize) -> usize {
        match self {
            Self::Real => elements * scalar,
            Self::Bits => elements.div_ceil(8),
            Self::Byte => elements,
            Self::Index => elements * 4,
        }
    }
}
