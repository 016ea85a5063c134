//! Cases of joined steps. Their numbers are small whole ones and halves, so that every device computes them exactly, however
//! it sums: bits and codes must then be equal too.

use super::draw::Draw;
use super::windows::{conv_geometry, conv_sizes, pool_geometry, pool_sizes};
use super::{KernelCase, Operand, Output};
use voxplain_autodiff::{AdjointFinish, ConvFinish, ConvGeometry, DType, Kernel, PoolGeometry, PooledStart};

/// What is added to variances; those of [`norm`] make the sum 1.
const EPSILON: f64 = 0.25;

fn whole(draw: &mut Draw, n: usize) -> Vec<f64> {
    (0..n).map(|_| draw.below(7) as f64 - 3.0).collect()
}

/// A geometry as of single steps, or one that Winograd's filtering computes.
fn geometry(draw: &mut Draw) -> ConvGeometry {
    let mut g = conv_geometry(draw);
    if draw.flag() {
        let depth = draw.pick(&[1, 3]);
        (g.batch, g.groups, g.kernel) = (draw.up_to(2), 1, [depth, 3, 3]);
        (g.in_channels, g.out_channels) = (8 + draw.below(3), 8 + draw.below(6));
        (g.stride, g.dilation, g.pad) = ([1; 3], [1; 3], [depth / 2, draw.below(3), draw.below(3)]);
        g.input = [draw.up_to(4), 3 + draw.below(4), 3 + draw.below(20)];
        g.output = [0, 1, 2].map(|a| g.input[a] + 2 * g.pad[a] + 1 - g.kernel[a]);
    }
    g
}

/// A geometry whose adjoint can begin with the signal of a pooling; sometimes one with more channels on either side or more
/// slices than a device might take at once.
fn scattering(draw: &mut Draw) -> ConvGeometry {
    let mut g = conv_geometry(draw);
    (g.groups, g.in_channels, g.out_channels) = (1, draw.up_to(4), draw.up_to(5));
    g.kernel = [draw.up_to(3), draw.up_to(4), draw.up_to(3)];
    (g.stride, g.dilation) = ([1; 3], [1; 3]);
    g.pad = g.kernel.map(|k| draw.below(k + 1));
    g.input = [draw.up_to(9), draw.up_to(20), draw.up_to(20)].map(|n| n + 4);
    match draw.below(5) {
        0 => g.out_channels = 14 + draw.up_to(20),
        1 => (g.in_channels, g.input[0]) = (4 + draw.up_to(70), 4),
        2 => g.input = [16 + draw.up_to(20), 4 + draw.up_to(4), 4 + draw.up_to(8)],
        _ => {}
    }
    g.output = [0, 1, 2].map(|a| g.input[a] + 2 * g.pad[a] + 1 - g.kernel[a]);
    g
}

/// `scale` and `variance` of each channel.
fn norm(draw: &mut Draw, channels: usize) -> [Vec<f64>; 2] {
    let scale = (0..channels).map(|_| draw.pick(&[1.0, -1.0, 2.0, 0.5])).collect();
    [scale, vec![1.0 - EPSILON; channels]]
}

/// Windows of one or two outputs, two along the rows, two slices only where the convolution sums over slices.
fn halving(draw: &mut Draw, g: &ConvGeometry) -> Option<PoolGeometry> {
    let mut size =
        |a: usize| if g.output[a] > 1 && (a > 0 || g.kernel[0] > 1) && draw.flag() { 2 } else { 1 };
    let kernel = [size(0), size(1), 2];
    (g.output[2] > 1).then(|| PoolGeometry {
        planes: g.batch * g.out_channels,
        input: g.output,
        output: [0, 1, 2].map(|a| g.output[a] / kernel[a]),
        kernel,
        stride: kernel,
        pad: [0; 3],
        pad_end: [0; 3],
        dilation: [1; 3],
        include_pad: false,
    })
}

pub(super) fn conv_block(draw: &mut Draw) -> KernelCase {
    let g = geometry(draw);
    let [x, y, w] = conv_sizes(&g);
    let mut finish = ConvFinish { biased: draw.flag(), ..ConvFinish::default() };
    let mut operands = vec![whole(draw, x), whole(draw, w)];
    if finish.biased {
        operands.push(whole(draw, g.out_channels));
    }
    if draw.flag() {
        finish.norm = Some(EPSILON);
        let [scale, variance] = norm(draw, g.out_channels);
        operands.extend([scale, whole(draw, g.out_channels), whole(draw, g.out_channels), variance]);
    }
    finish.added = draw.flag();
    if finish.added {
        operands.push(whole(draw, y));
    }
    finish.rectified = draw.flag();
    finish.pool = if draw.flag() { halving(draw, &g) } else { None };
    let mut case = KernelCase::plain(Kernel::ConvBlock(g, finish), operands, y);
    case.stored = finish.norm.is_some();
    case.outputs.push(if draw.flag() { Output::Bits(y, g.output[2]) } else { Output::Unwanted });
    if let Some(p) = finish.pool {
        let pooled = pool_sizes(&p)[1];
        case.outputs.extend([Output::Real(pooled), Output::Codes(p)]);
        if draw.flag() {
            case.outputs[0] = Output::Unwanted;
        }
    }
    case
}

pub(super) fn conv_adjoint_block(draw: &mut Draw) -> KernelCase {
    let g = if draw.flag() { geometry(draw) } else { scattering(draw) };
    let [x, y, w] = conv_sizes(&g);
    let mut finish =
        AdjointFinish { masked: draw.flag(), rectified: draw.flag(), ..AdjointFinish::default() };
    let pool = halving(draw, &g).filter(|p| g.scatters_from(p) && draw.flag());
    let upper = pool.map_or(y, |p| pool_sizes(&p)[1]);
    let mut operands = vec![whole(draw, upper), whole(draw, w)];
    if draw.flag() {
        finish.norm = Some(EPSILON);
        operands.extend(norm(draw, g.out_channels));
    }
    finish.pooled = pool.map(|pool| PooledStart { pool, masked: draw.flag(), rectified: draw.flag() });
    let mut case = KernelCase::plain(Kernel::ConvAdjointBlock(g, finish), operands, x);
    case.stored = finish.norm.is_some();
    if let Some(p) = finish.pooled {
        case.operands.push(Operand::Codes(p.pool, whole(draw, y)));
        if p.masked {
            case.operands.push(Operand::Bits(whole(draw, y), g.output[2]));
        }
    }
    if finish.masked {
        case.operands.push(Operand::Bits(whole(draw, x), g.input[2]));
    }
    case
}

pub(super) fn unpool(draw: &mut Draw) -> KernelCase {
    let conv = geometry(draw);
    let halving = if draw.flag() { halving(draw, &conv) } else { None };
    let g = halving.unwrap_or_else(|| pool_geometry(draw));
    debug_assert_eq!(g.code(), DType::Byte, "pool_geometry draws small windows");
    let [x, y] = pool_sizes(&g);
    let mut case = KernelCase::plain(Kernel::Unpool(g, draw.flag()), vec![whole(draw, y)], x);
    case.operands.push(Operand::Codes(g, whole(draw, x)));
    if draw.flag() {
        case.operands.push(Operand::Bits(whole(draw, x), g.input[2]));
    }
    case
}
