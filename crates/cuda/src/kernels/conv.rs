//! Convolution and its adjoint in x.

use crate::backend::{Backend, Geometry};
use crate::operands::{Operands, int, ints};
use voxplain_autodiff::ConvGeometry;
use voxplain_tensor::Result;

#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Conv {
    batch: i32,
    groups: i32,
    in_channels: i32,
    out_channels: i32,
    input: [i32; 3],
    output: [i32; 3],
    kernel: [i32; 3],
    stride: [i32; 3],
    pad: [i32; 3],
    dilation: [i32; 3],
}
// SAFETY: numbers of four bytes.
unsafe impl Geometry for Conv {}

impl Conv {
    pub fn new(g: &ConvGeometry) -> Result<Self> {
        Ok(Self {
            batch: int(g.batch)?,
            groups: int(g.groups)?,
            in_channels: int(g.in_channels)?,
            out_channels: int(g.out_channels)?,
            input: ints(g.input)?,
            output: ints(g.output)?,
            kernel: ints(g.kernel)?,
            stride: ints(g.stride)?,
            pad: ints(g.pad)?,
            dilation: ints(g.dilation)?,
        })
    }
}

/// Elements of x, of the weights and of y.
pub(super) fn sizes(g: &ConvGeometry) -> (usize, usize, usize) {
    let volume = |n: [usize; 3]| n.iter().product::<usize>();
    (
        g.batch * g.in_channels * volume(g.input),
        g.out_channels * (g.in_channels / g.groups) * volume(g.kernel),
        g.batch * g.out_channels * volume(g.output),
    )
}

/// Rows and columns of the result that a block of `conv_gemm.cu` makes.
const TILE: (usize, usize) = (64, 128);
/// The most columns that its blocks count.
const MOST_COLUMNS: usize = 1 << 30;

/// The blocks of `conv_gemm.cu` for a result of `channels` channels and `places` places per example; none where the
/// product is so thin that most of a block would idle, or too large for its counting.
fn tiles(o: &Operands<impl Backend>, g: &ConvGeometry, channels: usize, places: usize) -> Option<usize> {
    let (rows, columns) = (channels / g.groups, g.batch * places);
    let inner =
        (g.in_channels * g.out_channels / channels.max(1) / g.groups) * g.kernel.iter().product::<usize>();
    let pays = rows >= o.products().least && inner >= o.products().least && columns > 0;
    let counts = columns <= MOST_COLUMNS && inner <= MOST_COLUMNS;
    (pays && counts).then(|| g.groups * rows.div_ceil(TILE.0) * columns.div_ceil(TILE.1))
}

pub(super) fn forward<B: Backend>(o: &Operands<B>, g: &ConvGeometry) -> Result<()> {
    let (x, w, y) = sizes(g);
    let bias = if o.reads() > 2 { o.real(2, g.out_channels)? } else { 0 };
    let pointers = [o.real(0, x)?, o.real(1, w)?, bias, o.out(y)?];
    let name = if o.products().tensor_float { "conv_gemm_tf32" } else { "conv_gemm" };
    match tiles(o, g, g.out_channels, g.output.iter().product()) {
        Some(blocks) => o.blocks(("conv_gemm", name), blocks, &pointers, &Conv::new(g)?),
        None => o.each(("conv", "conv"), y, &pointers, &Conv::new(g)?),
    }
}

pub(super) fn adjoint<B: Backend>(o: &Operands<B>, g: &ConvGeometry) -> Result<()> {
    let (x, w, y) = sizes(g);
    let pointers = [o.real(0, y)?, o.real(1, w)?, o.out(x)?];
    let name = if o.products().tensor_float { "conv_gemm_adjoint_tf32" } else { "conv_gemm_adjoint" };
    match tiles(o, g, g.in_channels, g.input.iter().product()) {
        Some(blocks) => o.blocks(("conv_gemm", name), blocks, &pointers, &Conv::new(g)?),
        None => o.each(("conv", "conv_adjoint"), x, &pointers, &Conv::new(g)?),
    }
}
