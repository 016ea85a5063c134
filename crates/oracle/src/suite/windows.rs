//! Cases of convolution and pooling.

use super::draw::Draw;
use super::{KernelCase, Operand, Output};
use voxplain_autodiff::{ConvGeometry, Kernel, PoolGeometry};

/// One spatial axis.
#[derive(Clone, Copy)]
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
    pad_end: usize,
    dilation: usize,
}

impl Axis {
    const FLAT: Self = Self { input: 1, output: 1, kernel: 1, stride: 1, pad: 0, pad_end: 0, dilation: 1 };

    /// Any axis; the last window may reach beyond the end padding, as in ceil mode, if it starts before.
    fn draw(draw: &mut Draw, longest: usize) -> Self {
        let mut a = Self {
            input: draw.up_to(longest),
            output: 0,
            kernel: draw.up_to(4),
            stride: draw.up_to(3),
            pad: draw.below(3),
            pad_end: draw.below(3),
            dilation: draw.up_to(3),
        };
        if (a.kernel - 1) * a.dilation >= a.input + a.pad + a.pad_end {
            a.kernel = 1;
        }
        a.count(draw.flag());
        a
    }

    fn count(&mut self, ceil: bool) {
        let span = (self.kernel - 1) * self.dilation + 1;
        self.output = (self.input + self.pad + self.pad_end - span) / self.stride + 1;
        if ceil && self.output * self.stride < self.input + self.pad {
            self.output += 1;
        }
    }

    /// As [`Axis::draw`], with an entry of the data in every window.
    fn filled(draw: &mut Draw, longest: usize) -> Self {
        let mut a = Self::draw(draw, longest);
        let inside = |a: &Self, p: usize, k: usize| {
            (a.pad..a.pad + a.input).contains(&(p * a.stride + k * a.dilation))
        };
        if !(0..a.output).all(|p| (0..a.kernel).any(|k| inside(&a, p, k))) {
            (a.pad, a.pad_end, a.kernel) = (0, 0, 1 + (a.input - 1) / a.dilation / 2);
            a.count(draw.flag());
        }
        a
    }
}

/// 1 to 3 axes, the last one long at times.
fn axes(draw: &mut Draw, make: fn(&mut Draw, usize) -> Axis) -> [Axis; 3] {
    let rank = 1 + draw.below(3);
    let longest = draw.pick(&[9, 20, 40]);
    [0, 1, 2].map(|i| match i {
        _ if i + rank < 3 => Axis::FLAT,
        2 => make(draw, longest),
        _ => make(draw, 7),
    })
}

fn volume(sizes: [usize; 3]) -> usize {
    sizes.iter().product()
}

/// A geometry whose direct sum stays below a million products.
pub(super) fn conv_geometry(draw: &mut Draw) -> ConvGeometry {
    let a = axes(draw, Axis::draw);
    let batch = draw.up_to(3);
    let (groups, ci, co) = match draw.below(3) {
        0 => (1, draw.up_to(6), draw.up_to(20)),
        1 => (draw.up_to(4), draw.up_to(4), draw.up_to(6)),
        _ => (draw.up_to(18), 1, draw.up_to(2)),
    };
    let mut g = ConvGeometry {
        batch,
        groups,
        in_channels: groups * ci,
        out_channels: groups * co,
        input: a.map(|a| a.input),
        output: a.map(|a| a.output),
        kernel: a.map(|a| a.kernel),
        stride: a.map(|a| a.stride),
        pad: a.map(|a| a.pad),
        dilation: a.map(|a| a.dilation),
    };
    if Kernel::Conv(g).flops() > 2_000_000 {
        (g.batch, g.groups, g.in_channels, g.out_channels) = (1, 1, 2, 3);
    }
    g
}

/// Numbers of elements of x, y and w.
pub(super) fn conv_sizes(g: &ConvGeometry) -> [usize; 3] {
    let weights = g.out_channels * (g.in_channels / g.groups) * volume(g.kernel);
    [g.batch * g.in_channels * volume(g.input), g.batch * g.out_channels * volume(g.output), weights]
}

pub(super) fn conv(draw: &mut Draw) -> KernelCase {
    let g = conv_geometry(draw);
    let [x, y, w] = conv_sizes(&g);
    let mut operands = vec![draw.numbers(x), draw.numbers(w)];
    if draw.flag() {
        operands.push(draw.numbers(g.out_channels));
    }
    KernelCase::plain(Kernel::Conv(g), operands, y)
}

pub(super) fn conv_adjoint(draw: &mut Draw) -> KernelCase {
    let g = conv_geometry(draw);
    let [x, y, w] = conv_sizes(&g);
    KernelCase::plain(Kernel::ConvAdjoint(g), vec![draw.numbers(y), draw.numbers(w)], x)
}

pub(super) fn conv_weight_adjoint(draw: &mut Draw) -> KernelCase {
    let g = conv_geometry(draw);
    let [x, y, w] = conv_sizes(&g);
    KernelCase::plain(Kernel::ConvWeightAdjoint(g), vec![draw.numbers(x), draw.numbers(y)], w)
}

pub(super) fn pool_geometry(draw: &mut Draw) -> PoolGeometry {
    let a = axes(draw, Axis::filled);
    geometry(draw, a)
}

fn geometry(draw: &mut Draw, a: [Axis; 3]) -> PoolGeometry {
    PoolGeometry {
        planes: draw.up_to(4),
        input: a.map(|a| a.input),
        output: a.map(|a| a.output),
        kernel: a.map(|a| a.kernel),
        stride: a.map(|a| a.stride),
        pad: a.map(|a| a.pad),
        pad_end: a.map(|a| a.pad_end),
        dilation: a.map(|a| a.dilation),
        include_pad: draw.flag(),
    }
}

/// Windows of more than 256 taps.
fn wide_geometry(draw: &mut Draw) -> PoolGeometry {
    let kernels = draw.pick(&[[1, 1, 290], [1, 17, 18], [7, 7, 7]]);
    let a = kernels.map(|kernel| {
        let mut axis = Axis { kernel, input: kernel + draw.below(5), ..Axis::FLAT };
        if kernel > 1 {
            (axis.pad, axis.pad_end, axis.stride) = (draw.below(3), draw.below(3), draw.up_to(3));
        }
        axis.count(draw.flag());
        axis
    });
    geometry(draw, a)
}

/// Numbers of elements of x and y.
pub(super) fn pool_sizes(g: &PoolGeometry) -> [usize; 2] {
    [g.planes * volume(g.input), g.planes * volume(g.output)]
}

pub(super) fn average_pool(draw: &mut Draw) -> KernelCase {
    let g = pool_geometry(draw);
    let [x, y] = pool_sizes(&g);
    KernelCase::plain(Kernel::AveragePool(g), vec![draw.numbers(x)], y)
}

pub(super) fn average_pool_adjoint(draw: &mut Draw) -> KernelCase {
    let g = pool_geometry(draw);
    let [x, y] = pool_sizes(&g);
    KernelCase::plain(Kernel::AveragePoolAdjoint(g), vec![draw.numbers(y)], x)
}

pub(super) fn max_pool(draw: &mut Draw) -> KernelCase {
    let g = pool_geometry(draw);
    maximum(draw, g)
}

pub(super) fn max_pool_wide(draw: &mut Draw) -> KernelCase {
    let g = wide_geometry(draw);
    maximum(draw, g)
}

fn maximum(draw: &mut Draw, g: PoolGeometry) -> KernelCase {
    let [x, y] = pool_sizes(&g);
    let (odd, mut data) = (draw.below(4) == 0, draw.numbers(x));
    if odd {
        let special = [f64::NAN, f64::NEG_INFINITY, f64::INFINITY, 1.0];
        data.iter_mut().for_each(|v| *v = draw.pick(&special));
    }
    let mut case = KernelCase::plain(Kernel::MaxPool(g), vec![data], y);
    case.outputs.push(Output::Codes(g));
    let unwanted = draw.below(4);
    if unwanted < 2 {
        case.outputs[unwanted] = Output::Unwanted;
    }
    case
}

/// Codes of either width for windows of a geometry that goes with them.
fn coded(draw: &mut Draw) -> (PoolGeometry, Operand) {
    let g = if draw.below(4) == 0 { wide_geometry(draw) } else { pool_geometry(draw) };
    let source = draw.numbers(pool_sizes(&g)[0]);
    (g, Operand::Codes(g, source))
}

pub(super) fn max_scatter(draw: &mut Draw) -> KernelCase {
    let (g, codes) = coded(draw);
    let [x, y] = pool_sizes(&g);
    let mut case = KernelCase::plain(Kernel::MaxScatter(g), vec![draw.numbers(y)], x);
    case.operands.push(codes);
    case
}

pub(super) fn max_gather(draw: &mut Draw) -> KernelCase {
    let (g, codes) = coded(draw);
    let [x, y] = pool_sizes(&g);
    let mut case = KernelCase::plain(Kernel::MaxGather(g), vec![draw.numbers(x)], y);
    case.operands.push(codes);
    case
}
