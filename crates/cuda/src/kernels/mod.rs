//! The host's side of every kernel: one file per family with the stem of the `.cu` file, one function per kernel. A
//! structure here is the twin of the structure of the same name there.

pub(crate) mod axis_map;
mod binary;
mod bits;
pub(crate) mod conv;
mod conv_weight;
mod matmul;
mod mix;
pub(crate) mod movement;
mod noise;
mod normalize;
mod pointwise;
mod pool;
mod reduce;
mod slope;
mod softmax;

use crate::backend::Backend;
use crate::operands::Operands;
use voxplain_autodiff::{Kernel, Span};
use voxplain_tensor::Result;

/// Rows and columns of the result that a block makes (`tiles.cuh`).
const TILE: (usize, usize) = (64, 128);

/// An array seen as `[outer, n, inner]`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Spans {
    outer: i64,
    n: i64,
    inner: i64,
}

impl From<Span> for Spans {
    fn from(s: Span) -> Self {
        // Sizes of shapes fit in isize.
        Self { outer: s.outer as i64, n: s.n as i64, inner: s.inner as i64 }
    }
}

fn elements(s: Span) -> usize {
    s.outer * s.n * s.inner
}

/// Starts what `kernel` needs.
pub(crate) fn run<B: Backend>(o: &Operands<B>, kernel: &Kernel) -> Result<()> {
    match kernel {
        Kernel::Conv(g) => conv::forward(o, g),
        Kernel::ConvAdjoint(g) => conv::adjoint(o, g),
        Kernel::ConvWeightAdjoint(g) => conv_weight::adjoint(o, g),
        Kernel::MatMul(g) => matmul::run(o, g),
        Kernel::BatchNorm(g) => normalize::batch(o, g),
        Kernel::BatchNormAdjoint(g) => normalize::batch_adjoint(o, g),
        Kernel::AveragePool(g) => pool::average(o, g),
        Kernel::AveragePoolAdjoint(g) => pool::average_adjoint(o, g),
        Kernel::AxisMap(s, m) => axis_map::run(o, *s, m),
        Kernel::Permute(s, p) => movement::permute(o, s, p),
        Kernel::Slice(g) => movement::slice(o, g),
        Kernel::Embed(g) => movement::embed(o, g),
        Kernel::Pad(g) => movement::pad(o, g),
        Kernel::PadAdjoint(g) => movement::pad_adjoint(o, g),
        Kernel::Window(g) => movement::window(o, g),
        Kernel::Mix(g) => mix::run(o, g),
        Kernel::GridSums(g) => mix::sums(o, g),
        Kernel::Accumulate { rows, length } => mix::accumulate(o, *rows, *length),
        Kernel::Noise(g) => noise::rows(o, g),
        Kernel::Moments { rows, length } => noise::moments(o, *rows, *length),
        Kernel::Concat { outer, sizes } => movement::concat(o, *outer, sizes),
        Kernel::Reduce(s, scale) => reduce::sum(o, *s, *scale),
        Kernel::Repeat(s, scale) => reduce::repeat(o, *s, *scale),
        Kernel::Map(f) => pointwise::map(o, *f),
        Kernel::MapGradient(f) => pointwise::gradient(o, *f),
        Kernel::MapSlope(f) => slope::run(o, *f),
        Kernel::PositiveBits => bits::positive(o),
        Kernel::Mask => bits::mask(o),
        Kernel::Binary(f, g) => binary::run(o, *f, g),
        Kernel::MaxPool(g) => pool::max(o, g),
        Kernel::MaxScatter(g) => pool::scatter(o, g),
        Kernel::MaxGather(g) => pool::gather(o, g),
        Kernel::Normalize(s, epsilon) => normalize::forward(o, *s, *epsilon),
        Kernel::NormalizeAdjoint(s) => normalize::adjoint(o, *s),
        Kernel::Softmax(s, log) => softmax::forward(o, *s, *log),
        Kernel::SoftmaxAdjoint(s, log) => softmax::adjoint(o, *s, *log),
        Kernel::Fill(value) => movement::fill(o, *value),
        Kernel::Host(call) => Err(call.refusal()),
        Kernel::ConvBlock(g, finish) => conv::block(o, g, finish),
        Kernel::ConvAdjointBlock(g, finish) => conv::adjoint_block(o, g, finish),
        Kernel::Unpool(g, rectified) => pool::unpool(o, g, *rectified),
    }
}
