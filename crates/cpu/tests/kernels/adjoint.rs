//! `<A x, y> = <x, A^T y>` for every pair of linear kernels, on every instruction set of this machine.
#![allow(clippy::unwrap_used, missing_docs)]

use super::common::{self, Source, assert_adjoint, cpus, numbers, run, run_on};
use proptest::prelude::*;
use std::sync::Arc;
use voxplain_autodiff::{
    ChannelGeometry, ConvGeometry, DType, Kernel, PadFill, PadGeometry, PoolGeometry, SliceGeometry,
    SliceStep, Span, SparseMatrix,
};
use voxplain_tensor::{MAX_RANK, Shape};

prop_compose! {
    /// Size, kernel, stride, pad, pad_end, dilation of one axis and the number of windows; at least one.
    fn axis(longest: usize)(
        input in 1..=longest, kernel in 1usize..4, stride in 1usize..4, pad in 0usize..3, end in 0usize..3,
        dilation in 1usize..3,
    ) -> [usize; 7] {
        let kernel = if input + pad + end > (kernel - 1) * dilation { kernel } else { 1 };
        let output = (input + pad + end - (kernel - 1) * dilation - 1) / stride + 1;
        [input, kernel, stride, pad, end, dilation, output]
    }
}

prop_compose! {
    fn conv()(
        z in axis(5), y in axis(6), x in axis(37), batch in 1usize..3, groups in 1usize..4,
        ci in 1usize..12, co in 1usize..9,
    ) -> ConvGeometry {
        let pick = |i: usize| [z[i], y[i], x[i]];
        ConvGeometry {
            batch, groups, in_channels: ci * groups, out_channels: co * groups,
            input: pick(0), output: pick(6), kernel: pick(1), stride: pick(2), pad: pick(3), dilation: pick(5),
        }
    }
}

prop_compose! {
    fn pool()(z in axis(5), y in axis(6), x in axis(9), planes in 1usize..4, include_pad: bool) -> PoolGeometry {
        let pick = |i: usize| [z[i], y[i], x[i]];
        PoolGeometry {
            planes, input: pick(0), output: pick(6), kernel: pick(1), stride: pick(2), pad: pick(3),
            pad_end: pick(4), dilation: pick(5), include_pad,
        }
    }
}

fn volume(sizes: [usize; 3]) -> usize {
    sizes.iter().product()
}

/// Sizes of x, y and w.
fn sizes(g: &ConvGeometry) -> (usize, usize, usize) {
    let w = g.out_channels * g.in_channels / g.groups * volume(g.kernel);
    (g.batch * g.in_channels * volume(g.input), g.batch * g.out_channels * volume(g.output), w)
}

fn check(name: &str, forward: Kernel, adjoint: Kernel, nx: usize, ny: usize) {
    let (x, y) = (numbers(1, nx), numbers(2, ny));
    for cpu in cpus() {
        let ax = run(&cpu, forward.clone(), &[&x], ny);
        let aty = run(&cpu, adjoint.clone(), &[&y], nx);
        assert_adjoint(name, &ax, &y, &x, &aty);
    }
}

fn slice_geometry(sizes: &[(usize, usize, bool)]) -> SliceGeometry {
    let mut axes = [SliceStep { begin: 0, step: 1 }; MAX_RANK];
    let (mut whole, mut part) = (vec![], vec![]);
    for (i, &(count, step, backwards)) in sizes.iter().enumerate() {
        whole.push((count - 1) * step + 2);
        part.push(count);
        let last = (count - 1) * step;
        axes[i] = if backwards {
            SliceStep { begin: last, step: -(step as isize) }
        } else {
            SliceStep { begin: 1, step: step as isize }
        };
    }
    SliceGeometry { whole: Shape::new(&whole).unwrap(), part: Shape::new(&part).unwrap(), axes }
}

proptest! {
    #![proptest_config(common::cases(96))]

    #[test]
    fn convolution(g in conv()) {
        let (nx, ny, nw) = sizes(&g);
        let (x, y, w) = (numbers(1, nx), numbers(2, ny), numbers(3, nw));
        for cpu in cpus() {
            let ax = run(&cpu, Kernel::Conv(g), &[&x, &w], ny);
            let aty = run(&cpu, Kernel::ConvAdjoint(g), &[&y, &w], nx);
            assert_adjoint("in x", &ax, &y, &x, &aty);
            let dw = run(&cpu, Kernel::ConvWeightAdjoint(g), &[&x, &y], nw);
            assert_adjoint("in w", &ax, &y, &w, &dw);
        }
    }

    #[test]
    fn average_pooling(g in pool()) {
        let (nx, ny) = (g.planes * volume(g.input), g.planes * volume(g.output));
        check("average", Kernel::AveragePool(g), Kernel::AveragePoolAdjoint(g), nx, ny);
    }

    #[test]
    fn gather_and_scatter_by_codes(g in pool()) {
        let (nx, ny) = (g.planes * volume(g.input), g.planes * volume(g.output));
        let (x, y) = (numbers(1, nx), numbers(2, ny));
        let codes = Source::Made(Kernel::MaxPool(g), numbers(3, nx), g.code(), ny);
        for cpu in cpus() {
            let two = |v: &[f32]| [Source::Real(v.to_vec()), codes.clone()];
            let mut ax = run_on(&cpu, Kernel::MaxGather(g), &two(&x), &[ny]).remove(0);
            // Windows without entries give minus infinity and take nothing.
            ax.iter_mut().filter(|v| v.is_infinite()).for_each(|v| *v = 0.0);
            let aty = run_on(&cpu, Kernel::MaxScatter(g), &two(&y), &[nx]).remove(0);
            assert_adjoint("codes", &ax, &y, &x, &aty);
        }
    }

    #[test]
    fn mask_is_its_own_adjoint(n in 1usize..300) {
        let (x, y) = (numbers(1, n), numbers(2, n));
        let mask = Source::Made(Kernel::PositiveBits, numbers(3, n), DType::Bits, n);
        for cpu in cpus() {
            let of = |v: &[f32]| {
                run_on(&cpu, Kernel::Mask, &[Source::Real(v.to_vec()), mask.clone()], &[n]).remove(0)
            };
            assert_adjoint("mask", &of(&x), &y, &x, &of(&y));
            let expected: Vec<f32> =
                x.iter().zip(numbers(3, n)).map(|(&v, m)| if m > 0.0 { v } else { 0.0 }).collect();
            prop_assert_eq!(of(&x), expected);
        }
    }

    #[test]
    fn slice_and_embed(sizes in prop::collection::vec((1usize..5, 1usize..4, any::<bool>()), 1..5)) {
        let g = slice_geometry(&sizes);
        check("slice", Kernel::Slice(g), Kernel::Embed(g), g.whole.elements(), g.part.elements());
    }

    #[test]
    fn padding(axes in prop::collection::vec((2usize..6, -1isize..2, 0usize..2), 1..5), fill in 0..3) {
        let inner: Vec<usize> = axes.iter().map(|a| a.0).collect();
        let padded: Vec<usize> =
            axes.iter().map(|&(n, before, after)| (n as isize + before) as usize + after).collect();
        let mut before = [0; MAX_RANK];
        axes.iter().enumerate().for_each(|(i, a)| before[i] = a.1);
        let fill = [PadFill::Constant(0.0), PadFill::Edge, PadFill::Reflect][fill as usize];
        let (inner, padded) = (Shape::new(&inner).unwrap(), Shape::new(&padded).unwrap());
        let g = PadGeometry { inner, padded, before, fill };
        check("pad", Kernel::Pad(g), Kernel::PadAdjoint(g), inner.elements(), padded.elements());
    }

    #[test]
    fn reduce_and_repeat(outer in 1usize..5, n in 1usize..40, inner in prop_oneof![Just(1usize), 1usize..600]) {
        let s = Span { outer, n, inner };
        check("reduce", Kernel::Reduce(s, 0.3), Kernel::Repeat(s, 0.3), outer * n * inner, outer * inner);
    }

    #[test]
    fn axis_map(outer in 1usize..4, inner in 1usize..20, columns in 1usize..9, rows in 1usize..9, seed: u64) {
        let weights = numbers(seed, rows * columns);
        let entries = |r: usize| (0..columns).map(|c| (c, f64::from(weights[r * columns + c].max(0.0)))).collect();
        let m = SparseMatrix::from_rows(columns, &(0..rows).map(entries).collect::<Vec<Vec<_>>>());
        let forward = Kernel::AxisMap(Span { outer, n: columns, inner }, Arc::new(m.clone()));
        let adjoint = Kernel::AxisMap(Span { outer, n: rows, inner }, Arc::new(m.transposed()));
        check("axis map", forward, adjoint, outer * columns * inner, outer * rows * inner);
    }

    #[test]
    fn permutation_and_its_inverse(sizes in prop::collection::vec(1usize..5, 1..5), seed: u64) {
        let rank = sizes.len();
        let mut order: Vec<usize> = (0..rank).collect();
        let keys = numbers(seed, rank);
        order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
        let (mut forward, mut back, mut target) = ([0; MAX_RANK], [0; MAX_RANK], vec![]);
        for (i, &axis) in order.iter().enumerate() {
            (forward[i], back[axis]) = (axis, i);
            target.push(sizes[axis]);
        }
        let (from, to) = (Shape::new(&sizes).unwrap(), Shape::new(&target).unwrap());
        let n = from.elements();
        check("permute", Kernel::Permute(from, forward), Kernel::Permute(to, back), n, n);
    }

    #[test]
    fn batch_normalisation(batch in 1usize..3, channels in 1usize..5, inner in 1usize..50) {
        let g = ChannelGeometry { batch, channels, inner, epsilon: 1e-5 };
        let n = batch * channels * inner;
        let (x, y) = (numbers(1, n), numbers(2, n));
        let scale = numbers(3, channels);
        let variance: Vec<f32> = numbers(4, channels).iter().map(|v| v.abs()).collect();
        let zero = vec![0.0; channels];
        for cpu in cpus() {
            let ax = run(&cpu, Kernel::BatchNorm(g), &[&x, &scale, &zero, &zero, &variance], n);
            let aty = run(&cpu, Kernel::BatchNormAdjoint(g), &[&y, &scale, &variance], n);
            assert_adjoint("batch norm", &ax, &y, &x, &aty);
        }
    }

    #[test]
    fn the_jacobians_of_softmax_and_normalize_are_symmetric(outer in 1usize..4, n in 2usize..30, inner in 1usize..9) {
        let s = Span { outer, n, inner };
        let flat = Span { outer: outer * inner, n, inner: 1 };
        let size = outer * n * inner;
        let (x, u, v) = (numbers(1, size), numbers(2, size), numbers(3, size));
        for cpu in cpus() {
            let y = run(&cpu, Kernel::Softmax(s, false), &[&x], size);
            let j = |g: &[f32]| run(&cpu, Kernel::SoftmaxAdjoint(s, false), &[g, &y], size);
            assert_adjoint("softmax", &j(&u), &v, &u, &j(&v));
            let real = [Source::Real(x.clone())];
            let out = run_on(&cpu, Kernel::Normalize(flat, 1e-5), &real, &[size, flat.outer]);
            let j = |g: &[f32]| run(&cpu, Kernel::NormalizeAdjoint(flat), &[g, &out[0], &out[1]], size);
            let difference: f64 = common::dot(&j(&u), &v) - common::dot(&u, &j(&v));
            prop_assert!(difference.abs() < 1e-4 * f64::from(out[1].iter().fold(1.0f32, |a, &b| a.max(b))));
        }
    }
}
