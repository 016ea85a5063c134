//! Linear kernels and their adjoints: `<A x, y> = <x, A^T y>` says that a backward pass belongs to its forward pass,
//! whatever the geometry, without any reference.

use super::bound::{bounds, unit};
use super::draw::Draw;
use super::shapes::{self, pad_geometry, permutation, slice_geometry, span, span_size, sparse};
use super::statistics::{channels, extent, matmul_geometry};
use super::windows::{conv_geometry, conv_sizes, pool_geometry, pool_sizes};
use super::{KernelCase, Operand, run_kernel};
use std::sync::Arc;
use voxplain_autodiff::{Device, Kernel, MatMulGeometry, MatrixStrides, PadFill, Span};
use voxplain_tensor::{MAX_RANK, Result, Scalar};

/// The names of the pairs of [`adjoint_pair`].
pub const PAIRS: [&str; 15] = [
    "conv in x",
    "conv in w",
    "batch norm",
    "average pool",
    "axis map",
    "permute",
    "slice",
    "pad constant",
    "pad edge",
    "pad reflect",
    "reduce",
    "max gather",
    "matmul in a",
    "mask",
    "repeat",
];

/// A linear kernel and its adjoint with equal other operands: number `pair` of [`PAIRS`], of dimensions up to about
/// `size`.
pub fn adjoint_pair(pair: usize, size: usize, seed: u64) -> (KernelCase, KernelCase) {
    let draw = &mut Draw::new(seed, size);
    match PAIRS[pair % PAIRS.len()] {
        "conv in x" => conv(draw),
        "conv in w" => conv_weights(draw),
        "batch norm" => batch_norm(draw),
        "average pool" => average_pool(draw),
        "axis map" => axis_map(draw),
        "permute" => permute(draw),
        "slice" => slice(draw),
        "pad constant" => pad(draw, PadFill::Constant(0.0)),
        "pad edge" => pad(draw, PadFill::Edge),
        "pad reflect" => pad(draw, PadFill::Reflect),
        "reduce" => reduce(draw),
        "max gather" => max_gather(draw),
        "matmul in a" => matmul(draw),
        "mask" => mask(draw),
        _ => swapped(reduce(draw)),
    }
}

fn swapped((forward, adjoint): (KernelCase, KernelCase)) -> (KernelCase, KernelCase) {
    (adjoint, forward)
}

/// A pair of kernels whose only operand is x of size `nx` and y of size `ny`.
fn unary(
    draw: &mut Draw,
    forward: Kernel,
    adjoint: Kernel,
    nx: usize,
    ny: usize,
) -> (KernelCase, KernelCase) {
    let (x, y) = (draw.numbers(nx), draw.numbers(ny));
    (KernelCase::plain(forward, vec![x], ny), KernelCase::plain(adjoint, vec![y], nx))
}

fn conv(draw: &mut Draw) -> (KernelCase, KernelCase) {
    let g = conv_geometry(draw);
    let [x, y, w] = conv_sizes(&g);
    let weights = draw.numbers(w);
    let forward = KernelCase::plain(Kernel::Conv(g), vec![draw.numbers(x), weights.clone()], y);
    (forward, KernelCase::plain(Kernel::ConvAdjoint(g), vec![draw.numbers(y), weights], x))
}

fn conv_weights(draw: &mut Draw) -> (KernelCase, KernelCase) {
    let g = conv_geometry(draw);
    let [x, y, w] = conv_sizes(&g);
    let data = draw.numbers(x);
    let mut forward = KernelCase::plain(Kernel::Conv(g), vec![data.clone(), draw.numbers(w)], y);
    let mut adjoint = KernelCase::plain(Kernel::ConvWeightAdjoint(g), vec![data, draw.numbers(y)], w);
    (forward.variable, adjoint.variable) = (1, 1);
    (forward, adjoint)
}

fn batch_norm(draw: &mut Draw) -> (KernelCase, KernelCase) {
    let g = channels(draw);
    let (n, c) = (g.batch * g.channels * g.inner, g.channels);
    let (scale, variance, zero) = (draw.numbers(c), draw.positives(c), vec![0.0; c]);
    let operands = vec![draw.numbers(n), scale.clone(), zero.clone(), zero, variance.clone()];
    let adjoint = vec![draw.numbers(n), scale, variance];
    (
        KernelCase::plain(Kernel::BatchNorm(g), operands, n),
        KernelCase::plain(Kernel::BatchNormAdjoint(g), adjoint, n),
    )
}

fn average_pool(draw: &mut Draw) -> (KernelCase, KernelCase) {
    let g = pool_geometry(draw);
    let [x, y] = pool_sizes(&g);
    unary(draw, Kernel::AveragePool(g), Kernel::AveragePoolAdjoint(g), x, y)
}

fn axis_map(draw: &mut Draw) -> (KernelCase, KernelCase) {
    let (s, rows) = (span(draw), draw.up_to(20));
    let matrix = sparse(draw, s.n, rows);
    let back = Kernel::AxisMap(Span { n: rows, ..s }, Arc::new(matrix.transposed()));
    unary(draw, Kernel::AxisMap(s, Arc::new(matrix)), back, span_size(s), s.outer * rows * s.inner)
}

fn permute(draw: &mut Draw) -> (KernelCase, KernelCase) {
    let (shape, order) = permutation(draw);
    let mut inverse = [0; MAX_RANK];
    (0..MAX_RANK).for_each(|i| inverse[order[i]] = i);
    let target: Vec<usize> = (0..shape.rank()).map(|i| shape[order[i]]).collect();
    let back = Kernel::Permute(shapes::shape(&target), inverse);
    let n = shape.elements();
    unary(draw, Kernel::Permute(shape, order), back, n, n)
}

fn slice(draw: &mut Draw) -> (KernelCase, KernelCase) {
    let g = slice_geometry(draw);
    unary(draw, Kernel::Slice(g), Kernel::Embed(g), g.whole.elements(), g.part.elements())
}

fn pad(draw: &mut Draw, fill: PadFill) -> (KernelCase, KernelCase) {
    let g = pad_geometry(draw, fill);
    unary(draw, Kernel::Pad(g), Kernel::PadAdjoint(g), g.inner.elements(), g.padded.elements())
}

fn reduce(draw: &mut Draw) -> (KernelCase, KernelCase) {
    let (s, scale) = (span(draw), draw.pick(&[1.0, -0.3]));
    unary(draw, Kernel::Reduce(s, scale), Kernel::Repeat(s, scale), span_size(s), s.outer * s.inner)
}

fn max_gather(draw: &mut Draw) -> (KernelCase, KernelCase) {
    let g = pool_geometry(draw);
    let [x, y] = pool_sizes(&g);
    let codes = Operand::Codes(g, draw.numbers(x));
    let (mut forward, mut adjoint) = unary(draw, Kernel::MaxGather(g), Kernel::MaxScatter(g), x, y);
    forward.operands.push(codes.clone());
    adjoint.operands.push(codes);
    (forward, adjoint)
}

fn mask(draw: &mut Draw) -> (KernelCase, KernelCase) {
    let n = draw.up_to(40);
    let bits = Operand::Bits(draw.numbers(n), n);
    let (mut forward, mut adjoint) = unary(draw, Kernel::Mask, Kernel::Mask, n, n);
    forward.operands.push(bits.clone());
    adjoint.operands.push(bits);
    (forward, adjoint)
}

/// `c = alpha a b` in a contiguous a; its adjoint multiplies by the transposed b.
fn matmul(draw: &mut Draw) -> (KernelCase, KernelCase) {
    let contiguous = |m: usize, k: usize| MatrixStrides { batch: m * k, row: k, column: 1 };
    let g = matmul_geometry(draw);
    let g = MatMulGeometry { a: contiguous(g.m, g.k), ..g };
    let transposed = MatrixStrides { batch: g.b.batch, row: g.b.column, column: g.b.row };
    let back = MatMulGeometry { k: g.n, n: g.k, a: contiguous(g.m, g.n), b: transposed, ..g };
    let (nx, ny) = (g.batch * g.m * g.k, g.batch * g.m * g.n);
    let b = Operand::Real(draw.numbers(extent(g.b, g.batch, g.k, g.n)));
    let (mut forward, mut adjoint) = unary(draw, Kernel::MatMul(g), Kernel::MatMul(back), nx, ny);
    forward.operands.push(b.clone());
    adjoint.operands.push(b);
    (forward, adjoint)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `|<A x, y> - <x, A^T y>|`, and what the rounding of the kernels can make of it.
///
/// # Errors
/// The device cannot run a case.
pub fn adjoint_defect<D: Device>(
    device: &D,
    forward: &KernelCase,
    adjoint: &KernelCase,
) -> Result<(f64, f64)> {
    let (x, y) = (forward.data(forward.variable), adjoint.data(adjoint.variable));
    let (mut defect, mut scale) = (0.0, 0.0);
    for (case, other, sign) in [(forward, y, 1.0), (adjoint, x, -1.0)] {
        let got: Vec<f64> = run_kernel(device, case)?[0].iter().map(|v| v.to_f64()).collect();
        let size = |v: &[f64]| v.iter().map(|v| v.abs()).collect::<Vec<f64>>();
        let other_size = size(other);
        defect += sign * dot(&got, other);
        // The sums of this function are in double precision.
        scale += dot(&bounds(case, unit::<D::Scalar>())?[0], &other_size)
            + (got.len() as f64 + 2.0) * f64::EPSILON * dot(&size(&got), &other_size);
    }
    Ok((f64::abs(defect), scale))
}
