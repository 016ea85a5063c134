//! Cases of matrix products, normalisations and softmax.

use super::draw::Draw;
use super::shapes::{span, span_size};
use super::{KernelCase, Output};
use crate::{normalize as reference, softmax as exact};
use voxplain_autodiff::{ChannelGeometry, Kernel, MatMulGeometry, MatrixStrides, Span};

fn strides(draw: &mut Draw, rows: usize, columns: usize) -> MatrixStrides {
    let (row, column) = if draw.flag() { (columns, 1) } else { (1, rows) };
    MatrixStrides { batch: if draw.below(3) == 0 { 0 } else { rows * columns }, row, column }
}

pub(super) fn matmul_geometry(draw: &mut Draw) -> MatMulGeometry {
    let (batch, m, k, n) = (draw.up_to(3), draw.up_to(70), draw.up_to(70), draw.up_to(20));
    let alpha = draw.pick(&[1.0, 1.0, -0.7]);
    MatMulGeometry { batch, m, k, n, a: strides(draw, m, k), b: strides(draw, k, n), alpha }
}

/// The number of elements that strided matrices reach.
pub(super) fn extent(s: MatrixStrides, batch: usize, rows: usize, columns: usize) -> usize {
    (batch - 1) * s.batch + (rows - 1) * s.row + (columns - 1) * s.column + 1
}

pub(super) fn matmul(draw: &mut Draw) -> KernelCase {
    let g = matmul_geometry(draw);
    let a = draw.numbers(extent(g.a, g.batch, g.m, g.k));
    let b = draw.numbers(extent(g.b, g.batch, g.k, g.n));
    KernelCase::plain(Kernel::MatMul(g), vec![a, b], g.batch * g.m * g.n)
}

pub(super) fn channels(draw: &mut Draw) -> ChannelGeometry {
    let longest = draw.pick(&[1, 7, 90]);
    let epsilon = draw.pick(&[1e-5, 1e-3]);
    ChannelGeometry { batch: draw.up_to(3), channels: draw.up_to(9), inner: draw.up_to(longest), epsilon }
}

pub(super) fn batch_norm(draw: &mut Draw) -> KernelCase {
    let g = channels(draw);
    let (n, c) = (g.batch * g.channels * g.inner, g.channels);
    let operands =
        vec![draw.numbers(n), draw.numbers(c), draw.numbers(c), draw.numbers(c), draw.positives(c)];
    KernelCase::plain(Kernel::BatchNorm(g), operands, n)
}

pub(super) fn batch_norm_adjoint(draw: &mut Draw) -> KernelCase {
    let g = channels(draw);
    let n = g.batch * g.channels * g.inner;
    let operands = vec![draw.numbers(n), draw.numbers(g.channels), draw.positives(g.channels)];
    KernelCase::plain(Kernel::BatchNormAdjoint(g), operands, n)
}

fn rounded(values: Vec<f64>) -> Vec<f64> {
    values.into_iter().map(|v| f64::from(v as f32)).collect()
}

pub(super) fn group_span(draw: &mut Draw) -> Span {
    Span { inner: 1, ..span(draw) }
}

pub(super) fn normalize(draw: &mut Draw) -> KernelCase {
    let (s, epsilon) = (group_span(draw), draw.pick(&[1e-5, 0.1]));
    let shift = draw.pick(&[0.0, 0.0, 64.0]);
    let x = draw.numbers(span_size(s)).into_iter().map(|v| v + shift).collect();
    let mut case = KernelCase::plain(Kernel::Normalize(s, epsilon), vec![rounded(x)], span_size(s));
    case.outputs.push(Output::Real(s.outer));
    let unwanted = draw.below(4);
    if unwanted < 2 {
        case.outputs[unwanted] = Output::Unwanted;
    }
    case
}

pub(super) fn normalize_adjoint(draw: &mut Draw) -> KernelCase {
    let s = group_span(draw);
    let n = span_size(s);
    let mut operands = vec![draw.numbers(n)];
    operands.extend(reference::normalize(s, 1e-3, &draw.numbers(n)).into_iter().map(rounded));
    KernelCase::plain(Kernel::NormalizeAdjoint(s), operands, n)
}

pub(super) fn softmax(draw: &mut Draw) -> KernelCase {
    let (s, logarithm) = (span(draw), draw.flag());
    let scale = draw.pick(&[1.0, 16.0, 256.0]);
    let x = draw.numbers(span_size(s)).into_iter().map(|v| v * scale).collect();
    KernelCase::plain(Kernel::Softmax(s, logarithm), vec![x], span_size(s))
}

pub(super) fn softmax_adjoint(draw: &mut Draw) -> KernelCase {
    let (s, logarithm) = (span(draw), draw.flag());
    let n = span_size(s);
    let y = rounded(exact::forward(s, logarithm, &draw.numbers(n)));
    KernelCase::plain(Kernel::SoftmaxAdjoint(s, logarithm), vec![draw.numbers(n), y], n)
}
