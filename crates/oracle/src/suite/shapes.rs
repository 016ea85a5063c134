//! Cases of kernels that move, repeat and add up elements.

use super::KernelCase;
use super::draw::Draw;
use std::sync::Arc;
use voxplain_autodiff::{
    Kernel, PadFill, PadGeometry, SliceGeometry, SliceStep, Span, SparseMatrix, WindowGeometry,
};
use voxplain_tensor::{MAX_RANK, Shape};

/// A shape from sizes; those drawn here are far from any limit.
pub(super) fn shape(sizes: &[usize]) -> Shape {
    Shape::new(sizes).unwrap_or_else(|e| unreachable!("{e}"))
}

/// `[outer, n, inner]`, with long runs at times.
pub(super) fn span(draw: &mut Draw) -> Span {
    let inner = draw.pick(&[1, 3, 40]);
    Span { outer: draw.up_to(5), n: draw.up_to(30), inner: draw.up_to(inner) }
}

pub(super) fn span_size(s: Span) -> usize {
    s.outer * s.n * s.inner
}

pub(super) fn sparse(draw: &mut Draw, columns: usize, rows: usize) -> SparseMatrix {
    let row = |draw: &mut Draw| -> Vec<(usize, f64)> {
        (0..draw.below(5)).map(|_| (draw.below(columns), draw.number())).collect()
    };
    let rows: Vec<_> = (0..rows).map(|_| row(draw)).collect();
    SparseMatrix::from_rows(columns, &rows)
}

pub(super) fn axis_map(draw: &mut Draw) -> KernelCase {
    let (s, rows) = (span(draw), draw.up_to(20));
    let matrix = Arc::new(sparse(draw, s.n, rows));
    KernelCase::plain(Kernel::AxisMap(s, matrix), vec![draw.numbers(span_size(s))], s.outer * rows * s.inner)
}

/// Sizes of an array of any rank from 0.
pub(super) fn sizes(draw: &mut Draw) -> Vec<usize> {
    let rank = draw.below(MAX_RANK + 1);
    let longest = [1, 90, 20, 8, 5, 4, 3, 2, 2][rank];
    (0..rank).map(|_| draw.up_to(longest)).collect()
}

/// A shape and an order of its axes.
pub(super) fn permutation(draw: &mut Draw) -> (Shape, [usize; MAX_RANK]) {
    let sizes = sizes(draw);
    let mut order = [0, 1, 2, 3, 4, 5, 6, 7];
    (1..sizes.len()).for_each(|i| order.swap(i, draw.below(i + 1)));
    (shape(&sizes), order)
}

pub(super) fn permute(draw: &mut Draw) -> KernelCase {
    let (shape, order) = permutation(draw);
    let n = shape.elements();
    KernelCase::plain(Kernel::Permute(shape, order), vec![draw.numbers(n)], n)
}

/// Slices with steps of either sign.
pub(super) fn slice_geometry(draw: &mut Draw) -> SliceGeometry {
    let whole = sizes(draw);
    let mut axes = [SliceStep { begin: 0, step: 1 }; MAX_RANK];
    let mut part = Vec::new();
    for (axis, &size) in axes.iter_mut().zip(&whole) {
        axis.begin = draw.below(size);
        axis.step = draw.pick(&[1, 1, 2, 3, -1, -2]);
        let room = if axis.step > 0 { size - 1 - axis.begin } else { axis.begin };
        part.push(1 + draw.below(room / axis.step.unsigned_abs() + 1));
    }
    SliceGeometry { whole: shape(&whole), part: shape(&part), axes }
}

pub(super) fn slice(draw: &mut Draw) -> KernelCase {
    let g = slice_geometry(draw);
    KernelCase::plain(Kernel::Slice(g), vec![draw.numbers(g.whole.elements())], g.part.elements())
}

pub(super) fn embed(draw: &mut Draw) -> KernelCase {
    let g = slice_geometry(draw);
    KernelCase::plain(Kernel::Embed(g), vec![draw.numbers(g.part.elements())], g.whole.elements())
}

/// Padding and cropping in front and behind; reflection reaches at most once.
pub(super) fn pad_geometry(draw: &mut Draw, fill: PadFill) -> PadGeometry {
    let inner = sizes(draw);
    let mut before = [0; MAX_RANK];
    let mut padded = Vec::new();
    for (before, &size) in before.iter_mut().zip(&inner) {
        let size = size as isize;
        let most = if fill == PadFill::Reflect { (size - 1).min(3) } else { 3 };
        let amount = |draw: &mut Draw, least: isize| least + draw.below((most - least + 1) as usize) as isize;
        *before = amount(draw, -((size - 1) / 2).min(2));
        let after = amount(draw, -((size - 1) / 2).min(2));
        padded.push((size + *before + after) as usize);
    }
    PadGeometry { inner: shape(&inner), padded: shape(&padded), before, fill }
}

pub(super) fn pad(draw: &mut Draw) -> KernelCase {
    let fill = draw.pick(&[PadFill::Constant(0.0), PadFill::Constant(-1.5), PadFill::Edge, PadFill::Reflect]);
    let g = pad_geometry(draw, fill);
    KernelCase::plain(Kernel::Pad(g), vec![draw.numbers(g.inner.elements())], g.padded.elements())
}

pub(super) fn pad_adjoint(draw: &mut Draw) -> KernelCase {
    let fill = draw.pick(&[PadFill::Constant(0.0), PadFill::Edge, PadFill::Reflect]);
    let g = pad_geometry(draw, fill);
    KernelCase::plain(Kernel::PadAdjoint(g), vec![draw.numbers(g.padded.elements())], g.inner.elements())
}

/// Boxes and patches that stick out on either side, or miss each other.
pub(super) fn window(draw: &mut Draw) -> KernelCase {
    let mut whole = sizes(draw);
    if whole.is_empty() {
        whole.push(1 + draw.below(9));
    }
    let rows = draw.up_to(4);
    let near = |draw: &mut Draw, whole: &[usize]| -> Vec<usize> {
        whole.iter().map(|&n| 1 + draw.below((n + 3).min(12))).collect()
    };
    let part = near(draw, &whole);
    let patch = draw.flag().then(|| near(draw, &whole));
    let mut places = Vec::new();
    for _ in 0..rows {
        let place = |draw: &mut Draw, n: usize| draw.below(n + 4) as f64 - 3.0;
        for _ in 0..2 {
            places.extend(whole.iter().map(|&n| place(draw, n)).collect::<Vec<_>>());
        }
    }
    let fill = draw.pick(&[0.0, f64::NEG_INFINITY, 1.5]);
    let (whole, part, patch) = (shape(&whole), shape(&part), patch.map(|p| shape(&p)));
    let mut operands = vec![draw.numbers(whole.elements())];
    operands.extend(patch.map(|p| draw.numbers(rows * p.elements())));
    operands.push(places);
    let g = WindowGeometry { rows, whole, part, patch, fill };
    KernelCase::plain(Kernel::Window(g), operands, rows * part.elements())
}

pub(super) fn concat(draw: &mut Draw) -> KernelCase {
    let (outer, count) = (draw.up_to(5), draw.up_to(5));
    let sizes: Vec<usize> = (0..count).map(|_| draw.up_to(30)).collect();
    let operands = sizes.iter().map(|n| draw.numbers(outer * n)).collect();
    let total = outer * sizes.iter().sum::<usize>();
    KernelCase::plain(Kernel::Concat { outer, sizes }, operands, total)
}

pub(super) fn reduce(draw: &mut Draw) -> KernelCase {
    let (s, scale) = (span(draw), draw.pick(&[1.0, 0.125, -0.3]));
    KernelCase::plain(Kernel::Reduce(s, scale), vec![draw.numbers(span_size(s))], s.outer * s.inner)
}

pub(super) fn repeat(draw: &mut Draw) -> KernelCase {
    let (s, scale) = (span(draw), draw.pick(&[1.0, 0.125, -0.3]));
    KernelCase::plain(Kernel::Repeat(s, scale), vec![draw.numbers(s.outer * s.inner)], span_size(s))
}
