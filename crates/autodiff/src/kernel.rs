//! The closed set of kernels: all that a device has to implement, and all that a rule can emit.
//!
//! A kernel is plain data in canonical form: one convolution covers 1 to 3 dimensions (missing axes have size 1), every
//! reduction is `[outer, n, inner]`. Operands are whole values in row-major order; how a device stores them is its own
//! affair (channel blocks, halos), as long as `write` and `read` speak row-major. Because the set is closed, a device
//! that lacks a kernel does not compile, and every rule runs on every device.

pub use crate::geometry::{
    ConvGeometry, GridGeometry, GridSumsGeometry, MatMulGeometry, MatrixStrides, MixGeometry, MixShares,
    NoiseGeometry, NoiseKind, PadFill, PadGeometry, PoolGeometry, SliceGeometry, SliceStep, Span,
    SparseMatrix, WindowGeometry,
};
use crate::host::HostCall;
use alloc::sync::Arc;
use alloc::vec::Vec;
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::{MAX_RANK, Shape};

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

/// What a convolution's sums go through in the same step, in this order. What is not asked for is left out.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct ConvFinish {
    /// The convolution has a bias, operand `bias`.
    pub biased: bool,
    /// [`Kernel::BatchNorm`] with this epsilon, operands `scale, shift, mean, variance`.
    pub norm: Option<f64>,
    /// [`BinaryFn::Add`] of operand `added`, of the shape of y.
    pub added: bool,
    /// [`Pointwise::Relu`].
    pub rectified: bool,
    /// [`Kernel::MaxPool`] in windows of one or two entries along each axis, side by side: two along the last, and two along
    /// the first only if the kernel is wider than 1 there.
    pub pool: Option<PoolGeometry>,
}

/// What the sums of a convolution's adjoint go through in the same step.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct AdjointFinish {
    /// [`Kernel::BatchNormAdjoint`] with this epsilon **before** the adjoint, operands `scale, variance`.
    pub norm: Option<f64>,
    /// [`Kernel::Mask`] by operand `bits`.
    pub masked: bool,
    /// [`Pointwise::Relu`].
    pub rectified: bool,
    /// [`Kernel::Unpool`] **before** everything else, operands `codes` and `pooled bits`: g is then the signal of the
    /// pooling. Only where [`ConvGeometry::scatters_from`] says so.
    pub pooled: Option<PooledStart>,
}

impl AdjointFinish {
    /// The operand that `bits` is.
    pub fn bits_operand(&self) -> usize {
        let pooled = self.pooled.map_or(0, |p| 1 + usize::from(p.masked));
        2 + pooled + if self.norm.is_some() { 2 } else { 0 }
    }
}

/// The pooling whose signal an adjoint begins with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PooledStart {
    /// The pooling.
    pub pool: PoolGeometry,
    /// [`Kernel::Mask`] by operand `pooled bits`.
    pub masked: bool,
    /// [`Pointwise::Relu`].
    pub rectified: bool,
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
    /// `[whole, patch?, places] -> [y]`: boxes of one array under patches; y is `[rows, part]`, the patches are
    /// `[rows, patch]`, the places `[rows, 2, rank]` (where boxes begin, then where patches do; whole numbers, also negative).
    Window(WindowGeometry),
    /// `[x, fill, labels?, numbers] -> [y]`: rows between two examples; y is `[rows, length]`, the numbers are
    /// `[rows, numbers of a row, 3]`, each a double as the sum of three reals ([`crate::split`]).
    Mix(MixGeometry),
    /// `[weights, numbers] -> [y]`: sums over rows of what [`Kernel::Mix`] takes as shares; the weights are `[rows, 3]` and y is
    /// `[2, length, 3]` (the sums, then those of squares), doubles as the sums of three reals.
    GridSums(GridSumsGeometry),
    /// `[weights, x, before] -> [y]`: `before` plus the rows of x, each times its weight, one after the other; x is
    /// `[rows, length]`.
    Accumulate {
        /// Rows.
        rows: usize,
        /// Entries of a row.
        length: usize,
    },
    /// `[x, baselines?, numbers] -> [y]`: rows of an example with noise; y is `[rows, length]`, the baselines are
    /// `[baselines, length]`, the numbers `[rows, numbers of a row]` ([`NoiseKind::numbers`]).
    Noise(NoiseGeometry),
    /// `[counts, x, before] -> [y]`: mean and sum of squared deviations of every entry over rows (Welford, "Note on a method for
    /// calculating corrected sums of squares and products", Technometrics 1962), in double precision: `before`, to which
    /// the rows of x (`[rows, length]`) are added one after the other, the counts being their numbers from 1 on. `before` and y are
    /// `[6, length]`: the [`crate::words`] of the means, then those of the sums.
    Moments {
        /// Rows.
        rows: usize,
        /// Entries of a row.
        length: usize,
    },
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
    /// `[any reals] -> [any reals]`: computed on the host by the session; devices never see it.
    Host(HostCall),
    /// `[x, w, bias?, (scale, shift, mean, variance)?, added?] -> [y?, bits?, pooled?, codes?]`: a convolution with what
    /// follows it, so that sums are finished while they are in cache. The planner makes it of single steps for devices that ask for it.
    ConvBlock(ConvGeometry, ConvFinish),
    /// `[g, w, (scale, variance)?, (codes, pooled bits?)?, bits?] -> [dx]`: the adjoint of a convolution with what surrounds it.
    ConvAdjointBlock(ConvGeometry, AdjointFinish),
    /// `[g, codes, bits?] -> [dx]`: [`Kernel::MaxScatter`] followed by [`Kernel::Mask`] where there are bits and by
    /// [`Pointwise::Relu`] if the flag is set.
    Unpool(PoolGeometry, bool),
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
            Self::Window(_) => "window",
            Self::Mix(_) => "mix",
            Self::GridSums(_) => "grid_sums",
            Self::Accumulate { .. } => "accumulate",
            Self::Noise(_) => "noise",
            Self::Moments { .. } => "moments",
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
            Self::Host(_) => "host",
            Self::ConvBlock(..) => "conv_block",
            Self::ConvAdjointBlock(..) => "conv_adjoint_block",
            Self::Unpool(..) => "unpool",
        }
    }

    /// Floating-point operations of the dense products (2 per multiply-add); everything else counts as 0.
    pub fn flops(&self) -> u64 {
        match self {
            Self::Conv(g)
            | Self::ConvAdjoint(g)
            | Self::ConvWeightAdjoint(g)
            | Self::ConvBlock(g, _)
            | Self::ConvAdjointBlock(g, _) => {
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
    /// One bit per element, packed from the least significant bit of bytes; every row (last axis) begins on a byte.
    Bits,
    /// Window codes up to 255.
    Byte,
    /// Window codes beyond.
    Index,
}

impl DType {
    /// Bytes of a value of shape `shape` where a scalar takes `scalar` bytes.
    pub fn bytes(self, shape: Shape, scalar: usize) -> usize {
        let elements = shape.elements();
        match self {
            Self::Real => elements * scalar,
            Self::Bits => {
                let row = shape.last().copied().unwrap_or(1).max(1);
                elements / row * row.div_ceil(8)
            }
            Self::Byte => elements,
            Self::Index => elements * 4,
        }
    }
}
