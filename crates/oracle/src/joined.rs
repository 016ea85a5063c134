//! Joined steps, as the sequence of single ones that they stand for.

use crate::{bits, conv, normalize, pool};
use voxplain_autodiff::{AdjointFinish, ChannelGeometry, ConvFinish, ConvGeometry, PoolGeometry};

/// What a joined convolution makes.
pub(crate) struct Block {
    pub y: Vec<f64>,
    pub bits: Vec<bool>,
    pub pooled: Option<(Vec<f64>, Vec<usize>)>,
}

fn channels(g: &ConvGeometry, epsilon: f64) -> ChannelGeometry {
    ChannelGeometry { batch: g.batch, channels: g.out_channels, inner: g.output.iter().product(), epsilon }
}

/// Convolution, normalisation, sum, rectifier, pooling; `x` are the operands in their order.
pub(crate) fn conv_block(g: &ConvGeometry, finish: &ConvFinish, x: &[&[f64]]) -> Block {
    let mut rest = x[2..].iter();
    let bias = if finish.biased { rest.next().copied() } else { None };
    let mut y = conv::forward(g, x[0], x[1], bias);
    if let Some(epsilon) = finish.norm {
        let mut operands = vec![&y[..]];
        operands.extend(rest.by_ref().take(4).map(|x| &x[..]));
        y = normalize::batch_norm(&channels(g, epsilon), &operands);
    }
    if let Some(added) = rest.next().filter(|_| finish.added) {
        y.iter_mut().zip(*added).for_each(|(y, a)| *y += a);
    }
    let positive = bits::positive(&y);
    if finish.rectified {
        y.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { 0.0 });
    }
    let pooled = finish.pool.map(|p| pool::max(&p, &y));
    Block { y, bits: positive, pooled }
}

/// The signal of a pooling with its codes and its mask.
pub(crate) struct Start<'a> {
    pub codes: &'a [usize],
    pub mask: Option<&'a [bool]>,
}

/// The scatter of a pooling, the normalisation's adjoint, the convolution's, mask, rectifier.
pub(crate) fn conv_adjoint_block(
    g: &ConvGeometry,
    finish: &AdjointFinish,
    x: &[&[f64]],
    start: Option<&Start<'_>>,
    mask: Option<&[bool]>,
) -> Vec<f64> {
    let mut upper = match (&finish.pooled, start) {
        (Some(p), Some(start)) => unpool(&p.pool, x[0], start.codes, start.mask, p.rectified),
        _ => x[0].to_vec(),
    };
    if let Some(epsilon) = finish.norm {
        upper = normalize::batch_norm_adjoint(&channels(g, epsilon), &[&upper, x[2], x[3]]);
    }
    gates(conv::adjoint(g, &upper, x[1]), mask, finish.rectified)
}

/// The scatter of a pooling, mask, rectifier.
pub(crate) fn unpool(
    g: &PoolGeometry,
    upper: &[f64],
    codes: &[usize],
    mask: Option<&[bool]>,
    rectified: bool,
) -> Vec<f64> {
    gates(pool::scatter(g, upper, codes), mask, rectified)
}

fn gates(mut y: Vec<f64>, mask: Option<&[bool]>, rectified: bool) -> Vec<f64> {
    if let Some(mask) = mask {
        y = bits::mask(&y, mask);
    }
    if rectified {
        y.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { 0.0 });
    }
    y
}
