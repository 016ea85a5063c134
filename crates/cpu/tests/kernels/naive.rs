//! Kernels against a few lines of double precision that say the same in the plainest way.
#![allow(clippy::unwrap_used, missing_docs)]

use super::common::{self, Source, assert_close, cpus, numbers, run, run_on};
use proptest::prelude::*;
use voxplain_autodiff::{
    BinaryFn, BroadcastGeometry, ConvGeometry, Kernel, MatMulGeometry, MatrixStrides, PoolGeometry,
    SliceGeometry, SliceStep, Span,
};
use voxplain_graph::ops::Pointwise;
use voxplain_tensor::{MAX_RANK, Shape};

fn volume(sizes: [usize; 3]) -> usize {
    sizes.iter().product()
}

fn places(sizes: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..volume(sizes)).map(move |i| [i / (sizes[1] * sizes[2]), i / sizes[2] % sizes[1], i % sizes[2]])
}

/// Flat index of tap `k` of output `p`, if it lies inside.
fn tap(p: [usize; 3], k: [usize; 3], [input, stride, pad, dilation]: [[usize; 3]; 4]) -> Option<usize> {
    let mut index = 0;
    for a in 0..3 {
        let at = (p[a] * stride[a] + k[a] * dilation[a]).checked_sub(pad[a]).filter(|&i| i < input[a])?;
        index = index * input[a] + at;
    }
    Some(index)
}

fn conv(g: &ConvGeometry, x: &[f32], w: &[f32], bias: &[f32]) -> Vec<f64> {
    let (ci, co) = (g.in_channels / g.groups, g.out_channels / g.groups);
    let mut y = vec![];
    for n in 0..g.batch {
        for o in 0..g.out_channels {
            for p in places(g.output) {
                let mut sum = f64::from(bias[o]);
                for c in 0..ci {
                    let plane = (n * g.in_channels + o / co * ci + c) * volume(g.input);
                    for (i, k) in places(g.kernel).enumerate() {
                        if let Some(at) = tap(p, k, [g.input, g.stride, g.pad, g.dilation]) {
                            let weight = w[(o * ci + c) * volume(g.kernel) + i];
                            sum += f64::from(weight) * f64::from(x[plane + at]);
                        }
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

fn triple(range: std::ops::Range<usize>) -> impl Strategy<Value = [usize; 3]> {
    [range.clone(), range.clone(), range]
}

fn outputs(
    input: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    pads: [usize; 3],
    d: [usize; 3],
) -> [usize; 3] {
    [0, 1, 2].map(|a| ((input[a] + pads[a]).saturating_sub((kernel[a] - 1) * d[a] + 1)) / stride[a] + 1)
}

proptest! {
    #![proptest_config(common::cases(64))]

    #[test]
    fn convolution(
        mut input in triple(5..20), kernel in triple(1..4), stride in triple(1..3), pad in triple(0..3),
        dilation in triple(1..3), batch in 1usize..3, groups in 1usize..4, ci in 1usize..8, co in 1usize..14,
    ) {
        input[0] = input[0].min(6);
        let output = outputs(input, kernel, stride, pad, dilation);
        let g = ConvGeometry {
            batch, groups, in_channels: ci * groups, out_channels: co * groups, input, output, kernel, stride, pad,
            dilation,
        };
        let x = numbers(1, batch * g.in_channels * volume(input));
        let w = numbers(2, g.out_channels * ci * volume(kernel));
        let bias = numbers(3, g.out_channels);
        let expected = conv(&g, &x, &w, &bias);
        for cpu in cpus() {
            assert_close("conv", &run(&cpu, Kernel::Conv(g), &[&x, &w, &bias], expected.len()), &expected, 1e-5);
        }
    }

    #[test]
    fn max_pooling(
        input in triple(3..9), kernel in triple(1..4), stride in triple(1..3), pad in triple(0..2), seed: u64,
    ) {
        let output = outputs(input, kernel, stride, pad, [1; 3]);
        let g = PoolGeometry {
            planes: 2, input, output, kernel, stride, pad, pad_end: [0; 3], dilation: [1; 3], include_pad: false,
        };
        // Few different values, so that ties abound, and some NaN.
        let value = |v: f32| if v > 0.9 { f32::NAN } else { (v * 3.0).round() };
        let x: Vec<f32> = numbers(seed, 2 * volume(input)).into_iter().map(value).collect();
        let n = 2 * volume(output);
        let mut expected: Vec<(f32, Option<usize>)> = vec![];
        for plane in 0..2 {
            for p in places(output) {
                let mut best: (f32, Option<usize>) = (f32::NEG_INFINITY, None);
                for k in places(kernel) {
                    let Some(at) = tap(p, k, [input, stride, pad, [1; 3]]) else { continue };
                    let at = plane * volume(input) + at;
                    if best.1.is_none() || x[at] > best.0 || (best.0.is_nan() && !x[at].is_nan()) {
                        best = (x[at], Some(at));
                    }
                }
                expected.push(best);
            }
        }
        let ones = vec![1.0; n];
        let mut scattered = vec![0.0; x.len()];
        expected.iter().filter_map(|e| e.1).for_each(|at| scattered[at] += 1.0f32);
        for cpu in cpus() {
            let y = run(&cpu, Kernel::MaxPool(g), &[&x], n);
            for (got, e) in y.iter().zip(&expected) {
                prop_assert!(*got == e.0 || got.is_nan() && e.0.is_nan());
            }
            let codes = Source::Made(Kernel::MaxPool(g), x.clone(), g.code(), n);
            let dx = run_on(&cpu, Kernel::MaxScatter(g), &[Source::Real(ones.clone()), codes], &[x.len()]).remove(0);
            prop_assert_eq!(&dx, &scattered);
        }
    }

    #[test]
    fn softmax_and_normalize(outer in 1usize..4, n in 1usize..20, inner in 1usize..5, scale in 0.1f32..100.0) {
        let s = Span { outer, n, inner };
        let x: Vec<f32> = numbers(1, outer * n * inner).iter().map(|v| v * scale).collect();
        let column = |i: usize| {
            let start = i / (n * inner) * n * inner + i % inner;
            (0..n).map(move |k| start + k * inner)
        };
        let at = |i: usize| f64::from(x[i]);
        let expected: Vec<f64> = (0..x.len())
            .map(|i| 1.0 / column(i).map(|j| (at(j) - at(i)).exp()).sum::<f64>())
            .collect();
        let logs: Vec<f64> = expected.iter().map(|v| v.ln()).collect();
        for cpu in cpus() {
            assert_close("softmax", &run(&cpu, Kernel::Softmax(s, false), &[&x], x.len()), &expected, 1e-6);
            assert_close("log softmax", &run(&cpu, Kernel::Softmax(s, true), &[&x], x.len()), &logs, 1e-6);
            if inner == 1 {
                let out = run_on(&cpu, Kernel::Normalize(s, 0.5), &[Source::Real(x.clone())], &[x.len(), outer]);
                let expected: Vec<f64> = (0..x.len()).map(|i| {
                    let mean = column(i).map(at).sum::<f64>() / n as f64;
                    let variance = column(i).map(|j| (at(j) - mean).powi(2)).sum::<f64>() / n as f64;
                    (at(i) - mean) / (variance + 0.5).sqrt()
                }).collect();
                assert_close("normalize", &out[0], &expected, 1e-6);
            }
        }
    }

    #[test]
    fn matrix_product(batch in 1usize..3, m in 1usize..70, k in 1usize..40, n in 1usize..20, ta: bool, tb: bool) {
        let strides = |rows: usize, columns: usize, t: bool| MatrixStrides {
            batch: rows * columns, row: if t { 1 } else { columns }, column: if t { rows } else { 1 },
        };
        let g = MatMulGeometry { batch, m, k, n, a: strides(m, k, ta), b: strides(k, n, tb), alpha: 0.7 };
        let (a, b) = (numbers(1, batch * m * k), numbers(2, batch * k * n));
        let entry = |v: &[f32], s: MatrixStrides, i: [usize; 3]| {
            f64::from(v[i[0] * s.batch + i[1] * s.row + i[2] * s.column])
        };
        let expected: Vec<f64> = (0..batch * m * n).map(|i| {
            let (z, r, c) = (i / (m * n), i / n % m, i % n);
            0.7 * (0..k).map(|j| entry(&a, g.a, [z, r, j]) * entry(&b, g.b, [z, j, c])).sum::<f64>()
        }).collect();
        for cpu in cpus() {
            assert_close("matmul", &run(&cpu, Kernel::MatMul(g), &[&a, &b], expected.len()), &expected, 1e-5);
        }
    }

    #[test]
    fn broadcasting(axes in prop::collection::vec((1usize..6, any::<bool>(), any::<bool>()), 0..6)) {
        let shape = Shape::new(&axes.iter().map(|a| a.0).collect::<Vec<_>>()).unwrap();
        let strides = |keep: &dyn Fn(usize) -> bool| {
            let (mut out, mut step) = ([0; MAX_RANK], 1);
            for i in (0..shape.rank()).rev().filter(|&i| keep(i)) {
                out[i] = step;
                step *= shape[i];
            }
            (out, step)
        };
        let ((sa, na), (sb, nb)) = (strides(&|i| axes[i].1), strides(&|i| axes[i].2));
        let g = BroadcastGeometry { shape, a: sa, b: sb };
        let (a, b) = (numbers(1, na), numbers(2, nb));
        let index = |mut i: usize, s: &[usize; MAX_RANK]| {
            let mut at = 0;
            for axis in (0..shape.rank()).rev() {
                at += i % shape[axis] * s[axis];
                i /= shape[axis];
            }
            at
        };
        let expected: Vec<f32> =
            (0..shape.elements()).map(|i| a[index(i, &sa)] - b[index(i, &sb)]).collect();
        for cpu in cpus() {
            let y = run(&cpu, Kernel::Binary(BinaryFn::Sub, g), &[&a, &b], expected.len());
            prop_assert_eq!(&y, &expected);
        }
    }
}

/// The mean of the derivative by a fine midpoint rule that knows nothing of closed forms.
fn mean_derivative(f: Pointwise, a: f32, b: f32) -> f64 {
    const STEPS: usize = 20_000;
    let (a, b) = (f64::from(a), f64::from(b));
    let value = |x: f64| match f {
        Pointwise::Relu => f64::from(u8::from(x > 0.0)),
        Pointwise::Sigmoid => 0.25 / (0.5 * x).cosh().powi(2),
        Pointwise::Tanh => 1.0 / x.cosh().powi(2),
        Pointwise::Softplus => 1.0 / (1.0 + (-x).exp()),
        Pointwise::Exp => x.exp(),
        Pointwise::Elu { alpha } => {
            if x > 0.0 {
                1.0
            } else {
                alpha * x.exp()
            }
        }
        Pointwise::Clip { low, high } => f64::from(u8::from(x > low && x < high)),
        Pointwise::HardSigmoid { alpha, beta } => {
            alpha * f64::from(u8::from(alpha * x + beta > 0.0 && alpha * x + beta < 1.0))
        }
        Pointwise::HardSwish => {
            if x < -3.0 {
                0.0
            } else if x > 3.0 {
                1.0
            } else {
                x / 3.0 + 0.5
            }
        }
        Pointwise::Silu => {
            let s = 1.0 / (1.0 + (-x).exp());
            s * (1.0 + x * (1.0 - s))
        }
        Pointwise::Erf => std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp(),
        _ => f64::NAN,
    };
    (0..STEPS).map(|i| value(a + (b - a) * (i as f64 + 0.5) / STEPS as f64)).sum::<f64>() / STEPS as f64
}

#[test]
fn slopes_are_exact_at_every_distance() {
    let kinked = [
        Pointwise::Relu,
        Pointwise::Clip { low: -0.5, high: 1.5 },
        Pointwise::HardSigmoid { alpha: 0.2, beta: 0.5 },
    ];
    let smooth = [
        Pointwise::Sigmoid,
        Pointwise::Tanh,
        Pointwise::Softplus,
        Pointwise::Exp,
        Pointwise::Elu { alpha: 1.3 },
        Pointwise::HardSwish,
        Pointwise::Silu,
        Pointwise::Erf,
    ];
    let (mut a, mut b) = (vec![], vec![]);
    for centre in [-2.7f32, -0.9, 0.0, 0.3, 1.9, 2.9] {
        for d in [1.0f32, 0.7, 1e-1, 1e-3, 1e-5, 1e-7, 1e-17, 1e-30, -2.3, -1e-4, 0.0] {
            a.push(centre + d);
            b.push(centre);
        }
    }
    let g = vec![1.0f32; a.len()];
    for f in kinked.into_iter().chain(smooth) {
        // The midpoint rule is off by up to a step where the derivative jumps.
        let jumps = kinked.contains(&f) || matches!(f, Pointwise::Elu { .. } | Pointwise::HardSwish);
        let tolerance = if jumps { 3e-5 } else { 4e-7 };
        let means: Vec<f64> = a.iter().zip(&b).map(|(&a, &b)| mean_derivative(f, a, b)).collect();
        for cpu in cpus() {
            let slopes = run(&cpu, Kernel::MapSlope(f), &[&g, &a, &b], g.len());
            let swapped = run(&cpu, Kernel::MapSlope(f), &[&g, &b, &a], g.len());
            for i in (0..g.len()).filter(|&i| a[i] != b[i]) {
                let expected = means[i];
                let error = (f64::from(slopes[i]) - expected).abs();
                assert!(error <= tolerance * (1.0 + expected.abs()), "{f:?} {} {}: {error}", a[i], b[i]);
                assert_eq!(slopes[i], swapped[i], "{f:?}");
            }
        }
    }
}

const SMOOTH: [Pointwise; 14] = [
    Pointwise::Relu,
    Pointwise::LeakyRelu { alpha: 0.1 },
    Pointwise::Elu { alpha: 1.0 },
    Pointwise::Selu { alpha: 1.67, gamma: 1.05 },
    Pointwise::Gelu,
    Pointwise::GeluTanh,
    Pointwise::Sigmoid,
    Pointwise::HardSwish,
    Pointwise::Silu,
    Pointwise::Mish,
    Pointwise::Tanh,
    Pointwise::Softplus,
    Pointwise::Erf,
    Pointwise::Abs,
];

#[test]
fn slopes_are_finite_and_complete_far_out() {
    let far = [-1e30f32, -3e4, -800.0, -90.0, -3.0, 0.0, 2.0, 91.0, 801.0, 4e4, 1e30];
    let pairs: Vec<(f32, f32)> = far.iter().flat_map(|&a| far.map(|b| (a, b))).collect();
    let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
    let g = vec![1.0f32; a.len()];
    for f in SMOOTH {
        for cpu in cpus() {
            let slope = run(&cpu, Kernel::MapSlope(f), &[&g, &a, &b], g.len());
            let (fa, fb) =
                (run(&cpu, Kernel::Map(f), &[&a], a.len()), run(&cpu, Kernel::Map(f), &[&b], b.len()));
            let gradient = run(&cpu, Kernel::MapGradient(f), &[&g, &a], a.len());
            for i in 0..g.len() {
                assert!(slope[i].is_finite(), "{f:?} {} {}", a[i], b[i]);
                if a[i] == b[i] {
                    assert_eq!(slope[i], gradient[i], "{f:?}");
                    continue;
                }
                let quotient = (f64::from(fa[i]) - f64::from(fb[i])) / (f64::from(a[i]) - f64::from(b[i]));
                assert!((f64::from(slope[i]) - quotient).abs() < 1e-6, "{f:?} {} {}", a[i], b[i]);
            }
        }
    }
}

#[test]
fn short_slopes_meet_the_derivative() {
    let a = [-2.5f32, -1.0, -0.25, 0.5, 1.25, 2.75];
    let b = a.map(|v| v + 1e-6);
    let g = [1.0f32; 6];
    let more = [Pointwise::Log, Pointwise::Sqrt, Pointwise::Reciprocal, Pointwise::Exp];
    for f in SMOOTH.into_iter().chain(more) {
        let cpu = &cpus()[0];
        let slope = run(cpu, Kernel::MapSlope(f), &[&g, &a, &b], 6);
        let gradient = run(cpu, Kernel::MapGradient(f), &[&g, &a], 6);
        for i in (0..6).filter(|&i| !gradient[i].is_nan() && !slope[i].is_nan()) {
            assert!((slope[i] - gradient[i]).abs() < 1e-4, "{f:?} at {}: {} {}", a[i], slope[i], gradient[i]);
        }
    }
}

/// An axis of a whole, and which of its entries a slice takes.
fn sliced() -> impl Strategy<Value = (usize, SliceStep, usize)> {
    (1usize..60, 0usize..4, 1isize..3, any::<bool>(), any::<bool>()).prop_map(
        |(n, begin, step, back, all)| {
            let begin = begin.min(n - 1);
            match (all, back) {
                (true, _) => (n, SliceStep { begin: 0, step: 1 }, n),
                (_, false) => (n, SliceStep { begin, step }, (n - begin).div_ceil(step as usize)),
                (_, true) => (n, SliceStep { begin: n - 1, step: -step }, n.div_ceil(step as usize)),
            }
        },
    )
}

/// Place along every axis of element `i`.
fn place_of(sizes: &[usize], mut i: usize) -> Vec<usize> {
    let mut place = vec![0; sizes.len()];
    for axis in (0..sizes.len()).rev() {
        (place[axis], i) = (i % sizes[axis], i / sizes[axis]);
    }
    place
}

fn index_of(sizes: &[usize], place: &[usize]) -> usize {
    sizes.iter().zip(place).fold(0, |index, (n, at)| index * n + at)
}

proptest! {
    #![proptest_config(common::cases(48))]

    /// Arrays of more elements than a thread takes at a time.
    #[test]
    fn slices_and_permutations(axes in prop::collection::vec(sliced(), 1..4), turn in 0usize..3) {
        let whole: Vec<usize> = axes.iter().map(|a| a.0).collect();
        let part: Vec<usize> = axes.iter().map(|a| a.2).collect();
        let (n, size) = (whole.iter().product(), part.iter().product());
        let mut g = SliceGeometry {
            whole: Shape::new(&whole).unwrap(),
            part: Shape::new(&part).unwrap(),
            axes: [SliceStep { begin: 0, step: 1 }; MAX_RANK],
        };
        axes.iter().enumerate().for_each(|(i, a)| g.axes[i] = a.1);
        let x = numbers(5, n);
        let from = |i: usize| {
            let place = place_of(&part, i);
            let at = |axis: usize| {
                g.axes[axis].begin.wrapping_add_signed(place[axis] as isize * g.axes[axis].step)
            };
            index_of(&whole, &(0..whole.len()).map(at).collect::<Vec<_>>())
        };
        let expected: Vec<f32> = (0..size).map(|i| x[from(i)]).collect();
        let mut embedded = vec![0.0; n];
        (0..size).for_each(|i| embedded[from(i)] = expected[i]);
        let mut order: Vec<usize> = (0..whole.len()).collect();
        order.rotate_left(turn % whole.len());
        let turned: Vec<usize> = order.iter().map(|&axis| whole[axis]).collect();
        let permuted: Vec<f32> = (0..n).map(|i| {
            let (mut place, at) = (vec![0; whole.len()], place_of(&turned, i));
            order.iter().zip(at).for_each(|(&axis, at)| place[axis] = at);
            x[index_of(&whole, &place)]
        }).collect();
        let mut permutation = [0; MAX_RANK];
        permutation[..order.len()].copy_from_slice(&order);
        for cpu in cpus() {
            prop_assert_eq!(&run(&cpu, Kernel::Slice(g), &[&x], size), &expected);
            prop_assert_eq!(&run(&cpu, Kernel::Embed(g), &[&expected], n), &embedded);
            prop_assert_eq!(&run(&cpu, Kernel::Permute(g.whole, permutation), &[&x], n), &permuted);
        }
    }
}
