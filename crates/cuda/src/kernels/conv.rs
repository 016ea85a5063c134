//! Convolution and its adjoint in x.

use super::{TILE, bits, normalize, pool};
use crate::backend::{Backend, Geometry};
use crate::device::Factors;
use crate::operands::{Operands, int, ints};
use voxplain_autodiff::{AdjointFinish, ChannelGeometry, ConvFinish, ConvGeometry, DType, Kernel, Step};
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
    rectified: i32,
    row: i32,
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
            rectified: 0,
            row: 1,
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

/// What a sum goes through: addresses, 0 for what is left out, and numbers.
#[derive(Clone, Copy, Default)]
struct Finish {
    factor: u64,
    shift: u64,
    added: u64,
    bits: u64,
    row: usize,
    rectified: bool,
}

impl Finish {
    fn geometry(&self, g: &ConvGeometry) -> Result<Conv> {
        Ok(Conv { rectified: i32::from(self.rectified), row: int(self.row.max(1))?, ..Conv::new(g)? })
    }
}

/// Starts the convolution of `x` to `y`, both addresses that were checked.
fn launch<B: Backend>(o: &Operands<B>, g: &ConvGeometry, x: u64, f: Finish, y: u64) -> Result<()> {
    let (_, w, n) = sizes(g);
    let pointers = [x, o.real(1, w)?, f.factor, f.shift, f.added, f.bits, y];
    let name = match o.products().factors {
        Factors::Single => "conv_gemm",
        Factors::TensorFloat => "conv_gemm_tf32",
        Factors::Half => "conv_gemm_f16",
        Factors::Brain => "conv_gemm_bf16",
    };
    match tiles(o, g, g.out_channels, g.output.iter().product()) {
        Some(blocks) => o.blocks(("conv_gemm", name), blocks, &pointers, &f.geometry(g)?),
        None => o.each(("conv", "conv"), n, &pointers, &f.geometry(g)?),
    }
}

/// The same for the adjoint, from `upper` to `dx`.
fn launch_adjoint<B: Backend>(
    o: &Operands<B>,
    g: &ConvGeometry,
    upper: u64,
    f: Finish,
    dx: u64,
) -> Result<()> {
    let (n, w, _) = sizes(g);
    let pointers = [upper, o.real(1, w)?, f.factor, f.shift, f.added, f.bits, dx];
    let name = match o.products().factors {
        Factors::Single => "conv_gemm_adjoint",
        Factors::TensorFloat => "conv_gemm_adjoint_tf32",
        Factors::Half => "conv_gemm_adjoint_f16",
        Factors::Brain => "conv_gemm_adjoint_bf16",
    };
    match tiles(o, g, g.in_channels, g.input.iter().product()) {
        Some(blocks) => o.blocks(("conv_gemm", name), blocks, &pointers, &f.geometry(g)?),
        None => o.each(("conv", "conv_adjoint"), n, &pointers, &f.geometry(g)?),
    }
}

pub(super) fn forward<B: Backend>(o: &Operands<B>, g: &ConvGeometry) -> Result<()> {
    let (x, _, y) = sizes(g);
    let shift = if o.reads() > 2 { o.real(2, g.out_channels)? } else { 0 };
    launch(o, g, o.real(0, x)?, Finish { shift, ..Finish::default() }, o.out(y)?)
}

pub(super) fn adjoint<B: Backend>(o: &Operands<B>, g: &ConvGeometry) -> Result<()> {
    let (x, _, y) = sizes(g);
    launch_adjoint(o, g, o.real(0, y)?, Finish::default(), o.out(x)?)
}

/// Numbers of scratch memory that a step needs: the lines of its normalisation, and a value that is not kept.
pub(crate) fn scratch(step: &Step) -> usize {
    match &step.kernel {
        Kernel::ConvBlock(g, f) => {
            let kept = step.writes.first().copied().flatten().is_some();
            2 * usize::from(f.norm.is_some()) * g.out_channels + if kept { 0 } else { sizes(g).2 }
        }
        Kernel::ConvAdjointBlock(g, f) => {
            sizes(g).2 * (usize::from(f.norm.is_some()) + usize::from(f.pooled.is_some()))
        }
        _ => 0,
    }
}

/// The convolution with its normalisation, sum and rectifier in one launch; bits and pooling from what it made.
pub(super) fn block<B: Backend>(o: &Operands<B>, g: &ConvGeometry, f: &ConvFinish) -> Result<()> {
    let ((x, _, n), c) = (sizes(g), g.out_channels);
    let bias = if f.biased { o.real(2, c)? } else { 0 };
    let mut next = 2 + usize::from(f.biased);
    let mut finish = Finish { shift: bias, rectified: f.rectified, ..Finish::default() };
    if let Some(epsilon) = f.norm {
        let operand = |k: usize| o.real(next + k, c);
        let lines = o.scratch(0, 2 * c)?;
        let pointers = [bias, operand(0)?, operand(1)?, operand(2)?, operand(3)?, lines];
        normalize::lines(o, c, epsilon, &pointers)?;
        (finish.factor, finish.shift) = (lines, lines + (c * size_of::<f32>()) as u64);
        next += 4;
    }
    if f.added {
        finish.added = o.real(next, n)?;
    }
    let y = match o.wanted(0, DType::Real, n)? {
        0 => o.scratch(2 * usize::from(f.norm.is_some()) * c, n)?,
        y => y,
    };
    launch(o, g, o.real(0, x)?, finish, y)?;
    let bits = o.wanted(1, DType::Bits, n)?;
    if bits != 0 {
        bits::of(o, y, bits, n, o.written_row(1))?;
    }
    f.pool.map_or(Ok(()), |p| pool::max_of(o, &p, y, 2))
}

/// The scatter of a pooling and the normalisation's adjoint, then the convolution's with mask and rectifier in one launch.
pub(super) fn adjoint_block<B: Backend>(o: &Operands<B>, g: &ConvGeometry, f: &AdjointFinish) -> Result<()> {
    let ((n, _, y), c) = (sizes(g), g.out_channels);
    let codes = if f.norm.is_some() { 4 } else { 2 };
    let mut upper = match f.pooled {
        Some(p) => pool::scatter_into(o, &p, codes, o.scratch(0, y)?)?,
        None => o.real(0, y)?,
    };
    if let Some(epsilon) = f.norm {
        let scaled = o.scratch(y * usize::from(f.pooled.is_some()), y)?;
        let inner = g.output.iter().product();
        let channels = ChannelGeometry { batch: g.batch, channels: c, inner, epsilon };
        normalize::scale(o, &channels, &[upper, o.real(2, c)?, o.real(3, c)?, scaled])?;
        upper = scaled;
    }
    let mut finish = Finish { rectified: f.rectified, ..Finish::default() };
    if f.masked {
        let bits = f.bits_operand();
        (finish.bits, finish.row) = (o.coded(bits, DType::Bits, n)?, o.read_row(bits)?);
    }
    launch_adjoint(o, g, upper, finish, o.out(n)?)
}
