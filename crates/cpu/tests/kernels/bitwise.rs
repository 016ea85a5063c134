//! Results do not depend on the number of threads, on how a batch is split, or on how often a plan ran, bit for bit.
#![allow(clippy::unwrap_used, missing_docs)]

use super::common::{self, bits, cpus, numbers, run};
use proptest::prelude::*;
use voxplain_autodiff::{ConvGeometry, Kernel, MatMulGeometry, MatrixStrides, Span};
use voxplain_cpu::{Cpu, Filtering};
use voxplain_graph::ops::Pointwise;

/// Every instruction set with its counterpart on three threads.
fn pairs() -> Vec<(Cpu, Cpu)> {
    pairs_by(Filtering::default())
}

/// The same with convolutions filtered so.
fn pairs_by(filtering: Filtering) -> Vec<(Cpu, Cpu)> {
    let three = |cpu: &Cpu| Cpu::with_isa(cpu.isa()).unwrap().with_threads(3).unwrap();
    let filtered = |cpu: Cpu| cpu.with_filtering(filtering);
    cpus()
        .into_iter()
        .map(|one| (filtered(three(&one)), filtered(one)))
        .map(|(three, one)| (one, three))
        .collect()
}

/// Runs on one and three threads, twice, and returns the common result.
fn steady((one, three): &(Cpu, Cpu), kernel: &Kernel, sources: &[&[f32]], n: usize) -> Vec<f32> {
    let y = run(one, kernel.clone(), sources, n);
    for cpu in [one, three, three] {
        assert_eq!(bits(&run(cpu, kernel.clone(), sources, n)), bits(&y), "{kernel:?}");
    }
    y
}

fn conv(batch: usize, channels: [usize; 3], kernel: usize, stride: usize, input: [usize; 3]) -> ConvGeometry {
    let [groups, ci, co] = channels;
    let output = input.map(|n| (n + 2 * (kernel / 2) - kernel) / stride + 1);
    ConvGeometry {
        batch,
        groups,
        in_channels: groups * ci,
        out_channels: groups * co,
        input,
        output,
        kernel: [kernel; 3],
        stride: [stride; 3],
        pad: [kernel / 2; 3],
        dilation: [1; 3],
    }
}

/// Groups, and channels of a group in and out: few, and enough for Winograd's filtering, of wide kernels too.
fn channels() -> impl Strategy<Value = [usize; 3]> {
    prop_oneof![[1usize..3, 1usize..6, 1usize..10], [1usize..2, 8usize..10, 8usize..18]]
}

/// A convolution and its adjoint, on one thread and on three, have for every example the bits of that example alone. Gives back
/// the data, the signal and the weights.
fn examples_alone(pair: &(Cpu, Cpu), g: ConvGeometry) -> [Vec<f32>; 3] {
    let volume = |sizes: [usize; 3]| sizes.iter().product::<usize>();
    let (rx, ry) = (g.in_channels * volume(g.input), g.out_channels * volume(g.output));
    let weights = g.out_channels * (g.in_channels / g.groups) * volume(g.kernel);
    let (x, y, w) = (numbers(1, g.batch * rx), numbers(2, g.batch * ry), numbers(3, weights));
    let whole = steady(pair, &Kernel::Conv(g), &[&x, &w], y.len());
    let back = steady(pair, &Kernel::ConvAdjoint(g), &[&y, &w], x.len());
    let single = ConvGeometry { batch: 1, ..g };
    for n in 0..g.batch {
        let (xs, ys) = (n * rx..(n + 1) * rx, n * ry..(n + 1) * ry);
        let row = run(&pair.1, Kernel::Conv(single), &[&x[xs.clone()], &w], ry);
        assert_eq!(bits(&row), bits(&whole[ys.clone()]), "{g:?}");
        let row = run(&pair.1, Kernel::ConvAdjoint(single), &[&y[ys], &w], rx);
        assert_eq!(bits(&row), bits(&back[xs]), "{g:?}");
    }
    [x, y, w]
}

proptest! {
    #![proptest_config(common::cases(60))]

    #[test]
    fn convolution(
        batch in 2usize..4, channels in channels(), kernel in prop_oneof![3 => 1usize..4, 1 => 4usize..8], stride in 1usize..3,
        input in [3usize..6, 3usize..20, 3usize..40], fast: bool,
    ) {
        let g = conv(batch, channels, kernel, stride, input);
        let filtering = if fast { Filtering::Fast } else { Filtering::default() };
        for pair in pairs_by(filtering) {
            let [x, y, w] = examples_alone(&pair, g);
            steady(&pair, &Kernel::ConvWeightAdjoint(g), &[&x, &y], w.len());
        }
    }

    /// Images so small that strips take several, and of so many channels that Winograd's filtering comes in parts.
    #[test]
    fn small_images(
        batch in 8usize..14, channels in prop_oneof![[1usize..3, 1usize..6, 1usize..50], [1usize..2, 128usize..131, 8usize..10]],
        stride in 1usize..4, input in [1usize..3, 2usize..9, 2usize..12],
        filtering in prop::sample::select(vec![Filtering::Direct, Filtering::Accurate, Filtering::Fast]),
    ) {
        let g = conv(batch, channels, 3, stride, input);
        let output = [(input[0] - 1) / stride + 1, g.output[1], g.output[2]];
        let g = ConvGeometry { kernel: [1, 3, 3], pad: [0, 1, 1], output, ..g };
        for pair in pairs_by(filtering) {
            examples_alone(&pair, g);
        }
    }

    #[test]
    fn matrix_rows(m in 1usize..90, k in 1usize..900, n in 1usize..40, tb: bool, first in 0usize..90, alpha in 0.1f64..2.0) {
        let first = first.min(m - 1);
        let a = MatrixStrides { batch: 0, row: k, column: 1 };
        let b = MatrixStrides { batch: 0, row: if tb { 1 } else { n }, column: if tb { k } else { 1 } };
        let g = MatMulGeometry { batch: 1, m, k, n, a, b, alpha };
        let (x, w) = (numbers(1, m * k), numbers(2, k * n));
        for pair in pairs() {
            let whole = steady(&pair, &Kernel::MatMul(g), &[&x, &w], m * n);
            for rows in [1, m - first] {
                let part = Kernel::MatMul(MatMulGeometry { m: rows, ..g });
                let alone = run(&pair.0, part, &[&x[first * k..(first + rows) * k], &w], rows * n);
                prop_assert_eq!(bits(&alone), bits(&whole[first * n..(first + rows) * n]));
            }
        }
    }

    #[test]
    fn rows_of_spans(outer in 2usize..5, n in 1usize..60, inner in prop_oneof![Just(1usize), 1usize..3000]) {
        let row = n * inner;
        let (s, single) = (Span { outer, n, inner }, Span { outer: 1, n, inner });
        let x = numbers(1, outer * row);
        for pair in pairs() {
            let sums = steady(&pair, &Kernel::Reduce(s, 0.7), &[&x], outer * inner);
            let soft = steady(&pair, &Kernel::Softmax(s, false), &[&x], outer * row);
            steady(&pair, &Kernel::SoftmaxAdjoint(s, true), &[&x, &soft], outer * row);
            steady(&pair, &Kernel::Map(Pointwise::Gelu), &[&x], outer * row);
            for o in 0..outer {
                let part = &x[o * row..(o + 1) * row];
                let alone = run(&pair.1, Kernel::Reduce(single, 0.7), &[part], inner);
                prop_assert_eq!(bits(&alone), bits(&sums[o * inner..(o + 1) * inner]));
                let alone = run(&pair.1, Kernel::Softmax(single, false), &[part], row);
                prop_assert_eq!(bits(&alone), bits(&soft[o * row..(o + 1) * row]));
            }
        }
    }
}
